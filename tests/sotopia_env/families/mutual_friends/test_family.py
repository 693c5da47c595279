"""Tasks of mutual friends: one common friend, disjoint splits, an ending and a judge that agree."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env import views
from sotopia_env.errors import RecordError
from sotopia_env.families import FAMILIES, language
from sotopia_env.families.generated import PEOPLE
from sotopia_env.families.mutual_friends import DIFFICULTIES, MutualFriends, catalogue
from sotopia_env.families.mutual_friends.scoring import friends_of, goal, opening
from sotopia_env.families.mutual_friends.tables import read_table
from sotopia_env.families.resolve import check_hidden
from sotopia_env.schema import read_task
from sotopia_env.tasks import Task


def draw(number: int, split: str = "train", **options: Any) -> list[Task]:
    rng = np.random.default_rng(0)
    return [MutualFriends(**options).generate(rng, split) for _ in range(number)]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_exactly_one_friend_stands_in_both_tables(split: str) -> None:
    for task in draw(150, split):
        size = DIFFICULTIES[task.tags["difficulty"]]
        first, second = (friends_of(hidden) for hidden in task.scenario.hidden)
        common = task.scenario.hidden[0]["common"]
        assert {friend.name for friend in first} & {friend.name for friend in second} == {common}
        assert len(first) == len(second) == size.friends
        shared = next(friend for friend in first if friend.name == common)
        assert shared in second
        alike = [friend for friend in (*first, *second) if friend.attributes == shared.attributes]
        assert len(alike) == 2, "nobody else fits the description"


def test_a_goal_holds_the_own_table_and_nothing_of_the_other() -> None:
    for task in draw(40):
        for seat, (text, hidden) in enumerate(zip(task.scenario.goals, task.scenario.hidden, strict=True)):
            assert read_table(text) == friends_of(hidden)
            shown = "\n".join(views.static_observation(task, seat).values())
            others = {f.name for f in friends_of(task.scenario.hidden[1 - seat])} - {hidden["common"]}
            assert not any(name in shown.split() or f"{name}:" in shown for name in others)
            assert task.characters[seat].secret in shown
            assert task.characters[1 - seat].secret not in shown


def test_splits_share_neither_names_nor_values() -> None:
    for table in (catalogue.NAMES, *catalogue.VALUES.values()):
        train, validation, test = (set(table[split]) for split in ("train", "validation", "test"))
        assert not train & validation
        assert not train & test
        assert not validation & test
    players = {first for first, _, _ in PEOPLE}
    assert not players & {name for names in catalogue.NAMES.values() for name in names}


def test_secrets_hold_no_word_that_a_judge_counts_as_manner() -> None:
    counted = frozenset().union(*language.POSITIVE.values(), *language.NEGATIVE.values())
    assert not any(language.words(secret) & counted for secret in catalogue.SECRETS)


def test_the_same_generator_draws_the_same_task() -> None:
    assert draw(5) == draw(5)
    assert len({task.id for task in draw(300)}) == 300
    assert FAMILIES["mutual-friends"] is MutualFriends


def test_the_coupling_stands_in_the_goal() -> None:
    assert "Sway: 0.5." in draw(1, coupling=0.5)[0].scenario.goals[0]


@pytest.mark.parametrize("options", [{"difficulties": {"odd": 1.0}}, {"difficulties": {"easy": 0.5}}, {"coupling": 2}])
def test_bad_arguments_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="difficulties|coupling"):
        MutualFriends(**options)


def test_a_task_survives_its_record_and_a_wrong_one_is_refused() -> None:
    task = draw(1)[0]
    record = json.loads(json.dumps(task.to_dict()))
    assert read_task(record, "here") == task
    check_hidden(MutualFriends, task, "here")
    record["scenario"]["hidden"][1]["common"] = "Nobody"
    with pytest.raises(RecordError, match=r"here, scenario\.hidden\.1: common: 'Nobody' is none of the friends"):
        check_hidden(MutualFriends, read_task(record, "here"), "here")


# Playing and judging


def play(task: Task, *said: str) -> Any:
    env = sotopia_env.parallel_env([task])
    env.reset(seed=0)
    for text in said:
        env.step({env.acting[0]: text})
    return env


def test_naming_the_friend_ends_the_episode_and_is_scored_alike() -> None:
    task = draw(1)[0]
    common = task.scenario.hidden[0]["common"]
    env = play(task, f"Do you know {common}?", f"Yes, I know {common} too!")
    assert env.ending.reason == "agreement"
    assert env.ending.detail == {"friend": common}
    judgement = MutualFriends().score(env.episode)
    assert judgement.scores["goal"] == [10.0, 10.0]
    assert judgement.latent == {"deal": True, "named": [0, 0]}
    assert set(judgement.scores) == {
        "goal", "relationship", "knowledge", "secret", "social_rules", "financial_and_material_benefits",
        "believability",
    }  # fmt: skip


def test_going_through_all_names_costs_most_of_the_goal() -> None:
    for difficulty in DIFFICULTIES:
        task = draw(1, difficulties={difficulty: 1.0})[0]
        common = task.scenario.hidden[0]["common"]
        names = [friend.name for friend in friends_of(task.scenario.hidden[0])]
        env = play(task, f"I know {', '.join(names)}.", f"Yes, I know {common} too!")
        assert MutualFriends().score(env.episode).scores["goal"] == pytest.approx([2.0, 10.0])


def test_going_through_the_table_costs_in_whatever_words() -> None:
    task = draw(1, difficulties={"medium": 1.0})[0]
    common = task.scenario.hidden[0]["common"]
    names = [friend.name for friend in friends_of(task.scenario.hidden[0])]
    for text in ("Who is {}?", "Tell me more about {}.", "My sister said {} is nice.", "You know {}."):
        env = play(task, " ".join(text.format(name) for name in names), f"I know {common}.", "Me too!")
        assert env.ending.detail == {"friend": common}
        assert MutualFriends().score(env.episode).scores["goal"] == pytest.approx([2.0, 10.0]), text


def test_two_wrong_guesses_are_free_and_the_third_costs() -> None:
    task = draw(1, difficulties={"medium": 1.0})[0]
    common = task.scenario.hidden[0]["common"]
    names = [friend.name for friend in friends_of(task.scenario.hidden[0]) if friend.name != common]
    goals = []
    for number in range(5):
        guesses = [text for name in names[:number] for text in (f"Do you know {name}?", "No, I do not.")]
        env = play(task, *guesses, f"Is it {common}?", f"{common}, yes, my friend too.")
        goals.append(MutualFriends().score(env.episode).scores["goal"][0])
    assert goals == pytest.approx([10, 10, 10, 10 - 8 / 3, 10 - 16 / 3])


def test_claiming_other_peoples_friends_and_hiding_ones_own_breaks_social_rules() -> None:
    task = draw(1, difficulties={"easy": 1.0})[0]
    first, second = (friends_of(hidden) for hidden in task.scenario.hidden)
    common = task.scenario.hidden[0]["common"]
    mine = next(friend for friend in first if friend.name != common)
    theirs = next(friend for friend in second if friend.name != common)
    kind, value = mine.attributes[0]
    said = catalogue.phrase(kind, value)
    for text, value in (
        (f"Yes, I know {theirs.name} too!", -2.5),
        (f"I do not know {mine.name}.", -2.5),
        (f"It is not {mine.name}, I think.", 0.0),
        (f"I don't know whether {mine.name} is here.", 0.0),
        (f"None of my friends {said}.", -2.5),
        (f"A friend of mine {said}.", 0.0),
        (f"Does your friend {theirs.name} like it here?", 0.0),
    ):
        scores = MutualFriends().score(play(task, text, "I see.").episode).scores
        assert scores["social_rules"] == [value, 0.0], text


def test_knowledge_is_the_share_of_the_partners_attributes_told() -> None:
    task = draw(1, difficulties={"medium": 1.0})[0]
    friend = friends_of(task.scenario.hidden[1])[0]
    wanted = {value for f in friends_of(task.scenario.hidden[1]) for value in f.values}
    told = " and ".join(catalogue.phrase(kind, value) for kind, value in friend.attributes)
    scores = MutualFriends().score(play(task, "Hello.", f"I know someone who {told}.").episode).scores
    assert scores["knowledge"] == pytest.approx([10 * 3 / len(wanted), 0.0])


def test_the_goal_is_unknown_while_the_talk_goes_on_and_zero_after_it() -> None:
    naming = opening(draw(1)[0])
    assert goal(naming, 0, finished=False)[0] is None
    assert goal(naming, 0, finished=True)[0] == 0.0
