from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_policies_are_evaluated_and_compared(done: Run, tmp_path: Path) -> None:
    command = ("evaluate", "scripted:soft", "scripted:firm", "-n", 6, "--partner", "scripted:warm", "--out", tmp_path)
    data = json.loads(done(*command, "--json"))
    assert [row["name"] for row in data["rows"]] == ["scripted:soft", "scripted:firm"]
    assert [row["episodes"] for row in data["rows"]] == [12, 12]
    found = data["differences"]["scripted:firm"]["goal"]
    assert set(found) >= {"mean", "low", "high"}
    assert found["low"] <= found["mean"] <= found["high"]
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    assert f"goal of scripted:firm - scripted:soft: {found['mean']:+.2f}" in done(*command)
