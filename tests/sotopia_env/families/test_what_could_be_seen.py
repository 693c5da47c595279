"""An act is read against what its speaker could see, and an act that nobody else saw does nothing."""

from __future__ import annotations

from typing import Any

import pytest

import sotopia_env
from sotopia_env import do
from sotopia_env.actions import Action
from sotopia_env.families.bargain import Bargain
from sotopia_env.rewards import Outcome, RuleAttributor, SecretPenalty, StandingOffer

Actions = dict[str, Any]


def begun(family: Any, **options: Any) -> Any:
    # Rules never know the goal of hand-written scenarios.
    reward = Outcome("episode", {"secret": 1}) if family == "mini" else "episode"
    env = sotopia_env.parallel_env(family, reward=reward, **options)
    env.reset(seed=1)
    return env


def bargain(**options: Any) -> tuple[Any, int, int]:
    """A bargain of a seller on seat 0, with the limits of both."""
    env = sotopia_env.parallel_env(Bargain(zones={"wide": 1.0}), reward="episode", **options)
    for seed in range(50):
        env.reset(seed=seed)
        seller, buyer = env.unwrapped.episode.task.scenario.hidden
        if seller["role"] == "seller":
            return env, seller["limit"], buyer["limit"]
    raise AssertionError("no seat sells")


def test_an_acceptance_takes_the_price_that_was_seen_not_the_one_named_at_the_same_time() -> None:
    env, seller, buyer = bargain(action_order="simultaneous")
    seen = (seller + buyer) // 2
    env.step({"agent_0": f"I would take ${seen}.", "agent_1": "Hello."})
    _, rewards, *_ = env.step({"agent_0": f"I would take ${buyer + 60}.", "agent_1": do("accept")})
    assert (env.unwrapped.ending.reason, env.unwrapped.ending.detail["price"]) == ("agreement", seen)
    zone = buyer - seller
    assert rewards == pytest.approx(
        {"agent_0": (1 + 9 * (seen - seller) / zone) / 10, "agent_1": (1 + 9 * (buyer - seen) / zone) / 10}
    )


def test_the_seats_are_alike_in_simultaneous_order() -> None:
    env, seller, buyer = bargain(action_order="simultaneous")
    seen = (seller + buyer) // 2
    env.step({"agent_0": "Hello.", "agent_1": f"I would pay ${seen}."})
    env.step({"agent_0": do("accept"), "agent_1": f"I would pay ${seller - 30}."})
    assert env.unwrapped.ending.detail["price"] == seen


def test_nothing_is_accepted_that_was_not_yet_offered() -> None:
    env, _, buyer = bargain(action_order="simultaneous")
    env.step({"agent_0": f"I would take ${buyer + 60}.", "agent_1": do("accept")})
    assert env.unwrapped.ending is None
    env.step({"agent_0": "Well?", "agent_1": do("accept")})
    assert env.unwrapped.ending.detail["price"] == buyer + 60


def test_two_who_take_each_others_price_at_once_have_not_agreed() -> None:
    env, seller, buyer = bargain(action_order="simultaneous")
    env.step({"agent_0": f"I would take ${buyer}.", "agent_1": f"I would pay ${seller}."})
    env.step({"agent_0": do("accept"), "agent_1": do("accept")})
    assert env.unwrapped.ending is None
    env.step({"agent_0": do("accept"), "agent_1": "Hm."})
    assert env.unwrapped.ending.detail["price"] == seller


def test_a_deal_stands_though_the_other_left_at_the_same_time() -> None:
    env, _, buyer = bargain(action_order="simultaneous")
    env.step({"agent_0": f"I would take ${buyer}.", "agent_1": "Hello."})
    _, rewards, *_ = env.step({"agent_0": Action("leave"), "agent_1": do("accept")})
    assert env.unwrapped.ending.reason == "agreement"
    assert rewards["agent_0"] == pytest.approx(1.0)
    judgement = env.unwrapped.family.score(env.unwrapped.episode)
    assert judgement.latent["price"] == buyer


def test_a_note_to_oneself_is_no_offer() -> None:
    env, seller, buyer = bargain(private_messages=True)
    seen = (seller + buyer) // 2
    env.step({"agent_0": f"I would take ${seen}."})
    env.step({"agent_1": "Let me think."})
    env.step({"agent_0": Action("speak", f"I would take ${buyer + 60}.", (0,))})
    env.step({"agent_1": do("accept")})
    assert env.unwrapped.ending.detail["price"] == seen


def test_an_acceptance_that_nobody_hears_is_none() -> None:
    env, seller, _ = bargain(private_messages=True)
    env.step({"agent_0": f"I would take ${seller}."})
    env.step({"agent_1": Action("action", "accept", (1,))})
    assert env.unwrapped.ending is None
    env.step({"agent_0": "Well?"})
    env.step({"agent_1": Action("action", "accept", (0,))})
    assert env.unwrapped.ending.reason == "agreement"


