"""Agreements by acts alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env import do
from sotopia_env.episodes import Turn
from sotopia_env.families import Bargain, Craigslist, DealOrNoDeal, Divide, Family, Mini, MutualFriends
from sotopia_env.families.bargain.formal_price import read_price
from sotopia_env.families.divide.formal_division import read_share
from sotopia_env.families.divide.items import ItemKind
from sotopia_env.families.formal import FormalAct, UnreadAct, is_formal, read_act, tells_rule, with_agreement
from sotopia_env.rendering import as_text, chat
from sotopia_env.tasks import Task
from sotopia_env.views import view

ITEMS = (ItemKind("lamp", "lamps", 3), ItemKind("mug", "mugs", 1, ("cup",)), ItemKind("rug", "rugs", 2))

PRICES = {
    "offer $85": ("offer", 85.0),
    "Offer 85": ("offer", 85.0),
    "offers $1,250.50.": ("offer", 1250.5),
    "I offer 85 dollars": ("offer", 85.0),
    "offer: $85": ("offer", 85.0),
    "proposes a price of $85": ("offer", 85.0),
    "makes a counter-offer of $85": ("offer", 85.0),
    "offer $85\nThat is my last word, or 90 if you carry it.": ("offer", 85.0),
    "offer $85. Or would you rather have $90?": ("offer", 85.0),
    '"accept"': ("accept", None),
    "**accept**": ("accept", None),
    "accept. Thank you!": ("accept", None),
    "I gladly accept your offer": ("accept", None),
    "accepts the offer of $85": ("accept", 85.0),
    "agree to that price": ("accept", None),
    "accept $85": ("accept", 85.0),
    "reject": ("reject", None),
    "declines the offer": ("reject", None),
}


@pytest.mark.parametrize("text", PRICES)
def test_acts_on_a_price_are_read(text: str) -> None:
    kind, price = PRICES[text]
    assert read_act(text, read_price) == FormalAct(kind, price)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "offer",
        "offer $85 and you carry it",
        "offer $85, final",
        "offer $80 to $90",
        "offer $85 or $90",
        "offer around $85",
        "offer $0",
        "offer -$5",
        "offer eighty dollars",
        "offer 85 euros",
        "offer $20 more",
        "offer to split the difference",
        "offers a cup of tea",
        "accept if you carry it",
        "accept, but for $80",
        "accept half of it",
        "accept the offer of the other shop",
        "shakes hands and accepts the deal",
        "tries to accept",
        "makes a deal",
        "does not accept",
    ],
)
def test_what_is_meant_as_an_act_and_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(UnreadAct, match="write|one amount"):
        read_act(text, read_price)


@pytest.mark.parametrize("text", ["hands over the keys", "", "points at the $85 tag", "nods", "counts 85 dollars"])
def test_other_acts_do_nothing(text: str) -> None:
    assert read_act(text, read_price) is None


SHARES = {
    "2 lamps, 1 mug": (2, 1, 0),
    "two lamps and a mug": (2, 1, 0),
    "all lamps, no mugs, 1 rug": (3, 0, 1),
    "the mug": (0, 1, 0),
    "1 cup": (0, 1, 0),
    "everything": (3, 1, 2),
    "nothing": (0, 0, 0),
    "I get 2 lamps, 1 mug; you get the rest": (2, 1, 0),
    "I get 2 lamps and you get 1 lamp, 1 mug, 2 rugs": (2, 0, 0),
    "you get 2 lamps": (1, 1, 2),
    "you get 1 lamp; I get the rest": (2, 1, 2),
    "I keep nothing": (0, 0, 0),
    "everything else, 0 mugs": (3, 0, 2),
}


@pytest.mark.parametrize("text", SHARES)
def test_shares_are_read(text: str) -> None:
    assert read_share(text, ITEMS) == SHARES[text]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("4 lamps", "only 3"),
        ("lamps", "how many"),
        ("2 chairs", "no number of"),
        ("2 lamps, 1 lamp", "twice"),
        ("I get 2 lamps; you get 2 lamps", "add up"),
        ("I get 2 lamps; you get 1 mug", "add up"),
        ("I get 1 lamp; I get 1 mug", "twice"),
        ("I get the rest; you get the rest", "one side"),
        ("at least 2 lamps", "no number of"),
        ("2 lamps if possible", "no number of"),
        ("2 lamps you get", "say first"),
        ("", "nothing that is divided"),
    ],
)
def test_shares_that_leave_something_open_are_not(text: str, why: str) -> None:
    with pytest.raises(UnreadAct, match=why):
        read_share(text, ITEMS)


def drawn(family: Family, seed: int = 0) -> Task:
    return family.generate(np.random.default_rng(seed), "train")


class Table:
    """Plays one act after the other."""

    def __init__(self, given: Any, **options: Any) -> None:
        self.env = sotopia_env.parallel_env(given, agreement="formal", **options)
        self.observations, self.infos = self.env.reset(seed=3)

    def play(self, action: Any) -> dict[str, Any]:
        agent = self.env.unwrapped.acting[0]
        self.observations, _, _, _, self.infos = self.env.step({agent: action})
        info: dict[str, Any] = self.infos[agent]
        return info


def test_acts_close_and_words_do_not() -> None:
    table = Table("bargain", reward="episode")
    assert table.play("How about $90?")["offers"] == {"agent_0": None, "agent_1": None}
    assert table.play("Deal, $90 works for me!")["ending"] is None
    assert table.play(do("offer $85\nI would be grateful."))["offers"] == {"agent_0": "$85", "agent_1": None}
    assert table.play("Deal! $85 it is.")["ending"] is None
    assert table.play("So, $80 then.")["offers"] == {"agent_0": "$85", "agent_1": None}
    info = table.play(do("accept"))
    assert info["ending"] == "agreement"
    assert info["final"]["ending"] == "agreement"
    latent = table.env.unwrapped.family.score(table.env.unwrapped.episode).latent
    assert (latent["price"], latent["certain"]) == (85.0, True)


def test_an_act_that_answers_nothing_is_invalid_and_changes_nothing() -> None:
    table = Table("bargain")
    assert "nothing to accept" in table.play(do("accept"))["invalid_action"]
    table.play(do("offer $85"))
    assert "$85" in table.play(do("accept $80"))["invalid_action"]
    assert "no price" in table.play(do("offer eighty dollars"))["invalid_action"]
    assert table.infos["agent_1"]["offers"] == {"agent_0": None, "agent_1": "$85"}
    turn = table.env.unwrapped.episode.turns[-1]
    assert (turn.type, turn.raw) == ("none", "offer eighty dollars")


def test_a_refused_offer_cannot_be_accepted_later() -> None:
    table = Table("bargain")
    table.play(do("offer $85"))
    assert table.play(do("reject"))["offers"] == {"agent_0": None, "agent_1": None}
    table.play("Take your time.")
    assert "nothing to accept" in table.play(do("accept"))["invalid_action"]


def test_a_newer_offer_replaces_an_older_one() -> None:
    table = Table("bargain")
    for act in ("offer $85", "offer $40", "offer $70"):
        table.play(do(act))
    assert table.play(do("accept $85"))["invalid_action"] is not None
    table.play("Hm.")
    table.play(do("accept"))
    assert table.env.unwrapped.episode.ending.detail == {"price": 70.0, "formal": True}


def test_equal_offers_are_no_agreement_before_one_accepts() -> None:
    table = Table("bargain")
    assert table.play(do("offer $85"))["ending"] is None
    assert table.play(do("offer $85"))["ending"] is None
    assert table.play(do("accept"))["ending"] == "agreement"


def test_at_the_same_time_nobody_accepts_what_is_not_seen() -> None:
    env = sotopia_env.parallel_env("bargain", agreement="formal", action_order="simultaneous")
    env.reset(seed=0)
    _, _, _, _, infos = env.step({"agent_0": do("offer $85"), "agent_1": do("accept")})
    assert infos["agent_1"]["invalid_action"] is not None
    _, _, _, _, infos = env.step({"agent_0": do("offer $95"), "agent_1": do("accept")})
    assert env.unwrapped.episode.ending.detail["price"] == 85.0


def test_divisions() -> None:
    table = Table("divide")
    kinds = table.env.unwrapped.episode.task.scenario.hidden[0]["items"]
    first, second = kinds[0]["plural"], kinds[1]["plural"]
    assert table.play(f"I take all {first} and you get the rest.")["offers"] == {"agent_0": None, "agent_1": None}
    assert table.play("Deal!")["ending"] is None
    assert table.play(do(f"offer all {first}, 1 {second}"))["invalid_action"] is None
    table.play(do("accept"))
    division = table.env.unwrapped.episode.ending.detail["division"]
    assert division[0] == [kinds[0]["count"], 1, 0]
    assert [a + b for a, b in zip(*division, strict=True)] == [kind["count"] for kind in kinds]


def test_friends() -> None:
    table = Table("mutual-friends")
    hidden = table.env.unwrapped.episode.task.scenario.hidden
    common, other = (
        hidden[0]["common"],
        next(f["name"] for f in hidden[0]["friends"] if f["name"] != hidden[0]["common"]),
    )
    table.play(f"I know {common}.")
    assert table.play(f"Yes, I know {common} too!")["ending"] is None
    table.play(do(f"offer {other}"))
    assert table.play(do("accept"))["ending"] is None
    assert "no friend" in table.play(do("offer Zebedee"))["invalid_action"]
    table.play(do(f"offer {common}"))
    assert table.play(do("accept"))["ending"] == "agreement"


def test_the_task_says_so_to_judge_prompt_and_file() -> None:
    table = Table("bargain")
    table.play(do("offer $85"))
    table.play("Deal, $85!")
    episode = table.env.unwrapped.episode
    assert is_formal(episode.task)
    assert is_formal(Task.from_dict(episode.task.to_dict()))
    assert tells_rule(table.observations["agent_0"]["situation"])
    assert episode.ending is None
    again = sotopia_env.environment.SotopiaParallelEnv.from_episode(episode, Bargain())
    assert (again.ending, again._state is not None and again._state.information({})["agent_0"]["offers"]) == (
        None,
        {"agent_0": "$85", "agent_1": None},
    )


def test_standing_offers_stand_in_the_prompt() -> None:
    table = Table("bargain")
    opening = as_text(table.observations["agent_0"])
    assert "(Offers:" not in opening
    table.play(do("offer $85\nIs that fair?"))
    assert as_text(table.observations["agent_1"]).endswith(f"(Offers: {_name(table, 0)} $85)\nYou:")
    table.play(do("offer $60"))
    told = as_text(table.observations["agent_0"])
    assert told.endswith(f"(Offers: you $85; {_name(table, 1)} $60)\nYou:")
    table.play(do("reject"))
    assert as_text(table.observations["agent_1"]).endswith(f"(Offers: {_name(table, 0)} $85)\nYou:")


def _name(table: Table, seat: int) -> str:
    return str(table.env.unwrapped.episode.task.characters[seat].first_name)


@pytest.mark.parametrize("interface", ["dict", "text"])
def test_prompts_only_grow(interface: str) -> None:
    env = sotopia_env.parallel_env("bargain", agreement="formal", interface=interface)
    observations, _ = env.reset(seed=3)
    before: dict[str, str] = {}
    for act in ("[action] offer $85", "Too much, I think.", "[action] offer $80\nBetter?", "[action] reject", "Oh."):
        agent = env.unwrapped.acting[0]
        seen = observations[agent]
        text = as_text(seen) if interface == "dict" else seen["prompt"]
        assert text.startswith(before.get(agent, "").removesuffix("You:"))
        assert text == as_text(env.unwrapped.observe(agent))
        assert chat(view(env.unwrapped.episode, agent), to_act=True) == env.unwrapped.messages(agent)
        before[agent] = text
        given = sotopia_env.rendering.parse_output(act)[0] if interface == "dict" else act
        observations, *_ = env.step({agent: given})


def test_a_fork_of_the_text_interface_keeps_a_table_of_its_own() -> None:
    env = sotopia_env.parallel_env("bargain", agreement="formal", interface="text")
    env.reset(seed=3)
    env.step({env.unwrapped.acting[0]: "[action] offer $85"})
    (twin,) = env.fork()
    twin.step({twin.unwrapped.acting[0]: "[action] offer $60"})
    observations, *_ = env.step({env.unwrapped.acting[0]: "Hm."})
    assert "$60" not in observations["agent_0"]["prompt"]


def test_moves_are_acts() -> None:
    task = with_agreement(drawn(Bargain()), "formal", Bargain())
    family = Bargain()

    def move(kind: str, text: str) -> tuple[str, Any]:
        found = family.move(task, Turn(0, 0, 0, kind, text))
        return found.kind, found.content

    assert move("speak", "How about $85?") == ("none", None)
    assert move("action", "offer $85") == ("offer", 85.0)
    assert move("action", "accept") == ("accept", None)
    assert move("action", "accept if it is blue") == ("none", None)


@pytest.mark.parametrize("family", [Bargain, Divide, MutualFriends])
def test_a_family_draws_formal_tasks_and_says_so(family: type[Family]) -> None:
    made = family(agreement="formal")  # type: ignore[call-arg]
    plain, formal = drawn(family()), drawn(made)
    assert is_formal(formal) and not is_formal(plain)
    assert formal == with_agreement(plain, "formal", made)
    assert with_agreement(formal, "formal", made) is formal
    back = with_agreement(formal, "plain", made)
    assert (back.scenario, is_formal(back)) == (plain.scenario, False)
    assert made.describe() != family().describe()
    assert sotopia_env.parallel_env(f"{made.name}?agreement=formal").reset(seed=0)


@pytest.mark.parametrize("family", [Craigslist, DealOrNoDeal])
def test_published_families_have_a_form(family: type[Family]) -> None:
    assert family.offer_form is not Family.offer_form


def test_a_family_without_agreements_refuses() -> None:
    with pytest.raises(ValueError, match="no task of mini"):
        sotopia_env.parallel_env(Mini(), agreement="formal").reset(seed=0)
    with pytest.raises(ValueError, match="none of plain, formal"):
        sotopia_env.parallel_env("bargain", agreement="fromal").reset(seed=0)
    with pytest.raises(ValueError, match="none of plain, formal"):
        Bargain(agreement="fromal")


def test_acts_must_be_allowed() -> None:
    env = sotopia_env.parallel_env("bargain", agreement="formal", action_types=("none", "speak", "leave"))
    with pytest.raises(ValueError, match="leaves out 'action'"):
        env.reset(seed=0)


def test_repeated_and_withdrawn_offers_are_judged_alike() -> None:
    table = Table("bargain")
    role = table.env.unwrapped.episode.task.scenario.hidden[0]["role"]
    better, worse = ("60", "40") if role == "buyer" else ("40", "60")
    for act in (f"offer ${better}", "offer $50", f"offer ${worse}"):
        table.play(do(act))
    score = table.env.unwrapped.family.score(table.env.unwrapped.episode)
    assert score.scores["believability"][0] == 7.5
    assert replace(score) == score


class NumberFamily:
    """A user's own game, with formal agreements."""

    name = "number"

    def generate(self, rng: np.random.Generator) -> Task:
        scenario = sotopia_env.Scenario(f"n-{rng.integers(9)}", "Agree on a number.", ("Agree.",) * 2)
        people = (sotopia_env.Character("a", "Ada"), sotopia_env.Character("b", "Ben"))
        return Task(scenario.id, self.name, "1", "train", scenario, people)

    def score(self, episode: Any) -> dict[str, list[float | None]]:
        return {"goal": [0.0, 0.0]}

    def offer_form(self, task: Task) -> str:
        return "N"

    def begin(self, task: Task) -> tuple[str | None, str | None]:
        return (None, None)

    def offers(self, progress: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
        return progress


def test_a_family_of_ones_own_takes_part() -> None:
    table = Table(NumberFamily())
    assert tells_rule(table.observations["agent_0"]["situation"])
    assert table.infos["agent_0"]["offers"] == {"agent_0": None, "agent_1": None}
    assert is_formal(table.env.unwrapped.episode.task)
