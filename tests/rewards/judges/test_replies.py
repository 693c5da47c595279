import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotopia_env.rewards.judges.replies import failed_verdict, merged, problem_of, read_verdict
from sotopia_env.rewards.judges.rubric import as_dimensions

AGENTS = ["agent_0", "agent_1"]
NAMES = ["Ada", "Bo Li"]
DIMENSIONS = as_dimensions(["goal", "social_rules"])


def verdict(goals=(7, 3), rules=(-1, -2.5)):
    return {
        agent: {
            "goal": {"reason": f"Turn {seat}.", "score": goals[seat]},
            "social_rules": {"reason": "Polite.", "score": rules[seat]},
        }
        for seat, agent in enumerate(AGENTS)
    }


def read(text):
    return read_verdict(text if isinstance(text, str) else json.dumps(text), AGENTS, DIMENSIONS, NAMES)


def scores(read_from):
    return {name: [mark.score for mark in marks] for name, marks in read_from.items()}


EXPECTED = {"goal": [7.0, 3.0], "social_rules": [-1.0, -2.5]}
GOOD = json.dumps(verdict())
RENAMED = GOOD.replace("agent_0", "Ada").replace("agent_1", "bo li")


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        json.dumps(verdict(), indent=2),
        f"```json\n{GOOD}\n```",
        f"Here you are:\n\n```\n{GOOD}\n```\nI gave 10 of 10 points {{sic}} and more. Anything else?",
        f"{GOOD}\n{GOOD}",
        json.dumps({"scores": verdict()}),
        json.dumps(dict(reversed(verdict().items()))),
        RENAMED,
        GOOD.replace("social_rules", "Social Rules"),
        json.dumps(verdict(("7", " 3.0 "), ("-1", "-2.5"))),
        GOOD.replace("Polite.", "Polite,\nand {kind}: 10"),
        json.dumps({**verdict(), "agent_7": {"goal": {"score": 1}}, "remark": "none"}),
    ],
)
def test_a_verdict_is_found_by_agent_whatever_stands_around_it(text):
    found = read(text)
    assert scores(found) == EXPECTED
    assert problem_of(found) is None
    assert found["goal"][1].reason == "Turn 1."


NUMBERED = {
    "Sotopia's own": ("agent_1", "agent_2"),
    "in words": ("Agent 1", "Agent 2"),
    "its evaluator's": ("agent_1_evaluation", "agent_2_evaluation"),
    "from zero, in words": ("Agent 0", "Agent 1"),
    "other words": ("Speaker 1", "Participant 2"),
}


@pytest.mark.parametrize("kind", NUMBERED)
def test_another_numbering_is_read_in_its_order(kind):
    first, second = NUMBERED[kind]
    text = GOOD.replace("agent_1", second).replace("agent_0", first)
    by_agent = json.loads(text)
    for written in (text, json.dumps(dict(reversed(by_agent.items()))), json.dumps({"scores": by_agent})):
        found = read(written)
        assert scores(found) == EXPECTED
        assert found["goal"][1].reason == "Turn 1."


@pytest.mark.parametrize(
    "agents",
    [("agent_1",), ("agent_2",), ("agent_0", "agent_2"), ("agent_2", "agent_3"), ("agent_1", "agent_3"),
     ("agent_0", "agent_7"), ("agent_0", "Agent 0"), ("Agent 1", "agent_1")],
)  # fmt: skip
def test_a_verdict_of_somebody_who_is_not_there_gives_no_score_at_all(agents):
    marks = list(verdict().values())
    found = read({name: marks[i] for i, name in enumerate(agents)})
    assert scores(found) == {"goal": [None, None], "social_rules": [None, None]}
    assert {mark.kind for each in found.values() for mark in each} == {"ambiguous"}
    if agents[0] not in ("agent_0", "Agent 1"):
        assert "the agents are agent_0, agent_1" in problem_of(found)


def test_a_character_may_be_called_as_an_agent_is():
    text = json.dumps({"Agent 1": verdict()["agent_0"], "Bo Li": verdict()["agent_1"]})
    found = read_verdict(text, AGENTS, DIMENSIONS, ["Agent Seven", "Bo Li"])
    assert {mark.kind for marks in found.values() for mark in marks} == {"ambiguous"}
    names = ["Player 2", "Player 1"]
    text = json.dumps({"Player 2": verdict()["agent_0"], "Player 1": verdict()["agent_1"]})
    assert scores(read_verdict(text, AGENTS, DIMENSIONS, names)) == EXPECTED


def test_three_agents_counted_from_one():
    agents = ["agent_0", "agent_1", "agent_2"]
    marks = {f"agent_{i + 1}": {"goal": {"score": i + 4}} for i in range(3)}
    found = read_verdict(json.dumps(marks), agents, DIMENSIONS[:1])
    assert scores(found) == {"goal": [4.0, 5.0, 6.0]}
    del marks["agent_3"]
    assert {m.kind for m in read_verdict(json.dumps(marks), agents, DIMENSIONS[:1])["goal"]} == {"ambiguous"}


