from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env.episodes import Episode
from sotopia_env.rewards import get_reward, relabel
from sotopia_env.storage.episodes import load_episodes, save_episodes

Run = Callable[..., Any]
NAME = "discounted + 0.5 * secret"


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=6, seed=0, max_cycles=8)


@pytest.fixture
def source(episodes: list[Episode], tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    save_episodes(episodes, path)
    return path


def test_the_numbers_are_those_of_relabel(episodes: list[Episode], source: Path, done: Run) -> None:
    before, out = source.read_bytes(), source.with_name("out.jsonl")
    summary = json.loads(done("relabel", source, "--reward", NAME, "--out", out, "--batch-size", 4, "--json"))
    assert load_episodes(out) == relabel(episodes, get_reward(NAME))
    assert source.read_bytes() == before
    turns = sum(len(episode.turns) for episode in episodes)
    assert {name: summary[name] for name in ("reward", "episodes", "done_before", "turns", "unknown")} == {
        "reward": NAME,
        "episodes": 6,
        "done_before": 0,
        "turns": turns,
        "unknown": 0,
    }
    assert done("relabel", source, "--reward", NAME, "--out", out).startswith(f"{NAME}: {turns} turns, 0 unknown, mean")


def test_the_same_command_goes_on_where_it_was_cut_off(source: Path, done: Run) -> None:
    whole, part = source.with_name("whole.jsonl"), source.with_name("part.jsonl")
    done("relabel", source, "--reward", "uniform", "--out", whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    # Out of order, and killed in the middle of a line.
    part.write_bytes(lines[4] + lines[0] + lines[1][:50])
    with pytest.warns(sotopia_env.errors.DataWarning, match="cut short"):
        summary = json.loads(done("relabel", source, "--reward", "uniform", "--out", part, "--json"))
    assert summary["done_before"] == 2
    assert part.read_bytes() == whole.read_bytes()


def test_what_nobody_can_know_is_counted(episodes: list[Episode], tmp_path: Path, done: Run) -> None:
    running = [replace(episode, ending=None) for episode in episodes[:2]]
    save_episodes([*running, *episodes[2:]], tmp_path / "in.parquet")
    out = tmp_path / "out.jsonl"
    summary = json.loads(done("relabel", tmp_path / "in.parquet", "--reward", "uniform", "--out", out, "--json"))
    assert summary["unknown"] == sum(len(episode.turns) for episode in running)
    assert (summary["known"], summary["of"]) == (8, 12)
    shown = done("relabel", tmp_path / "in.parquet", "--reward", "uniform", "--out", out)
    assert f"mean {summary['mean']:.4g} a turn (8 of 12 dialogues known)" in shown
    paid = [v for e in load_episodes(out)[2:] for own in e.rewards["uniform"].values() for v in own]
    assert summary["mean"] == pytest.approx(sum(paid) / len(paid))


def test_where_every_score_failed_the_zeros_before_it_are_no_mean(
    source: Path, done: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.with_name("failing.py").write_text("def judge(episode, agent):\n    return {'goal': None}\n")
    monkeypatch.syspath_prepend(source.parent)
    out = source.with_name("out.jsonl")
    shown = done("relabel", source, "--reward", "episode", "--judge", "failing:judge", "--out", out)
    assert shown.endswith("12 unknown, mean unknown (0 of 12 dialogues known)\n")


def test_files_that_hold_nothing_are_named_and_not_the_one_to_be_written(tmp_path: Path, refused: Run) -> None:
    none, empty = tmp_path / "none.jsonl", tmp_path / "empty.jsonl"
    empty.touch()
    rest = ("--reward", "uniform", "--out", tmp_path / "out.jsonl")
    for command in (
        ("relabel", "IN", *rest),
        ("train", "bc", "IN", "--out", tmp_path / "bc"),
        ("attack-judge", "rule", "IN"),
    ):
        for source, said in ((none, f"there is no file or folder '{none}'"), (empty, f"{empty} holds no episode")):
            assert refused(*(source if word == "IN" else word for word in command)).startswith(f"error: {said}")
    assert f"there is no file or folder '{none}'" in refused("fidelity", none, "episode")
    assert f"{empty} holds no audited turn" in refused("fidelity", empty, "episode")
    assert {path.name for path in tmp_path.iterdir()} == {"empty.jsonl"}


def test_episodes_of_a_family_of_ones_own_are_paid(done: Run, refused: Run, tmp_path: Path) -> None:
    own, source, out = "examples.custom_family:SayTheNumber", tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    done("rollout", own, "scripted:mixed", "-n", 2, "--out", source)
    command = ("relabel", source, "--reward", "uniform", "--out", out)
    assert "family 'say-the-number' is not one of" in refused(*command)
    assert "(4 of 4 dialogues known)" in done(*command, "--family", own)
    assert "goal" in done("attack-judge", "rule", source, "-n", 1, "--family", own)
    assert json.loads(done("evaluate", "random", "--on", own, "-n", 1, "--allow-train", "--json"))["rows"][0]["goal"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reward", "golden", "--out", "out.jsonl"], "unknown reward 'golden'; one of episode"),
        (["--reward", "uniform", "--out", "out.parquet"], "cannot be appended to; write a .jsonl"),
        (["--reward", "uniform", "--out", "in.jsonl"], "is the file that is read"),
        (["--reward", "uniform", "--out", "out.jsonl", "--batch-size", "0"], "--batch-size: 0"),
    ],
)
def test_what_cannot_be_done_is_one_line(source: Path, refused: Run, options: list[str], message: str) -> None:
    options = [str(source.with_name(o)) if o.endswith(("jsonl", "parquet")) else o for o in options]
    assert message in refused("relabel", source, *options)
    assert not source.with_name("out.jsonl").exists()


def test_a_file_of_something_else_is_not_gone_on_with(
    episodes: list[Episode], source: Path, done: Run, refused: Run
) -> None:
    out, other = source.with_name("out.jsonl"), source.with_name("other.jsonl")
    done("relabel", source, "--reward", "uniform", "--out", out)
    assert "it has no reward 'length' but uniform; give another out" in refused(
        "relabel", source, "--reward", "length", "--out", out
    )
    save_episodes(episodes[1:], other)
    assert f"episode {episodes[0].key!r}: it is not among the episodes" in refused(
        "relabel", other, "--reward", "uniform", "--out", out
    )
    save_episodes([replace(episodes[0], turns=episodes[0].turns[:1]), *episodes[1:]], other)
    assert "its turns are not those" in refused("relabel", other, "--reward", "uniform", "--out", out)


def test_episodes_of_one_key_are_refused(episodes: list[Episode], source: Path, refused: Run) -> None:
    save_episodes([episodes[0], episodes[1], episodes[1]], source)
    line = refused("relabel", source, "--reward", "uniform", "--out", source.with_name("out.jsonl"))
    assert f"two episodes have the key {episodes[1].key!r}" in line


def test_a_reward_that_can_never_be_computed_is_refused_before_any_is_paid(
    episodes: list[Episode], source: Path, done: Run, refused: Run
) -> None:
    open_ended = replace(episodes[3], task=replace(episodes[3].task, family="sotopia"))
    save_episodes([*episodes[:3], open_ended], source)
    out = source.with_name("out.jsonl")
    assert "cannot score open-ended tasks" in refused("relabel", source, "--reward", "uniform", "--out", out)
    assert not out.exists()
    # A family of one's own cannot be found, and penalties need none.
    save_episodes([replace(episodes[3], task=replace(episodes[3].task, family="own"))], source)
    assert "family 'own' is not one of" in refused("relabel", source, "--reward", "uniform", "--out", out)
    assert done("relabel", source, "--reward", "length + format", "--out", out).startswith("length + format: ")
