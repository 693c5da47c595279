"""No time is asserted: only that every figure is measured and named."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from sotopia_env import benchmark
from sotopia_env.benchmark import Measure
from sotopia_env.installing import install_command


def checked(measures: list[Measure]) -> list[str]:
    for measure in measures:
        assert measure.value is not None
        assert math.isfinite(measure.value)
        assert (measure.met is None) == (measure.target == "")
    return [measure.name for measure in measures]


def test_a_long_talk_is_measured_bare_and_paid() -> None:
    names = checked(list(benchmark.long_talk(1, early=5, late=60, width=5)))
    assert names == ["step at turn 60 over turn 5, bare", "step at turn 60 over turn 5, with a reward of every turn"]


def test_waiting_for_servers_is_measured() -> None:
    checked(list(benchmark.stragglers(1, 2)))


def test_scripted_play_and_wrappers_are_measured() -> None:
    measures = [*benchmark.scripted_speed(3, 1), *benchmark.face_cost(4, 1), *benchmark.wrapper_cost(4, 1)]
    names = checked(measures)
    assert len(set(names)) == len(names) == 9
    assert next(m.value for m in measures if m.name == "judge") > 0  # type: ignore[operator]


def test_the_published_scenarios_are_played_or_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    if benchmark.os.environ.get(benchmark.DATA_VARIABLE):
        (measure,) = benchmark.published_speed(9, 1)
        checked([measure])
        assert measure.target == ""
    monkeypatch.delenv(benchmark.DATA_VARIABLE, raising=False)
    (measure,) = benchmark.published_speed(9, 1)
    assert measure.value is None
    assert "names no folder" in measure.note


def test_the_import_is_measured_beside_gymnasium_and_pettingzoo() -> None:
    ratio, megabytes = benchmark.import_cost(1)
    names = checked([ratio, megabytes])
    assert names == ["import time over gymnasium and pettingzoo", "import memory"]
    assert "without torch" in ratio.note
    assert ratio.value is not None and ratio.value > 0.5
    assert megabytes.value is not None and 5 < megabytes.value < 50


def test_a_model_is_measured_or_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: None)
    measures = [*benchmark.model_rollouts(1, 2), *benchmark.reward_model_passes(1)]
    assert [measure.value for measure in measures] == [None, None, None]
    assert all(install_command("train") in measure.note for measure in measures)


def test_a_model_is_measured() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    ratio, outside = benchmark.model_rollouts(1, 2, singles=1)
    (passes,) = benchmark.reward_model_passes(1, dialogues=1, turns=4)
    checked([ratio, outside, passes])
    assert outside.value is not None
    assert 0 < outside.value < 1


def test_figures_are_printed_as_a_table_or_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    def few(*arguments: object) -> Iterator[Measure]:
        yield Measure("speed", 1234.5, "/s", ">= 1", True, "measured")
        yield Measure("other", None, note="skipped")

    monkeypatch.setattr(benchmark, "measure_all", few)
    app = typer.Typer()
    app.command()(benchmark.main)
    printed = json.loads(CliRunner().invoke(app, ["--json"]).stdout)
    assert [measure["name"] for measure in printed["measures"]] == ["speed", "other"]
    table = CliRunner().invoke(app, []).stdout
    assert "speed" in table
    assert "met" in table
