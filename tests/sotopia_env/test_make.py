from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import pytest

import sotopia_env
from sotopia_env.families import Bargain
from sotopia_env.families.base import OpenEnded
from sotopia_env.menu import MenuWrapper
from sotopia_env.tasks import Task
from sotopia_env.wrappers.text import TextWrapper


class Courtesy:
    """A family of one's own: it is about saying please."""

    name = "courtesy"

    def generate(self, rng: Any) -> Task:
        return replace(sotopia_env.Bargain().generate(rng), family="courtesy")

    def score(self, episode: Any) -> dict[str, list[float | None]]:
        return {"goal": [10.0 * any("please" in t.text for t in episode.own_turns(a)) for a in episode.agents]}


def test_the_interface_is_one_keyword() -> None:
    assert isinstance(sotopia_env.parallel_env("bargain"), sotopia_env.environment.SotopiaParallelEnv)
    assert isinstance(sotopia_env.parallel_env("bargain", interface="text"), TextWrapper)
    assert isinstance(sotopia_env.parallel_env("bargain", interface="menu", reward="episode"), MenuWrapper)
    assert sotopia_env.parallel_env("bargain", interface="text", reward="episode").env.reward.name == "episode"
    with pytest.raises(ValueError, match="interface: 'tokens' is none of dict, text, menu"):
        sotopia_env.parallel_env("bargain", interface="tokens")


def test_fixed_tasks_are_watched_by_a_family_of_ones_own(make_task: Callable[..., Task]) -> None:
    tasks = [make_task(id=f"t{i}", family="courtesy") for i in range(3)]
    with pytest.raises(KeyError, match="pass the family object itself"):
        sotopia_env.parallel_env(tasks)
    env = sotopia_env.parallel_env(tasks, family=Courtesy(), reward="episode")
    env.reset(seed=0, options={"task": "t2"})
    env.step({"agent_0": "please"})
    _, rewards, *_ = env.step({"agent_1": sotopia_env.leave()})
    assert env.episode.task.id == "t2"
    assert env.episode.judgements[0].scores["goal"] == [10.0, 0.0]
    assert rewards["agent_0"] > rewards["agent_1"]


def test_a_shipped_family_may_watch_tasks_that_name_another(bargain_task: Callable[..., Task]) -> None:
    env = sotopia_env.parallel_env([bargain_task()], family=OpenEnded())
    env.reset(seed=0)
    env.step({"agent_0": "I am asking $80 for it."})
    env.step({"agent_1": sotopia_env.do("accept")})
    assert env.ending is None
    assert sotopia_env.parallel_env([bargain_task()]).family.name == "bargain"


def test_options_of_a_family_stand_beside_those_of_the_environment() -> None:
    made = sotopia_env.parallel_env("bargain", zones="empty", coupling=0, max_cycles=3, split="test")
    assert (made.family.zones, made.family.coupling.leaks, made.max_cycles) == ({"empty": 1.0}, 0, 3)
    assert made.family.generate(made.np_random, made.split).tags["zone"] == "empty"
    for given in (
        {"zones": "empty"},
        {"tasks": "bargain:validation?zones=empty"},
        {"tasks": Bargain(zones="empty")},
        {"family": Bargain(zones="empty")},
        {"family": Bargain, "zones": "empty"},
    ):
        alone = gymnasium.make("sotopia_env:sotopia/Bargain-v0", interface="menu", **given).unwrapped
        alone.reset(seed=0)
        assert alone.episode.task.tags["zone"] == "empty"
    assert sotopia_env.env("divide", gains="none").unwrapped.parallel.family.gains == {"none": 1.0}
    assert len(sotopia_env.rollout("bargain?zones=empty", "scripted:firm", num_episodes=2, max_cycles=2)) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tasks": "bargain", "zone": "empty"}, "'zone' is no option of bargain; it takes coupling, zones, facts"),
        ({"tasks": Bargain(), "zones": "empty"}, "zones: options make a family of a name; .* is made already"),
        ({"tasks": "mini?zones=empty"}, "'zones' is no option of mini; it takes none"),
        ({"tasks": "bargain:test?zones"}, "'zones' is no option; write NAME[?]OPTION=VALUE"),
        ({"tasks": "bargain:test?zones=wide:x"}, "'zones=wide:x' holds no number after a colon"),
        ({"tasks": "bargain:tset?zones=wide"}, "'tset' is no split; one of train, validation, test"),
        ({"tasks": "divide", "family": "bargain"}, "family: 'divide' draws its own tasks"),
    ],
)
def test_options_that_nothing_takes_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sotopia_env.parallel_env(**given)


def test_tasks_that_are_given_take_no_options(bargain_task: Callable[..., Task]) -> None:
    with pytest.raises(ValueError, match="zones: tasks that are given take no options"):
        sotopia_env.parallel_env([bargain_task()], zones="empty")


def test_a_family_alone_draws_its_tasks() -> None:
    assert sotopia_env.parallel_env().family.name == "bargain"
    assert sotopia_env.parallel_env(family=Courtesy()).family.name == "courtesy"
    assert sotopia_env.parallel_env(family="bargain:test").split == "test"
    with pytest.raises(ValueError, match="'bargain' draws its own tasks; give either tasks or a family"):
        sotopia_env.parallel_env("bargain", family=Courtesy())


def test_rollouts_and_the_single_agent_view_take_tasks_with_their_family(make_task: Callable[..., Task]) -> None:
    tasks = [make_task(id=f"t{i}", family="courtesy") for i in range(2)]
    (episode,) = sotopia_env.rollout(tasks, lambda observation, rng: "please", num_episodes=1, family=Courtesy())
    assert episode.judgements[0].scores["goal"] == [10.0, 10.0]
    env = sotopia_env.SotopiaEnv(Courtesy(), tasks=tasks, partner="random")
    env.reset(seed=0)
    assert env.episode.task.id in ("t0", "t1")


@pytest.mark.parametrize("seats", [3, 5])
def test_a_family_tells_how_many_play(make_task: Callable[..., Task], seats: int) -> None:
    class Table(Courtesy):
        num_seats = seats

        def generate(self, rng: Any) -> Task:
            return make_task(seats, family="table")

    env = sotopia_env.parallel_env(Table())
    env.reset(seed=0)
    assert env.agents == [f"agent_{seat}" for seat in range(seats)]
    assert env.state() in env.state_space
    assert env.state()["acting"].tolist() == [1] + [0] * (seats - 1)


def test_from_two_to_five_agents_play(make_task: Callable[..., Task]) -> None:
    for seats in (1, 6):
        with pytest.raises(ValueError, match=f"{seats} seats: from 2 to 5 agents play"):
            sotopia_env.parallel_env([make_task(seats)])
