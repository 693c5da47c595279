"""Groups of single turns at states reached in play: what they are worth, and that their gradient has no bias."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trl

import sotopia_env
from sotopia_env import training
from sotopia_env.agents.loading import load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.episodes import Episode
from sotopia_env.policies import Context, Decision, TokenTrace
from sotopia_env.rewards import FunctionReward, Outcome
from sotopia_env.training.advantages import group_advantages
from sotopia_env.training.callbacks import read_metrics
from sotopia_env.training.estimators import get_estimator
from sotopia_env.training.grpo import GRPOTrainer
from sotopia_env.training.grpo_config import GRPOConfig
from sotopia_env.training.rollout_func import Group
from sotopia_env.training.single_turn import Branched, SingleTurnRollout, continuations_for, play_states

ON, OFF, END = 7, 8, 2
PROBABILITY, NUM_TURNS, GROUP_SIZE = 0.6, 5, 8


class Leaver:
    """The leave model of test_estimators.py as a policy: it goes on with probability 0.6, or leaves."""

    name = "leaver"

    def act(self, observations: Sequence[Any], contexts: Sequence[Context]) -> list[Decision]:
        decisions = []
        for context in contexts:
            goes_on = context.rng.random() < PROBABILITY
            action = sotopia_env.speak("Still here.") if goes_on else sotopia_env.leave()
            trace = TokenTrace((1, *(ON, END) * context.turn), (ON if goes_on else OFF, END), (0.0, 0.0))
            decisions.append(Decision(action, trace=trace))
        return decisions


def attentive(observation: Any, rng: np.random.Generator) -> Any:
    return "Go on."


def went_on(episode: Episode, agent: str) -> list[float]:
    return [float(turn.type == "speak") for turn in episode.own_turns(agent)]


def each_time(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
    """1 for every time one went on, at once."""
    return [{agent: [*went_on(episode, agent)] for agent in episode.agents} for episode in episodes]


def at_least_twice(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
    """At the end: 1 where one went on twice or more often."""
    paid: list[dict[str, list[float | None]]] = []
    for episode in episodes:
        numbers = {agent: went_on(episode, agent) for agent in episode.agents}
        paid.append({a: [*[0.0] * (len(n) - 1), float(sum(n) >= 2)][: len(n)] for a, n in numbers.items()})
    return paid


EACH_TIME = FunctionReward(each_time, name="each-time", timing="causal")
AT_LEAST_TWICE = FunctionReward(at_least_twice, name="at-least-twice")
TRUE_GRADIENT = (1 - PROBABILITY) * sum(k * PROBABILITY**k for k in range(1, NUM_TURNS + 1))


def leavers(reward: Any) -> Any:
    return sotopia_env.parallel_env("bargain", reward=reward, max_cycles=2 * NUM_TURNS)


def members_of(groups: int, size: int = GROUP_SIZE, seats: int = 1) -> list[tuple[Group, int]]:
    return [(Group(0, index, index % seats), member) for index in range(groups) for member in range(size)]


def gradients(played: Branched, states: int) -> np.ndarray[Any, Any]:
    """The policy gradient that each dialogue's groups give, in the logit of going on."""
    advantages, _ = group_advantages(played.members, GROUP_SIZE)
    scores = [(member.row.ids[-2] == ON) - PROBABILITY if member.row.num_turns else 0.0 for member in played.members]
    found: np.ndarray[Any, Any] = advantages[:, 0] * scores
    return found.reshape(-1, states * GROUP_SIZE).mean(axis=1)


# --- The gradient in the leave model ---


