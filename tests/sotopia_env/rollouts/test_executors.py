"""Work is shared out as tasks, whose results are put together where it was asked for."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sotopia_env import leave, rollout, speak
from sotopia_env.policies import Decision, TokenTrace
from sotopia_env.rewards import MonteCarlo, Outcome, Shapley, relabel
from sotopia_env.rewards.audit.collect import collect_audit
from sotopia_env.rollouts.executors import InThisProcess, RayCluster, as_finished, executor_of, runs_models
from sotopia_env.rollouts.files import EpisodeStore, RunFiles
from sotopia_env.seeds import episode_key
from sotopia_env.storage.traces import traces_path
from sotopia_env.training.evaluation import draw_tasks, evaluate

ATTEMPTS = 2


@dataclass(frozen=True)
class Threads(RayCluster):
    """A cluster of three threads, on which each task is lost once with the machine that had done it."""

    asked: list[Any] = field(default_factory=list)

    @contextmanager
    def executor(self, work: Any, **_: Any) -> Iterator[Any]:  # type: ignore[override]
        done, pool = threading.local(), ThreadPoolExecutor(3)

        def perform(argument: Any) -> Any:
            self.asked.append(argument)
            if not hasattr(done, "function"):
                done.function = work()
            return [done.function(argument) for _ in range(ATTEMPTS)][-1]

        class Executor:
            in_flight = 6

            def submit(self, argument: Any) -> Future[Any]:
                return pool.submit(perform, argument)

        with pool:
            yield Executor()


class Traced:
    """Leaves after some turns, with traces, and notes which episodes it is asked about."""

    name = "traced"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def act(self, observations: Any, contexts: Any) -> list[Decision]:
        self.asked += [context.episode for context in contexts if (context.agent, context.turn) == ("agent_0", 0)]
        return [
            Decision(
                leave() if context.rng.random() < 0.3 else speak(str(context.rng.random())),
                trace=TokenTrace((1, context.turn), (2,), (-0.5,)),
            )
            for context in contexts
        ]

    def act_one(self, observation: Any, context: Any = None) -> Any:
        raise NotImplementedError


def scored(episode: Any, agent: str) -> dict[str, float | None]:
    """A judge that knows nothing of every third episode."""
    number = int(episode.key.rpartition("-")[2])
    return {"goal": None if number % 3 == 0 else 0.1 * (number % 10)}


def squared(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative") from OSError("disk")
    return number * number


def squaring() -> Any:
    return squared


def test_results_come_as_they_are_finished_and_no_more_is_in_flight_than_has_room() -> None:
    numbers = iter(range(20))
    finished: list[tuple[int, int]] = []
    taken: list[int] = []

    def take() -> int | None:
        number = next(numbers, None)
        if number is not None:
            taken.append(number)
            assert len(taken) - len(finished) <= 6
        return number

    with Threads().executor(squaring) as executor:
        for result in as_finished(executor, take):
            finished.append(result)
    assert sorted(finished) == [(n, n * n) for n in range(20)]
    assert list(as_finished(InThisProcess(squared), iter([3, None]).__next__)) == [(3, 9)]


def test_processes_make_the_work_once_and_raise_here_what_was_raised_there() -> None:
    with executor_of(2, squaring, models=False, sent="the numbers") as executor:
        assert dict(as_finished(executor, iter([5, 6, None, None, None]).__next__)) == {5: 25, 6: 36}
        with pytest.raises(ValueError, match="^-1 is negative") as raised:
            list(as_finished(executor, iter([-1, None, None]).__next__))
    assert isinstance(raised.value.__cause__, OSError)
    assert "In the process that raised it:" in raised.value.__notes__[0]
    with pytest.raises(ValueError, match="processes=2: the numbers go to other processes, so give names or objects"):
        executor_of(2, lambda: squared, models=False, sent="the numbers")


def test_a_cluster_writes_the_same_rollout_each_episode_once(tmp_path: Path) -> None:
    whole, shared = tmp_path / "whole.jsonl", tmp_path / "shared.jsonl"
    play = partial(rollout, "bargain", num_episodes=30, batch_size=4, traces=True)
    episodes = play(Traced(), out=whole)
    policy, cluster = Traced(), Threads()
    play(Traced(), out=shared, num_episodes=5)
    assert play(policy, out=shared, processes=cluster) == episodes
    assert shared.read_bytes() == whole.read_bytes()
    assert traces_path(shared).read_bytes() == traces_path(whole).read_bytes()
    # The other 25 go out in shares that keep six places busy, each once, whatever became of the tasks.
    assert Counter(map(len, cluster.asked)) == {4: 6, 1: 1}
    assert Counter(policy.asked) == {episode_key(0, i): ATTEMPTS for i in range(5, 30)}
    assert not list(tmp_path.glob(".*"))
    assert play(policy, out=shared, processes=cluster) == episodes
    assert len(cluster.asked) == 7, "what is finished needs no cluster"
    filled: dict[Any, Any] = {}
    assert rollout("bargain", policy, num_episodes=3, processes=cluster, traces=filled) == episodes[:3]
    assert {key for key, _ in filled} == {"0-0", "0-1", "0-2"}


def test_a_policy_that_fails_on_a_cluster_fails_as_without(tmp_path: Path) -> None:
    def failing(observation: Any, rng: Any) -> str:
        raise KeyError("nothing comes to mind")

    said = []
    for processes in (1, Threads()):
        with pytest.raises(RuntimeError, match="policy 'failing' failed") as raised:
            rollout("bargain", failing, num_episodes=1, processes=processes, out=tmp_path / "e.jsonl")
        assert isinstance(raised.value.__cause__, KeyError)
        said.append(str(raised.value))
    assert said[0] == said[1]


def test_labels_of_several_processes_or_of_a_cluster_are_those_of_one(tmp_path: Path) -> None:
    episodes = rollout("bargain", "scripted:mixed", num_episodes=7, max_cycles=3)
    credit = MonteCarlo("scripted:warm", k=2) + Shapley("scripted:warm", k=1, exact_up_to=0, permutations=1)
    reward = Outcome("uniform", judge=scored) + credit
    expected = relabel(episodes, reward)
    assert expected[0].rewards["uniform"]["agent_0"][0] is None
    assert None not in expected[1].rewards["shapley"]["agent_0"] + expected[1].rewards["monte-carlo"]["agent_0"]
    files = {}
    for name, processes in (("one", 1), ("two", 2), ("cluster", Threads())):
        files[name] = tmp_path / f"{name}.jsonl"
        assert relabel(episodes, reward, out=files[name], batch_size=2, processes=processes) == expected
    assert len({path.read_bytes() for path in files.values()}) == 1
    with pytest.raises(ValueError, match="2 processes meet in a file; give out"):
        relabel(episodes, "episode", processes=2)
    with pytest.raises(ValueError, match="processes: 0 is not a positive number"):
        relabel(episodes, "episode", out=tmp_path / "x.jsonl", processes=0)


def test_evaluations_and_audits_on_a_cluster_are_those_of_one_process(tmp_path: Path) -> None:
    tasks = draw_tasks("bargain:test", 6)
    whole = evaluate("scripted:warm", "scripted:firm", tasks, out=tmp_path / "whole.jsonl")
    cluster = Threads()
    shared = evaluate("scripted:warm", "scripted:firm", tasks, out=tmp_path / "row.jsonl", processes=cluster)
    assert shared == whole
    assert (tmp_path / "row.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    asked: dict[str, Any] = {"num_turns": 5, "continuations": 2, "label_continuations": 1, "candidates": 2, "seed": 2}
    turns = collect_audit("bargain", "scripted:changing", out=tmp_path / "audit.jsonl", **asked)
    assert collect_audit("bargain", "scripted:changing", out=tmp_path / "a.jsonl", processes=cluster, **asked) == turns
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "audit.jsonl").read_bytes()
    with pytest.raises(ValueError, match="processes meet in a file; give out"):
        collect_audit("bargain", "scripted:changing", processes=cluster, **asked)


def test_what_is_taken_is_not_taken_again_until_it_is_given_back(tmp_path: Path) -> None:
    with RunFiles(tmp_path / "e.jsonl", int, "0") as files:
        for store in (EpisodeStore(), files):
            assert store.take(range(5), 2) == [0, 1]
            assert store.take(range(5), 2) == [2, 3]
            store.give_back([0])
            assert store.take(range(5), 4) == [0, 4]
            assert store.take(range(5), 1) == []
            store.give_back(range(5))


def test_whoever_holds_weights_runs_a_model() -> None:
    class Model:
        def state_dict(self) -> dict[str, Any]:
            return {}

    class Holding:
        def __init__(self, held: Any) -> None:
            self.held, self.me = held, self

    assert runs_models("scripted:firm", Holding([{"policy": Holding(Model())}]))
    assert not runs_models(Traced(), Holding(Model), Holding([1, "x", {"y": None}]), Outcome("episode"))


def test_a_share_of_gpus_is_no_negative_number() -> None:
    with pytest.raises(ValueError, match="gpus_per_task: -1 is not 0 or more"):
        RayCluster("auto", -1)


def test_ray_is_imported_by_nobody_who_does_not_use_it() -> None:
    code = (
        "import sys, sotopia_env, sotopia_env.cli, sotopia_env.rewards, sotopia_env.rewards.audit.collect\n"
        "import sotopia_env.rollouts.executors, sotopia_env.rollouts.run, sotopia_env.cli.playing\n"
        "sotopia_env.RayCluster('auto')\n"
        "episodes = sotopia_env.rollout('bargain', 'scripted:warm', num_episodes=1)\n"
        "sotopia_env.rewards.relabel(episodes, 'episode')\n"
        "assert 'ray' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
