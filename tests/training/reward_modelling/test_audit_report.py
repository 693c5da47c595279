from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sotopia_env.episodes import Episode, Turn, seat_of
from sotopia_env.rewards import AuditedTurn, Outcome, RewardModel, collect_audit
from sotopia_env.rewards.audit.fidelity import Numbers, fidelity
from sotopia_env.rewards.dimensions import to_unit
from sotopia_env.rewards.reward_model.rows import value_row
from sotopia_env.rewards.turn_rewards import TurnRewards
from sotopia_env.tables import markdown
from sotopia_env.training import RewardModelConfig, train_reward_model
from sotopia_env.training.reward_modelling.audit_report import ExpectedOutcomes, prediction_report, prediction_tables

Said = Callable[[Turn, Episode], float | None]


class Heads:
    """A model of one dimension that says what a function says of the last turn."""

    def __init__(self, said: Said, dimension: str = "goal") -> None:
        self.said, self.dimension = said, dimension

    def by_dimension(self, episodes: Sequence[Episode]) -> dict[str, list[TurnRewards]]:
        told: list[TurnRewards] = [
            {agent: [self.said(turn, episode) for turn in episode.own_turns(agent)] for agent in episode.agents}
            for episode in episodes
        ]
        return {self.dimension: told, "unheard of": told}


@pytest.fixture(scope="module")
def audit() -> list[AuditedTurn]:
    return collect_audit(
        "bargain:test", "scripted:mixed", num_turns=15, continuations=12, label_continuations=2, candidates=3, seed=2
    )


def mean(scores: Sequence[float | None]) -> float | None:
    """The mean goal; ``None`` where no deal was possible."""
    return None if None in scores else float(np.mean([score for score in scores if score is not None]))


def truth(audit: list[AuditedTurn], of_advantage: bool) -> Said:
    """The measured truth itself."""
    known: dict[Any, float | None] = {}
    for turn in audit:
        base = mean(turn.scores["goal"]) if of_advantage else 0.0
        for candidate in turn.candidates:
            value = mean(candidate.scores["goal"])
            known[turn.before.key, candidate.after.turns] = None if value is None or base is None else value - base
    return lambda turn, episode: known[episode.key, episode.turns] if turn == episode.turns[-1] else 0.0


def test_a_model_that_says_the_measured_truth(audit: list[AuditedTurn]) -> None:
    report = prediction_report(Heads(truth(audit, False)), audit, scale="native")
    assert list(report["dimensions"]) == ["goal"] and report["turns"] == 15
    found = report["dimensions"]["goal"]
    assert found["value"]["pearson"]["value"] == pytest.approx(1)
    assert found["siblings"]["spearman"]["value"] == pytest.approx(1)
    impossible = [turn for turn in audit if None in turn.scores["goal"]]
    assert found["accuracy"]["value"] == 1 and found["missing"] == sum(len(turn.candidates) for turn in impossible)
    error = found["error"]
    assert error["rmse"] == pytest.approx(0, abs=1e-9) and error["slope"] == pytest.approx(1)
    assert 0 < error["noise"] < error["rmse_of_mean"]
    changes = prediction_report(Heads(truth(audit, True)), audit, scale="native", predicted="advantage")
    assert changes["dimensions"]["goal"]["error"]["rmse"] == pytest.approx(0, abs=1e-9)
    assert changes["dimensions"]["goal"]["advantage"]["pearson"]["value"] == pytest.approx(1)


def test_a_model_that_knows_nothing(audit: list[AuditedTurn]) -> None:
    report = prediction_report(Heads(lambda turn, episode: 0.5), audit)
    found = report["dimensions"]["goal"]
    assert found["value"]["spearman"]["value"] == 0 and found["accuracy"]["value"] == 0.5
    assert found["error"]["slope"] is None
    means = [mean(candidate.scores["goal"]) for turn in audit for candidate in turn.candidates]
    errors = [to_unit("goal", value) - 0.5 for value in means if value is not None]
    assert found["error"]["rmse"] == pytest.approx(float(np.sqrt(np.mean(np.square(errors)))))