@pytest.mark.parametrize(
    ("reward", "states", "continuations", "expected"),
    [
        (EACH_TIME, 1, 1, TRUE_GRADIENT),
        (EACH_TIME, 3, 1, TRUE_GRADIENT),
        # The derivative of the probability of going on twice, p * p, is 2 * p * p * (1 - p) in its logit.
        (AT_LEAST_TWICE, 1, 1, 2 * PROBABILITY**2 * (1 - PROBABILITY)),
        (AT_LEAST_TWICE, 2, 3, 2 * PROBABILITY**2 * (1 - PROBABILITY)),
    ],
)
@pytest.mark.parametrize("dialogues", [60, pytest.param(600, marks=pytest.mark.slow)])
def test_the_gradient_of_the_expected_return_is_found(
    dialogues: int, reward: Any, states: int, continuations: int, expected: float
) -> None:
    members = members_of(dialogues * states)
    learner: Any = Leaver()
    options = {"continuations": continuations, "states_per_dialogue": states}
    played = play_states(leavers(reward), members, learner, sotopia_env.make_policy(attentive), **options)
    found = gradients(played, states)
    error = found.std(ddof=1) / math.sqrt(len(found))
    assert len(found) == dialogues and error < 1.1 / math.sqrt(dialogues)
    assert found.mean() == pytest.approx(expected, abs=3 * error)


def branched(rng: np.random.Generator, number: int, continuations: int) -> tuple[np.ndarray[Any, Any], float]:
    """The same by arrays: for each dialogue the gradient of the turns at one of its states; and the turns it takes."""
    on = rng.random((number, NUM_TURNS)) < PROBABILITY
    lengths = np.minimum(np.logical_and.accumulate(on, axis=1).sum(axis=1) + 1, NUM_TURNS)
    turn, first = (rng.random(number) * lengths).astype(int), np.arange(number)
    goes_on = rng.random((number, GROUP_SIZE)) < PROBABILITY
    goes_on[:, 0] = on[first, turn]
    later = np.arange(NUM_TURNS) > turn[:, None]
    rests = rng.random((number, GROUP_SIZE, continuations, NUM_TURNS)) < PROBABILITY
    rests[:, 0, :1] = on[:, None]
    # How often one goes on after the turn, one play of the rest after the other.
    times = np.logical_and.accumulate(rests | ~later[:, None, None], axis=-1) & later[:, None, None]
    values = goes_on * (1 + times.sum(axis=-1).mean(axis=-1)) if continuations else goes_on
    advantages = values - (values.sum(axis=1, keepdims=True) - values) / (GROUP_SIZE - 1)
    played = goes_on[..., None] * np.minimum(times.sum(axis=-1) + 1, (NUM_TURNS - 1 - turn)[:, None, None])
    played[:, 0, :1] = 0
    turns = lengths + GROUP_SIZE - 1 + played.sum(axis=(1, 2))
    return lengths * (advantages * (goes_on - PROBABILITY)).mean(axis=1), float(turns.mean())


# The standard error of a share is its spread / sqrt(100,000) / 1.15: at most 0.23 %.
@pytest.mark.parametrize(
    ("continuations", "share", "spread", "turns"), [(0, 0.481, 0.36, 9.3), (1, 1, 0.805, 17.5), (4, 1, 0.71, 44.5)]
)
def test_share_of_the_gradient_its_spread_and_what_it_takes(
    continuations: int, share: float, spread: float, turns: float
) -> None:
    found, taken = branched(np.random.default_rng(0), 100_000, continuations)
    assert found.mean() / TRUE_GRADIENT == pytest.approx(share, abs=0.007)
    assert found.std() == pytest.approx(spread, abs=0.012)
    assert taken == pytest.approx(turns, abs=0.2)


# --- What a turn is worth ---


