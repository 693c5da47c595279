from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def few_partners(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted_table = pytest.importorskip("sotopia_env.training.worlds.scripted_table")
    settings = scripted_table.TableSettings
    few = {"partners": ("scripted:firm", "scripted:soft"), "scripts": 2}
    monkeypatch.setattr(scripted_table, "TableSettings", lambda **given: settings(**given, **few))


def test_a_table_is_printed_as_wide_as_the_terminal_and_written(
    few_partners: None, tmp_path: Path, done: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    command = ("table", "bargain", "-n", 2, "--coupling", 0, "--seed", 5)
    shown = done(*command, "--out", tmp_path)
    written = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert max(map(len, shown.splitlines())) == 70 < max(map(len, written.splitlines()))
    numbers = [set(re.findall(r"[+-]?\d\.\d+", text)) for text in (shown, written)]
    assert numbers[0] == numbers[1]
    assert "coupling 0" in shown
    assert "template attacker" in shown
    data = json.loads(done(*command, "--json"))
    assert data == json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert (data["tasks"], data["seed"], data["world"]["coupling"]) == (2, 5, 0)
    assert set(data["goals"]) == {"scripted:firm", "scripted:soft", "template attacker", "best script"}
    assert [row["summary"]["episodes"] for row in data["rows"]] == [8] * 4


def test_a_world_is_measured_with_agreements_by_acts(few_partners: None, done: Run) -> None:
    shown = done("table", "divide", "-n", 1, "--agreement", "formal")
    assert "coupling 1, formal agreements" in " ".join(shown.split())
    data = json.loads(done("gates", "divide", "-n", 2, "--agreement", "formal", "--json"))
    assert data["world"]["agreement"] == "formal"
    assert all(cell["deal_rate"]["mean"] > 0.5 for row in data["factorial"] for cell in row["cells"])


def test_worlds_without_a_table_are_named(refused: Run) -> None:
    assert "'nowhere'" in refused("table", "nowhere")
