"""The manifest says what was played with what, and nothing that is private."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env import rollout
from sotopia_env.errors import DataWarning
from sotopia_env.policies import Observation
from sotopia_env.rollouts.manifest import describe_run, fingerprint, manifest_path, redacted
from sotopia_env.tasks import Task


def read(episodes: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest_path(episodes).read_text(encoding="utf-8"))
    return found


def test_a_finished_run_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    command = [
        "sotopia-env",
        "rollout",
        "bargain",
        "scripted:warm",
        "--api-key",
        "abc",
        "--out",
        str(Path.home() / "x"),
    ]
    arguments: dict[str, Any] = {"policies": ["scripted:warm", "random"], "reward": "uniform", "out": path, "seed": 5}
    episodes = rollout("bargain:validation", num_episodes=3, command=command, **arguments)
    manifest = read(path)
    run = manifest["run"]
    assert run["seed"] == 5
    assert run["policies"]["agent_1"] == {"type": "RandomPolicy", "name": "random"}
    assert run["policies"]["agent_0"]["traits"]["warmth"] == 0.8
    assert run["family"]["version"] == sotopia_env.Bargain.version
    assert run["family"]["zones"] == {"wide": 2 / 3, "narrow": 1 / 3}
    assert {key: run["tasks"][key] for key in ("split", "number")} == {"split": "validation", "number": None}
    assert run["rules"] == episodes[0].config
    assert run["reward"]["name"] == "uniform"
    assert manifest["episodes"]["asked"] == manifest["episodes"]["finished"] == 3
    assert sum(manifest["episodes"]["endings"].values()) == 3
    (session,) = manifest["sessions"]
    assert session["command"] == "sotopia-env rollout bargain scripted:warm --api-key *** --out ~/x"
    assert session["outcome"] == "complete"
    assert session["played"] == 3
    assert session["versions"]["sotopia-env"] == sotopia_env.__version__
    assert session["versions"]["numpy"] == np.__version__
    for time in (session["started"], session["ended"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time)
    rollout("bargain:validation", num_episodes=4, **arguments)
    assert [session["played"] for session in read(path)["sessions"]] == [3, 1]
    assert read(path)["episodes"]["asked"] == 4
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["e.jsonl", "e.manifest.json"]


class Configured:
    """A policy that says what decides its turns."""

    name = "configured"

    def __init__(self, temperature: float) -> None:
        self.config = {"temperature": temperature, "api_key": "abc", "base_url": "https://me:pass@host/v1", "f": print}

    def act(self, observations: Any, contexts: Any) -> Any:
        return [sotopia_env.Decision(sotopia_env.leave()) for _ in observations]


def test_the_configuration_of_a_policy_is_part_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    rollout("bargain", [Configured(1.0)], num_episodes=1, out=path)
    assert read(path)["run"]["policies"]["agent_0"]["config"] == {
        "temperature": 1.0, "api_key": "***", "base_url": "https://***@host/v1", "f": "builtins:print",
    }  # fmt: skip
    rollout("bargain", [Configured(1.0)], num_episodes=1, out=path)
    with pytest.raises(ValueError, match=r"other policies\.agent_0\.config\.temperature \(1\.0, not 0\.5\)"):
        rollout("bargain", [Configured(0.5)], num_episodes=1, out=path)


def test_a_reward_of_ones_own_has_a_name(tmp_path: Path) -> None:
    def silence(episodes: Any) -> Any:
        return [{agent: [0.0] * len(episode.own_turns(agent)) for agent in episode.agents} for episode in episodes]

    def word(observation: Observation, rng: np.random.Generator) -> str:
        return "word"

    rollout("bargain", word, num_episodes=1, out=tmp_path / "e.jsonl", reward=silence, max_cycles=2)
    run = read(tmp_path / "e.jsonl")["run"]
    assert run["reward"]["function"].endswith("test_a_reward_of_ones_own_has_a_name.<locals>.silence")
    assert run["policies"]["agent_0"]["function"].endswith("<locals>.word")


def test_fixed_tasks_are_known_by_their_fingerprint(make_task: Callable[..., Task]) -> None:
    tasks = [make_task(id="a"), make_task(id="b")]
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(tasks))
    assert fingerprint(tasks) == fingerprint([Task.from_dict(json.loads(json.dumps(task.to_dict()))) for task in tasks])
    assert (
        len({fingerprint(given) for given in (tasks, tasks[::-1], tasks[:1], [make_task(id="a", max_cycles=3)])}) == 4
    )
    described = describe_run(sotopia_env.parallel_env(tasks), {}, seed=0, traces=False)
    assert described["tasks"] == {"split": "", "number": 2, "fingerprint": fingerprint(tasks)}
    assert described["family"] == {"type": "OpenEnded", "name": "sotopia", "version": "1"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://user:pa55@host/v1?key=abc&n=3", "https://***@host/v1?key=***"),
        ("sotopia-env x --api-key=abc --max_tokens 48", "sotopia-env x --api-key=*** --max_tokens 48"),
        ("--hf-token abc --seed 3", "--hf-token *** --seed 3"),
        ("OPENAI_API_KEY=abc x", "OPENAI_API_KEY=*** x"),
        ("it said sk-proj-abcdefghijkl and hf_abcdefghijklmnop", "it said *** and ***"),
        ("keep the secret of the key to yourself", "keep the secret of the key to yourself"),
        (f"local:{Path.home()}/runs/bc", "local:~/runs/bc"),
        ("local:runs/bc", "local:runs/bc"),
    ],
)
def test_what_is_private_is_left_out(text: str, told: str) -> None:
    assert redacted(text) == told


def test_a_run_of_another_version_of_the_package_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "e.jsonl"
    arguments: dict[str, Any] = {"policies": "random", "out": path}
    rollout("bargain", num_episodes=1, **arguments)
    monkeypatch.setattr("sotopia_env.version.__version__", "99.0")
    with pytest.warns(DataWarning, match=r"e\.jsonl was begun with sotopia-env 0\..*, and this is 99\.0"):
        rollout("bargain", num_episodes=2, **arguments)


@pytest.mark.parametrize("damaged", ["{", "[]", '{"format_version": 2}', '{"format_version": 7}'])
def test_a_damaged_manifest_is_named_and_may_be_removed(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "e.jsonl"
    played = rollout("bargain", "random", num_episodes=2, out=path)
    manifest_path(path).write_text(damaged)
    with pytest.raises(ValueError, match=r"e\.manifest\.json is no manifest .*; remove it, and the run goes on"):
        rollout("bargain", "random", num_episodes=2, out=path)
    manifest_path(path).unlink()
    with pytest.warns(DataWarning, match="is taken on trust"):
        assert rollout("bargain", "random", num_episodes=2, out=path) == played
    assert read(path)["episodes"]["finished"] == 2


def test_a_manifest_of_an_earlier_version_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    rollout("bargain", "random", num_episodes=2, out=path)
    manifest = read(path)
    older = {"seed": 0, "policies": {"agent_0": {"name": "random"}, "agent_1": {"name": "random"}}}
    manifest_path(path).write_text(json.dumps({**manifest, "format_version": 1, "run": older}))
    with pytest.raises(ValueError, match="was played by an earlier version, and e.manifest.json does not say"):
        rollout("bargain", "random", num_episodes=2, out=path)
