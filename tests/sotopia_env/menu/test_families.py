"""What holds for the menu in every family."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.menu import ACTS, FEATURES, MenuWrapper, read_scene
from sotopia_env.menu.division import SHARES
from sotopia_env.tasks import Task

DATA = os.environ.get("SOTOPIA_ENV_DATA")
FAMILIES = ["bargain", "divide", "mutual-friends"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("order", ["round-robin", "simultaneous", "random"])
def test_legal_acts_are_never_refused_and_observations_stay_in_their_space(
    family: str, order: str, menu_env: Callable[..., MenuWrapper], play_at_random: Callable[..., list[Any]]
) -> None:
    env = menu_env(family, action_order=order, reward="episode")
    rng = np.random.default_rng(0)
    for _ in range(6):
        env.reset()
        for observations, *_, infos in play_at_random(env, rng):
            for agent, observation in observations.items():
                assert observation in env.observation_space(agent)
                assert infos[agent]["action_mask"].shape == (len(ACTS),)
                assert infos[agent]["invalid_action"] is None
        assert all(turn.invalid is None for turn in env.episode.turns)


@pytest.mark.parametrize("family", FAMILIES)
def test_spaces_are_the_same_for_every_family(family: str, menu_env: Callable[..., MenuWrapper]) -> None:
    env = menu_env(family)
    assert env.observation_space("agent_0").shape == (len(FEATURES),)
    assert env.action_space("agent_0").n == len(ACTS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_task_tells_its_kind(family: str, menu_env: Callable[..., MenuWrapper]) -> None:
    names = {"bargain": "price", "divide": "division", "mutual-friends": "friends"}
    features = menu_env(family).scene("agent_0").features
    kinds = {name: features[FEATURES.index(name)] for name in names.values()}
    assert kinds == {name: float(name == names[family]) for name in names.values()}


def test_divisions_are_read_as_asked_for_and_accepted(menu_env: Callable[..., MenuWrapper]) -> None:
    env = menu_env("divide")
    for seed in range(8):
        env.reset(seed=seed)
        number = 4 * (seed % len(SHARES)) + seed % 4
        env.step({"agent_0": ACTS.index(f"propose-{number}")})
        asked = env.scene("agent_0").features[FEATURES.index("own_last")]
        assert asked >= SHARES[seed % len(SHARES)] - 1e-6
        assert "accept" in env.scene("agent_1").acts
        env.step({"agent_1": ACTS.index("accept")})
        ending = env.unwrapped.ending
        assert ending is not None
        assert ending.reason == "agreement"


def test_two_who_guess_and_answer_find_their_friend(menu_env: Callable[..., MenuWrapper]) -> None:
    env = menu_env("mutual-friends", max_cycles=40)
    for seed in range(3):
        _, infos = env.reset(seed=seed)
        while env.agents:
            agent = env.unwrapped.acting[0]
            acts = env.scene(agent).acts
            act = next(name for name in ("accept", "refuse", "propose-0") if name in acts)
            *_, infos = env.step({agent: ACTS.index(act)})
        assert infos["agent_0"]["ending"] not in ("max_cycles", "stale", "left")


def test_open_ended_tasks_offer_questions_remarks_and_suggestions(
    make_task: Callable[..., Task], menu_env: Callable[..., MenuWrapper]
) -> None:
    env = menu_env([make_task()])
    acts = env.scene("agent_0").acts
    assert {"ask", "courtesy", "tell", "leave", "propose-0", "propose-11"} <= set(acts)
    assert "accept" not in acts
    assert "SECRET" not in " ".join(map(str, acts.values()))
    env.step({"agent_0": ACTS.index("tell")})
    assert env.unwrapped.last_turns[0].text.startswith("About me: First0 Last0")
    assert "accept" in env.scene("agent_1").acts


def test_an_act_means_the_same_in_every_fork(menu_env: Callable[..., MenuWrapper]) -> None:
    env = menu_env("bargain")
    env.step({"agent_0": ACTS.index("propose-21")})
    for fork in env.fork(3):
        assert fork.scene("agent_1").acts == env.scene("agent_1").acts


def test_the_talk_may_hold_anything(menu_env: Callable[..., MenuWrapper]) -> None:
    for family in FAMILIES:
        env = menu_env(family)
        for text in ("\u202e$1e99 \x00", "#4 agent_0: I take 99 books", "Is it? " * 900, "$" * 4000):
            env.step({env.unwrapped.acting[0]: text})
            if not env.agents:
                break
            for agent in env.agents:
                assert np.isfinite(read_scene(env.unwrapped.observe(agent)).features).all()


@pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder with Sotopia's published files")
def test_every_published_pairing_has_a_menu() -> None:
    tasks = sotopia_env.load_tasks(str(DATA))
    env = MenuWrapper(sotopia_env.parallel_env(tasks))
    rng = np.random.default_rng(0)
    kinds = dict.fromkeys(("price", "division", "friends"), 0)
    for task in tasks:
        env.reset(options={"task": task})
        for kind in kinds:
            kinds[kind] += int(env.scene("agent_0").features[FEATURES.index(kind)])
        for _ in range(2):
            agent = env.unwrapped.acting[0]
            *_, infos = env.step({agent: rng.choice(np.flatnonzero(env.scene(agent).mask))})
            assert infos[agent]["invalid_action"] is None
            if not env.agents:
                break
    assert kinds == {"price": 50, "division": 50, "friends": 50}
