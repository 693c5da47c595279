from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sotopia_env.agents.functions import FunctionPolicy
from sotopia_env.errors import DataWarning, RecordError
from sotopia_env.rewards import AuditedTurn, RuleJudge, collect_audit, load_audit, save_audit
from sotopia_env.rewards.audit import collect as module
from sotopia_env.rollouts.rollout import rollout

Collect = Callable[..., list[AuditedTurn]]


@pytest.fixture
def collect(family: Any, voter: Any) -> Collect:
    """An audit set of the world of votes, whose truth is known."""

    def make(**options: Any) -> list[AuditedTurn]:
        given = {"num_turns": 6, "continuations": 16, "label_continuations": 3, "max_cycles": 4, "seed": 1, **options}
        return collect_audit(family, given.pop("policy", FunctionPolicy(voter)), **given)

    return make


def unit_truth(turns: Any, agent: str, value_of: Callable[..., float]) -> float:
    value = value_of(turns)
    return value if agent == "agent_0" else 1 - value


def test_means_of_the_scores_are_the_true_values(collect: Collect, value_of: Callable[..., float]) -> None:
    audit = collect(num_turns=12, continuations=48)
    errors = []
    for turn in audit:
        for scores, turns in (
            (turn.scores, turn.before.turns),
            *((candidate.scores, candidate.after.turns) for candidate in turn.candidates),
        ):
            truth = unit_truth(turns, turn.agent, value_of)
            spread = np.sqrt(truth * (1 - truth) / 48)
            error = np.mean(scores["goal"]) / 10 - truth
            assert abs(error) <= 4.5 * spread
            if spread:
                errors.append(error / spread)
    assert abs(np.mean(errors)) < 4 / np.sqrt(len(errors))
    assert 0.6 < np.std(errors) < 1.4  # draws are independent, of each other and between states


def test_labels_are_unbiased_and_independent_of_the_truth(collect: Collect, value_of: Callable[..., float]) -> None:
    audit = collect(num_turns=20, continuations=8, label_continuations=8)
    truth_errors, label_errors = [], []
    for turn in audit:
        for candidate in turn.candidates:
            exact = unit_truth(candidate.after.turns, turn.agent, value_of)
            seat = candidate.turn.seat
            labels = [RuleJudge().judgement_of(e).scores["goal"][seat] for e in candidate.finished]
            truth_errors.append(np.mean(candidate.scores["goal"]) / 10 - exact)
            label_errors.append(np.mean([label for label in labels if label is not None]) / 10 - exact)
    assert abs(np.mean(label_errors)) < 4 * np.std(label_errors) / np.sqrt(len(label_errors))
    assert abs(np.corrcoef(truth_errors, label_errors)[0, 1]) < 4 / np.sqrt(len(label_errors))


def test_candidates_are_the_turn_played_and_others_that_differ(collect: Collect) -> None:
    audit = collect(turns_per_episode=2)
    assert len(audit) == 6 and len({turn.key for turn in audit}) == 6
    for turn in audit:
        texts = [candidate.turn.text for candidate in turn.candidates]
        assert sorted(texts) == ["a", "b"]  # four were asked for, and there are two
        for candidate in turn.candidates:
            assert candidate.after.turns[:-1] == turn.before.turns and candidate.turn.own_index == turn.own_index
            assert candidate.turn.agent == turn.agent and turn.before.ending is None
            assert (candidate.after.ending is not None) == (len(candidate.after.turns) == 4)
            assert len(candidate.finished) == 3 and len(candidate.scores["goal"]) == 16
            for episode in candidate.finished:
                assert episode.turns[: len(candidate.after.turns)] == candidate.after.turns
                assert episode.ending is not None
    episodes = [turn.before.key for turn in audit]
    assert episodes == sorted(episodes) and len(set(episodes)) == 3
    assert len({(turn.before.key, turn.agent) for turn in audit}) == 3  # one seat of each


def test_a_policy_that_always_does_the_same_has_no_siblings(collect: Collect) -> None:
    audit = collect(policy=FunctionPolicy(lambda observation, rng: "a"), num_turns=2, continuations=2)
    assert [len(turn.candidates) for turn in audit] == [1, 1]


def test_neither_batches_nor_the_number_of_labels_change_the_truth(collect: Collect) -> None:
    audit = collect(num_turns=3)
    assert collect(num_turns=3, batch_size=7) == audit
    more = collect(num_turns=3, label_continuations=5, candidates=2, dimensions=["goal"])
    for one, other in zip(audit, more, strict=True):
        assert other.scores == {"goal": one.scores["goal"]}
        assert [c.scores["goal"] for c in other.candidates] == [c.scores["goal"] for c in one.candidates]
    assert collect(num_turns=3, seed=2) != audit


def test_saved_and_loaded_it_is_the_same(collect: Collect, tmp_path: Path) -> None:
    audit = collect(num_turns=3)
    save_audit(audit, tmp_path / "a.jsonl")
    assert load_audit(tmp_path / "a.jsonl") == audit


