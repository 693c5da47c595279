"""The menu where agreements are made by acts alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.actions import Action, do, speak
from sotopia_env.families.formal import act_of
from sotopia_env.menu import ACTS, FEATURES, MenuPolicy, MenuWrapper


def kinds(env: MenuWrapper, agent: str) -> dict[str, str]:
    """What the acts on the menu do, by name; those that are spoken are left out."""
    found = {}
    for name, act in env.scene(agent).acts.items():
        if isinstance(act, Action) and act.type == "action":
            read = act_of(act.text)
            found[name] = "" if read is None else read[0]
    return found


@pytest.mark.parametrize("family", ["bargain", "divide", "mutual-friends"])
def test_proposals_and_answers_are_acts(menu_env: Callable[..., MenuWrapper], family: str) -> None:
    env = menu_env(family, agreement="formal", seed=2)
    opening = kinds(env, "agent_0")
    assert set(opening.values()) == {"offer"}
    assert all(name.startswith("propose-") for name in opening)
    offered = next(name for name in opening)
    env.step({"agent_0": ACTS.index(offered)})
    told = kinds(env, "agent_1")
    if family != "mutual-friends":  # there only a friend of one's own can be confirmed
        assert (told["accept"], told["refuse"]) == ("accept", "reject")
        assert env.scene("agent_1").features[FEATURES.index("stands")] == 1.0
    env.step({"agent_1": ACTS.index("refuse")})
    assert "accept" not in kinds(env, "agent_0")


@pytest.mark.parametrize("family", ["bargain", "divide"])
def test_words_put_nothing_on_the_table(menu_env: Callable[..., MenuWrapper], family: str) -> None:
    env = menu_env(family, agreement="formal", seed=2)
    env.step({"agent_0": speak("I offer $80, and you take everything. Deal?")})
    assert "accept" not in env.scene("agent_1").acts
    assert env.scene("agent_1").features[FEATURES.index("stands")] == 0.0


def test_the_words_behind_an_act_are_heard(menu_env: Callable[..., MenuWrapper]) -> None:
    env = menu_env("bargain", agreement="formal", seed=2)
    env.step({"agent_0": do("offer $5\nThank you for coming. Why do you sell it?")})
    features = env.scene("agent_1").features
    assert [features[FEATURES.index(name)] for name in ("heard_courtesy", "heard_question")] == [1.0, 1.0]


@pytest.mark.parametrize("family", ["bargain", "divide", "mutual-friends"])
def test_random_legal_acts_are_valid_against_a_scripted_partner(family: str) -> None:
    rng = np.random.default_rng(0)

    def choose(features: np.ndarray, masks: np.ndarray) -> list[int]:
        return [int(rng.choice(np.flatnonzero(mask))) for mask in masks]

    seated: list[Any] = [MenuPolicy(choose), "scripted:mixed"]
    episodes = sotopia_env.rollout(f"{family}?agreement=formal", seated, num_episodes=40, seed=2)
    assert [turn.invalid for episode in episodes for turn in episode.turns if turn.invalid] == []
    assert any(episode.judgements[-1].latent["deal"] for episode in episodes)
