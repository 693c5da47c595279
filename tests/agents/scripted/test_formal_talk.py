"""Scripted policies where agreements are made by acts alone: acts, and behind them what else is said."""

from __future__ import annotations

from typing import Any

import pytest

import sotopia_env
from sotopia_env.actions import Action, do, leave, speak
from sotopia_env.agents.scripted.acts import settling, talk_of, with_words
from sotopia_env.agents.scripted.befriending import Talk, read_talk
from sotopia_env.agents.scripted.division_talk import read_division_brief, read_division_talk
from sotopia_env.agents.scripted.reading import read_brief
from sotopia_env.agents.scripted.reading import read_talk as read_price_talk
from sotopia_env.episodes import Episode
from sotopia_env.families.mutual_friends.tables import Friend
from sotopia_env.training.worlds.probes import template_attacker
from sotopia_env.views import parse_transcript

PROBES = "sotopia_env.agents.scripted.friend_probes:"


def played(family: str, mode: str, policies: Any = "scripted:mixed", number: int = 200) -> list[Episode]:
    return sotopia_env.rollout(f"{family}?agreement={mode}", policies, num_episodes=number, seed=0)


def deals(episodes: list[Episode]) -> list[Episode]:
    return [episode for episode in episodes if episode.judgements[-1].latent["deal"]]


@pytest.mark.parametrize("family", ["bargain", "divide", "mutual-friends"])
def test_experts_deal_as_often_by_acts_as_in_words(family: str) -> None:
    plain, formal = played(family, "plain"), played(family, "formal")
    assert abs(len(deals(formal)) - len(deals(plain))) <= 10
    assert [turn.invalid for episode in formal for turn in episode.turns if turn.invalid] == []
    assert all(episode.judgements[-1].latent.get("certain", True) for episode in deals(formal))
    assert all(episode.turns[-1].type == "action" for episode in deals(formal))
    # What is said beside is said all the same.
    words = [[turn.text.count("?") for turn in episode.turns] for episode in formal]
    assert sum(map(sum, words)) > 100


@pytest.mark.parametrize(
    ("family", "policies"),
    [
        ("bargain", ["random"]),
        ("divide", ["random"]),
        ("mutual-friends", ["random"]),
        ("bargain", ["random", "scripted:firm"]),
        ("bargain", ["erratic", "scripted:mixed"]),
        ("bargain", ["erratic"]),
        ("bargain", [template_attacker(), "scripted:mixed"]),
        ("divide", [template_attacker(), "scripted:mixed"]),
        *(("mutual-friends", [PROBES + name, "scripted:mixed"]) for name in ("lister", "echo", "describer")),
    ],
)
def test_everybody_acts_as_the_mode_asks(family: str, policies: list[Any]) -> None:
    episodes = played(family, "formal", policies, 30)
    assert [turn.invalid for episode in episodes for turn in episode.turns if turn.invalid] == []
    assert any(turn.type == "action" and "offer" in turn.text for episode in episodes for turn in episode.turns)


