"""Scripted play of mutual friends: reading the talk, telling the truth, finding the friend."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sotopia_env
from sotopia_env.actions import Action
from sotopia_env.agents.scripted import friend_phrases
from sotopia_env.agents.scripted.befriending import Talk, befriend, read_talk
from sotopia_env.agents.scripted.policy import ScriptedPolicy
from sotopia_env.agents.scripted.traits import PRESETS
from sotopia_env.episodes import Episode
from sotopia_env.families.mutual_friends import MutualFriends
from sotopia_env.families.mutual_friends.mentions import read_mentions
from sotopia_env.families.mutual_friends.scoring import FREE_NAMES
from sotopia_env.families.mutual_friends.tables import read_table
from sotopia_env.families.mutual_friends.tellings import read_tellings

NAMES = list(PRESETS)
GOAL = (
    "Find the friend you both know. Your friends:\nAlma: hobby: chess; town: Dingle.\n"
    "Bruno: hobby: chess; town: Hallein.\nCarmen: hobby: rowing; town: Dingle.\n"
    "Dario: hobby: rowing; town: Arvika.\nSway: 1."
)
TABLE = read_table(GOAL)
DATA = os.environ.get("SOTOPIA_ENV_DATA")


def heard(*said: str) -> Talk:
    """What agent_0 has heard; it speaks first."""
    transcript = "\n".join(f"#{i} agent_{i % 2}: {text}" for i, text in enumerate(said))
    return read_talk(transcript, "agent_0", TABLE, frozenset())


def likely(*said: str) -> list[str]:
    talk = heard(*said)
    return [friend.name for friend, weight in zip(TABLE, talk.weights, strict=True) if weight > 0]


# Reading


def test_a_denial_rules_friends_out_and_a_yes_makes_them_likelier() -> None:
    assert likely("Hello.", "None of my friends is into chess.") == ["Carmen", "Dario"]
    assert likely("Do you know someone who is into chess?", "Well. No, none of mine.") == ["Carmen", "Dario"]
    assert likely("Do you know someone who is into chess and lives in Dingle?", "No.") == ["Bruno", "Carmen", "Dario"]
    assert likely("Do you know Alma?", "Thanks! No, sorry.") == ["Bruno", "Carmen", "Dario"]
    assert likely("Do you know Alma?", "I know neither Alma nor Dario.") == ["Bruno", "Carmen"]
    weights = heard("Hello.", "I know someone who is into chess and lives in Dingle.").weights
    assert max(weights) == weights[0] > 0.5
    assert sum(weights) == pytest.approx(1.0)


def test_who_names_an_own_friend_puts_it_forward() -> None:
    assert heard("Hello.", "Do you know Bruno?").put == "Bruno"
    assert heard("Hello.", "Do you know Zoran?").stranger
    assert heard("Hello.", "Do you know Bruno?", "Hm.", "No, wait, I do not know Bruno.").put is None
    assert heard("Hello.", "I know Bruno.", "Yes, I know Bruno too!").confirmed


def test_questions_are_told_from_statements() -> None:
    assert heard("Hello.", "A friend of mine is into chess.").question is None
    assert heard("Hello.", "Do you know anyone who is into chess?").question == {"chess"}
    asked = heard("Hello.", "Do you know anyone who plays the zither?")
    assert (asked.question, asked.wants) == (frozenset(), True)
    assert heard("Hello.", "Who are your friends?").wants is False


# Acting


def act(traits: Any, *said: str, goal: str = GOAL, seed: int = 0) -> Action | None:
    observation = {
        "agent": "agent_0", "name": "Mara", "participants": "agent_0: Mara Lind\nagent_1: Omar Lind", "background": "",
        "goal": goal, "situation": "They meet.", "partners": "", "turn": len(said),
        "transcript": "\n".join(f"#{i} agent_{i % 2}: {text}" for i, text in enumerate(said)),
    }  # fmt: skip
    return befriend(observation, traits, np.random.default_rng(seed))


@pytest.mark.parametrize("name", NAMES)
def test_a_friend_of_ones_own_that_is_named_is_confirmed_at_once(name: str) -> None:
    action = act(PRESETS[name], "Hello.", "Do you know Bruno?")
    assert action is not None
    assert "Bruno" in read_mentions("speak", action.text, ("Bruno",), frozenset()).claimed


@pytest.mark.parametrize("name", NAMES)
def test_tasks_without_a_table_and_friends_already_found_are_left_alone(name: str) -> None:
    assert act(PRESETS[name], goal="Comfort Bo.") is None
    assert act(PRESETS[name], "Hello.", "Do you know Bruno?", "Yes, I know Bruno too!", "Great!") is None


@pytest.mark.parametrize("name", [name for name in NAMES if name != "deceptive"])
def test_only_the_deceptive_say_what_is_not_so(name: str) -> None:
    for episode in rollout(f"scripted:{name}", "scripted:mixed", 12):
        evidence = episode.judgements[-1].evidence["social_rules"][0]
        assert not any("friend" in found or "know" in found for found in evidence), evidence


def test_the_deceptive_are_found_out() -> None:
    evidence = [
        e.judgements[-1].evidence["social_rules"][0] for e in rollout("scripted:deceptive", "scripted:curious", 30)
    ]
    assert sum(any("denies a friend" in found for found in each) for each in evidence) >= 5


@pytest.mark.parametrize("name", NAMES)
def test_names_are_not_listed(name: str) -> None:
    named = [e.judgements[-1].latent["named"][0] for e in rollout(f"scripted:{name}", "scripted:mixed", 12)]
    assert max(named) <= FREE_NAMES + 1
    assert np.mean(named) < 1


def test_teachers_find_the_friend_in_most_easy_tasks() -> None:
    easy = MutualFriends(difficulties={"easy": 1.0})
    found = [e.judgements[-1].latent["deal"] for e in rollout("scripted:warm", "scripted:curious", 60, family=easy)]
    assert np.mean(found) > 0.8


def test_phrases_are_read_as_they_are_meant() -> None:
    values = ("chess",)
    for kind, phrasings in (
        ("asks", friend_phrases.ASKS), ("has", friend_phrases.TELLS), ("has", friend_phrases.CONFIRMS),
        ("lacks", friend_phrases.DENIES),
    ):  # fmt: skip
        for phrasing in phrasings:
            (telling,) = read_tellings(phrasing.format(phrase="is into chess"), values)
            assert (telling.kind, telling.values) == (kind, {"chess"}), phrasing
            assert telling.own == (kind != "asks"), phrasing
    for phrasing in friend_phrases.GUESSES:
        assert read_mentions("speak", phrasing.format(name="Alma"), ("Alma",), frozenset()).asked == {"Alma"}
    for phrasing in friend_phrases.NAMES:
        assert read_mentions("speak", phrasing.format(name="Alma"), ("Alma",), frozenset()).vouched == {"Alma"}


def rollout(policy: Any, partner: Any, number: int, family: Any = "mutual-friends") -> list[Episode]:
    return sotopia_env.rollout(family, [policy, partner], num_episodes=number, seed=3)


def test_rapport_opens_a_partner_where_manners_count() -> None:
    """Courtesy alone, nothing else: the same partner tells more often at coupling 1, and alike at 0."""

    def told(courtesy: str, sway: str) -> float:
        said = ("Hello.", "Hm.", f"{courtesy}Go on.", "Hm.", f"{courtesy}I see.", "Hm.", f"{courtesy}What do you do?")
        # Seen from agent_1, so that the courtesies are the other's.
        transcript = "\n".join(f"#{i} agent_{i % 2}: {text}" for i, text in enumerate(said))
        goal = GOAL.replace("Sway: 1.", f"Sway: {sway}.")
        told = 0
        for seed in range(200):
            observation = {
                "agent": "agent_1", "participants": "agent_0: Mara\nagent_1: Omar", "background": "", "goal": goal,
                "situation": "", "transcript": transcript, "turn": 7,
            }  # fmt: skip
            action = befriend(observation, PRESETS["firm"], np.random.default_rng(seed))
            told += any(
                t.kind == "has" for t in read_tellings(action.text, ("chess", "rowing", "Dingle", "Hallein", "Arvika"))
            )
        return told / 200

    assert told("Thanks. ", "1") - told("", "1") > 0.3
    assert told("Thanks. ", "0") == told("", "0")
    assert told("Thanks. ", "-0.5") < told("", "-0.5")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=4))
def test_any_text_of_a_partner_is_coped_with(name: str, said: list[str]) -> None:
    env = sotopia_env.parallel_env("mutual-friends", max_stale=9)
    env.reset(seed=1)
    policy = ScriptedPolicy(name)
    for text in said:
        if env.agents:
            env.step({"agent_0": text})
        if env.agents:
            infos = env.step({"agent_1": policy.act_one(env.observe("agent_1"))})[4]
            assert infos["agent_1"]["invalid_action"] is None


# Probes


def test_listing_and_echoing_do_not_pay_and_describing_does() -> None:
    def mean_goal(probe: str) -> float:
        played = rollout(f"sotopia_env.agents.scripted.friend_probes:{probe}", "scripted:curious", 20)
        return float(np.mean([episode.judgements[-1].scores["goal"][0] for episode in played]))

    assert mean_goal("lister") < 3
    assert mean_goal("echo") < 3
    assert mean_goal("describer") > 8


# Published scenarios


@pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder with Sotopia's published files")
def test_the_ten_published_scenarios_are_played_and_judged() -> None:
    tasks = sotopia_env.load_tasks(str(DATA), "mutual-friends")
    assert len(tasks) == 50
    assert len({task.scenario.id for task in tasks}) == 10
    for task in tasks:
        common = task.scenario.hidden[0]["common"]
        assert common in task.scenario.notes
        assert "common friends" not in task.scenario.situation
    played = sotopia_env.rollout(tasks, ["scripted:warm", "scripted:curious"], num_episodes=50, seed=0)
    found = [episode.ending.reason == "agreement" for episode in played if episode.ending is not None]
    assert np.mean(found) > 0.6
    for episode in played:
        if episode.ending is not None and episode.ending.reason == "agreement":
            assert episode.ending.detail["friend"] == episode.task.scenario.hidden[0]["common"]
            assert episode.judgements[-1].scores["goal"][0] > 0
