from __future__ import annotations

import json

import pytest

from sotopia_env.actions import speak
from sotopia_env.agents.scripted import ScriptedPolicy, phrases
from sotopia_env.episodes import Turn
from sotopia_env.families import language
from sotopia_env.families.bargain import Bargain
from sotopia_env.make import parallel_env
from sotopia_env.seeds import turn_generator
from sotopia_env.training.evaluation import draw_tasks, evaluate
from sotopia_env.training.results import Result
from sotopia_env.training.worlds import probes
from sotopia_env.training.worlds.clone_gate import OUTCOMES, clone_gate, draw_states, outcome
from sotopia_env.training.worlds.factorial import CELLS, factorial
from sotopia_env.training.worlds.gates import GateSettings, run_gates, verdicts
from sotopia_env.training.worlds.gates_page import gates_text
from sotopia_env.training.worlds.probes import Additions, Probe, Schedule, spoken, template_attacker
from sotopia_env.training.worlds.scripted_table import (
    TableSettings,
    correlations,
    draw_scripts,
    scripted_table,
    table_text,
)

ONE = (Schedule(0.2, 1.5),)


# What a probe says


def said(additions: Additions, coupling: float = 1.0, turn: int = 0) -> str:
    env = parallel_env(Bargain(coupling), reward=None)
    observations, _ = env.reset(seed=3)
    return spoken(observations["agent_0"], ONE[0].traits, additions, turn_generator(0, 0, turn), turn).text


def test_sentences_are_of_nearly_one_length() -> None:
    for bank in (*probes.QUESTIONS.values(), probes.COURTESIES, probes.FILLERS):
        assert len(bank) >= 2
        assert {len(sentence.split()) for sentence in bank} <= {5, 6}


def test_fillers_move_nobody() -> None:
    for filler in probes.FILLERS:
        assert not language.words(filler) & phrases.MOVING
        assert "?" not in filler


def test_a_probe_says_its_price_and_what_it_was_told_to_add() -> None:
    plain = said(Additions())
    assert "?" not in plain
    questions = probes.QUESTIONS["seller"] + probes.QUESTIONS["buyer"]
    assert said(Additions(ask=True)).removeprefix(plain).strip() in questions
    assert said(Additions(courtesy=True)).removesuffix(plain).strip() in probes.COURTESIES
    assert said(Additions(filler=True)).removesuffix(plain).strip() in probes.FILLERS
    assert said(Additions(leak=True)).lower().startswith(phrases.SECRET_MARK)


def test_its_facts_come_in_turn() -> None:
    told = [said(Additions(fact=True), turn=turn).partition(". ")[0] for turn in range(3)]
    first, second, third = (sentence.rpartition(", ")[2] for sentence in told)
    assert first != second
    assert first == third


def test_what_its_own_brief_says_of_couplings_sways_it_in_nothing() -> None:
    assert said(Additions(), coupling=1.0) == said(Additions(), coupling=-0.5)


def test_a_probe_never_answers_a_question() -> None:
    tasks = draw_tasks(Bargain(), 5, 0)
    row = evaluate(Probe(ONE[0]), Probe(ONE[0], Additions(ask=True, courtesy=True)), tasks)
    for episode, result in zip(row.episodes, row.results, strict=True):
        assert episode.judgements[-1].scores["knowledge"][1 - result.seat] == 0


def test_the_template_attacker_thanks_asks_and_tells_every_turn() -> None:
    row = evaluate(template_attacker(), "scripted:firm", draw_tasks(Bargain(), 5, 0))
    for episode, result in zip(row.episodes, row.results, strict=True):
        for turn in episode.turns:
            if turn.seat == result.seat and turn.type == "speak":
                assert "?" in turn.text
                assert language.words(turn.text) & phrases.MOVING
                facts = episode.task.scenario.hidden[result.seat]["facts"]
                assert any(language.tells(probes.first_person(fact), turn.text) for fact in facts)


# The factorial


def test_at_zero_words_do_nothing_and_at_one_they_pay() -> None:
    zero = factorial(0.0, 8, schedules=ONE)
    one = factorial(1.0, 8, schedules=ONE)
    for factor in ("ask", "courtesy", "filler"):
        assert abs(zero["effects"][factor]["interval_95"]["mean"]) < 0.05
    assert one["effects"]["courtesy"]["interval_95"]["mean"] > 0.1
    assert one["effects"]["ask"]["interval_95"]["mean"] > 0.05
    assert abs(one["effects"]["filler"]["interval_95"]["mean"]) < 0.05
    assert len(one["cells"]) == len(CELLS) == 8
    assert one["episodes"] == 16


