"""Records from files become tasks only when every field fits, and errors say which does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.errors import RecordError
from sotopia_env.published.records import PublishedCharacter, PublishedList, PublishedPairing, PublishedScenario
from sotopia_env.schema import check_record, read_episode, read_task
from sotopia_env.tasks import Character, Scenario, Task


def task(**changes: Any) -> Task:
    scenario = Scenario(
        id="s1",
        situation="Two neighbours meet at the gate.",
        goals=("Borrow the ladder.", "Keep the ladder."),
        relationship="acquaintance",
        hidden=({"word": "ladder"}, {"word": "gate"}),
        notes="Nobody wins.",
    )
    people = (Character("c1", "Esmé", "Solis", age=31, secret="You painted it."), Character("c2", "Finn", "O'Malley"))
    given: dict[str, Any] = {"family": "mine", "version": "1", "split": "test", "tags": {"difficulty": 2}}
    return Task(id="t1", scenario=scenario, characters=people, **(given | changes))


def record(**changes: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(task().to_dict())), **changes}


def test_a_task_survives_json() -> None:
    original = task(evaluated_seat=1, max_cycles=12)
    assert read_task(json.loads(json.dumps(original.to_dict())), "x") == original


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": ""}, "'id'"),
        ({"id": 7}, "'id'"),
        ({"split": "dev"}, "'split'"),
        ({"max_cycles": 0}, "'max_cycles'"),
        ({"max_cycles": "20"}, "'max_cycles'"),
        ({"evaluated_seat": 2}, "evaluated_seat: 2 is no seat"),
        ({"characters": []}, "'characters'"),
        ({"colour": "red"}, "field 'colour' is unknown"),
        ({"scenario": "a party"}, "'scenario'"),
        ({"tags": {"x": float("nan")}}, "'tags'"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordError, match="tasks.jsonl line 3") as caught:
        read_task(record(**change), "tasks.jsonl line 3")
    assert said in str(caught.value)


def test_a_missing_field_is_named() -> None:
    incomplete = record()
    del incomplete["family"]
    with pytest.raises(RecordError, match="field 'family' is missing"):
        read_task(incomplete, "x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"goals": ["a", "b", "c"]}, "3 goals for 2 characters"),
        ({"hidden": [{}]}, "1 mappings for 2 characters"),
        ({"relationship": "enemy"}, "scenario.relationship"),
        ({"situation": "x" * 40_000}, "scenario.situation"),
        ({"situation": "\ud800"}, "scenario.situation"),
        ({"hidden": [{"limit": float("inf")}, {}]}, "scenario.hidden"),
    ],
)
def test_a_wrong_scenario_is_named(change: dict[str, Any], said: str) -> None:
    wrong = record()
    wrong["scenario"] |= change
    with pytest.raises(RecordError) as caught:
        read_task(wrong, "x")
    assert said in str(caught.value)


def test_a_wrong_character_is_named_with_its_seat() -> None:
    wrong = record()
    wrong["characters"][1]["age"] = "old"
    with pytest.raises(RecordError, match=r"'characters\.1\.age'.*got 'old'"):
        read_task(wrong, "x")


def test_a_profile_that_no_observation_can_hold_is_refused() -> None:
    wrong = record()
    wrong["characters"][0]["public_info"] = "x" * 30_000
    with pytest.raises(RecordError, match=r"'characters\.0': the profile has 30028 characters"):
        read_task(wrong, "x")


@pytest.mark.parametrize("given", [3, "3", 3.0, "friend", " friend "])
def test_relationships_are_read_in_every_spelling(given: object) -> None:
    scenario = {"pk": "s", "scenario": "A park.", "agent_goals": ["a", "b"], "relationship": given}
    assert check_record(PublishedScenario, scenario, "x").relationship == "friend"


@pytest.mark.parametrize("given", [6, -1, "9", 2.5, True, None, "nan", "pal", [3]])
def test_what_is_no_relationship_is_refused(given: object) -> None:
    scenario = {"pk": "s", "scenario": "A park.", "agent_goals": ["a", "b"], "relationship": given}
    with pytest.raises(RecordError, match="from 0 to 5"):
        check_record(PublishedScenario, scenario, "x")


@pytest.mark.parametrize("absent", ["nan", "None", "", None, float("nan")])
def test_ways_to_spell_no_value(absent: object) -> None:
    fields = {"age": absent, "occupation": absent, "secret": absent, "moral_values": absent}
    character = check_record(PublishedCharacter, {"agent_id": "a", "first_name": "Ada", **fields}, "x")
    assert (character.age, character.occupation, character.secret, character.moral_values) == (None, "", "", [])


def test_keys_of_both_formats_are_ids() -> None:
    assert check_record(PublishedPairing, {"combo_id": "c", "env_id": "e", "agent_ids": ["a", "b"]}, "x").id == "c"
    assert check_record(PublishedPairing, {"pk": "c", "env_id": "e", "agent_ids": ["a", "b"]}, "x").id == "c"


def test_a_list_needs_one_seat_per_environment() -> None:
    given = {"pk": "l", "name": "hard_env_set", "environments": ["e", "f"], "agent_index": ["0", 1]}
    assert check_record(PublishedList, given, "x").agent_index == [0, 1]
    with pytest.raises(RecordError, match="1 seats for 2 environments"):
        check_record(PublishedList, {**given, "agent_index": ["0"]}, "x")


@pytest.mark.parametrize("given", [None, 3, "text", [1]])
def test_a_record_is_an_object(given: object) -> None:
    with pytest.raises(RecordError, match="JSON object"):
        read_task(given, "x")


def episode() -> dict[str, Any]:
    """The record of an episode with something in every field."""
    made = Episode(
        key="0-3",
        task=task(),
        config={"max_cycles": 4},
        turns=(Turn(0, 0, 0, "speak", "Hello."), Turn(1, 0, 1, "none", "", "x" * 9, "too long", (0,))),
        ending=Ending("left", seat=1, detail={"price": 3}),
        seed=2**62,
        policies={"agent_0": "mine"},
        judgements=(Judgement("rule", "1", {"goal": [7, None]}, {"goal": [["turn 0"], []]}, {"deal": True}),),
        rewards={"episode": {"agent_0": [1, 0.5], "agent_1": [None]}},
    )
    record: dict[str, Any] = json.loads(made.to_json())
    assert read_episode(record, "x") == made
    return record


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("turns.1.seat", "1", "field 'turns.1.seat': Input should be a valid integer (got '1')"),
        ("turns.1.seat", 2, "field 'turns.1.seat': 2 is no seat of a task with 2"),
        ("turns.0.type", "shout", "field 'turns.0.type': 'shout' is none of none, speak"),
        ("turns.0.text", None, "field 'turns.0.text': Input should be a valid string (got None)"),
        ("turns.0.mood", "glad", "field 'turns.0.mood' is unknown; remove it or correct its name"),
        ("turns", {}, "field 'turns': Input should be a valid list"),
        ("turns.1.recipients", [0.5], "field 'turns.1.recipients.0': Input should be a valid integer"),
        ("task.scenario.goals", "win", "field 'task.scenario.goals': Input should be a valid list (got 'win')"),
        ("task.characters.0.age", "31", "field 'task.characters.0.age': Input should be a valid integer (got '31')"),
        ("judgements.0.scores.goal.0", "7", "field 'judgements.0.scores.goal.0': Input should be a valid number"),
        ("rewards.episode.agent_1.0", True, "field 'rewards.episode.agent_1.0': Input should be a valid number"),
        ("ending.reason", 3, "field 'ending.reason': Input should be a valid string (got 3)"),
        ("labels", [], "field 'labels' is unknown"),
        ("key", None, "field 'key': Input should be a valid string"),
        ("format_version", 2, "format_version is 2, this package reads 1"),
    ],
)
def test_a_wrong_field_of_an_episode_is_named(path: str, value: Any, said: str) -> None:
    wrong = episode()
    *parents, name = path.split(".")
    inner: Any = wrong
    for parent in parents:
        inner = inner[int(parent) if parent.isdecimal() else parent]
    inner[int(name) if name.isdecimal() else name] = value
    with pytest.raises(RecordError) as error:
        read_episode(wrong, "e.jsonl, line 4")
    assert str(error.value).startswith("e.jsonl, line 4")
    assert said in str(error.value)
    assert ("episode '0-3'" in str(error.value)) == (path != "key")


def test_fields_with_a_default_may_be_missing() -> None:
    record = episode()
    for name in ("turns", "ending", "seed", "policies", "judgements", "rewards"):
        del record[name]
    del record["task"]["tags"]
    read = read_episode(record, "x")
    assert (read.turns, read.ending, read.judgements, read.task.tags) == ((), None, (), {})