@pytest.mark.parametrize("order", ["simultaneous", "round-robin"])
def test_a_division_is_accepted_as_it_was_seen(order: str) -> None:
    env = begun("divide", action_order=order, private_messages=order == "round-robin")
    items = [item["plural"] for item in env.unwrapped.episode.task.scenario.hidden[0]["items"]]
    everything = f"all the {items[0]}, {items[1]} and {items[2]}"
    gives, takes = f"You get {everything}.", f"I get {everything}."
    if order == "simultaneous":
        env.step({"agent_0": gives, "agent_1": "Hello."})
        _, rewards, *_ = env.step({"agent_0": takes, "agent_1": do("accept")})
    else:
        env.step({"agent_0": gives})
        env.step({"agent_1": "Let me think."})
        env.step({"agent_0": Action("speak", takes, (0,))})
        _, rewards, *_ = env.step({"agent_1": do("accept")})
    assert rewards == {"agent_0": 0.0, "agent_1": 1.0}
    assert env.unwrapped.ending.detail["division"][0] == [0, 0, 0]


def test_a_friend_is_found_once_one_has_heard_the_other() -> None:
    env = begun("mutual-friends", action_order="simultaneous")
    common = env.unwrapped.episode.task.scenario.hidden[0]["common"]
    env.step({"agent_0": f"I know {common}.", "agent_1": f"I know {common}."})
    assert env.unwrapped.ending is None, "both spoke before they heard"
    env.step({"agent_0": "Hello.", "agent_1": f"I know {common} too!"})
    assert env.unwrapped.ending.detail["friend"] == common


def test_a_yes_answers_what_was_said_a_cycle_before() -> None:
    env = begun("mutual-friends", action_order="simultaneous")
    hidden = env.unwrapped.episode.task.scenario.hidden
    common = hidden[0]["common"]
    other = next(friend["name"] for friend in hidden[1]["friends"] if friend["name"] != common)
    env.step({"agent_0": f"Do you know {common}?", "agent_1": f"Do you know {other}?"})
    assert env.unwrapped.ending is None
    env.step({"agent_0": "Hello.", "agent_1": f"Yes, I know {common} too!"})
    assert env.unwrapped.ending.detail["friend"] == common


def test_a_name_muttered_is_not_put_forward() -> None:
    env = begun("mutual-friends", private_messages=True)
    common = env.unwrapped.episode.task.scenario.hidden[0]["common"]
    env.step({"agent_0": Action("speak", f"I know {common}.", (0,))})
    env.step({"agent_1": f"I know {common}."})
    assert env.unwrapped.ending is None


@pytest.mark.parametrize("family", ["bargain", "divide", "mutual-friends", "mini"])
def test_what_is_muttered_is_judged_as_silence(family: str) -> None:
    def scores(to: tuple[int, ...], *said: str) -> dict[str, list[float | None]]:
        env = begun(family, private_messages=True)
        env.step({"agent_0": Action("speak", " ".join(said), to)})
        env.step({"agent_1": Action("leave")})
        found: dict[str, list[float | None]] = env.unwrapped.family.score(env.unwrapped.episode).scores
        return found

    task = begun(family).unwrapped.episode.task
    hidden = task.scenario.hidden[0] if task.scenario.hidden else {}
    facts = [f"{fact}." for fact in hidden.get("facts", ())]
    told = (*facts, task.characters[0].secret, "Thank you, you are very kind. You idiot.")
    silence, muttered, aloud = scores((0,), "Hm."), scores((0,), *told), scores((1,), *told)
    assert muttered == silence
    assert aloud["secret"][0] == -10 and muttered["secret"][0] == 0
    assert aloud["social_rules"][0] < 0 == muttered["social_rules"][0]
    if facts:
        assert (aloud["knowledge"][1], muttered["knowledge"][1]) == (10, 0)


def test_a_secret_muttered_costs_no_penalty_and_is_of_no_importance() -> None:
    env = begun("bargain", private_messages=True)
    secret = env.unwrapped.episode.task.characters[0].secret
    env.step({"agent_0": Action("speak", secret, (0,))})
    env.step({"agent_1": "Hello."})
    env.step({"agent_0": Action("speak", secret, (1,))})
    env.step({"agent_1": Action("leave")})
    (costs,) = SecretPenalty()([env.unwrapped.episode])
    assert costs["agent_0"] == [0.0, -1.0]
    (found,) = RuleAttributor().importances([env.unwrapped.episode], ["secret", "relationship", "goal"])
    assert found["agent_0"]["secret"] == [0.0, 3.0]
    assert found["agent_0"]["goal"][0] == 0.0


def test_an_offer_is_answered_by_a_later_cycle() -> None:
    env, _, buyer = bargain(action_order="simultaneous")
    env.step({"agent_0": f"I would take ${buyer}.", "agent_1": do("accept")})
    env.step({"agent_0": f"I would take ${buyer - 5}.", "agent_1": "Hm."})
    env.step({"agent_0": "Well?", "agent_1": Action("leave")})
    (found,) = RuleAttributor().importances([env.unwrapped.episode], ["goal"])
    assert found["agent_0"]["goal"][:2] == [2.0, 2.0]


def test_the_standing_offer_is_what_could_be_accepted() -> None:
    env, seller, buyer = bargain(private_messages=True)
    seen = (seller + buyer) // 2
    env.step({"agent_0": f"I would take ${seen}."})
    (before,) = StandingOffer().values([env.unwrapped.episode])
    env.step({"agent_1": "Let me think."})
    env.step({"agent_0": Action("speak", f"I would take ${buyer + 60}.", (0,))})
    (after,) = StandingOffer().values([env.unwrapped.episode])
    assert after == before