@pytest.fixture(params=["bargain", "divide"])
def seen(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the first seat sees of a task with formal agreements."""
    observations, _ = sotopia_env.parallel_env(request.param, agreement="formal").reset(seed=3)
    return dict(observations["agent_0"])


def test_words_move_no_offer_of_a_partner(seen: dict[str, Any]) -> None:
    for said in ("I offer $80 for 2 of each.", "Deal! You take everything, agreed.", "$80."):
        observation = {**seen, "transcript": f"#0 agent_1: {said}"}
        if (brief := read_brief(seen["goal"], seen["situation"])) is not None:
            assert read_price_talk(observation, brief).partner_offers == ()
        else:
            division = read_division_brief(seen["goal"], seen["situation"])
            assert division is not None
            assert read_division_talk(observation, division).partner_offers == ()


def test_an_act_is_an_offer_and_its_words_are_talk() -> None:
    observations, _ = sotopia_env.parallel_env("bargain", agreement="formal").reset(seed=3)
    seen = observations["agent_0"]
    brief = read_brief(seen["goal"], seen["situation"])
    assert brief is not None and brief.formal
    said = "#0 agent_1 [action]: offer $80\n    Thanks for coming. Why do you sell it?"
    talk = read_price_talk({**seen, "transcript": said}, brief)
    assert (talk.partner_offers, talk.standing, talk.question) == ((80.0,), 80.0, True)
    assert talk.rapport == pytest.approx(1 / 3)
    assert read_price_talk({**seen, "transcript": said.replace(" Why do you sell it?", "")}, brief).question is False


def test_a_word_is_changed_and_its_act_is_not(seen: dict[str, Any]) -> None:
    def louder(words: str) -> str:
        return words.upper()

    assert with_words(do("offer $80\nHow about it?"), seen, louder) == do("offer $80\nHOW ABOUT IT?")
    assert with_words(speak("Hello."), seen, louder) == speak("HELLO.")
    for action in (do("accept"), do("hands over the keys. There."), leave("Bye."), Action("none")):
        assert with_words(action, seen, louder) == action
    plain = {**seen, "situation": "A yard sale."}
    assert with_words(do("offer $80\nHow about it?"), plain, louder) == do("offer $80\nHow about it?")


def test_what_settles_is_done_in_one_mode_and_said_in_the_other() -> None:
    said: tuple[str, list[str], str, list[str]] = ("offer $80", ["Thanks."], "How about $80?", ["Is it new?"])
    assert settling(*said, formal=True) == do("offer $80\nThanks. Is it new?")
    assert settling(*said, formal=False) == speak("Thanks. How about $80? Is it new?")
    assert settling("accept", [], "Deal.", formal=True) == do("accept")


def test_talk_is_what_stands_behind_an_act() -> None:
    entries = parse_transcript(
        "#0 agent_0 [action]: offer $80\n    Thanks.\n#1 agent_1 [action]: accept\n#2 agent_0: Hi."
    )
    assert [(entry.type, entry.text) for entry in talk_of(entries, formal=True)] == [
        ("speak", "Thanks."),
        ("action", "accept"),
        ("speak", "Hi."),
    ]
    assert talk_of(entries, formal=False) == entries


TABLE = (Friend("Ina", (("hobby", "chess"),)), Friend("Tom", (("hobby", "golf"),)))


def friends(transcript: str) -> Talk:
    return read_talk(transcript, "agent_0", TABLE, frozenset(), formal=True)


@pytest.mark.parametrize(
    ("transcript", "put", "unknown", "suggested"),
    [
        ("#0 agent_1 [action]: offer Ina\n    Do you know Ina?", "Ina", False, "Ina"),
        ("#0 agent_1 [action]: offer ina", "Ina", False, None),
        ("#0 agent_1 [action]: offer Zoe\n    Do you know Zoe?", None, True, None),
        ("#0 agent_1 [action]: offer Ina\n#1 agent_1 [action]: offer Zoe", None, True, None),
        ("#0 agent_1 [action]: offer Ina\n#1 agent_0 [action]: reject", None, False, None),
        ("#0 agent_1: Do you know Ina?", None, False, "Ina"),
        ("#0 agent_1: I know Zoe, yes.", None, False, None),
        ("#0 agent_0 [action]: offer Ina\n#1 agent_1: Ina is nice.", None, False, None),
    ],
)
def test_only_acts_put_a_friend_on_the_table(
    transcript: str, put: str | None, unknown: bool, suggested: str | None
) -> None:
    talk = friends(transcript)
    assert (talk.put, talk.unknown, talk.suggested) == (put, unknown, suggested)


@pytest.mark.parametrize("answer", ["[action]: reject", "[action]: accept", ": No, I do not know that person."])
def test_a_friend_that_was_offered_in_vain_is_out(answer: str) -> None:
    assert friends(f"#0 agent_0 [action]: offer Ina\n#1 agent_1 {answer}".replace(" :", ":")).weights == (0.0, 1.0)


def test_a_friend_named_in_words_is_answered_by_an_offer() -> None:
    observations, _ = sotopia_env.parallel_env("mutual-friends", agreement="formal").reset(seed=1)
    seen = observations["agent_0"]
    name = seen["goal"].split("Your friends:\n")[1].split(":")[0].split(",")[0].split()[0].strip("- ")
    policy = sotopia_env.make_policy("scripted:warm")
    asked = policy.act_one({**seen, "transcript": f"#0 agent_1: Do you know {name}?"})
    assert (asked.type, asked.text.split("\n")[0]) == ("action", f"offer {name}")
    offered = policy.act_one({**seen, "transcript": f"#0 agent_1 [action]: offer {name}"})
    assert (offered.type, offered.text.split("\n")[0]) == ("action", "accept")


@pytest.mark.parametrize("family", ["bargain", "divide", "mutual-friends"])
def test_who_acts_at_the_same_time_acts_validly_too(family: str) -> None:
    name = f"{family}?agreement=formal"
    episodes = sotopia_env.rollout(name, "scripted:mixed", num_episodes=60, seed=2, action_order="simultaneous")
    assert [turn.invalid for episode in episodes for turn in episode.turns if turn.invalid] == []
    assert len(deals(episodes)) > 15
