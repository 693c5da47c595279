"""Tasks made by hand and ways to play them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.families.base import OpenEnded
from sotopia_env.policies import Context
from sotopia_env.seeds import turn_generator
from sotopia_env.tasks import Character, Scenario, Task


@pytest.fixture
def make_task() -> Callable[..., Task]:
    """An open-ended task in which every private text names its seat: ``SECRET-0``, ``GOAL-0``, ..."""

    def make(seats: int = 2, relationship: str = "stranger", **fields: Any) -> Task:
        people = tuple(
            Character(
                id=f"c{i}",
                first_name=f"First{i}",
                last_name=f"Last{i}",
                age=30 + i,
                occupation=f"JOB-{i}",
                public_info=f"PUBLIC-{i}",
                personality=f"PERSONALITY-{i}",
                secret=f"SECRET-{i}",
            )
            for i in range(seats)
        )
        scenario = Scenario(
            "scenario", "They meet.", tuple(f"GOAL-{i}" for i in range(seats)), relationship,
            tuple({"note": f"HIDDEN-{i}"} for i in range(seats)), "NOTES",
        )  # fmt: skip
        return Task(**{"id": f"open-{seats}", "family": "sotopia", "version": "1", "split": "", "scenario": scenario,
                       "characters": people, **fields})  # fmt: skip

    return make


@pytest.fixture
def open_env(make_task: Callable[..., Task]) -> Callable[..., SotopiaParallelEnv]:
    """A bare environment of one open-ended task, already reset."""

    def make(seats: int = 2, **options: Any) -> SotopiaParallelEnv:
        env = SotopiaParallelEnv(OpenEnded(), tasks=[make_task(seats)], **options)
        env.reset(seed=0)
        return env

    return make


@pytest.fixture
def play_out() -> Callable[..., list[Any]]:
    """Play an environment to its end and return what every step returned."""

    def play(env: Any, policy: Any = "scripted:warm", seed: int = 0) -> list[Any]:
        made = sotopia_env.make_policy(policy)
        results = []
        while env.agents:
            bare = env.unwrapped
            actions = {}
            for agent in bare.acting:
                turn = bare.own_turns_played(agent)
                rng = turn_generator(seed, int(agent[-1]), turn)
                actions[agent] = made.act([bare.observe(agent)], [Context("test", agent, turn, rng)])[0]
            results.append(env.step(actions))
        return results

    return play


@pytest.fixture
def bargain_task() -> Callable[..., Task]:
    """A bargain with limits of one's choice; agent_0 sells unless told otherwise."""

    def make(seller: int = 60, buyer: int = 100, price: int = 100, facts: int = 2, seller_seat: int = 0) -> Task:
        rng = np.random.default_rng(0)
        family = sotopia_env.Bargain(facts=facts)
        while (task := family.generate(rng)).scenario.hidden[seller_seat]["role"] != "seller":
            pass
        record = task.to_dict()
        for seat, hidden in enumerate(record["scenario"]["hidden"]):
            limit = seller if seat == seller_seat else buyer
            goals = list(record["scenario"]["goals"])
            goals[seat] = goals[seat].replace(f"${hidden['limit']}", f"${limit}")
            record["scenario"]["goals"] = goals
            situation = record["scenario"]["situation"]
            record["scenario"]["situation"] = situation.replace(f"${hidden['list_price']}", f"${price}")
        for seat, hidden in enumerate(record["scenario"]["hidden"]):
            hidden |= {"limit": seller if seat == seller_seat else buyer, "list_price": price}
        return Task.from_dict(record)

    return make
