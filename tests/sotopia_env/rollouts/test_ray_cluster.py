"""A real Ray cluster of three nodes on this machine, of which one is killed in the middle of the work."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sotopia_env
from sotopia_env.rollouts.manifest import manifest_path
from sotopia_env.storage.traces import traces_path

ROOT = Path(sotopia_env.__file__).parents[1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: the extra ray"),
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
]

SCRIPT = """
import json, os, sys, threading, time
from collections import Counter
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

import sotopia_env
from sotopia_env import Decision, RayCluster, leave, speak
from sotopia_env.policies import TokenTrace
from sotopia_env.rewards import Outcome, relabel
from sotopia_env.rewards.audit.collect import collect_audit
from sotopia_env.training.evaluation import draw_tasks, evaluate

FOLDER = Path(sys.argv[1])
SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000}
NODES = []


def note(file, text):
    with (FOLDER / file).open("a") as asked:
        asked.write(text + "\\n")


class Waiting:
    # Takes its time, as a server does, and notes who was asked for which episode.

    def __init__(self, name="waiting", seconds=0.05):
        self.name, self.seconds = name, seconds

    def act(self, observations, contexts):
        for context in contexts:
            if (context.agent, context.turn) == ("agent_0", 0):
                note(f"asked-{self.name}", context.episode)
        time.sleep(self.seconds)
        return [
            Decision(leave() if context.rng.random() < 0.1 else speak(str(context.rng.random())),
                     trace=TokenTrace((1, context.turn), (2,), (-0.5,)))
            for context in contexts
        ]

    def act_one(self, observation, context=None):
        raise NotImplementedError


class Faulty:
    # Knows nothing of every third episode, and notes each that it is asked about.
    name = "faulty"

    def score(self, episode, agent):
        note("asked-faulty", f"{episode.key}/{agent}")
        time.sleep(0.1)
        number = int(episode.key.rpartition("-")[2])
        return {"goal": None if number % 3 == 0 else 0.1 * (number % 10)}


class Failing:
    name = "failing"

    def act(self, observations, contexts):
        raise KeyError("nothing comes to mind")


def lines(path):
    return path.read_bytes().count(b"\\n") if path.exists() else 0


def killed_midway(cluster, path, call, total):
    # Kill a node once some results are in the file: the one that has been at work for longest. Another takes its place.
    victim, at = NODES.pop(0), []

    def kill():
        while lines(path) < total // 5:
            time.sleep(0.02)
        cluster.remove_node(victim, allow_graceful=False)
        at.append(lines(path))

    killer = threading.Thread(target=kill)
    killer.start()
    result = call()
    killer.join()
    assert total // 5 <= at[0] < total, at
    NODES.append(cluster.add_node(**SMALL))
    cluster.wait_for_nodes()
    return result, at[0]


def main():
    tasks = draw_tasks("bargain:test", 30)
    plays = {"num_episodes": 90, "batch_size": 5, "traces": True}
    whole = sotopia_env.rollout("bargain", [Waiting("waiting", 0)], out=FOLDER / "whole.jsonl", **plays)
    relabel(whole, Outcome("uniform", judge=Faulty()), out=FOLDER / "whole-paid.jsonl")
    evaluate(Waiting("policy", 0), Waiting("partner", 0), tasks, out=FOLDER / "whole-row.jsonl")
    for file in FOLDER.glob("asked-*"):
        file.unlink()

    cluster = Cluster(initialize_head=True, head_node_args=SMALL)
    NODES.extend(cluster.add_node(**SMALL) for _ in range(2))
    cluster.wait_for_nodes()
    workers = RayCluster(cluster.address)
    told = {}
    try:
        ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
        path = FOLDER / "e.jsonl"
        _, told["rollout"] = killed_midway(
            cluster, path, lambda: sotopia_env.rollout("bargain", [Waiting()], out=path, processes=workers, **plays), 90
        )
        path = FOLDER / "paid.jsonl"
        reward = Outcome("uniform", judge=Faulty())
        _, told["relabel"] = killed_midway(
            cluster, path, lambda: relabel(whole, reward, out=path, batch_size=5, processes=workers), 90
        )
        path = FOLDER / "row.jsonl"
        _, told["evaluate"] = killed_midway(
            cluster,
            path,
            lambda: evaluate(Waiting("policy"), Waiting("partner"), tasks, out=path, batch_size=5, processes=workers),
            60,
        )
        audits = [
            collect_audit("bargain:test", "scripted:warm", num_turns=4, candidates=2, continuations=2,
                          label_continuations=1, out=FOLDER / f"audit-{name}.jsonl", processes=shared)
            for name, shared in (("here", 1), ("ray", workers))
        ]
        told["audit"] = audits[0] == audits[1]
        try:
            sotopia_env.rollout("bargain", [Failing()], num_episodes=4, processes=workers)
        except Exception as error:
            told["error"] = [type(error).__name__, str(error), type(error.__cause__).__name__]

        def seconds():
            # Both are asked once before, so that no process starts within the time.
            for size in (8, 64):
                begun = time.perf_counter()
                timed = Waiting("timed", 0.1)
                sotopia_env.rollout("bargain", [timed], num_episodes=size, batch_size=4, processes=workers)
            return time.perf_counter() - begun

        cluster.remove_node(NODES.pop())
        two = seconds()
        cluster.remove_node(NODES.pop())
        told["one over two"] = seconds() / two
    finally:
        ray.shutdown()
        cluster.shutdown()
    told["asked twice"] = {
        file.name: sum(count > 1 for count in Counter(file.read_text().split()).values())
        for file in sorted(FOLDER.glob("asked-*"))
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
"""


def test_a_node_killed_in_the_middle_loses_nothing_and_plays_nothing_twice_into_the_file(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    # All on the loopback interface, and no statistics for Ray's makers.
    alone = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, **alone, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    print(ended.stdout)
    # Before it may stand what Ray has to tell of dead nodes.
    told = json.loads(ended.stdout.splitlines()[-1])
    for whole, killed in (("whole", "e"), ("whole-paid", "paid"), ("whole-row", "row")):
        assert (tmp_path / f"{killed}.jsonl").read_bytes() == (tmp_path / f"{whole}.jsonl").read_bytes()
    assert traces_path(tmp_path / "e.jsonl").read_bytes() == traces_path(tmp_path / "whole.jsonl").read_bytes()
    (session,) = json.loads(manifest_path(tmp_path / "e.jsonl").read_text())["sessions"]
    assert (session["played"], session["outcome"]) == (90, "complete")
    # What a killed node was at is begun again, a batch or two, and nothing else; it may have been at nothing just then.
    twice = told["asked twice"]
    assert twice["asked-waiting"] <= 20
    assert twice["asked-faulty"] <= 2 * 20
    assert twice["asked-policy"] + twice["asked-partner"] <= 20
    assert sum(number for name, number in twice.items() if name != "asked-timed") > 0
    assert told["audit"]
    name, text, cause = told["error"]
    assert (name, cause) == ("RuntimeError", "KeyError")
    assert "policy 'failing' failed (KeyError: 'nothing comes to mind') at task " in text
    assert not [path for path in tmp_path.glob(".*") if path.name != ".coverage"]
