"""Placebos have the distribution of the real dimension, and nothing to do with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sotopia_env
from sotopia_env.episodes import Episode
from sotopia_env.families import Bargain
from sotopia_env.families.placebo import KINDS, PlaceboFamily, add_placebos, fit_placebo


@pytest.fixture(scope="module")
def played() -> list[Episode]:
    return sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=300, seed=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("of", ["relationship", "knowledge"])
def test_density_and_variance_are_those_of_the_real_dimension(played: list[Episode], of: str, kind: str) -> None:
    placebo = fit_placebo(played[:200], of, kind=kind)
    real, fake, goals = [], [], []
    for episode in played:
        scores = add_placebos(episode.judgements[-1], episode, [placebo]).scores
        for seat in (0, 1):
            assert (scores[of][seat] is None) == (scores[placebo.name][seat] is None)
            if scores[of][seat] is not None:
                real.append(scores[of][seat])
                fake.append(scores[placebo.name][seat])
                goals.append(np.nan if scores["goal"][seat] is None else scores["goal"][seat])
    assert np.mean(fake) == pytest.approx(np.mean(real), abs=0.4)
    assert np.std(fake) == pytest.approx(np.std(real), rel=0.15)
    assert np.mean(np.array(fake) == 0) == pytest.approx(np.mean(np.array(real) == 0), abs=0.08)
    assert abs(np.corrcoef(real, fake)[0, 1]) < 0.15
    feasible = ~np.isnan(goals)
    assert abs(np.corrcoef(np.array(goals)[feasible], np.array(fake)[feasible])[0, 1]) < 0.15


def test_it_is_a_function_of_seed_and_words(played: list[Episode]) -> None:
    one, same, other = (fit_placebo(played[:100], seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert [one.value(e, "agent_0") for e in played] == [same.value(e, "agent_0") for e in played]
    assert [one.value(e, "agent_0") for e in played] != [other.value(e, "agent_0") for e in played]


def test_a_family_with_placebos_plays_alike_and_scores_more(played: list[Episode]) -> None:
    placebo = fit_placebo(played[:100])
    family = PlaceboFamily(Bargain(), [placebo])
    scored = family.score(played[0])
    assert scored.version == f"{Bargain.version}+placebo"
    assert {name: values for name, values in scored.scores.items() if name != "placebo_relationship"} == (
        Bargain().score(played[0]).scores
    )
    again = sotopia_env.rollout(family, "scripted:mixed", num_episodes=5, seed=0)
    assert [episode.turns for episode in again] == [episode.turns for episode in played[:5]]
    assert "placebo_relationship" in again[0].judgements[-1].scores


def test_what_cannot_be_fitted_is_a_clear_error(played: list[Episode]) -> None:
    with pytest.raises(ValueError, match="no episode has a score of judge 'rule' in 'charm'"):
        fit_placebo(played[:3], "charm")
    with pytest.raises(ValueError, match="judge the reference episodes first"):
        fit_placebo([replace(played[0], judgements=())])
    with pytest.raises(ValueError, match="kind: 'words' is none of wording, noise"):
        fit_placebo(played[:3], kind="words")
