from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.agents import FunctionPolicy, MixedPolicy, RandomPolicy, ScriptedPolicy
from sotopia_env.describe import describe
from sotopia_env.episodes import Episode
from sotopia_env.families import Bargain, Divide, Family, UserFamily
from sotopia_env.families.bargain import Coupling
from sotopia_env.families.resolve import as_family, name_of
from sotopia_env.resolve import family_and_tasks, list_names, make_policy
from sotopia_env.storage.episodes import save_episodes
from sotopia_env.tasks import Task


class Toss:
    """A family in a few lines, as a user writes one."""

    name = "toss"

    def __init__(self, task: Task | None = None) -> None:
        self.task = task

    def generate(self, rng: np.random.Generator) -> Any:
        return self.task

    def score(self, episode: Episode) -> dict[str, list[float | None]]:
        return {"goal": [float(len(episode.turns)), None]}


def test_a_family_is_found_by_name_class_object_or_path() -> None:
    given_family = Bargain(coupling=0.0)
    assert as_family(given_family) is given_family
    for given in ("bargain", Bargain, "sotopia_env.families.bargain:Bargain"):
        assert isinstance(as_family(given), Bargain)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (Bargain(), "bargain"),
        (Bargain(0.5, zones={"wide": 0.25, "empty": 0.75}), None),
        (Bargain(Coupling(1, 0, 0.5), judge_bank="training", facts=1), None),
        (Divide(gains="none", max_cycles=3), "divide?gains=none:1.0&max_cycles=3"),
        (UserFamily(Toss()), None),
    ],
)
def test_a_family_is_written_as_a_name_with_its_options(family: Family, name: str | None) -> None:
    found = name_of(family)
    assert name is None or found == name
    assert found is None if isinstance(family, UserFamily) else describe(as_family(found)) == describe(family)


def test_an_object_with_generate_and_score_is_a_family(make_task: Callable[..., Task]) -> None:
    env = sotopia_env.parallel_env(Toss(make_task(family="toss", max_cycles=3)), reward="episode")
    assert isinstance(env.unwrapped.family, UserFamily)
    assert env.unwrapped.family.name == "toss"
    (episode,) = sotopia_env.rollout(Toss(make_task(family="toss", max_cycles=3)), "scripted:warm", num_episodes=1)
    assert episode.judgements[0].scores == {"goal": [3.0, None]}


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1, 2], "score returned a list, not a mapping"),
        ({"goal": [1.0]}, r"score\['goal'\] must hold one value per seat \(2\)"),
        ({"goal": 3.0}, "one value per seat"),
    ],
)
def test_scores_of_a_users_family_are_checked(make_task: Callable[..., Task], scores: Any, message: str) -> None:
    family = Toss(make_task(max_cycles=1))
    family.score = lambda episode: scores  # type: ignore[method-assign]
    with pytest.raises((TypeError, ValueError), match=message):
        sotopia_env.rollout(family, "scripted:warm", num_episodes=1)


def test_tasks_of_a_users_family_are_checked() -> None:
    with pytest.raises(TypeError, match="family 'toss': generate returned a NoneType, not a Task"):
        sotopia_env.parallel_env(Toss()).reset(seed=0)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("haggle", ValueError, "unknown family 'haggle'; one of bargain"),
        ("no_such_module:Family", ValueError, "no module 'no_such_module'"),
        ("sotopia_env.families:Nothing", ValueError, "has no attribute 'Nothing'"),
        (3, TypeError, "3 is no family: it has no generate and no score"),
    ],
)
def test_what_is_no_family_is_a_clear_error(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        as_family(given)


def test_splits_stand_in_the_name_or_beside_it() -> None:
    assert family_and_tasks("bargain:test", "train")[1:] == (None, "test")
    assert family_and_tasks("bargain", "validation")[1:] == (None, "validation")
    with pytest.raises(ValueError, match="'exam' is no split"):
        family_and_tasks("bargain", "exam")


def test_tasks_bring_their_family(bargain_task: Callable[..., Task], make_task: Callable[..., Task]) -> None:
    task = bargain_task()
    for given in (task, [task], (task, task)):
        family, tasks, _ = family_and_tasks(given, "train")
        assert family.name == "bargain"
        assert tasks is not None
        assert tasks[0] is task
    with pytest.raises(KeyError, match="family 'toss' is not one of"):
        family_and_tasks([make_task(family="toss")], "train")


def test_an_empty_folder_or_a_file_without_tasks_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=str(tmp_path)):
        sotopia_env.parallel_env(str(tmp_path))
    broken = tmp_path / "tasks.jsonl"
    broken.write_text("{nonsense\n")
    with pytest.raises(ValueError, match=r"tasks\.jsonl"):
        sotopia_env.parallel_env(broken)
    save_episodes([], tmp_path / "none.jsonl")
    with pytest.raises(ValueError, match=r"none\.jsonl"):
        sotopia_env.parallel_env(tmp_path / "none.jsonl")


def a_function(observation: Any, rng: Any) -> str:
    return "hi"


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        ("random", RandomPolicy, "random"),
        ("scripted:firm", ScriptedPolicy, "scripted:firm"),
        ("scripted:mixed", MixedPolicy, "scripted:mixed"),
        ("sotopia_env.agents:RandomPolicy", RandomPolicy, "random"),
        (RandomPolicy, RandomPolicy, "random"),
        (a_function, FunctionPolicy, "a_function"),
    ],
)
def test_a_policy_is_found_by_name_class_function_or_path(given: Any, kind: type, name: str) -> None:
    policy = make_policy(given)
    assert isinstance(policy, kind)
    assert policy.name == name
    assert make_policy(policy) is policy


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("nobody", ValueError, "unknown policy 'nobody'; one of random"),
        ("scripted:", ValueError, "unknown scripted policy ''"),
        ("scripted", ValueError, "unknown scripted policy ''"),
        ("no_such_module:act", ValueError, "no module 'no_such_module'"),
        (None, TypeError, "None is no policy"),
        ("sotopia_env:__version__", ValueError, "unknown policy"),
    ],
)
def test_what_is_no_policy_is_a_clear_error(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_policy(given)


def test_every_listed_name_is_taken() -> None:
    names = {kind: listed() for kind, listed in list_names().items()}
    assert set(names) == {"tasks", "policies", "rewards", "judges"}
    for name in names["tasks"]:
        as_family(name.split(":")[0])
    for name in names["policies"]:
        if name.startswith(("scripted:", "random")):
            assert make_policy(name).name == name
