"""Sotopia's store is added to: nothing there is overwritten, and profiles go back as they came."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sotopia_env import rollout
from sotopia_env.episodes import Episode, Judgement
from sotopia_env.families import Bargain, Divide, Family, Mini, MutualFriends
from sotopia_env.published import episode_log, full_record, load_published, load_tasks, save_published, save_tasks
from sotopia_env.tasks import Task

DATA = os.environ.get("SOTOPIA_ENV_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder with Sotopia's published files")

WHOLE = {
    "age": 52,
    "occupation": "Night Porter",
    "big_five": "Openness - High",
    "moral_values": ["Care", " Fairness"],
    "schwartz_personal_values": [" Security"],
    "mbti": "INFJ",
    "model_id": "gpt-4",
    "tag": "pilot",
}
CONSTRAINTS = {"age_constraint": "[(21, 70), (18, 70)]", "agent_constraint": [["a0"], ["a1"]], "tag": "pilot"}

Write = dict[str, Callable[[Path, Any], Path]]


def contents(folder: Path) -> dict[str, Any]:
    return {str(path.relative_to(folder)): json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))}


def rich(classes: Any) -> Any:
    found = json.loads(json.dumps(classes))
    found["AgentProfile"]["a0"] |= WHOLE
    found["EnvironmentProfile"]["e0"] |= CONSTRAINTS
    return found


def played(family: Family, policy: str, n: int = 6) -> list[Episode]:
    return rollout(family, policy, num_episodes=n)


def test_three_rollouts_of_one_seed_meet_in_one_store(tmp_path: Path) -> None:
    runs = [played(Bargain(), f"scripted:{name}") for name in ("warm", "firm", "curious")]
    assert len({episode.key for run in runs for episode in run}) == 6
    for number, run in enumerate(runs, start=1):
        assert save_published(run, tmp_path) == 6
        assert len(list((tmp_path / "EpisodeLog").iterdir())) == 6 * number
    before = contents(tmp_path)
    people = {character.id for run in runs for episode in run for character in episode.task.characters}
    assert len([name for name in before if name.startswith("AgentProfile")]) == len(people)
    assert save_published(runs[0], tmp_path) == 6  # once more changes nothing
    assert contents(tmp_path) == before
    assert len(load_published(tmp_path)) == 18


def test_profiles_go_back_as_they_came(tmp_path: Path, write: Write, classes: Any, episode: Episode) -> None:
    store = write["storage"](tmp_path / "store", rich(classes))
    before = contents(store)
    task = next(task for task in load_tasks(store) if task.id == "c0")
    save_published([replace(episode, task=task)], store)
    after = contents(store)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1
    save_published([replace(episode, task=task)], tmp_path / "fresh")
    fresh = contents(tmp_path / "fresh")
    for name in ("AgentProfile/a0.json", "EnvironmentProfile/e0.json", "EnvAgentComboStorage/c0.json"):
        assert {field: fresh[name].get(field) for field in before[name]} == before[name]


def test_what_the_format_of_a_task_did_not_tell_differs_from_nothing(
    tmp_path: Path, write: Write, classes: Any, episode: Episode
) -> None:
    store = write["storage"](tmp_path / "store", rich(classes))
    before = contents(store)
    poor = json.loads(json.dumps(rich(classes)))
    for name in ("big_five", "mbti", "model_id", "tag"):
        del poor["AgentProfile"]["a0"][name]
    for name in CONSTRAINTS:
        del poor["EnvironmentProfile"]["e0"][name]
    task = next(t for t in load_tasks(write["export"](tmp_path / "export", poor)) if t.id == "c0")
    save_published([replace(episode, task=task)], store)
    assert {name: contents(store)[name] for name in before} == before


@pytest.mark.parametrize(
    ("kind", "name", "field", "value"),
    [
        ("AgentProfile", "a0", "age", 99),
        ("AgentProfile", "a0", "schwartz_personal_values", ["Power"]),
        ("EnvironmentProfile", "e0", "agent_goals", ["Win", "Lose"]),
        ("EnvironmentProfile", "e0", "tag", "other"),
        ("EnvAgentComboStorage", "c0", "agent_ids", ["a1", "a0"]),
    ],
)
def test_nothing_is_written_over_another_record(
    tmp_path: Path, write: Write, classes: Any, episode: Episode, kind: str, name: str, field: str, value: Any
) -> None:
    task = next(task for task in load_tasks(write["keyed"](tmp_path / "keyed", rich(classes))) if task.id == "c0")
    changed = rich(classes)
    changed[kind][name][field] = value
    store = write["storage"](tmp_path / "store", changed)
    before = contents(store)
    with pytest.raises(ValueError, match=rf"{name}\.json holds another {kind} .*differs in .*Nothing was written"):
        save_published([replace(episode, task=task)], store)
    assert contents(store) == before


def test_another_log_of_one_id_is_an_error_and_another_judges_is_not(tmp_path: Path, episode: Episode) -> None:
    raw = {**episode_log(episode), "pk": "01ABC"}
    (tmp_path / "one" / "EpisodeLog").mkdir(parents=True)
    (tmp_path / "one" / "EpisodeLog" / "01ABC.json").write_text(json.dumps(raw))
    found = load_published(tmp_path / "one")[0]
    assert episode_log(found) == raw
    save_published([found], tmp_path / "one")
    judged = found.with_judgement(Judgement("other", "1", {"goal": [1.0, 2.0]}))
    save_published([judged], tmp_path / "one", "other")
    pks = sorted(path.stem for path in (tmp_path / "one" / "EpisodeLog").iterdir())
    assert pks[0] == "01ABC" and pks[1].startswith("01ABC-") and len(pks) == 2
    (tmp_path / "one" / "EpisodeLog" / "01ABC.json").write_text(json.dumps({**raw, "tag": "mine"}))
    with pytest.raises(ValueError, match=r"holds another EpisodeLog of this id \(it differs in tag\)"):
        save_published([found], tmp_path / "one")
    (tmp_path / "one" / "EpisodeLog" / "01ABC.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read.*move it away"):
        save_published([found], tmp_path / "one")


def test_changed_goals_are_written_as_the_task_has_them(episode: Episode, tasks: list[Task]) -> None:
    scenario = replace(episode.task.scenario, goals=("Sing (<b>loudly</b>)", "Keep the ladder"))
    changed = replace(episode, task=replace(episode.task, scenario=scenario))
    raw = full_record(changed)
    assert raw["social_goals"] == {"Ada O'Neil": "Sing (<b>loudly</b>)", "Zoë Ruiz": "Keep the ladder"}
    assert "goal: Sing (<b>loudly</b>)" in raw["raw_messages"][0][0][2]
    hidden = next(task for task in tasks if task.scenario.notes)
    assert (
        '<p viewer="environment">They have 1 common friends: Una.</p>'
        in full_record(replace(episode, task=hidden))["scenario"]
    )
    other = replace(hidden, scenario=replace(hidden.scenario, situation="They part.", notes="It is Eve."))
    assert full_record(replace(episode, task=other))["scenario"] == (
        'They part. <p viewer="environment">It is Eve.</p>'
    )


def test_an_edited_published_episode_is_not_written_as_it_was(tmp_path: Path, episode: Episode) -> None:
    raw = {**full_record(episode), "episode_id": "01ABC", "raw_messages": full_record(episode)["raw_messages"]}
    raw["raw_messages"][1][0][2] += " \n"  # white space that only the record itself keeps
    (tmp_path / "one.jsonl").write_text(json.dumps(raw))
    found = load_published(tmp_path / "one.jsonl")[0]
    assert full_record(found) == raw
    turns = (replace(found.turns[0], text="Good day."), *found.turns[1:])
    edited = full_record(replace(found, turns=turns))
    assert edited["raw_messages"][0][2][2] == 'said: "Good day."'
    assert edited["raw_messages"][1][0][2] == 'Turn #0: Ada O\'Neil said: "Good day."\n'
    assert edited["episode_id"].startswith("01ABC-")
    assert edited["raw_rewards"] == raw["raw_rewards"]
    scores = replace(found.judgements[0], scores={"goal": [1.0, 1.0]})
    assert full_record(replace(found, judgements=(scores,)))["rewards"][0] == {"goal": 1.0, "overall_score": 1.0}


def test_a_third_seat_is_written_or_refused_in_words(tmp_path: Path, episode: Episode) -> None:
    third = replace(episode.task.characters[0], id="a9", first_name="Cy")
    three = (*episode.task.characters, third)
    with pytest.raises(ValueError, match="3 characters, but 2 goals; give each one of its own"):
        full_record(replace(episode, task=replace(episode.task, characters=three)))
    goals = (*episode.task.scenario.goals, "Watch")
    task = replace(episode.task, characters=three, scenario=replace(episode.task.scenario, goals=goals))
    scores: dict[str, list[float | None]] = {"goal": [7.0, 2.0, 1.0]}
    told = replace(episode, task=task, judgements=(Judgement("somebody", "1", scores),))
    raw = full_record(told)
    assert list(raw["social_goals"].values())[2] == "Watch"
    assert raw["social_goals"]["Ada O'Neil"].count("<extra_info>") == 1
    save_published([told], tmp_path)
    assert load_published(tmp_path)[0].task.characters == three
    twins = (three[0], replace(three[1], first_name="Ada", last_name="O'Neil"))
    with pytest.raises(ValueError, match="tells agents by their names"):
        full_record(replace(episode, task=replace(episode.task, characters=twins)))


def test_unknown_ages_ids_with_spaces_and_negative_zeros(tmp_path: Path, episode: Episode) -> None:
    ada = replace(episode.task.characters[0], id="ada o neil", age=None)
    task = replace(episode.task, characters=(ada, episode.task.characters[1]))
    scores: dict[str, list[float | None]] = {"secret": [-0.0, -0.0]}
    told = replace(episode, task=task, judgements=(Judgement("somebody", "1", scores),))
    save_published([told], tmp_path / "store")
    written = json.loads((tmp_path / "store" / "AgentProfile" / "ada o neil.json").read_text())
    assert "age" not in written
    assert (written["mbti"], written["model_id"], written["tag"]) == ("", "", "")
    (log,) = (tmp_path / "store" / "EpisodeLog").iterdir()
    assert "-0.0" not in log.read_text()
    assert load_published(tmp_path / "store")[0].task.characters[0].age is None
    save_tasks([task], tmp_path / "export")
    assert load_tasks(tmp_path / "export")[0].characters[0].age is None
    for bad in ("a/b", "x" * 260):
        wrong = replace(told, task=replace(task, characters=(replace(ada, id=bad), task.characters[1])))
        with pytest.raises(ValueError, match="stores a record in a file of its id"):
            save_published([wrong], tmp_path / "other")
    assert not (tmp_path / "other").exists()


@needs_data
def test_the_published_export_comes_back_field_by_field(tmp_path: Path) -> None:
    folder = Path(str(DATA)) / "sotopia"
    save_tasks(load_tasks(folder), tmp_path)
    for name, key in (
        ("environment_profiles", "env_id"),
        ("agent_profiles", "agent_id"),
        ("env_agent_combo_storages", "combo_id"),
    ):
        before, after = (
            {record[key]: record for record in map(json.loads, (place / f"{name}.jsonl").read_text().splitlines())}
            for place in (folder, tmp_path)
        )
        # Sotopia's own reader asks for model_id, which its published export lacks.
        extra = {"model_id": ""} if key == "agent_id" else {}
        assert after == {identity: {**record, **extra} for identity, record in before.items()}


@needs_data
def test_the_published_store_comes_back_field_by_field(tmp_path: Path, episode: Episode) -> None:
    folder = Path(str(DATA)) / "sotopia_pk"
    episodes = [replace(episode, key=task.id, task=task) for task in load_tasks(folder)]
    save_published(episodes, tmp_path)
    for kind, name in (("EnvironmentProfile", "envs"), ("AgentProfile", "agents")):
        for identity, record in json.loads((folder / f"{name}.json").read_text()).items():
            after = json.loads((tmp_path / kind / f"{identity}.json").read_text())
            assert after == {**record, "tag": ""}


def test_an_export_is_not_written_over_another(tmp_path: Path, tasks: list[Task]) -> None:
    save_tasks(tasks, tmp_path)
    save_tasks(tasks, tmp_path)
    before = (tmp_path / "agent_profiles.jsonl").read_bytes()
    with pytest.raises(ValueError, match=r"environment_profiles\.jsonl holds other records"):
        save_tasks(tasks[:1], tmp_path)
    assert (tmp_path / "agent_profiles.jsonl").read_bytes() == before


LOST = {
    "key", "seed", "config.max_cycles", "config.max_stale", "config.action_types",
    "turns.raw", "turns.invalid", "rewards", "ending.detail", "ending.seat",
    "task.id", "task.family", "task.version", "task.split", "task.evaluated_seat", "task.max_cycles", "task.tags",
    "task.scenario.id", "task.scenario.hidden", "judgements.version", "judgements.latent", "judgements.evidence",
    "judgements.scores",
}  # fmt: skip
"""Fields of an episode that docs/data.md names as lost, or as gathered into one text (evidence)."""


def differing(one: Any, other: Any, place: str = "") -> set[str]:
    """The fields in which two records differ; positions in lists and names inside the fields of ``LOST`` left out."""
    if place in LOST or place == "":
        fields = one if isinstance(one, dict) else {}
        if place:
            return set() if one == other else {place}
        return {found for name in {*fields, *other} for found in differing(one.get(name), other.get(name), name)}
    if isinstance(one, dict) and isinstance(other, dict):
        names = {*one, *other}
        return {found for name in names for found in differing(one.get(name), other.get(name), f"{place}.{name}")}
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return {found for pair in zip(one, other, strict=True) for found in differing(*pair, place)}
    return set() if one == other else {place}


@pytest.mark.parametrize("family", [Bargain(), Divide(), MutualFriends(), Mini()], ids=lambda family: family.name)
@pytest.mark.parametrize("n", [20, pytest.param(1_000, marks=pytest.mark.slow)])
def test_own_episodes_come_back(tmp_path: Path, family: Family, n: int) -> None:
    episodes = played(family, "scripted:warm", n)
    save_published(episodes, tmp_path / "store")
    found = {episode.key: episode for episode in load_published(tmp_path / "store")}
    assert len(found) == n
    for episode in episodes:
        record = full_record(episode)
        back = found[record["episode_id"]]
        assert full_record(back) == record
        silent = tuple(replace(turn, text="") if turn.type == "leave" else turn for turn in episode.turns)
        mine = replace(episode, turns=silent, judgements=episode.judgements[-1:])
        assert differing(mine.to_dict(), back.to_dict()) <= LOST
        (judgement,), (again,) = mine.judgements, back.judgements
        known = {d: [None if v is None else v + 0.0 for v in row] for d, row in judgement.scores.items()}
        assert again.scores == {d: row for d, row in known.items() if any(v is not None for v in row)}
        ending = episode.ending
        assert back.ending is not None and ending is not None
        assert (back.ending.reason, back.ending.truncated) == (ending.reason, ending.truncated)
        for seat in (0, 1):
            for dimension, found_for in judgement.evidence.items():
                text = "; ".join(found_for[seat])
                assert not text or dimension not in again.scores or again.evidence[dimension][seat] == [text]
