"""The split whose words no other split has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.agents.scripted.reading import first_person, read_brief
from sotopia_env.families import Bargain, language
from sotopia_env.families.bargain import catalogue, transfer
from sotopia_env.menu import ACTS, MenuPolicy
from sotopia_env.training.evaluation import draw_tasks

PARTS = ("SELLER_FACTS", "BUYER_FACTS", "SECRETS", "SITUATIONS", "SELLER_GOALS", "BUYER_GOALS")

FUNCTION_WORDS = frozenset("a about and as at for has in is it of on out the this to with you your".split())


def texts(module: ModuleType) -> Iterable[str]:
    yield module.KNOWN
    for part in PARTS:
        yield from getattr(module, part)
    for items in module.ITEMS.values():
        yield from items
    for person in module.PEOPLE:
        yield from person


def words(module: ModuleType) -> set[str]:
    return {word for text in texts(module) for word in language.words(re.sub(r"\{\w+\}", "", text))}


def frame(text: str) -> str:
    """A wording without what is filled in."""
    return re.sub(r"\{\w+\}|\W+", " ", text).strip().lower()


def test_it_shares_no_item_fact_secret_person_or_wording_with_the_other_splits() -> None:
    for part in PARTS:
        mine, theirs = ({frame(text) for text in getattr(module, part)} for module in (transfer, catalogue))
        assert len(mine) == len(getattr(transfer, part))
        assert not mine & theirs
    items = {split: set(names) for module in (catalogue, transfer) for split, names in module.ITEMS.items()}
    assert items.keys() == set(Bargain.splits)
    assert not items["transfer"] & (items["train"] | items["validation"] | items["test"])
    assert not {first for first, _, _ in transfer.PEOPLE} & {first for first, _, _ in catalogue.PEOPLE}
    assert frame(transfer.KNOWN) != frame(catalogue.KNOWN)


def test_it_shares_no_word_of_content_with_them() -> None:
    """No noun and no other word either, but those that hold sentences together."""
    assert words(transfer) & words(catalogue) <= FUNCTION_WORDS


def test_its_tasks_are_bargains_as_all_others() -> None:
    assert "bargain:transfer" in sotopia_env.resolve.list_names()["tasks"]()
    tasks = draw_tasks("bargain:transfer", 60)
    other = {character.id for task in draw_tasks("bargain:train", 60) for character in task.characters}
    for task in tasks:
        assert task.split == "transfer"
        assert not other & {character.id for character in task.characters}
        for goal, hidden in zip(task.scenario.goals, task.scenario.hidden, strict=True):
            brief = read_brief(goal, task.scenario.situation)
            assert brief is not None
            assert (brief.role, brief.limit, brief.list_price, list(brief.facts), brief.manners) == (
                hidden["role"], hidden["limit"], hidden["list_price"], hidden["facts"], 1.0
            )  # fmt: skip


def test_every_fact_and_secret_is_told_in_the_first_person() -> None:
    for statement in (*transfer.SELLER_FACTS, *transfer.BUYER_FACTS, *transfer.SECRETS):
        assert language.tells(statement, f"To be honest, {first_person(statement)}.")
        assert not language.tells(statement, f"It is not true that {first_person(statement)}.")


@pytest.mark.parametrize("policies", ["scripted:mixed", "scripted:firm", ["scripted:warm", "scripted:curious"]])
def test_scripted_policies_play_and_are_judged_there_as_on_the_test_split(policies: Any) -> None:
    def played(split: str) -> np.ndarray:
        episodes = sotopia_env.rollout(f"bargain:{split}", policies, num_episodes=150, seed=1)
        scores = [episode.judgements[0].scores for episode in episodes]
        deals = [float(episode.ending is not None and episode.ending.reason == "agreement") for episode in episodes]
        return np.array([np.mean(deals), *(np.mean([one[d] for one in scores]) for d in ("goal", "knowledge"))])

    there, test = played("transfer"), played("test")
    assert there[0] >= 0.97
    assert abs(there - test) == pytest.approx([0, 0, 0], abs=0.5)


def test_the_menu_plays_it() -> None:
    rng = np.random.default_rng(0)
    staying = np.array([act not in ("leave", "wait") for act in ACTS])
    policy = MenuPolicy(lambda features, masks: [rng.choice(np.flatnonzero(mask * staying)) for mask in masks])
    episodes = sotopia_env.rollout("bargain:transfer", [policy, "scripted:firm"], num_episodes=20, seed=2)
    acts = {turn.raw.rstrip("0123456789") for episode in episodes for turn in episode.turns if turn.raw}
    assert {"tell", "ask", "courtesy", "refuse"} <= acts
    assert any(turn.type == "action" for episode in episodes for turn in episode.turns if turn.seat == 0)
    assert not any(turn.invalid for episode in episodes for turn in episode.turns)
