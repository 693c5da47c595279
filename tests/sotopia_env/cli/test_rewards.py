from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sotopia_env.training.reward_card")

SMALL = ("--turns", 4, "--continuations", 8, "--labels", 2, "-n", 3)


def test_a_card_is_printed_and_written(tmp_path: Path, done: Callable[..., Any], refused: Callable[..., str]) -> None:
    shown = done("compare", "episode", "discounted + 0.5 * secret", *SMALL, "--out", tmp_path)
    written = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert max(map(len, shown.splitlines())) <= 80 < max(map(len, written.splitlines()))
    numbers = [set(re.findall(r"[+-]?\d\.\d+", text)) for text in (shown, written)]
    assert numbers[0] == numbers[1]
    assert "| discounted + 0.5 * secret " in written
    assert "Exploit scores" in shown
    data = json.loads(done("compare", "episode", *SMALL, "--out", tmp_path, "--json"))
    assert data["settings"]["turns"] == 4
    assert data["rewards"][0]["name"] == "episode"
    assert (tmp_path / "card.html").exists()
    before = (tmp_path / "card.json").read_bytes()
    told = refused("compare", "episode", *SMALL, "--seed", 7, "--out", tmp_path)
    assert "card.json was made with other settings.seed (0, not 7); give another out" in told
    assert (tmp_path / "card.json").read_bytes() == before


def test_what_no_judge_can_know_is_refused_at_the_start(tmp_path: Path, refused: Callable[..., str]) -> None:
    told = "the judge 'rule' never knows goal in tasks of 'mini'"
    assert told in refused("compare", "--on", "mini:test", "--out", tmp_path / "card")
    assert told in refused("audit", "mini:test", "--policy", "random", "--out", tmp_path / "a.jsonl")
    assert told in refused("rollout", "mini", "random", "--reward", "uniform", "--out", tmp_path / "e.jsonl")
    assert not list(tmp_path.rglob("*.jsonl"))


def test_unknown_names_are_told_at_once(tmp_path: Path, refused: Callable[..., str]) -> None:
    told = refused("compare", "epsiode", "unifrom", "--out", tmp_path / "card")
    assert "'epsiode', 'unifrom'" in told
    assert not (tmp_path / "card").exists()


def test_an_unknown_policy_is_named(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "unknown policy 'nobody'" in refused("compare", "--policy", "nobody", "--out", tmp_path)
