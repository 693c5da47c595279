from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sotopia_env.actions import Action
from sotopia_env.agents.scripted.traits import CLONED
from sotopia_env.episodes import Turn
from sotopia_env.families import Bargain
from sotopia_env.policies import Decision
from sotopia_env.resolve import make_policy
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.training.comparison import against_partners, difference, pooled
from sotopia_env.training.evaluation import Match, draw_tasks, evaluate, evaluate_many, sharpened
from sotopia_env.training.report import checks, figures, strongest, versions, write_report

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Stumbling:
    """A scripted policy that now and then says what is no action."""

    def __init__(self, name: str = "runs/<clone>") -> None:
        self.name, self.inner = name, make_policy("scripted:soft")

    def act(self, observations, contexts):
        return [
            Decision(Action("none"), raw="<script>alert(1)</script>", invalid="no <action>")
            if context.turn == 1 and context.rng.random() < 0.5
            else self.inner.act([observation], [context])[0]
            for observation, context in zip(observations, contexts, strict=True)
        ]


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what the page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "srcset", "action", "data"):
                self.links.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def run() -> tuple[dict[str, Any], Any]:
    """A whole run in small: rows, curves, partners, and the learner's evaluation."""
    tasks = draw_tasks("bargain:test", 12)
    clone, learner = Stumbling(), make_policy("scripted:firm")
    matches = [
        Match("teachers", "scripted:mixed", clone),
        Match("clone", clone, clone),
        Match("learner", learner, clone),
    ]
    teacher, baseline, learned = evaluate_many(matches, tasks)
    sharp = evaluate_many(sharpened(lambda _: Stumbling(), clone, (0.5, 0.0)), tasks)
    partners = [f"scripted:{name}" for name in ("soft", "anchor")]
    against = [[evaluate(policy, partner, tasks[:4]) for partner in partners] for policy in (learner, clone)]
    generator = np.random.default_rng(0)
    grpo = [{"step": i, "reward": generator.random(), "kl_to_reference": 0.1 * i, "note": "x"} for i in range(40)]
    grpo += [{"step": i, "evaluation/reward": 0.5} for i in (10, 20)]
    data = {
        "title": "A run & its <result>",
        "evaluation": {
            "teacher": teacher.summary,
            "baseline": baseline.summary,
            "learner": learned.summary,
            "difference": difference(learned, baseline),
        },
        "headline": {
            "transfer": {
                "teacher": teacher.summary,
                "baseline": pooled(against[1], "two partners").summary,
                "learner": pooled(against[0], "two partners").summary,
                "difference": difference(*against),
            }
        },
        "sharpening": [{**row.summary, "difference": difference(learned, row)} for row in sharp],
        "partners": against_partners(*against, seen=[f"scripted:{name}" for name in CLONED]),
        "real_input": {"learner": learned.summary, "baseline": baseline.summary},
        "curves": {"grpo": grpo, "cloning": [{"step": i, "loss": 3.0 / i} for i in range(1, 20)]},
        "seed": 0,
        "seconds": {"cloning": 100.0, "grpo": 140.5},
        "command": "sotopia-env quickstart --seed 0 && echo <done>",
        "configuration": {"steps": 40},
    }
    return data, learned


@pytest.fixture(scope="module")
def written(run: tuple[dict[str, Any], Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    data, learned = run
    folder: Path = tmp_path_factory.mktemp("report")
    path = write_report(folder, data, learned.sample(3, seed=0))
    return json.loads((folder / "report.json").read_text("utf-8")), path.read_text("utf-8")


def test_the_json_holds_every_row_with_seven_dimensions(written):
    found, _ = written
    for row in ("teacher", "baseline", "learner", "difference"):
        for dimension in DIMENSIONS:
            assert set(found["evaluation"][row][dimension]) == {"mean", "low", "high", "known", "of"}
        assert found["evaluation"][row]["episodes"] == 24
    assert found["seed"] == 0
    assert found["seconds"]["total"] == pytest.approx(240.5)
    assert found["versions"]["world bargain"] == Bargain.version
    assert len(found["curves"]["grpo"]) == 42


def test_the_page_loads_nothing_and_runs_nothing(written):
    _, html = written
    page = Page(html)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"https?:|//|@import", html)
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", html)


def test_the_page_is_well_formed(written):
    _, html = written
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)
    used = set(re.findall(r"url\(#([\w-]+)\)", html))
    assert used <= set(page.ids)


def test_nothing_in_the_page_is_wider_than_a_telephone(written):
    _, html = written
    assert 'name="viewport"' in html
    assert html.count("<table") == html.count('<div class="wide"><table') > 0
    figures_ = re.findall("<svg [^>]*>", html)
    assert len(figures_) == 2 + 1 + 3
    assert all("viewBox" in figure and " width=" not in figure for figure in figures_)


def test_every_part_stands_in_the_page(written):
    _, html = written
    text = " ".join(" ".join(Page(html).words).split())
    for heading in (
        "Against scripted partners that the clone never met",
        "Transfer tasks",
        "16 episodes a row with two partners, both seats: facts, wordings and items are new too.",
        "Against two partners the learner's goal is higher than the clone's (transfer) interval above 0",
        "learner − clone, goal, transfer, partners not met in cloning",
        "Learning curves",
        "KL to the clone",
        "Sharpening alone",
        "Scripted partners",
        "Published scenarios",
        "Dialogues to read",
    ):
        assert heading in text
    assert text.count("Ending:") == 3
    assert "24 episodes a row on 12 tasks, none on a training task" in text
    assert "Every row rests on 200 episodes or more ≥ 200 24 not met" in text
    assert "bootstrap over scenarios" in text
    assert "scripted:anchor (unseen)" in text
    assert "sotopia-env quickstart --seed 0 && echo <done>" in text
    assert "4 min 0 s" in text