def test_added_sentences_are_matched_in_words() -> None:
    words = {cell["label"]: cell["words_per_turn"]["mean"] for cell in factorial(0.0, 6, schedules=ONE)["cells"]}
    for single in ("ask", "courtesy"):
        assert words[single] == pytest.approx(words["filler"], abs=0.8)
    assert words["filler"] - words["price alone"] > 4


def test_schedules_are_chosen_on_tasks_that_are_not_measured() -> None:
    found = factorial(0.0, 4, schedules=(Schedule(0.9, 0.1), ONE[0]))
    assert {cell["schedule"] for cell in found["cells"]} == {ONE[0].label}
    assert found["choosing_episodes"] == 2


# Verdicts


def effect(low: float, high: float) -> dict[str, dict[str, float]]:
    estimate = {"mean": (low + high) / 2, "low": low, "high": high}
    return {"interval_95": estimate, "interval_90": estimate, "alone": estimate}


def judged(factorials=(), matched=(), clone=None) -> dict[str, bool | None]:
    found = verdicts({"factorial": factorials, "matched": matched, "clone": clone})
    return {gate.name: gate.met for gate in found}


def test_equivalence_needs_the_interval_inside_the_margin() -> None:
    effects = {"ask": effect(-0.2, 0.2), "courtesy": effect(0.1, 0.4), "filler": effect(-0.29, 0.29)}
    assert judged([{"coupling": 0.0, "effects": effects}]) == {
        "ask does nothing at 0": True,
        "courtesy does nothing at 0": False,
        "filler does nothing at 0": True,
    }


def test_an_effect_needs_the_interval_above_zero() -> None:
    effects = {"ask": effect(-0.1, 0.9), "courtesy": effect(0.1, 0.4), "filler": effect(0, 0)}
    found = judged([{"coupling": 1.0, "effects": effects}, {"coupling": -0.5, "effects": effects}])
    assert found["ask raises the goal at 1"] is False
    assert found["courtesy raises the goal at 1"] is True
    assert found["courtesy hurts at -0.5"] is False


def test_a_clone_below_half_of_an_effect_is_flagged_unless_it_was_measured_too_coarsely() -> None:
    def row(insertion: str, ratio: tuple[float | None, ...], scripted: float = 0.1) -> dict[str, object]:
        return {
            "insertion": insertion,
            "outcome": "disclosure",
            "coupled": True,
            "scripted": {"mean": scripted + 0.1, "low": scripted, "high": scripted + 0.2},
            "ratio": dict(zip(("mean", "low", "high"), ratio, strict=True)),
        }

    rows = [row("a", (0.8, 0.6, 1.0)), row("b", (0.3, 0.1, 0.6)), row("c", (0.3, -2.0, 2.0)), row("d", (None,) * 3)]
    found = judged(clone={"effects": [*rows, row("e", (0.9, 0.8, 1.0), scripted=-0.1)]})
    assert list(found.values()) == [True, False, None, None, None]


# The clone


