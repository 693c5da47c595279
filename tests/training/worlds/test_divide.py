from __future__ import annotations

import json

import pytest

from sotopia_env.families import Divide
from sotopia_env.training.evaluation import draw_tasks, evaluate
from sotopia_env.training.worlds.factorial import WORLDS, checked_world, factorial
from sotopia_env.training.worlds.gates import GateSettings, run_gates
from sotopia_env.training.worlds.gates_page import gates_text
from sotopia_env.training.worlds.probes import QUESTIONS, Additions, Probe, Schedule, template_attacker
from sotopia_env.training.worlds.scripted_table import TableSettings, scripted_table, table_text

ONE = (Schedule(0.1, 1.0),)


def test_other_worlds_have_no_gates() -> None:
    with pytest.raises(ValueError, match="only bargain and divide have gates"):
        checked_world("chess")


def test_in_a_division_words_do_nothing_at_zero_and_pay_at_one() -> None:
    zero = factorial(0.0, 8, world="divide", schedules=ONE)["effects"]
    one = factorial(1.0, 8, world="divide", schedules=ONE)["effects"]
    for factor in ("ask", "courtesy", "filler"):
        assert abs(zero[factor]["interval_95"]["mean"]) < 0.05
    assert one["courtesy"]["interval_95"]["mean"] > 0.05
    assert one["ask"]["interval_95"]["mean"] > 0.05
    assert abs(one["filler"]["interval_95"]["mean"]) < 0.05


def test_a_probe_adds_its_sentences_to_divisions_too() -> None:
    row = evaluate(template_attacker(), "scripted:firm", draw_tasks(Divide(), 4, 0))
    said = [t.text for e, r in zip(row.episodes, row.results, strict=True) for t in e.turns if t.seat == r.seat]
    assert all(any(q in text for q in QUESTIONS["divider"]) for text in said if text != "accept")
    silent = evaluate(Probe(ONE[0]), Probe(ONE[0], Additions(ask=True)), draw_tasks(Divide(), 4, 0))
    assert all(result.scores["knowledge"] == 0 for result in silent.results)


def test_the_gates_of_a_division_are_judged_and_written(tmp_path) -> None:
    settings = GateSettings(tasks=3, world="divide", couplings=(0.0, 1.0), schedules=ONE)
    data = run_gates(settings, out=tmp_path)
    assert data["world"] == {"family": "divide", "version": WORLDS["divide"].version, "agreement": "plain"}
    assert [row["coupling"] for row in data["matched"]] == [0.0, 1.0]
    assert "offer alone" in gates_text(data)
    assert "price" not in gates_text(data)
    assert json.loads((tmp_path / "gates.json").read_text())["schedules"] == [ONE[0].label]


def test_a_clone_is_measured_in_bargain_only() -> None:
    with pytest.raises(ValueError, match="measured in bargain"):
        run_gates(GateSettings(tasks=2, world="divide"), clone="somewhere")


def test_the_table_of_a_division(tmp_path) -> None:
    partners = ("scripted:firm", "scripted:soft")
    data = scripted_table(TableSettings(tasks=3, scripts=2, partners=partners, world="divide"), out=tmp_path)
    assert data["world"]["family"] == "divide"
    assert [row["name"] for row in data["rows"]] == [*partners, "template attacker", "best script"]
    assert "template attacker" in table_text(data)