def test_the_text_of_policies_is_escaped(run, tmp_path):
    data, learned = run
    episode = learned.episodes[0]
    turn = Turn(0, 9, 9, "speak", "<img src='http:evil'> & \"more\" and <b>bold</b>")
    bad = Turn(1, 9, 10, "none", "", raw="<script>alert(1)</script>", invalid="no <action>")
    shown = replace(
        episode, turns=(*episode.turns, turn, bad), policies={"agent_0": "<b>bold</b>", "agent_1": "scripted:firm"}
    )
    html = write_report(tmp_path, data, [shown]).read_text("utf-8")
    page = Page(html)
    assert not page.tags & {"script", "img"}
    assert "<img src='http:evil'> & \"more\" and <b>bold</b>" in page.words
    assert any(words.endswith("<b>bold</b>") for words in page.words if "learner" not in words and "img" not in words)
    assert "<b>bold" not in html
    assert "<script>alert(1)</script>" in page.words
    assert "invalid: no <action>" in page.words
    assert "A run & its <result>" in page.words


def test_the_same_run_gives_the_same_page(run, tmp_path):
    data, learned = run
    first = write_report(tmp_path / "a", data, learned.sample(2)).read_bytes()
    assert first == write_report(tmp_path / "b", data, learned.sample(2)).read_bytes()


def test_a_run_with_the_required_parts_alone_has_a_report(run, tmp_path):
    data = {key: run[0][key] for key in ("evaluation", "seconds", "seed")}
    html = write_report(tmp_path, data).read_text("utf-8")
    assert "Scripted partners" not in html
    assert Page(html).open == []


def test_what_is_unknown_is_null_and_shown_as_such(run, tmp_path):
    evaluation = {name: dict(row) for name, row in run[0]["evaluation"].items()}
    evaluation["learner"]["goal"] = {"mean": float("nan"), "low": None, "high": None}
    evaluation["learner"]["episodes"] = np.int64(24)
    html = write_report(tmp_path, {**run[0], "evaluation": evaluation}).read_text("utf-8")
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert found["evaluation"]["learner"]["goal"]["mean"] is None
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", html.lower())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("seed"), "no 'seed'"),
        (lambda data: data["evaluation"].pop("difference"), "no 'difference'"),
        (lambda data: data["evaluation"]["learner"].pop("secret"), r"\['learner'\]\['secret'\]"),
    ],
)
def test_what_is_missing_is_named(run, tmp_path, change, message):
    data = {**run[0], "evaluation": {name: dict(row) for name, row in run[0]["evaluation"].items()}}
    change(data)
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path, data)


def _row(goal: float, episodes: int = 200, **others: float) -> dict[str, Any]:
    values = {
        "goal": goal,
        "goal_strict": goal,
        "deal_rate": 0.9,
        "invalid_rate": 0.01,
        "own_outside_limit": 0.0,
    } | others
    return {"episodes": episodes, **{k: {"mean": v, "low": v - 0.2, "high": v + 0.2} for k, v in values.items()}}


def test_claims_are_checked_against_their_bars():
    rows = {"teacher": _row(6.0), "baseline": _row(5.2), "learner": _row(7.0), "difference": _row(1.8)}
    headline = {"test": {"learner": {"partner": "others"}, "difference": _row(0.3)}}
    assert [check.met for check in checks({"evaluation": rows, "headline": headline})] == [True] * 8
    rows = {
        "teacher": _row(6.0),
        "baseline": _row(5.0, deal_rate=0.7, invalid_rate=0.03, own_outside_limit=0.021),
        "learner": _row(7.0, episodes=199),
        "difference": _row(0.1),
    }
    assert [check.met for check in checks({"evaluation": rows})] == [False] * 7


def test_a_claim_says_of_how_many_values_it_speaks():
    row = _row(5.0) | {"goal": {"mean": 5.0, "low": 4.8, "high": 5.2, "known": 45, "of": 200}}
    rows = dict.fromkeys(("teacher", "baseline", "learner", "difference"), row)
    found = {check.name: check.value for check in checks({"evaluation": rows})}
    assert found["the clone's goal is at least 85 % of its teachers'"] == "100% (45 of 200)"
    assert found["the clone's deal rate is at least 85 % of its teachers'"] == "100%"
    assert (
        found["against the clone the learner's goal is higher than the clone's"] == "+5.00 [+4.80, +5.20] (45 of 200)"
    )


def test_the_strongest_sharpened_clone_is_the_one_to_beat():
    rows = [{"name": str(goal), **_row(goal), "difference": _row(6.0 - goal)} for goal in (4.0, 5.9, 5.0)]
    assert strongest(rows)["name"] == "5.9"
    evaluation = {"teacher": _row(6.0), "baseline": _row(5.2), "learner": _row(6.0), "difference": _row(1.8)}
    (claim,) = [c for c in checks({"evaluation": evaluation, "sharpening": rows}) if "however" in c.name]
    assert (claim.met, claim.value) == (False, "+0.10 [-0.10, +0.30]")


def test_figures_need_two_points_and_known_means():
    assert figures.curves([{"step": 1, "reward": 1.0}]) == []
    assert figures.dots([("learner", [("a", {"mean": None, "low": None, "high": None})])], "goal", "x") == []
    (svg,) = figures.dots([("learner", [("a", {"mean": 1.0, "low": None, "high": None})])], "goal", "x")
    assert "var(--learner)" in svg
    assert "#04" not in svg


def test_versions_name_packages_and_worlds():
    found = versions()
    assert {"python", "numpy", "world bargain"} <= set(found)