def test_unknown_predictions_are_counted(audit: list[AuditedTurn]) -> None:
    said = truth(audit, False)
    holes = Heads(lambda turn, episode: None if seat_of(turn.agent) else said(turn, episode))
    found = prediction_report(holes, audit)["dimensions"]["goal"]
    unknown = [turn for turn in audit if turn.agent == "agent_1" or None in turn.scores["goal"]]
    assert found["missing"] == sum(len(turn.candidates) for turn in unknown)
    assert found["error"]["turns"] + found["missing"] == sum(len(turn.candidates) for turn in audit)


def test_a_model_without_a_known_dimension_is_refused(audit: list[AuditedTurn]) -> None:
    class Other(Heads):
        def by_dimension(self, episodes: Sequence[Episode]) -> dict[str, list[TurnRewards]]:
            return {"wit": super().by_dimension(episodes)["goal"]}

    with pytest.raises(ValueError, match=r"the heads \(wit\) and the audit set have no dimension in common"):
        prediction_report(Other(lambda turn, episode: 0.0), audit)


def test_the_tables_show_the_figures(audit: list[AuditedTurn]) -> None:
    report = prediction_report(Heads(truth(audit, False)), audit, scale="native")
    text = markdown(*prediction_tables(report))
    found = report["dimensions"]["goal"]
    assert f"+{found['value']['spearman']['value']:.2f}" in text and f"{found['error']['noise']:.3f}" in text
    assert f"{found['value']['spearman']['disattenuated']:.0%} of {found['value']['spearman']['ceiling']:.2f}" in text


def test_a_model_of_outcomes_is_asked_for_the_change_and_for_the_score(
    audit: list[AuditedTurn], episodes: list[Episode], tiny_directory: Path, tmp_path: Path
) -> None:
    labels = {"goal": Outcome("broadcast")}
    settings = RewardModelConfig("", learning_rate=1e-2, per_device_train_batch_size=8, bf16=False, disable_tqdm=True)
    train_reward_model(episodes, tiny_directory, labels=labels, target="outcome", out=tmp_path, args=settings)
    model = RewardModel(str(tmp_path))
    states = [candidate.after for turn in audit for candidate in turn.candidates]
    expected = ExpectedOutcomes(model).by_dimension(states)["goal"]
    for state, told in zip(states, expected, strict=True):
        assert {agent: len(values) for agent, values in told.items()} == {a: len(state.own_turns(a)) for a in told}
    turn = audit[0].candidates[0].after
    row = value_row(turn, audit[0].agent, model.saved.encoder)
    (read,) = model.saved.heads.read([row.ids], [row.after], 1)
    assert expected[0][audit[0].agent] == pytest.approx(read[:, 0].tolist(), abs=1e-4)
    report = prediction_report(model, audit, predicted="advantage")
    found = report["dimensions"]["goal"]
    places = [turn for turn in audit for _ in turn.candidates]
    said = [told[turn.agent][turn.own_index] for told, turn in zip(expected, places, strict=True)]
    remaining = iter(said)
    levels = Numbers([[[next(remaining)] for _ in turn.candidates] for turn in audit])
    assert found["value"] == fidelity(audit, levels).to_dict()["pooled_value"]
    assert found["value_error"]["rmse"] != found["error"]["rmse"]
    assert [row[1].value for row in prediction_tables(report)[2].cells] == ["advantage", "value"]


def test_a_model_of_episodes_is_refused(
    audit: list[AuditedTurn], episodes: list[Episode], tiny_directory: Path, tmp_path: Path
) -> None:
    settings = RewardModelConfig("", per_device_train_batch_size=8, bf16=False, disable_tqdm=True)
    labels = {"goal": Outcome("broadcast")}
    train_reward_model(episodes, tiny_directory, labels=labels, target="episode", out=tmp_path, args=settings)
    with pytest.raises(ValueError, match="predicts scores of finished episodes alone.*train it with --target outcome"):
        prediction_report(RewardModel(str(tmp_path)), audit)
