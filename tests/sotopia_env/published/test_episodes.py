"""Episodes in Sotopia's formats: written, read back, and told apart."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.errors import RecordError
from sotopia_env.published import (
    DataWarning,
    episode_log,
    full_record,
    load_published,
    load_tasks,
    save_published,
    save_tasks,
)
from sotopia_env.published.episodes import KnownTasks, read_episode
from sotopia_env.published.report import Report
from sotopia_env.tasks import Task

DATA = os.environ.get("SOTOPIA_ENV_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder with Sotopia's published files")


def read(raw: Any, tasks: list[Task] | None = None) -> Episode:
    return read_episode(raw, "here", Report("here", "raise"), KnownTasks(tasks or []))


def acts(episode: Episode) -> list[tuple[int, str, str]]:
    return [(turn.seat, turn.type, turn.text) for turn in episode.turns]


def short(text: str, **fields: Any) -> dict[str, Any]:
    people = {"Ada O'Neil": "Ada O'Neil is a 30-year-old female baker. ", "Zoë Ruiz": ""}
    goals = {"Ada O'Neil": "Win", "Zoë Ruiz": "Lose"}
    texts = {"scenario": "S", "agents_background": people, "social_goals": goals, "social_interactions": text}
    return {"episode_id": "s1", **texts, "rewards": [{"goal": 3}, {"goal": None}], **fields}


def test_the_fifteen_fields_of_an_episode(episode: Episode) -> None:
    raw = full_record(episode)
    assert len(raw) == 15
    assert re.fullmatch("ladder-1-[0-9a-f]{10}", raw["episode_id"])
    assert (raw["environment_id"], raw["agent_ids"], raw["experiment_tag"]) == ("e0", ["a0", "a1"], "sotopia-env")
    assert raw["experiment_model_name_pairs"] == ["somebody", "one", "two"]
    assert raw["social_goals"]["Ada O'Neil"] == "Borrow the ladder (<extra_info>You need it today.</extra_info>)"
    assert raw["agents_background"]["Zoë Ruiz"].endswith("Zoë's secrets: They dislike bread")
    assert raw["raw_rewards"][0] == [2.0, {"goal": 7.0, "relationship": -1.0, "secret": 0.0, "overall_score": 2.0}]
    assert raw["rewards"][1] == {"goal": 2.0, "secret": 0.0, "overall_score": 1.0}
    assert raw["social_interactions"] == (
        'Ada O\'Neil said: "Hello, may I have it?"\n\nZoë Ruiz: [action] shakes the ladder\n\n\n\n'
        "Zoë Ruiz: left the conversation"
    )
    assert "goal: He got it.; At once." in raw["reasoning"]
    shown = [message[2] for message in raw["raw_messages"][0][:2]]
    assert "goal: Borrow the ladder (You need it today.)" in shown[0]
    assert "Ada is patient" not in shown[1]  # acquaintances know no personality
    assert "Ada keeps bees" in shown[1]
    assert [len(turn) for turn in raw["raw_messages"]] == [4, 4, 4, 4, 2]
    assert raw["raw_messages"][2][2] == ["Ada O'Neil", "Environment", "did nothing"]


def test_an_episode_comes_back_as_it_was(episode: Episode, tasks: list[Task]) -> None:
    for write in (full_record, episode_log):
        found = read(json.loads(json.dumps(write(episode))), tasks)
        assert found.task == episode.task
        assert acts(found) == acts(episode)
        assert found.key == full_record(episode)["episode_id"]
        assert (found.policies, found.config) == (episode.policies, episode.config)
        assert found.ending == replace(
            Ending("left", seat=1), detail={"comment": "terminated: someone left the conversation;"}
        )
        assert found.judgements[0].scores == episode.judgements[0].scores
        assert found.judgements[0].evidence["goal"] == [["He got it.; At once."], ["Lost."]]
        assert write(found) == write(episode)


def test_an_episode_that_nobody_judged_failed_for_sotopia(episode: Episode) -> None:
    unjudged = replace(episode, judgements=())
    assert episode_log(unjudged)["rewards"] == [0.0, 0.0]
    assert full_record(unjudged)["rewards"] == [0.0, 0.0]
    assert read(episode_log(unjudged)).judgements[0].scores == {"goal": [None, None]}


def test_a_bare_zero_is_unknown_and_a_judged_zero_is_zero(episode: Episode) -> None:
    raw = episode_log(episode)
    raw["rewards"] = [0.0, [0.0, {"goal": 0.0, "overall_score": 0.0}]]
    found = read(raw)
    assert found.judgements[0].scores == {"goal": [None, 0.0]}
    assert episode_log(found) == raw


def test_whose_scores_are_written_can_be_chosen(episode: Episode) -> None:
    both = episode.with_judgement(Judgement("other", "1", {"goal": [1.0, 1.0]}))
    assert full_record(both)["experiment_model_name_pairs"][0] == "other"
    assert full_record(both, "somebody")["rewards"][0]["goal"] == 7.0
    with pytest.raises(ValueError, match="no judgement of 'third'; it has somebody, other"):
        full_record(both, "third")


def test_what_only_the_published_judge_said_is_not_given_to_another(episode: Episode) -> None:
    raw = {**full_record(episode), "raw_rewards_prompt": "asked", "experiment_tag": "run", "extra": 1}
    found = read(raw).with_judgement(Judgement("other", "1", {"goal": [1.0, 1.0]}))
    assert full_record(found) == raw
    other = full_record(found, "other")
    assert (other["raw_rewards_prompt"], other["experiment_tag"], other["extra"]) == ("", "run", 1)
    assert other["rewards"][0] == {"goal": 1.0, "overall_score": 1.0}


def test_without_profiles_an_episode_tells_its_own_task(episode: Episode) -> None:
    found = read(full_record(episode)).task
    assert found.scenario == episode.task.scenario
    assert found.id == "e0:a0:a1"
    ada = found.characters[0]
    assert (ada.id, ada.name, ada.age, ada.gender) == ("a0", "Ada O'Neil", 30, "Woman")
    assert (ada.occupation, ada.personality, ada.secret) == ("bee keeper", "Ada is patient.", "She is afraid of bees")
    log = read(episode_log(episode)).task
    assert log.characters == found.characters
    assert log.scenario.goals == found.scenario.goals


def test_a_log_without_texts_needs_its_profiles(episode: Episode, tasks: list[Task]) -> None:
    raw = episode_log(episode)
    raw["messages"][0][0][2] = raw["messages"][0][1][2] = "Begin."
    with pytest.raises(RecordError, match="load it with its profiles"):
        read(raw)
    assert read(raw, tasks).task == episode.task


def test_turn_orders_are_found_in_the_acts(episode: Episode) -> None:
    def played(order: str, seats: list[int], kinds: list[str]) -> Episode:
        own = [0, 0]
        turns = []
        for i, (seat, kind) in enumerate(zip(seats, kinds, strict=True)):
            turns.append(Turn(seat, own[seat], i, kind, "x" if kind == "speak" else ""))
            own[seat] += 1
        config = {"action_order": order, "max_cycles": 20}
        return replace(episode, turns=tuple(turns), config=config, ending=Ending("max_cycles", truncated=True))

    for order, seats, kinds in (
        ("round-robin", [0, 1, 0, 1], ["speak", "none", "speak", "none"]),
        ("random", [1, 1, 0], ["speak", "speak", "speak"]),
        ("simultaneous", [0, 1, 0, 1], ["speak", "speak", "speak", "none"]),
    ):
        found = read(full_record(played(order, seats, kinds)))
        assert found.config["action_order"] == order
        assert [(turn.seat, turn.type) for turn in found.turns] == list(zip(seats, kinds, strict=True))


def test_the_short_format_is_read_act_by_act() -> None:
    text = (
        'Ada O\'Neil said: "First.\n\nSecond paragraph, as Zoë Ruiz said."\n\nZoë Ruiz: [non-verbal communication] nods'
        "\n\nAda O'Neil: [action] sits\n\nZoë Ruiz: left the conversation"
    )
    found = read(short(text))
    assert acts(found) == [
        (0, "speak", "First.\n\nSecond paragraph, as Zoë Ruiz said."),
        (1, "non-verbal communication", "nods"),
        (0, "action", "sits"),
        (1, "leave", ""),
    ]
    assert found.ending == Ending("left", seat=1)
    assert found.judgements[0].scores == {"goal": [3.0, None]}


def test_silence_in_the_short_format_is_a_turn() -> None:
    found = read(short('Ada O\'Neil said: "Hi"\n\n'))
    assert acts(found) == [(0, "speak", "Hi"), (1, "none", "")]
    assert found.ending == Ending("stale", seat=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"episode_id": None}, "field 'episode_id'"),
        ({"scenario": ""}, "field 'scenario'"),
        ({"agents_background": {"A": "x"}}, "field 'agents_background'"),
        ({"social_goals": {"A": "x", "B": "y"}}, "social_goals: of"),
        ({"social_interactions": 'Bob said: "no"'}, "field 'social_interactions': it does not begin"),
        ({"social_interactions": "Ada O'Neil said: \"cut"}, "not the text of an act"),
        ({"social_interactions": None}, "raw_messages or social_interactions is needed"),
        ({"rewards": [1.0]}, "rewards: 1 for 2 agents"),
        ({"rewards": [{"goal": "x"}, {}]}, "field 'rewards.0': a score is a number or null"),
        ({"raw_messages": [[["Environment", "A", 3]]]}, "field 'raw_messages.0.0.2'"),
        ({"raw_messages": [[["Environment", "A", "x"]]]}, "field 'raw_messages.0': one message"),
        ({"agent_ids": ["a"]}, "agent_ids: 1 for 2 agents"),
        ({"scenario": '<p viewer="environment">it is Una'}, "field 'scenario': <p> is never closed"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordError, match="^here: ") as caught:
        read(short('Ada O\'Neil said: "Hi"', **change))
    assert said in str(caught.value)


@pytest.mark.parametrize("raw", [None, 3, [], {"codename": "x"}, {"pk": "x", "messages": []}])
def test_what_is_no_episode_is_refused(raw: Any) -> None:
    with pytest.raises(RecordError, match="here: "):
        read(raw)


def test_an_act_of_a_stranger_to_the_episode_is_refused(episode: Episode) -> None:
    raw = episode_log(episode)
    raw["messages"][1][2][0] = "Mallory"
    with pytest.raises(RecordError, match="messages of turn 1: 'Mallory' is none of Ada O'Neil, Zoë Ruiz"):
        read(raw)
    raw = episode_log(episode)
    raw["messages"][1][3][2] = "muttered"
    with pytest.raises(RecordError, match="messages of turn 1: not the text of an act: 'muttered'"):
        read(raw)


def test_files_and_folders_of_episodes(tmp_path: Path, episode: Episode, tasks: list[Task]) -> None:
    many = [replace(episode, key=f"k:{i}") for i in range(3)]
    assert save_published(many, tmp_path / "episodes.jsonl") == 3
    assert save_published(many, tmp_path / "storage") == 3
    assert sorted(path.name for path in (tmp_path / "storage").iterdir()) == [
        "AgentProfile",
        "EnvAgentComboStorage",
        "EnvironmentProfile",
        "EpisodeLog",
    ]
    from_file = load_published(tmp_path / "episodes.jsonl", tasks)
    assert [found.key for found in from_file] == [full_record(one)["episode_id"] for one in many]
    stored = load_published(tmp_path / "storage")
    assert [found.task for found in stored] == [found.task for found in from_file]
    assert [acts(found) for found in stored] == [acts(episode)] * 3
    assert load_tasks(tmp_path / "storage") == [episode.task]
    (tmp_path / "storage" / "EnvAgentComboStorage" / "c0.json").unlink()
    unpaired = load_published(tmp_path / "storage")[0].task
    assert replace(unpaired, id="c0") == episode.task
    with pytest.raises(ValueError, match=r"name a file \.jsonl"):
        save_published(many, tmp_path / "episodes.csv")


def test_episodes_of_a_dump_take_its_profiles(
    tmp_path: Path, write: dict[str, Callable[..., Path]], classes: Any, episode: Episode
) -> None:
    log = {name: value for name, value in episode_log(episode).items() if name != "pk"}
    path = write["dump"](tmp_path, {**classes, "EpisodeLog": {"ladder-1": log}})
    assert load_published(path)[0].task == episode.task
    assert load_published(path.parent)[0].key == "ladder-1"


def test_a_bad_episode_costs_no_other(tmp_path: Path, episode: Episode) -> None:
    good = json.dumps({**full_record(episode), "episode_id": "ladder-1"})
    path = tmp_path / "episodes.jsonl"
    path.write_text("\n".join([good, '{"episode_id": "x"}', good, "{", good.replace("ladder-1", "ladder-2")]))
    with pytest.warns(DataWarning) as caught:
        assert [found.key[:8] for found in load_published(path)] == ["ladder-1", "ladder-2"]
    said = [str(warning.message) for warning in caught]
    assert "line 2 (x): field 'scenario' is missing" in said[0]
    assert "line 3 (ladder-1): episode 'ladder-1' was read before" in said[1]
    assert "line 4: not JSON" in said[2]
    assert "2 episodes loaded, 3 records reported" in said[3]


def test_a_folder_or_file_without_episodes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder EpisodeLog"):
        load_published(tmp_path)
    (tmp_path / "episodes.jsonl").write_text("")
    with pytest.raises(ValueError, match="there is no episode in it"):
        load_published(tmp_path)
    (tmp_path / "episodes2.jsonl").write_text("")
    with pytest.raises(FileNotFoundError, match="name one of them"):
        load_published(tmp_path)


def test_tasks_are_written_as_the_jsonl_export(tmp_path: Path, tasks: list[Task]) -> None:
    split = [replace(task, split="test" if task.id != "c2" else "train") for task in tasks]
    assert save_tasks(split, tmp_path / "out") == 4
    assert load_tasks(tmp_path / "out", "all") == [
        replace(task, id=f"{task.id}:agent_{seat}", evaluated_seat=seat)
        for task in split
        for seat in (0, 1)
        if task.split == "test"
    ]
    assert load_tasks(tmp_path / "out") == split
    first = json.loads((tmp_path / "out" / "environment_profiles.jsonl").read_text().splitlines()[0])
    assert (first["env_id"], first["relationship"], first["occupation_constraint"]) == ("e0", "2", "nan")
    assert save_tasks(load_tasks(tmp_path / "out", "all"), tmp_path / "again") == 3


def test_two_profiles_of_one_id_are_refused(tmp_path: Path, tasks: list[Task]) -> None:
    other = replace(tasks[1].characters[0], age=99)
    changed = replace(tasks[1], characters=(other, tasks[1].characters[1]))
    with pytest.raises(ValueError, match="another AgentProfile has the id 'a1'"):
        save_tasks([tasks[0], changed], tmp_path)


def test_private_words_reach_nobody_else_in_writing(episode: Episode) -> None:
    turns = (Turn(0, 0, 0, "speak", "psst", recipients=(0,)), Turn(1, 0, 1, "speak", "what?"))
    raw = full_record(replace(episode, turns=turns, ending=None))
    shown = {message[1]: message[2] for message in raw["raw_messages"][1][:2]}
    assert shown == {"Ada O'Neil": 'Turn #0: Ada O\'Neil [private to nobody] said: "psst"\n', "Zoë Ruiz": "Turn #0: \n"}
    assert 'Ada O\'Neil [private to nobody] said: "psst"' in raw["social_interactions"]


@needs_data
def test_published_tasks_are_written_and_read_back(tmp_path: Path) -> None:
    tasks = load_tasks(str(DATA))
    assert save_tasks(tasks, tmp_path) == 450
    assert load_tasks(tmp_path) == tasks


@needs_data
def test_the_short_published_episodes() -> None:
    path = Path(str(DATA)) / "episodes" / "sotopia_v1_short_with_scores.jsonl"
    raw = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = load_published(path, load_tasks(str(DATA)))
    assert len(found) == 10
    for record, episode in zip(raw, found, strict=True):
        written = full_record(episode)
        assert {name: written[name] for name in record} == record
        assert written["social_interactions"].count("said:") == sum(turn.type == "speak" for turn in episode.turns)
        assert list(record["scores"].values()) == episode.judgements[0].scores["goal"]


@needs_data
def test_the_full_episodes_survive_local_storage_and_our_own_file(tmp_path: Path) -> None:
    from sotopia_env.storage.episodes import load_episodes, save_episodes

    path = Path(str(DATA)) / "episodes" / "sotopia_v1_full.jsonl"
    raw = {record["episode_id"]: record for record in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    found = load_published(path, load_tasks(str(DATA)))
    save_published(found, tmp_path / "storage")
    stored = load_published(tmp_path / "storage")
    assert {episode.key: full_record(episode) for episode in stored} == raw
    save_episodes(stored, tmp_path / "own.jsonl")
    assert {episode.key: full_record(episode) for episode in load_episodes(tmp_path / "own.jsonl")} == raw
