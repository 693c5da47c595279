from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env.published import full_record, load_pairs, load_published, save_published
from sotopia_env.storage.episodes import load_episodes, save_episodes

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bargains of the package's own."""
    path = tmp_path_factory.mktemp("played") / "episodes.jsonl"
    save_episodes(sotopia_env.rollout("bargain:test", "scripted:warm", num_episodes=2, reward="episode"), path)
    return path


@pytest.fixture
def published(played: Path, tmp_path: Path) -> Path:
    """The same as Sotopia publishes episodes."""
    save_published(load_episodes(played), tmp_path / "published.jsonl")
    return tmp_path / "published.jsonl"


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOTOPIA_ENV_DATA", raising=False)


def spoken(path: Path) -> int:
    return sum(turn.type != "none" for episode in load_episodes(path) for turn in episode.turns)


def test_episodes_become_training_pairs(done: Run, played: Path, tmp_path: Path) -> None:
    done("convert", played, tmp_path / "pairs.json", "--format", "sft")
    pairs = load_pairs(tmp_path / "pairs.json")
    assert len(pairs) == spoken(played)
    assert all(set(json.loads(pair.output)) == {"action_type", "argument"} for pair in pairs)
    (tmp_path / "question.txt").write_text("{agent} at {turn}")
    done("convert", played, tmp_path / "own.jsonl", "--format", "sft", "--prompt", tmp_path / "question.txt")
    assert load_pairs(tmp_path / "own.jsonl")[1].input.endswith(" at 1")
    done("convert", played, tmp_path / "native.jsonl", "--format", "sft", "--style", "native")
    assert load_pairs(tmp_path / "native.jsonl")[0].input.endswith("You:")


def test_episodes_become_reward_rows(done: Run, played: Path, tmp_path: Path) -> None:
    done("convert", played, tmp_path / "stored.jsonl", "--format", "reward", "--reward", "episode")
    stored = [pair.value for pair in load_pairs(tmp_path / "stored.jsonl")]
    assert len(stored) == spoken(played)
    done("convert", played, tmp_path / "new.jsonl", "--format", "reward")
    ends = [episode.judgements[0].scores["goal"][0] for episode in load_episodes(played)]
    assert max(pair.value or 0 for pair in load_pairs(tmp_path / "new.jsonl")) >= (ends[0] or 0) / 10


def test_the_scores_an_episode_was_published_with_can_be_its_worth(
    done: Run, refused: Run, published: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    assert "no utterance has a known worth" in refused("convert", published, out, "--format", "reward")
    records = [json.loads(line) for line in published.read_text().splitlines()]
    for record in records:
        record["experiment_model_name_pairs"][0] = "somebody"
    published.write_text("\n".join(map(json.dumps, records)))
    done("convert", published, out, "--format", "reward", "--reward", "broadcast", "--judge", "somebody")
    goals = {rating["goal"] / 10 for record in records for rating in record["rewards"]}
    assert {pair.value for pair in load_pairs(out)} == goals


def test_formats_of_sotopia_and_back(done: Run, refused: Run, played: Path, published: Path, tmp_path: Path) -> None:
    done("convert", played, tmp_path / "there.jsonl", "--format", "sotopia")
    assert (tmp_path / "there.jsonl").read_text() == published.read_text()
    done("convert", tmp_path / "there.jsonl", tmp_path / "storage", "--format", "sotopia")
    assert len(list((tmp_path / "storage" / "EpisodeLog").iterdir())) == 2
    done("convert", tmp_path / "storage", tmp_path / "own.jsonl", "--format", "jsonl")
    texts = [[turn.text for turn in episode.turns] for episode in load_episodes(played)]
    back = load_episodes(tmp_path / "own.jsonl")
    assert sorted([turn.text for turn in episode.turns] for episode in back) == sorted(texts)
    records = [full_record(episode)["episode_id"] for episode in load_episodes(played)]
    assert [episode.key for episode in load_published(published)] == records
    assert all(record.startswith(f"{e.key}-") for record, e in zip(records, load_episodes(played), strict=True))
    for name in ("mine", "yours"):
        done("convert", played, tmp_path / "whole", "--format", "sotopia", "--tag", name)
    tags = [json.loads(path.read_text())["tag"] for path in (tmp_path / "whole" / "EpisodeLog").iterdir()]
    assert sorted(tags) == ["mine", "mine", "yours", "yours"]
    said = refused("convert", tmp_path / "there.jsonl", tmp_path / "whole", "--format", "sotopia")
    assert "--profiles" in said
    done(
        "convert", tmp_path / "there.jsonl", tmp_path / "whole", "--format", "sotopia", "--profiles", tmp_path / "whole"
    )


def test_several_pairs_in_one_scenario_stay_apart(done: Run, tmp_path: Path) -> None:
    episodes = sotopia_env.rollout("mini", "scripted:warm", num_episodes=24, max_cycles=1)
    pairs = {(e.task.scenario.id, *(character.name for character in e.task.characters)) for e in episodes}
    assert len(pairs) > len({e.task.scenario.id for e in episodes})
    save_episodes(episodes, tmp_path / "own.jsonl")
    done("convert", tmp_path / "own.jsonl", tmp_path / "theirs.jsonl", "--format", "sotopia")
    back = load_published(tmp_path / "theirs.jsonl")
    for what in (lambda task: task.scenario.situation, lambda task: [one.name for one in task.characters]):
        assert [what(e.task) for e in back] == [what(e.task) for e in episodes]


def test_parquet_and_back(done: Run, played: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    done("convert", played, tmp_path / "a.parquet", "--format", "parquet")
    done("convert", tmp_path / "a.parquet", tmp_path / "b.jsonl", "--format", "jsonl")
    assert load_episodes(tmp_path / "b.jsonl") == load_episodes(played)


def test_what_cannot_be_done_is_said(refused: Run, played: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    assert "IN and OUT are one file" in refused("convert", played, played, "--format", "sotopia")
    assert load_episodes(played)
    assert "'csv' is none of sft, reward, sotopia, parquet, jsonl" in refused("convert", played, out, "--format", "csv")
    assert "no file or folder" in refused("convert", tmp_path / "nowhere", out, "--format", "sft")
    assert "no scores of 'gpt-4'; it has rule" in refused(
        "convert", played, out, "--format", "reward", "--judge", "gpt-4"
    )
    assert "'chat' is none of" in refused("convert", played, out, "--format", "sft", "--style", "chat")
    assert not out.exists()
