from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.rewards import load_audit

Run = Callable[..., Any]


def collect(done: Run, out: Path, *options: Any) -> str:
    few = ["--turns", 4, "--candidates", 2, "--continuations", 6, "--label-continuations", 2]
    return str(done("audit", "bargain:test", "--policy", "scripted:mixed", *few, "--out", out, *options))


@pytest.fixture
def audit(done: Run, tmp_path: Path) -> Path:
    collect(done, tmp_path / "a.jsonl")
    return tmp_path / "a.jsonl"


def test_an_audit_set_is_collected_and_gone_on_with(audit: Path, done: Run, refused: Run) -> None:
    before = audit.read_bytes()
    assert len(load_audit(audit)) == 4
    summary = json.loads(collect(done, audit, "--json"))
    assert summary["turns"] == 4 and set(summary["ceilings"]["goal"]) >= {"siblings", "pooled", "clear_pairs"}
    assert audit.read_bytes() == before
    assert "was collected with other seed (0, not 1)" in refused(
        "audit", "bargain:test", "--policy", "scripted:mixed", "--candidates", 2, "--continuations", 6,
        "--label-continuations", 2, "--out", audit, "--seed", 1,
    )  # fmt: skip


def test_rewards_are_measured_against_it(audit: Path, done: Run, refused: Run) -> None:
    rows = json.loads(done("fidelity", audit, "broadcast", "uniform + 0.5 * length", "--json"))
    assert [row["name"] for row in rows] == ["broadcast", "uniform as return + 0.5 * length"]
    assert rows[0]["between_turns"]["pearson"]["value"] == 0 and rows[0]["missing"] == 0
    assert "ceiling" in done("fidelity", audit, "direct", "--dimension", "knowledge")
    assert "no scores of 'wit'" in refused("fidelity", audit, "direct", "--dimension", "wit")