def test_outcomes_read_concession_and_disclosure_from_the_text() -> None:
    hidden = [
        {"role": "seller", "limit": 30, "list_price": 50, "facts": []},
        {"role": "buyer", "limit": 45, "list_price": 50, "facts": ["your old one broke yesterday"]},
    ]
    texts = [
        "My price is $50.",
        "I can offer $20.",
        "I could do $45. Why do you want it?",
        "You see, my old one broke yesterday. I could do $25.",
        "I could do $40.",
        "I could do $35.",
    ]
    turns = [Turn(i % 2, i // 2, i, "speak", text) for i, text in enumerate(texts)]
    assert outcome(turns, 2, 0, hidden) == pytest.approx((0.1, 0.3, 1.0))
    assert outcome(turns, 4, 0, hidden) == pytest.approx((0.2, 0.2, 0.0)), "what was told before is no news"
    assert len(OUTCOMES) == 3


def test_a_partner_that_leaves_concedes_nothing() -> None:
    hidden = [{"role": r, "limit": 30, "list_price": 50, "facts": ["x"]} for r in ("seller", "buyer")]
    turns = [Turn(0, 0, 0, "speak", "$50."), Turn(1, 0, 1, "speak", "$20."), Turn(0, 1, 2, "speak", "$48.")]
    assert outcome([*turns, Turn(1, 1, 3, "leave", "")], 2, 0, hidden) == (0.0, 0.0, 0.0)


def test_states_are_of_running_episodes_in_which_the_partner_has_named_a_price() -> None:
    states = draw_states(Bargain(), 10, seed=0)
    assert len({state.episode.key for state in states}) == 10
    for state in states:
        assert state.episode.ending is None
        assert any(turn.seat != state.seat and "$" in turn.text for turn in state.episode.turns)


def test_the_teacher_keeps_its_own_couplings_whole() -> None:
    found = clone_gate("scripted:mixed", 30, draws=1)
    effects = {(row["insertion"], row["outcome"]): row for row in found["effects"]}
    for row in found["effects"]:
        assert row["scripted"] == row["clone"]
        assert row["ratio"]["mean"] in (None, pytest.approx(1.0))
    assert effects["question", "disclosure"]["scripted"]["low"] > 0.2
    assert effects["courtesy", "next concession"]["scripted"]["low"] > 0
    assert effects["leak", "next concession"]["scripted"]["high"] < 0
    assert effects["filler", "concession in two replies"]["scripted"]["mean"] == pytest.approx(0, abs=0.002)


def test_a_partner_that_never_listens_keeps_nothing() -> None:
    found = clone_gate(lambda observation, rng: speak("I would pay $1 for it."), 12, draws=1)
    assert all(row["clone"]["mean"] == 0 for row in found["effects"])


def test_a_model_can_be_the_clone(tiny_directory) -> None:
    found = clone_gate(tiny_directory, 2, draws=1)
    assert found["states"] == 2
    assert all(row["clone"]["mean"] is not None for row in found["effects"])


# The commands


def test_the_gates_are_measured_judged_and_written(tmp_path) -> None:
    data = run_gates(GateSettings(tasks=4, couplings=(0.0, 1.0), schedules=ONE), out=tmp_path)
    assert [row["coupling"] for row in data["matched"]] == [0.0, 1.0]
    assert data["matched"][0]["difference"]["mean"] == 0
    assert len(data["gates"]) == 7
    assert json.loads((tmp_path / "gates.json").read_text()) == json.loads(json.dumps(data))
    assert gates_text(data) == (tmp_path / "gates.md").read_text()


def test_what_was_played_for_gates_and_table_is_not_played_again(tmp_path, monkeypatch) -> None:
    def measure():
        gates = run_gates(GateSettings(tasks=2, couplings=(1.0,), schedules=ONE), out=tmp_path)
        return gates, scripted_table(TableSettings(tasks=2, scripts=2, partners=("scripted:warm",)), out=tmp_path)

    first = measure()
    assert len(list((tmp_path / "played").rglob("*.jsonl"))) == 23

    def refuse(*_, **__):
        raise AssertionError("all of it is in the folder")

    monkeypatch.setattr(ScriptedPolicy, "act", refuse)
    assert measure() == first


def test_too_few_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match="too few for an interval"):
        run_gates(GateSettings(tasks=1))


def test_the_table_holds_every_policy_the_attacker_and_the_best_script(tmp_path) -> None:
    partners = ("scripted:firm", "scripted:soft")
    data = scripted_table(TableSettings(tasks=4, scripts=4, partners=partners), out=tmp_path)
    assert [row["name"] for row in data["rows"]] == [*partners, "template attacker", "best script"]
    assert [found["partner"] for found in data["optimum"]] == list(partners)
    assert data["goals"]["template attacker"].keys() == set(partners)
    assert "template attacker" in table_text(data)
    assert (tmp_path / "table.md").exists()


def test_scripts_are_drawn_by_the_seed() -> None:
    assert [s.name for s in draw_scripts(5, 1)] == [s.name for s in draw_scripts(5, 1)]
    assert [s.name for s in draw_scripts(5, 1)] != [s.name for s in draw_scripts(5, 2)]


def test_correlations_leave_out_what_is_unknown_or_never_varies() -> None:
    def result(goal: float | None, knowledge: float) -> Result:
        scores = {"goal": goal, "knowledge": knowledge, "secret": 0.0}
        return Result("t", "s", 0, scores, None, True, True, 0.5, False, False, None, 3, 0, 9, "agreement")

    matrix = correlations([result(1, 2), result(2, 4), result(3, 6), result(None, 0)])
    assert matrix[6][2] == pytest.approx(1.0)
    assert matrix[6][3] is None
