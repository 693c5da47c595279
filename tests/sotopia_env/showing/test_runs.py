from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sotopia_env.policies import TokenTrace
from sotopia_env.resolve import make_policy
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.showing.runs import find_episode, read_runs
from sotopia_env.storage.episodes import locks_beside, save_episodes
from sotopia_env.storage.traces import TraceWriter, traces_path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("work") / "run"
    episodes = rollout("bargain:test", [make_policy("scripted:firm")], num_episodes=3, seed=1)
    save_episodes(episodes, found / "evaluation" / "a.jsonl")
    save_episodes(episodes[:1], found / "b.jsonl")
    (found / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    (found / ".b.jsonl.partial").write_text("{")
    writer = TraceWriter(traces_path(found / "b.jsonl"), locks_beside(found / "b.jsonl"))
    writer.write("1-0", {"agent_0": [TokenTrace((1,), (2, 3), (-0.5, -1.0))]})
    return found


def test_a_folder_is_every_file_of_episodes_in_it(folder: Path) -> None:
    runs = read_runs([folder], traces=True)
    assert [(run.name, len(run.episodes)) for run in runs] == [("run/b.jsonl", 1), ("run/evaluation/a.jsonl", 3)]
    assert runs[0].traces["1-0", "agent_0"][0].ids == (2, 3)
    assert not read_runs([folder])[0].traces


def test_two_files_of_one_name_are_told_apart(folder: Path) -> None:
    save_episodes(read_runs([folder / "b.jsonl"])[0].episodes, folder.parent / "other" / "b.jsonl")
    names = [run.name for run in read_runs([folder / "b.jsonl", folder.parent / "other" / "b.jsonl"])]
    assert names == [str(folder / "b.jsonl"), str(folder.parent / "other" / "b.jsonl")]


def test_an_episode_is_found_by_the_beginning_of_its_key(folder: Path) -> None:
    (run,) = read_runs([folder / "evaluation" / "a.jsonl"])
    assert find_episode([run], "1-2").key == "1-2"
    longer = replace(
        run, episodes=[*run.episodes, replace(run.episodes[0], key="1-00"), replace(run.episodes[0], key="x")]
    )
    assert find_episode([longer], "1-0").key == "1-0"
    assert find_episode([longer], "x").key == "x"
    with pytest.raises(ValueError, match="'1' is 4 episodes: 1-0, 1-1, 1-2, 1-00; name one file"):
        find_episode([longer], "1")
    with pytest.raises(ValueError, match="no episode has the key '1-7'; did you mean 1-"):
        find_episode([run], "1-7")
    with pytest.raises(ValueError, match="no episode has the key 'zzz'; the first is 1-0"):
        find_episode([run], "zzz")


def test_what_holds_no_episode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ValueError, match=r"empty\.jsonl is empty"):
        read_runs([tmp_path / "empty.jsonl"])
    with pytest.raises(FileNotFoundError):
        read_runs([tmp_path / "nothing.jsonl"])
    with pytest.raises(FileNotFoundError):
        read_runs([tmp_path])