def test_a_collection_cut_off_goes_on(collect: Collect, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    audit = collect(out=whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    cut.write_bytes(b"".join(lines[:3]) + lines[3][:100])
    with pytest.warns(DataWarning, match="cut short"):
        assert collect(out=cut) == audit
    assert cut.read_bytes() == whole.read_bytes()
    with pytest.raises(ValueError, match=r"collected with other continuations \(16, not 8\); give another file"):
        collect(out=cut, continuations=8)
    assert len(collect(out=cut, num_turns=7)) == 7  # more turns of the same


@pytest.mark.parametrize("changed", [{"dimensions": ["goal"]}, {"max_cycles": 3}, {"tasks": 2}])
def test_a_file_of_other_dimensions_rules_or_tasks_is_refused(
    family: Any, voter: Any, tmp_path: Path, changed: dict[str, Any]
) -> None:
    tasks = [family.generate(np.random.default_rng(i)) for i in range(3)]
    asked = {"num_turns": 1, "continuations": 2, "family": family, "max_cycles": 4, "out": tmp_path / "a.jsonl"}
    collect_audit(tasks, FunctionPolicy(voter), **asked)
    given = tasks[: changed.pop("tasks", 3)]
    with pytest.raises(
        ValueError, match=r"collected with other (dimensions|rules\.max_cycles|tasks\.number) .*give another file"
    ):
        collect_audit(given, FunctionPolicy(voter), **{**asked, **changed})


def test_a_complete_file_is_read_and_nothing_is_played(
    collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = collect(out=tmp_path / "a.jsonl", num_turns=3)
    monkeypatch.setattr(module, "play_plan", None)
    assert collect(out=tmp_path / "a.jsonl", num_turns=3) == audit
    assert collect(out=tmp_path / "a.jsonl", num_turns=2) == audit[:2]


def test_no_more_episodes_are_played_than_turns_are_taken_from(
    collect: Collect, family: Any, voter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[int] = []
    original = module.play_plan
    monkeypatch.setattr(module, "play_plan", lambda plan, **how: (played.append(len(plan)), original(plan, **how))[1])
    audit = collect(continuations=2, turns_per_episode=2)
    assert played[0] == 3
    episodes = rollout(family, FunctionPolicy(voter), num_episodes=6, seed=1, split="test", max_cycles=4)
    places = [place for i, episode in enumerate(episodes) for place in module._places(episode, i, 1, 2)]
    assert [turn.key for turn in audit] == [place.key for place in places[:6]]
    assert [turn.before.turns for turn in audit] == [
        place.episode.turns[: place.turn.global_index] for place in places[:6]
    ]


def test_fewer_turns_than_asked_for_are_told(collect: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EPISODES_PER_TURN", 1)
    # In the one cycle there is, only one of the two seats moves.
    with pytest.warns(DataWarning, match="num_turns: 2 were asked for, 1 were played in 2 episodes"):
        assert len(collect(num_turns=2, max_cycles=1, continuations=2, seed=0)) == 1
    with pytest.raises(ValueError, match="num_turns: the audited seats took no turn in 2 episodes"):
        collect(num_turns=2, max_cycles=1, continuations=2, seed=1)


def test_a_line_that_is_no_audited_turn_is_named(collect: Collect, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    save_audit(collect(num_turns=1), path)
    record = json.loads(path.read_bytes())
    del record["candidates"][0]["scores"]
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(RecordError, match=r"line 1.*candidates\.0\.scores.*missing"):
        load_audit(path)
    path.write_text("{")
    with pytest.raises(RecordError, match="line 1: not valid JSON"):
        load_audit(path)


def test_what_cannot_be_audited_is_refused(collect: Collect, family: Any, make_episode: Any) -> None:
    with pytest.raises(ValueError, match="action_order: 'simultaneous'"):
        collect(action_order="simultaneous")
    with pytest.raises(ValueError, match="continuations: 1 is less than 2"):
        collect(continuations=1)
    with pytest.raises(ValueError, match="policies: 3 given for 2 seats"):
        collect(policy=["random"] * 3)


def test_several_processes_write_what_one_does(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"num_turns": 7, "continuations": 3, "label_continuations": 1, "candidates": 2, "seed": 2}
    audit = collect_audit("bargain", "scripted:changing", out=tmp_path / "whole.jsonl", **asked)
    shared = collect_audit("bargain", "scripted:changing", out=tmp_path / "shared.jsonl", processes=2, **asked)
    assert shared == audit
    assert (tmp_path / "shared.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(ValueError, match="2 processes meet in a file; give out"):
        collect_audit("bargain", "scripted:changing", processes=2, **asked)
    with pytest.raises(ValueError, match="tasks and policies go to other processes"):
        collect_audit("bargain", lambda observation, rng: "x", out=tmp_path / "x.jsonl", processes=2, **asked)


def test_turns_that_another_is_at_are_left_to_it_and_written_before_those_that_follow(
    collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, shared = tmp_path / "whole.jsonl", tmp_path / "shared.jsonl"
    audit = collect(out=whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    take, refused = module.AuditFile.take, [0, 1]

    def taken(self: Any, number: int, key: str) -> bool:
        # Another process holds the first two turns, and has written them by the time this one has nothing else to do.
        return number not in refused and take(self, number, key)

    def wait(seconds: float) -> None:
        assert shared.read_bytes() == b"", "what follows waits for what precedes it"
        shared.write_bytes(b"".join(lines[:2]))

    shared.touch()
    monkeypatch.setattr(module.AuditFile, "take", taken)
    monkeypatch.setattr(module.time, "sleep", wait)
    assert collect(out=shared) == audit
    assert shared.read_bytes() == whole.read_bytes()