def of_turns(value: Callable[[Episode, Any], float | None], **flags: Any) -> FunctionReward:
    """A reward made of a function of an episode and one of its turns."""

    def rewards(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
        return [{a: [value(e, turn) for turn in e.own_turns(a)] for a in e.agents} for e in episodes]

    return FunctionReward(rewards, name="of-turns", **flags)


def with_reply(episode: Episode, turn: Any) -> float | None:
    """The letters of a turn and of the one after it, once that is known."""
    after = turn.global_index + 1
    if after == len(episode.turns) and episode.ending is None:
        return None
    return float(sum(len(one.text) for one in episode.turns[turn.global_index : after + 1]))


@pytest.fixture
def learner(tiny_directory: Path) -> LocalLM:
    return LocalLM(tiny_directory, max_new_tokens=6)


def play_tiny(learner: LocalLM, reward: Any, members: Sequence[tuple[Group, int]], **options: Any) -> Branched:
    order = options.pop("order", "round-robin")
    env = sotopia_env.parallel_env("bargain", reward=reward, max_cycles=6, action_order=order)
    partner = options.pop("partner", None) or sotopia_env.make_policy("scripted:warm")
    return play_states(env, members, learner, partner, **{"continuations": 1, **options})


BREVITY = of_turns(lambda episode, turn: 1.0 - 0.1 * len(turn.text), timing="causal")


@pytest.mark.parametrize("order", ["round-robin", "simultaneous", "random"])
def test_siblings_share_what_was_read_and_differ_in_what_was_written(learner: LocalLM, order: str) -> None:
    played = play_tiny(learner, BREVITY, members_of(4, 3, seats=2), order=order, partner=learner)
    assert len(played.dialogues) == 4
    for start, dialogue in zip(range(0, 12, 3), played.dialogues, strict=True):
        group = played.members[start : start + 3]
        if not dialogue.row.num_turns:
            continue
        prompts = [member.row.ids[: member.row.prompt_length] for member in group]
        turns = [member.row.ids[member.row.prompt_length :] for member in group]
        assert prompts[0] == prompts[1] == prompts[2]
        assert len(set(map(tuple, turns))) == 3
        # The dialogue went on from the first one.
        whole = [*prompts[0], *turns[0]]
        assert dialogue.row.ids[: len(whole)] == whole
        index = dialogue.row.own_index[len(whole) - 1]
        assert dialogue.row.own_index[len(prompts[0]) :].count(index) == len(turns[0])
        assert group[0].total == pytest.approx(sum(dialogue.parts["of-turns"].rewards[index:]))
        assert {member.weight for member in group} == {dialogue.row.num_turns}
        assert [len(member.episode.own_turns(member.agent)) for member in group] == [index + 1] * 3


def test_a_turn_is_worth_the_mean_over_the_rests(learner: LocalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: dict[str, Episode] = {}
    rewarded = BREVITY.function

    def remember(episodes: Sequence[Episode]) -> Any:
        ends.update({json.dumps([t.text for t in e.turns]): e for e in episodes if e.ending is not None})
        return rewarded(episodes)

    reward = FunctionReward(remember, name="of-turns", timing="causal")
    for member in play_tiny(learner, reward, members_of(3, 3), continuations=2).members:
        turns = member.episode.turns
        rests = [e for e in ends.values() if e.task == member.episode.task and e.turns[: len(turns)] == turns]
        values = [sum(1.0 - 0.1 * len(t.text) for t in e.turns[len(turns) - 1 :: 2]) for e in rests]
        assert 1 <= len(values) <= 2
        assert member.total == pytest.approx(np.mean(values))


def test_credit_is_paid_at_once_or_with_the_reply(learner: LocalLM) -> None:
    members = members_of(4, 3, seats=2)
    plain = of_turns(lambda episode, turn: float(len(turn.text)), kind="credit", timing="causal")
    played = play_tiny(learner, plain, members, continuations=0)
    for member in played.members:
        (turn,) = member.episode.own_turns(member.agent)[-1:]
        assert member.total == len(turn.text)
        assert member.member == 0 or member.episode.turns[-1] == turn
    rests = sum(d.row.own_mask.count(1) for d in played.dialogues)
    rests -= sum(m.row.own_mask.count(1) for m in played.members if m.member == 0)
    assert played.continuation_tokens == rests
    replied = of_turns(with_reply, kind="credit", timing="causal")
    for member in play_tiny(learner, replied, members, continuations=0).members:
        number = member.episode.own_turns(member.agent)[-1].global_index
        if member.member:
            assert member.total == sum(len(turn.text) for turn in member.episode.turns[number:])
            assert member.episode.turns[number + 1 :] or member.episode.ending


def test_what_is_unknown_is_left_out_of_the_mean_and_all_unknown_is_unknown(learner: LocalLM) -> None:
    def some(episode: Episode, turn: Any) -> float | None:
        return None if len(episode.turns[-1].text) % 2 else 1.0

    members = members_of(4, 3)
    known = play_tiny(learner, of_turns(some), members, continuations=3)
    totals = [member.total for member in known.members]
    assert {True, False} >= {total is None for total in totals}
    lengths = {m.episode.task.num_seats: m for m in known.members}
    assert lengths
    unknown = play_tiny(learner, of_turns(lambda episode, turn: None), members, continuations=2)
    assert all(member.unpaid and member.total is None for member in unknown.members)
    assert not group_advantages(unknown.members, 3)[0].any()


def test_what_was_sampled_is_never_tokenised_anew(tiny_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote: dict[tuple[str, str, int], list[int]] = {}
    branches = set()
    learner = LocalLM(tiny_directory, max_new_tokens=6)
    act = learner.act

    def last_turn(key: str, agent: str, turn: int) -> list[int]:
        return (
            wrote[key, agent, turn] if (key, agent, turn) in wrote else last_turn(key.rpartition("~")[0], agent, turn)
        )

    def watched(observations: Sequence[Any], contexts: Sequence[Context]) -> list[Decision]:
        decisions = act(observations, contexts)
        for context, decision in zip(contexts, decisions, strict=True):
            assert decision.trace is not None
            key, prompt = context.episode, list(decision.trace.prompt_ids)
            if context.turn:
                before = last_turn(key, context.agent, context.turn - 1)
                assert prompt[: len(before)] == before, (key, context.agent, context.turn)
                branches.add((key.count("~"), context.agent))
            wrote[key, context.agent, context.turn] = [*prompt, *decision.trace.ids]
        return decisions

    monkeypatch.setattr(learner, "act", watched)
    play_tiny(learner, BREVITY, members_of(4, 4, seats=2), continuations=2, partner=learner)
    assert branches == {(depth, agent) for depth in range(3) for agent in ("agent_0", "agent_1")}


def test_what_a_turn_gets_follows_from_its_step_group_and_number(learner: LocalLM) -> None:
    def told(played: Branched) -> list[Any]:
        return [(m.row.ids, m.total, m.weight, m.episode) for m in played.members]

    members = members_of(4, 3, seats=2)
    first = told(play_tiny(learner, BREVITY, members, step=1))
    assert told(play_tiny(learner, BREVITY, members[4:8], step=1)) == first[4:8]
    assert told(play_tiny(learner, BREVITY, members, step=2)) != first


def test_a_dialogue_of_few_turns_is_branched_at_all_of_them(learner: LocalLM) -> None:
    played = play_tiny(learner, BREVITY, members_of(8, 2), states_per_dialogue=4)
    assert [member.group.index for member in played.members] == [i // 2 for i in range(16)]
    assert len(played.dialogues) == 2
    for start, dialogue in zip((0, 8), played.dialogues, strict=True):
        rows = [member.row.num_turns for member in played.members[start : start + 8]]
        number = dialogue.row.num_turns
        assert number < 4 and rows == [1] * (2 * number) + [0] * (8 - 2 * number)
        assert {member.weight for member in played.members[start : start + 8]} == {4.0}
        lengths = [len(member.row.ids) for member in played.members[start : start + 2 * number : 2]]
        assert lengths == sorted(set(lengths)), "each turn once, in its order"
    advantages, flat = group_advantages(played.members, 2)
    assert flat == 0.0
    assert advantages.shape == (16, 1)


def test_advantages_are_leave_one_out_by_default_and_as_in_the_paper_by_option(learner: LocalLM) -> None:
    played = play_tiny(learner, BREVITY, members_of(3, 4))
    values = np.array([member.total for member in played.members], dtype=float).reshape(3, 4)
    weights = np.array([member.weight for member in played.members]).reshape(3, 4)
    others = (values.sum(axis=1, keepdims=True) - values) / 3
    assert group_advantages(played.members, 4)[0].reshape(3, 4) == pytest.approx(weights * (values - others))
    scaled = (values - values.mean(axis=1, keepdims=True)) / (values.std(axis=1, ddof=1, keepdims=True) + 1e-4)
    paper = get_estimator("trajectory", baseline="group", scale="group")
    assert group_advantages(played.members, 4, paper)[0].reshape(3, 4) == pytest.approx(weights * scaled)


# --- The trainer ---


def settings(directory: Path, **changes: Any) -> GRPOConfig:
    common: dict[str, Any] = {
        "output_dir": str(directory),
        "rollouts": "single-turn",
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_steps": 1,
        "max_turn_tokens": 6,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "save_steps": 1,
        "bf16": False,
        "disable_tqdm": True,
        "seed": 5,
    }
    return GRPOConfig(**{**common, **changes})


def trainer_for(model: Path, args: GRPOConfig, reward: Any = BREVITY) -> GRPOTrainer:
    env = sotopia_env.parallel_env("bargain", reward=reward, max_cycles=6)
    return GRPOTrainer(str(model), env=env, partner="scripted:firm", args=args)


def parameters(model: Any) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in model.parameters()])


def test_the_loss_has_the_gradient_of_the_rows(tiny_directory: Path, tmp_path: Path) -> None:
    args = settings(tmp_path, optim="sgd", learning_rate=1.0, max_grad_norm=0.0, save_strategy="no")
    trainer = trainer_for(tiny_directory, args)
    members = members_played(trainer)
    trainer.train()
    model = load_model(tiny_directory).model
    loss = torch.zeros(())
    for start in range(0, 8, 4):
        group = members[start : start + 4]
        for member in group:
            others = np.mean([one.total for one in group if one is not member])
            ids = torch.tensor([member.row.ids])
            logprobs = model(ids).logits[0, :-1].float().log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
            own = logprobs[member.row.prompt_length - 1 :].sum()
            loss = loss - member.weight * (member.total - others) * own / (8 * args.max_completion_length)
    loss.backward()
    step = parameters(load_model(tiny_directory).model) - parameters(trainer.model)
    expected = torch.cat([value.grad.flatten() for value in model.parameters()])
    assert expected.norm() > 0.05
    assert torch.allclose(step, expected, atol=1e-5 * float(expected.abs().max()) + 1e-7)


def members_played(trainer: Any) -> list[Any]:
    """A list that takes the rows of every step."""
    rows: list[Any] = []
    play = trainer.rollout.play

    def played(*given: Any) -> list[Any]:
        found: list[Any] = play(*given)
        rows.extend(found)
        return found

    trainer.rollout.play = played
    return rows


def test_a_killed_run_ends_as_if_it_had_not_been(
    tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: Callable[..., Any]
) -> None:
    def run(directory: Path) -> Any:
        args = settings(directory, max_steps=3, states_per_dialogue=2, continuations=2, beta=0.1)
        trainer = trainer_for(tiny_directory, args)
        trainer.train()
        return trainer

    whole = run(tmp_path / "whole")
    step = GRPOTrainer.training_step
    with monkeypatch.context() as patched:
        patched.setattr(GRPOTrainer, "training_step", dies_after(2, step))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed")
    resumed = run(tmp_path / "killed")
    assert torch.equal(parameters(whole.model), parameters(resumed.model))
    lines = [read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "killed")]
    for first, second in zip(*lines, strict=True):
        for name in {"loss", "reward", "turn_tokens", "continuation_tokens", "turns"} & first.keys():
            assert first[name] == second[name], name


def test_metrics_are_of_the_dialogues_and_count_tokens_apart(tiny_directory: Path, tmp_path: Path) -> None:
    trainer = trainer_for(tiny_directory, settings(tmp_path, continuations=3), Outcome("episode", {"believability": 1}))
    members = members_played(trainer)
    trainer.train()
    (line,) = [line for line in read_metrics(tmp_path / "metrics.jsonl") if "reward" in line]
    assert line["turn_tokens"] == sum(member.row.own_mask.count(1) for member in members)
    assert line["continuation_tokens"] > 0
    assert line["reward"] == pytest.approx(np.mean([member.total for member in members]), abs=1e-6)
    dialogues = trainer.rollout.dialogues
    assert [dialogue.group for dialogue in dialogues] == [Group(5, 0, 0), Group(5, 1, 1)]
    assert line["turns"] == np.mean([dialogue.row.num_turns for dialogue in dialogues])
    assert line["parts/episode:believability"] == pytest.approx(np.mean([dialogue.total for dialogue in dialogues]))
    assert {"deal_rate", "endings/left", "zero_spread_groups", "own_tokens_per_second"} <= line.keys()


def test_the_learner_learns_what_step_pays(tiny_directory: Path, tmp_path: Path) -> None:
    changes = {"per_device_train_batch_size": 32, "num_generations": 8, "learning_rate": 3e-2}
    trainer = trainer_for(tiny_directory, settings(tmp_path, max_steps=12, save_strategy="no", **changes))
    trainer.train()
    words = [
        line["parts/of-turns"] / line["turns"] for line in read_metrics(tmp_path / "metrics.jsonl") if "reward" in line
    ]
    assert np.mean(words[-3:]) > words[0] + 0.6


def test_stock_trainers_learn_from_single_turns_too(tiny_directory: Path, tmp_path: Path) -> None:
    args = settings(tmp_path, rollouts="multi-turn", save_strategy="no", scale_rewards="group")
    env = sotopia_env.parallel_env("bargain", reward=BREVITY, max_cycles=6)
    loaded = load_model(tiny_directory)
    with pytest.warns(UserWarning, match="rollout_func"):
        trainer = trl.GRPOTrainer(
            loaded.model,
            training.dialogue_return,
            args=args,
            train_dataset=training.group_dataset(args.num_groups, seed=args.seed),
            processing_class=loaded.tokenizer,
            rollout_func=SingleTurnRollout(env, "scripted:firm", max_new_tokens=6),
        )
    trainer.train()
    assert not torch.allclose(parameters(trainer.model), parameters(load_model(tiny_directory).model), atol=1e-4)


def test_what_would_have_no_effect_or_silently_go_wrong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'one-turn' is none of multi-turn, single-turn"):
        settings(tmp_path, rollouts="one-turn")
    for name in ("continuations", "states_per_dialogue"):
        with pytest.raises(ValueError, match=f"{name} = 2 has no effect with rollouts = 'multi-turn'"):
            settings(tmp_path, rollouts="multi-turn", **{name: 2})
    with pytest.raises(ValueError, match="states_per_dialogue = 3: each process plays 2 groups at a time"):
        settings(tmp_path, states_per_dialogue=3)
    credit = of_turns(lambda episode, turn: 1.0, kind="credit", timing="causal")
    for reward, wanted, number in ((credit, None, 0), (BREVITY, None, 1), (BREVITY, 0, 0), ("episode", None, 1)):
        env = sotopia_env.parallel_env("bargain", reward=reward)
        assert continuations_for(env, wanted) == number
    with pytest.raises(ValueError, match="continuations = 0: episode is paid at the end"):
        continuations_for(sotopia_env.parallel_env("bargain", reward="episode"), 0)
    with pytest.raises(ValueError, match="continuations = 2 has no effect: the reward 'of-turns' is credit"):
        continuations_for(sotopia_env.parallel_env("bargain", reward=credit), 2)