@pytest.mark.parametrize("name", ["reason", "reasoning", "Reasoning", "rationale", "explanation", "justification"])
def test_reasons_under_other_names(name):
    found = read(GOOD.replace('"reason"', f'"{name}"'))
    assert scores(found) == EXPECTED
    assert found["goal"][1].reason == "Turn 1."


def test_a_reason_and_a_score_as_a_pair():
    pairs = {a: {d: [mark["reason"], mark["score"]] for d, mark in by.items()} for a, by in verdict().items()}
    found = read(pairs)
    assert scores(found) == EXPECTED
    assert found["goal"][0].reason == "Turn 0."


@pytest.mark.parametrize("value", [7, 7.0, "7", " 7.0 ", "+7", "7/10", "7 / 10", "7 out of 10"])
def test_scores_in_other_spellings(value):
    assert scores(read(verdict((value, 3)))) == EXPECTED


def test_bare_numbers_count_without_a_reason():
    found = read({agent: {"goal": 5, "social_rules": 0} for agent in AGENTS})
    assert scores(found) == {"goal": [5.0, 5.0], "social_rules": [0.0, 0.0]}
    assert found["goal"][0].reason == ""


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("unreadable", "I would say 7 and 3."),
        ("unreadable", "10"),
        ("unreadable", "[10, 10]"),
        ("unreadable", "{}"),
        ("unreadable", '{"goal": 10, "social_rules": 0}'),
        ("unreadable", '{"error": {"code": 3}}'),
        ("unreadable", GOOD[:-1]),
        ("unreadable", GOOD[: len(GOOD) // 2]),
        ("unreadable", GOOD.replace('"', "'")),
        ("unreadable", "{" * 20_000),
        ("unreadable", '{"a":' * 5_000),
        ("unreadable", GOOD + " " * 70_000),
        ("unreadable", json.dumps({"agent_0": 7, "agent_1": 3})),
        ("ambiguous", f"{GOOD} {json.dumps(verdict((10, 0)))}"),
        ("ambiguous", GOOD.replace('"agent_1"', '"agent_0"')),
        ("ambiguous", GOOD.replace('"agent_1"', '"Ada"')),
        ("ambiguous", GOOD.replace('"social_rules"', '"goal"')),
        ("ambiguous", GOOD.replace('"social_rules"', '"Goal"')),
    ],
)
def test_what_is_no_single_complete_verdict_gives_no_score_at_all(kind, text):
    found = read(text)
    assert scores(found) == {"goal": [None, None], "social_rules": [None, None]}
    assert {mark.kind for marks in found.values() for mark in marks} == {kind}
    assert problem_of(found)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("out_of_range", 10.5),
        ("out_of_range", -1),
        ("out_of_range", 1e300),
        ("no_number", 10**400),
        ("out_of_range", "70"),
        ("no_number", None),
        ("no_number", True),
        ("no_number", "7/5"),
        ("no_number", "7/10/2"),
        ("no_number", "seven, or 8"),
        ("no_number", ""),
        ("no_number", [7]),
        ("no_number", float("nan")),
        ("no_number", float("inf")),
    ],
)
def test_a_score_that_cannot_be_is_a_failure_of_its_own(kind, value):
    found = read(verdict((value, 3)))
    assert scores(found) == {"goal": [None, 3.0], "social_rules": [-1.0, -2.5]}
    assert found["goal"][0].kind == kind
    assert "goal of agent_0" in problem_of(found)


def test_what_is_missing_is_missing():
    partial = verdict()
    del partial["agent_1"]["goal"]
    found = read(partial)
    assert (found["goal"][1].score, found["goal"][1].kind) == (None, "missing")
    del partial["agent_1"]
    assert [marks[1].kind for marks in read(partial).values()] == ["missing", "missing"]


def test_names_that_two_agents_share_count_for_none():
    text = json.dumps({"Ada": verdict()["agent_0"]})
    assert read_verdict(text, AGENTS, DIMENSIONS, ["Ada", "ada"])["goal"][0].kind == "unreadable"


def test_reasons_are_one_printable_line():
    noisy = verdict()
    noisy["agent_0"]["goal"]["reason"] = "He\nsaid \x1b[2J \u202e \ud800" + "x" * 5000
    reason = read(noisy)["goal"][0].reason
    assert reason.startswith("He said \\u001b[2J \\u202e \\ud800x")
    assert reason.isprintable()
    assert len(reason) < 700


def test_a_correction_fills_and_never_empties():
    first = read(verdict((99, 3)))
    assert scores(merged(first, read(GOOD))) == EXPECTED
    assert scores(merged(first, read("sorry"))) == scores(first)
    assert scores(merged(first, read(verdict((98, 4)))))["goal"] == [None, 4.0]
    assert problem_of(failed_verdict("timeout", "too slow", 2, DIMENSIONS)) == "too slow"


@given(st.text() | st.text(alphabet='{}[]",:0123 agent_goal'))
def test_any_text_is_read_without_a_score_out_of_range(text):
    for name, marks in read(text).items():
        low, high = next((d.low, d.high) for d in DIMENSIONS if d.name == name)
        assert all(mark.kind or low <= mark.score <= high for mark in marks)
