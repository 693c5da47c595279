from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sotopia_env.agents.functions import FunctionPolicy
from sotopia_env.episodes import Episode, Judgement, Turn
from sotopia_env.rewards import FunctionReward, LengthPenalty, Outcome, collect_audit
from sotopia_env.rewards.audit.collect import AuditedTurn, Candidate
from sotopia_env.rewards.audit.fidelity import Numbers, fidelity, numbers_of
from sotopia_env.rewards.audit.numbers import split_audit, true_advantages
from sotopia_env.rewards.judges.base import Judge

TASKS, TURNS, SIBLINGS = 60, 3, 4


class World:
    """An audit set with a known truth: Q of each candidate on the unit scale, measured with noise of known size.

    Q is that of the task + that of the turn + that of the candidate, each normal with standard deviation 0.05, 0.02
    and 0.02; V is that of the task.
    """

    def __init__(self, template: Episode, noise: float, k: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        task_TQ = 0.5 + 0.05 * rng.standard_normal((TASKS, 1, 1))
        turn_TQ = 0.02 * rng.standard_normal((TASKS, TURNS, 1))
        self.value = np.broadcast_to(task_TQ, (TASKS, TURNS, SIBLINGS)).copy()
        self.q = task_TQ + turn_TQ + 0.02 * rng.standard_normal((TASKS, TURNS, SIBLINGS))
        self.advantage = self.q - self.value

        def measured(value: float) -> dict[str, tuple[float, ...]]:
            return {"goal": tuple(10 * (value + noise * rng.standard_normal(k)))}

        self.audit = []
        for i in range(TASKS):
            task = replace(template.task, id=f"task-{i}")
            before = replace(template, key=f"e-{i}", task=task, turns=(), ending=None)
            for t in range(TURNS):
                candidates = tuple(
                    Candidate(replace(before, turns=(Turn(0, t, t, "speak", str(j)),)), (), measured(self.q[i, t, j]))
                    for j in range(SIBLINGS)
                )
                scores = measured(self.value[i, t, 0])
                self.audit.append(AuditedTurn(f"e-{i}/{t}", "agent_0", t, before, scores, candidates))

    def numbers(self, values: Any, replicates: int = 1, noise: float = 0.0, seed: int = 9) -> Numbers:
        drawn = np.random.default_rng(seed).standard_normal((TASKS * TURNS, SIBLINGS, replicates))
        flat = np.broadcast_to(values, self.q.shape).reshape(TASKS * TURNS, SIBLINGS, 1)
        return Numbers((flat + noise * drawn).tolist())


@pytest.fixture
def make_world(make_episode: Callable[..., Episode]) -> Callable[..., World]:
    return lambda noise=0.2, k=64, seed=0: World(make_episode("a"), noise, k, seed)


def reliability(signal: float, noise: float, k: int) -> float:
    return signal**2 / (signal**2 + noise**2 / k)


def test_ceilings_are_the_roots_of_known_reliabilities(make_world: Callable[..., World]) -> None:
    worlds = [make_world(seed=seed) for seed in range(3)]
    found = [fidelity(world.audit, world.numbers(0)) for world in worlds]
    between = math.hypot(0.02, 0.02)
    # Q and V are both measured, hence twice the noise.
    expected = {
        "siblings": reliability(0.02, 0.2, 64),
        "between_turns": reliability(between, 0.2 * math.sqrt(2), 64),
        "pooled_value": reliability(math.hypot(0.05, between), 0.2, 64),
    }
    for level, truth in expected.items():
        measured = [getattr(one, level)["pearson"].ceiling for one in found]
        assert np.mean(measured) == pytest.approx(math.sqrt(truth), abs=0.05), level
    assert math.sqrt(expected["siblings"]) == pytest.approx(0.62, abs=0.01)


def test_the_exact_advantage_reaches_the_ceiling(make_world: Callable[..., World]) -> None:
    worlds = [make_world(seed=seed) for seed in range(4)]
    found = [fidelity(world.audit, world.numbers(world.advantage)) for world in worlds]
    for level in ("siblings", "between_turns", "pooled"):
        for kind in ("pearson", "spearman"):
            ones = [getattr(one, level)[kind] for one in found]
            assert np.mean([one.value - one.ceiling for one in ones]) == pytest.approx(0, abs=0.06)
            assert sum(one.disattenuated_low <= 1 <= one.disattenuated_high for one in ones) >= 3
            assert all(one.low < one.value < one.high and one.reliability == 1 for one in ones)
    first = found[0]
    assert first.siblings["pearson"].n == TASKS * TURNS * SIBLINGS and first.between_turns["pearson"].n == TASKS * TURNS
    assert np.mean([one.gradient.cosine for one in found]) == pytest.approx(1, abs=0.08)
    assert first.accuracy.clear > 0.8 > first.accuracy.value > 0.65 > first.accuracy.ceiling > 0.55
    assert first.missing == 0 and first.numbers == TASKS * TURNS * SIBLINGS


def test_random_numbers_tell_nothing(make_world: Callable[..., World]) -> None:
    world = make_world(noise=0.05)
    found = fidelity(world.audit, world.numbers(0, noise=1.0))
    for level in (found.siblings, found.between_turns, found.pooled, found.pooled_value):
        assert level["pearson"].low < 0 < level["pearson"].high
        assert abs(level["pearson"].value) < 0.2
    assert found.accuracy.low < 0.5 < found.accuracy.high
    assert found.gradient.low < 0 < found.gradient.high


def test_noise_of_the_truth_is_taken_out(make_world: Callable[..., World]) -> None:
    values, corrected = [], []
    for seed in range(4):
        world = make_world(noise=0.1, k=16, seed=seed)
        # Numbers whose correlation with the exact truth is 0.6 between siblings.
        found = fidelity(world.audit, world.numbers(world.advantage, noise=0.02 * 4 / 3, seed=100 + seed))
        values.append(found.siblings["pearson"].value)
        corrected.append(found.siblings["pearson"].disattenuated)
    assert np.mean(corrected) == pytest.approx(0.6, abs=0.05)
    assert np.mean(values) == pytest.approx(0.6 * math.sqrt(reliability(0.02, 0.1, 16)), abs=0.04)


def test_noise_of_single_labels_is_told_from_bias(make_world: Callable[..., World]) -> None:
    world = make_world(noise=0.05)
    rng = np.random.default_rng(5)
    biased = world.advantage + 0.02 * 0.75 * rng.standard_normal(world.q.shape)  # correlation 0.8 with the truth
    found = fidelity(world.audit, world.numbers(biased, replicates=8, noise=0.05)).siblings["pearson"]
    signal = 0.02 * math.hypot(1, 0.75)
    assert found.reliability == pytest.approx(signal**2 / (signal**2 + 0.05**2), abs=0.04)
    assert found.expected == pytest.approx(0.8, abs=0.06)
    assert found.disattenuated == pytest.approx(0.8 * math.sqrt(found.reliability), abs=0.04)
    assert found.n == TASKS * TURNS * SIBLINGS


def test_ranks_do_not_see_the_scale_but_correlations_do(make_world: Callable[..., World]) -> None:
    world = make_world(noise=0.001)
    found = fidelity(world.audit, world.numbers(np.exp(200 * world.advantage)))
    assert found.siblings["spearman"].value > 0.98 > 0.9 > found.siblings["pearson"].value
    assert found.pooled["spearman"].value > 0.98


def test_numbers_that_are_all_the_same_and_a_truth_that_is(make_world: Callable[..., World]) -> None:
    world = make_world()
    found = fidelity(world.audit, world.numbers(3.0))
    assert found.siblings["pearson"].value == 0 and found.accuracy.value == 0.5 and found.gradient.cosine == 0
    assert found.gradient.noise is None
    same = [
        replace(
            t,
            scores={"goal": (5.0, 5.0)},
            candidates=tuple(replace(c, scores={"goal": (5.0, 5.0)}) for c in t.candidates),
        )
        for t in world.audit
    ]
    found = fidelity(same, world.numbers(world.q))
    assert found.siblings["pearson"].value is None and found.siblings["pearson"].ceiling is None
    assert found.accuracy.value is None and found.accuracy.n == 0 and found.gradient.cosine is None


def test_unknown_numbers_are_left_out_and_counted(make_world: Callable[..., World]) -> None:
    world = make_world(noise=0.01)
    rng = np.random.default_rng(3)
    known = world.numbers(world.advantage, replicates=2)
    holes = Numbers([[[None if rng.random() < 0.3 else x for x in r] for r in c] for c in known.candidates])
    found = fidelity(world.audit, holes)
    assert found.numbers == 2 * TASKS * TURNS * SIBLINGS and 0.25 < found.missing / found.numbers < 0.35
    assert found.siblings["pearson"].disattenuated == pytest.approx(1, abs=0.02)
    assert found.siblings["pearson"].n == pytest.approx(0.7 * TASKS * TURNS * SIBLINGS, rel=0.05)
    nothing = Numbers([[[None] for _ in turn.candidates] for turn in world.audit])
    assert fidelity(world.audit, nothing).siblings["pearson"].value is None


def test_half_of_the_truth_as_an_oracle(make_world: Callable[..., World]) -> None:
    one, other = split_audit(make_world(k=128).audit)
    found = fidelity(other, true_advantages(one)).siblings["pearson"]
    # Both halves are equally noisy: they correlate as much as either is reliable.
    assert found.value == pytest.approx(found.ceiling**2, abs=0.06)


def test_the_gradient_is_that_of_sampling(make_world: Callable[..., World]) -> None:
    world = make_world(noise=0.0001)
    numbers = world.numbers(world.advantage, replicates=8, noise=0.03)
    found = fidelity(world.audit, numbers).gradient
    labels = np.array(numbers.candidates)  # (S, m, R)
    rng = np.random.default_rng(1)
    states, m, replicates = labels.shape
    true = world.advantage.reshape(states, m)
    true = (true - true.mean(axis=1, keepdims=True)) / m
    baseline = labels.mean(axis=(1, 2))
    samples = []
    for _ in range(200):
        chosen, replicate = rng.integers(m, size=states), rng.integers(replicates, size=states)
        drawn = labels[np.arange(states), chosen, replicate] - baseline
        samples.append(drawn[:, None] * (np.eye(m)[chosen] - 1 / m))
    variance = np.var(samples, axis=0, ddof=1).sum() / (true**2).sum()
    assert found.variance == pytest.approx(variance, rel=0.05)
    assert found.cosine == pytest.approx(1, abs=0.02)
    scaled = Numbers((7 * labels + 3).tolist())
    again = fidelity(world.audit, scaled).gradient
    assert again.noise == pytest.approx(found.noise) and again.cosine == pytest.approx(found.cosine)
    assert again.variance == pytest.approx(49 * found.variance)


def test_intervals_are_over_tasks(make_world: Callable[..., World]) -> None:
    world = make_world()
    one_task = [replace(turn, before=world.audit[0].before) for turn in world.audit]
    found = fidelity(one_task, world.numbers(world.advantage))
    assert found.siblings["pearson"].low is None and found.accuracy.high is None


def test_what_does_not_fit_is_refused(make_world: Callable[..., World]) -> None:
    world = make_world()
    with pytest.raises(ValueError, match="the audit set is empty"):
        fidelity([], world.numbers(0))
    with pytest.raises(ValueError, match="no scores of 'knowledge'; it knows goal"):
        fidelity(world.audit, world.numbers(0), "knowledge")
    with pytest.raises(ValueError, match="numbers for"):
        fidelity(world.audit[:-1], world.numbers(0))


@pytest.fixture
def votes(family: Any, voter: Any) -> list[AuditedTurn]:
    policy = FunctionPolicy(voter)
    return collect_audit(
        family, policy, num_turns=12, continuations=16, label_continuations=4, turns_per_episode=2, max_cycles=4, seed=4
    )


def test_each_reward_is_asked_by_its_flags(votes: list[AuditedTurn]) -> None:
    asked: list[int] = []

    def credit(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
        asked.extend(len(e.turns) for e in episodes)
        return [{a: [float(len(e.turns)) for _ in e.own_turns(a)] for a in e.agents} for e in episodes]

    causal = numbers_of(FunctionReward(credit, kind="credit", timing="causal"), votes)
    states = [candidate.after for turn in votes for candidate in turn.candidates]
    assert asked == [len(state.turns) for state in states]  # as they were before anybody replied
    assert [n for c in causal.candidates for n in c] == [[float(len(state.turns))] for state in states]

    def counted(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
        return [{a: [1.0 + t.own_index for t in e.own_turns(a)] for a in e.agents} for e in episodes]

    to_go = numbers_of(FunctionReward(counted, kind="return", timing="causal"), votes)
    whole = numbers_of(FunctionReward(counted, kind="return", timing="hindsight"), votes)
    for turn, sums, wholes in zip(votes, to_go.candidates, whole.candidates, strict=True):
        assert wholes == [[3.0] * 4 for _ in turn.candidates]
        assert sums == [[3.0 if turn.own_index == 0 else 2.0] * 4 for _ in turn.candidates]
    label = numbers_of(Outcome("uniform", kind="credit"), votes)
    outcome = numbers_of("episode", votes)
    for labels, outcomes in zip(label.candidates, outcome.candidates, strict=True):
        assert np.array(labels) == pytest.approx(np.array(outcomes) / 2)


def test_parts_of_a_sum_are_added(votes: list[AuditedTurn]) -> None:
    penalty = LengthPenalty(target_words=1, weight=1.0)
    whole = numbers_of(Outcome("broadcast") + 0.5 * penalty, votes)
    parts = numbers_of(Outcome("broadcast"), votes), numbers_of(0.5 * penalty, votes)
    flat = [np.array([n for c in one.candidates for n in c]) for one in (whole, *parts)]
    assert np.allclose(flat[0], flat[1] + flat[2])


def test_parts_of_different_flags_share_one_asking_of_their_judge(votes: list[AuditedTurn]) -> None:
    asked: list[int] = []

    class Counting(Judge):
        name = "counting"

        def judge(self, episodes: Sequence[Episode]) -> list[Judgement]:
            asked.append(len(episodes))
            return [Judgement(self.name, "1", {"goal": [10.0, 0.0]}) for _ in episodes]

    judge = Counting()
    numbers_of(Outcome("episode", judge=judge) + Outcome("broadcast", judge=judge), votes)
    assert asked == [sum(len(candidate.finished) for turn in votes for candidate in turn.candidates)]


def test_the_turns_of_one_episode_share_their_label(votes: list[AuditedTurn]) -> None:
    numbers = numbers_of(Outcome("broadcast"), votes)
    assert numbers.played is not None
    by_episode: dict[str, list[Any]] = {}
    for turn, played in zip(votes, numbers.played, strict=True):
        by_episode.setdefault(turn.before.key, []).append(played)
    assert all(rows == [rows[0]] * len(rows) for rows in by_episode.values())
    # It tells no turn of an episode from another.
    assert fidelity(votes, numbers).between_turns["pearson"].value == 0


def test_single_outcomes_are_noisy_but_point_along_the_gradient(family: Any, voter: Any) -> None:
    options = {"continuations": 24, "label_continuations": 8, "turns_per_episode": 2, "max_cycles": 4}
    audit = collect_audit(family, FunctionPolicy(voter), num_turns=30, seed=4, dimensions=["goal"], **options)
    found = fidelity(audit, "broadcast")
    assert found.gradient.cosine == pytest.approx(1, abs=0.1)
    single = found.siblings["pearson"]
    assert single.reliability < 0.7 and single.expected == pytest.approx(1, abs=0.1)
    assert single.disattenuated == pytest.approx(math.sqrt(single.reliability), abs=0.1)


def test_the_terminal_reward_is_to_a_learner_any_return_that_sums_to_it(votes: list[AuditedTurn]) -> None:
    outcome = numbers_of("episode", votes)
    for design in ("broadcast", "uniform"):
        found = numbers_of(design, votes)
        assert found.candidates == outcome.candidates and found.played == outcome.played
    assert [numbers_of(f"uniform as {use}", votes).name for use in ("return", "credit")] == [
        "uniform as return",
        "uniform as credit",
    ]
