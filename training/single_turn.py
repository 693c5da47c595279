"""Single turns instead of whole dialogues: groups of turns at states that are reached in play.

A dialogue is played to its end by the learner and its partner, and branched at some of the learner's turns: there the
environment is forked, G - 1 more turns are sampled, and each is stepped. The G turns of a state are a group. What each
is worth is what it answers for (:mod:`sotopia_env.rewards.learning`): its own number where the reward is causal credit,
such as that of a reward model of turns; else the mean over ``continuations`` plays of the rest, by the learner with its
present weights and the partner: VinePPO's estimator (Kazemnejad et al., 2024, arXiv:2410.01679, equation 6).

The turn from which the dialogue went on is the first of the group, and its rest one of the continuations. The siblings
are drawn alike, so that this is the dialogue that goes on from a sibling drawn uniformly.

**Unbiased.** The gradient of the expected return is a sum over the own turns of a dialogue. Of T own turns S are drawn
(``states_per_dialogue``), each with probability S / T, and the mean over a dialogue's S groups is taken: so each
advantage counts T times. A dialogue of fewer turns is branched at all of them; its other groups are empty, and each
advantage counts S times. Unlike static prompts, such as those of clone self-play in Sotopia-RL (arXiv:2508.03905), the
states are then visited just as the learner visits them now.

Everything that is drawn follows from (seed, step, dialogue, turn, member): nothing is kept between steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from sotopia_env.episodes import Episode, agent_name
from sotopia_env.policies import Policy
from sotopia_env.rewards.learning import RewardPart, parts_of, turn_values
from sotopia_env.rewards.outcome import Outcome
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.wrappers.base import paid_at_the_end, paying_layer
from sotopia_env.rollouts.lockstep import Game, play, play_cycle
from sotopia_env.rollouts.plan import EpisodePlan, RunContext
from sotopia_env.seeds import seed_of_key
from sotopia_env.storage.traces import Traces
from sotopia_env.training.batches import Row, traced_row
from sotopia_env.training.grpo_config import GRPOConfig
from sotopia_env.training.rollout_func import Group, GroupMember, RolloutFunc, member_plan, paid_by

Parts = Mapping[str, RewardPart]


class SingleTurnRollout(RolloutFunc):
    """A ``rollout_func`` for TRL's trainers whose rows are single turns: :class:`RolloutFunc` says the rest.

    The prompt of a row is the chat up to the turn, as it was read and written; its completion is the turn.

    Args:
        env: a reward-wrapped environment. It is forked.
        partner: a policy, its name, or a directory.
        continuations: how often the rest is played from each turn, 0 for a turn's own number; ``None`` is what the
            reward needs (:func:`continuations_for`).
        states_per_dialogue: S, at so many of the learner's turns a dialogue is branched. Of the groups of
            :func:`group_dataset`, made with the same number, S in a row are of one dialogue.
        options: of :class:`RolloutFunc`.

    Raises:
        ValueError: the reward cannot be paid so, or as :class:`RolloutFunc` raises it.
    """

    def __init__(
        self,
        env: Any,
        partner: Any,
        *,
        continuations: int | None = None,
        states_per_dialogue: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(env, partner, **options)
        self.continuations = continuations_for(env, continuations)
        self.states_per_dialogue = states_per_dialogue

    def play(self, members: Sequence[tuple[Group, int]], learner: Policy, step: int) -> list[GroupMember]:
        """Play dialogues, branch them, and note what was played and sampled: see :func:`play_states`."""
        played = play_states(
            self.env,
            members,
            learner,
            self.partner,
            continuations=self.continuations,
            states_per_dialogue=self.states_per_dialogue,
            step=step,
        )
        self.dialogues = played.dialogues
        self.sampled = {"turn_tokens": played.turn_tokens, "continuation_tokens": played.continuation_tokens}
        return played.members


def rollout_for(args: GRPOConfig, env: Any, partner: Policy) -> RolloutFunc:
    """The rollout function that settings of GRPO ask for."""
    options: dict[str, Any] = {"max_new_tokens": args.max_turn_tokens, "mask_truncated": args.mask_truncated_turns}
    if args.rollouts == "multi-turn":
        return RolloutFunc(env, partner, **options)
    return SingleTurnRollout(
        env, partner, continuations=args.continuations, states_per_dialogue=args.states_per_dialogue, **options
    )


def continuations_for(env: Any, wanted: int | None) -> int:
    """How many continuations there are from each turn.

    Args:
        env: a reward-wrapped environment.
        wanted: so many; ``None`` takes 0 where every part of the reward is causal credit, which holds all that a turn
            is worth, and 1 where a turn answers for what comes later.

    Raises:
        ValueError: fewer than 0; 0, and a part of the reward is paid at the end alone; or more, and none of them could
            change the worth of a turn.
    """
    reward = paid_by(env)
    parts = [part for _, part in reward.parts()]
    # The causal design of an outcome pays 0 at once, and all of it with the last turn.
    late = [part.name for part in parts if part.timing == "hindsight" or isinstance(part, Outcome)]
    at_once = all((part.kind, part.timing) == ("credit", "causal") for part in parts)
    if wanted is None:
        return 0 if at_once else 1
    if wanted < 0:
        raise ValueError(f"continuations = {wanted}: give 0 or more")
    if wanted == 0 and late:
        raise ValueError(
            f"continuations = 0: {', '.join(late)} is paid at the end of a dialogue alone, so that every turn has to "
            "be played on from; give 1 or more"
        )
    if wanted and at_once:
        raise ValueError(
            f"continuations = {wanted} has no effect: the reward {reward.name!r} is credit that is known at once, so "
            "that nothing is played on; leave it out"
        )
    return wanted


@dataclass(frozen=True)
class Branched:
    """What a step played.

    Args:
        members: one for each that was asked for: a turn, with what it is worth as a return of this one turn, part by
            part (all together where it is paid at once).
        dialogues: those that were branched, played to their ends.
        turn_tokens: how many tokens the learner sampled in the turns that are compared.
        continuation_tokens: how many it sampled besides, in the rest of the dialogues and in continuations.
    """

    members: list[GroupMember]
    dialogues: list[GroupMember]
    turn_tokens: int
    continuation_tokens: int


def play_states(
    env: Any,
    members: Sequence[tuple[Group, int]],
    learner: Policy,
    partner: Policy,
    *,
    continuations: int,
    states_per_dialogue: int = 1,
    step: int = 0,
) -> Branched:
    """Play dialogues and branch them: the turns of all siblings are sampled at once, all continuations in lockstep.

    Args:
        env: a reward-wrapped environment; it is forked, and stays as it is.
        members: for each turn its group and its number in it; no two are the same. Groups i * S .. i * S + S - 1 are
            states of dialogue i.
        learner: acts for the group's seat. Its decisions carry token traces.
        partner: acts for all other seats.
        continuations: plays of the rest from each turn; 0 takes what ``step`` pays for the turn itself.
        states_per_dialogue: S.
        step: of the training run; seeds the draws.
    """
    paying = paying_layer(env)
    reward = paid_by(env).for_family(env.unwrapped.family)
    owners = [replace(group, index=group.index // states_per_dialogue) for group, _ in members]
    whole = list(dict.fromkeys(owners))
    plans = [member_plan(paying, group, 0, learner, partner, step) for group in whole]
    lines = [
        _Line(env, plan, agent_name(group.seat))
        for env, plan, group in zip(RunContext(paying).begin(plans), plans, whole, strict=True)
    ]
    traces: Traces = {}
    branches = dict(zip(whole, _play_dialogues(lines, traces, states_per_dialogue), strict=True))
    dialogues = {group: _dialogue(group, line, reward, traces) for group, line in zip(whole, lines, strict=True)}

    turns: dict[tuple[Group, int], _Turn] = {}
    for (group, number), owner in zip(members, owners, strict=True):
        states, place = branches[owner], group.index % states_per_dialogue
        # A dialogue may have fewer turns than it has groups.
        if place < len(states):
            turns[group, number] = states[place].sibling(number)
    value = partial(_mean_of_rests, continuations=continuations) if continuations else _paid_at_once
    values = dict(zip(turns, value(list(turns.values()), reward, traces), strict=True))

    played = []
    for member, owner in zip(members, owners, strict=True):
        dialogue = dialogues[owner]
        weight = float(max(states_per_dialogue, dialogue.row.num_turns))
        if member in turns:
            line = turns[member].line
            row, parts, episode = turns[member].row(traces), values[member], line.episode
        else:
            row, parts, episode = Row([], [], [], 0), {}, dialogue.episode
        played.append(GroupMember(*member, episode, dialogue.agent, row, parts, weight))
    seats = {line.plan.key: line.agent for line in lines}
    sampled = sum(
        len(trace.ids)
        for (key, agent), written in traces.items()
        if agent == seats[key.partition("~")[0]]
        for trace in written
    )
    turn_tokens = sum(sum(member.row.own_mask) for member in played)
    return Branched(played, list(dialogues.values()), turn_tokens, sampled - turn_tokens)


@dataclass(frozen=True)
class _Line:
    """A line of play: an environment, who goes on in it under which key, and who learns.

    What stands before the last ``~`` of a key leads a language model to the tokens it has read and written so far.
    """

    env: Any
    plan: EpisodePlan
    agent: str

    def fork(self, key: str | None = None) -> _Line:
        plan = self.plan if key is None else replace(self.plan, key=key, seed=seed_of_key(key))
        return replace(self, env=self.env.fork()[0], plan=plan)

    @property
    def game(self) -> Game:
        return Game(self.env, self.plan.policies, self.plan.seed, self.plan.key)

    @property
    def is_over(self) -> bool:
        return not self.env.unwrapped.acting

    @property
    def episode(self) -> Episode:
        return RunContext().finished(self.env, self.plan)


@dataclass(frozen=True)
class _Turn:
    """One of the turns of a state.

    Args:
        index: which of the learner's own turns it is.
        line: stands right behind it.
        whole: the dialogue that went on from it, for the first of a group.
    """

    index: int
    line: _Line
    whole: _Line | None = None

    def row(self, traces: Traces) -> Row:
        """The chat up to the turn as it was read, and the turn as it was written."""
        trace = traces[self.line.plan.key, self.line.agent][self.index if self.whole else 0]
        read, wrote = len(trace.prompt_ids), len(trace.ids)
        logprobs = None if trace.logprobs is None else [math.nan] * read + list(trace.logprobs)
        return Row(
            [*trace.prompt_ids, *trace.ids],
            [0] * read + [1] * wrote,
            [-1] * read + [0] * wrote,
            1,
            logprobs,
            (0,) if trace.truncated else (),
        )


@dataclass(frozen=True)
class _State:
    """A state that a dialogue is branched at: forks before and after the learner's turn."""

    index: int
    before: _Line
    after: _Line
    whole: _Line

    def sibling(self, number: int) -> _Turn:
        """The turn of a member: for the first that of the dialogue, for others one that is still to be played."""
        if number == 0:
            return _Turn(self.index, self.after, self.whole)
        return _Turn(self.index, self.before.fork(f"{self.whole.plan.key}~{self.index}.{number}"))


def _play_dialogues(lines: Sequence[_Line], traces: Traces, most: int) -> list[list[_State]]:
    """Play dialogues to their ends; at most so many states of each, drawn at random, in their order."""
    states: dict[str, list[_State]] = {line.plan.key: [] for line in lines}
    # Forks that are taken within are paid later.
    with paid_at_the_end([line.env for line in lines]):
        while live := [line for line in lines if not line.is_over]:
            before = [(line, line.fork()) for line in live if line.agent in line.env.unwrapped.acting]
            _cycle(live, traces)
            for line, fork in before:
                found = states[line.plan.key]
                found.append(_State(len(found), fork, line if line.is_over else line.fork(), line))
    drawn = []
    for key, found in states.items():
        places = np.random.default_rng(seed_of_key(f"{key}~states")).permutation(len(found))[:most]
        drawn.append([found[place] for place in sorted(places)])
    return drawn


def _dialogue(group: Group, line: _Line, reward: Reward, traces: Traces) -> GroupMember:
    episode = line.episode
    row = traced_row(episode, line.agent, traces.get((episode.key, line.agent), ()))
    return GroupMember(group, 0, episode, line.agent, row, parts_of(reward, episode, line.agent))


def _cycle(lines: Sequence[_Line], traces: Traces) -> None:
    """Play one cycle of all lines, in lockstep."""
    play_cycle([line.game for line in lines], traces=traces)


def _paid_at_once(turns: Sequence[_Turn], reward: Reward, traces: Traces) -> list[Parts]:
    """What each turn was paid for itself: at once, or where that is not known yet, with the reply."""
    fresh = [turn for turn in turns if turn.whole is None]
    with paid_at_the_end([turn.line.env for turn in fresh]):
        _cycle([turn.line for turn in fresh], traces)
    unreplied = [turn.line for turn in fresh if math.isnan(_paid(turn)) and not turn.line.is_over]
    with paid_at_the_end([line.env for line in unreplied]):
        _cycle(unreplied, traces)
    return [{reward.name: RewardPart("return", [_paid(turn)])} for turn in turns]


def _paid(turn: _Turn) -> float:
    number = (turn.whole or turn.line).env.utterance_rewards[turn.line.agent][turn.index]
    return math.nan if number is None else number


def _mean_of_rests(turns: Sequence[_Turn], reward: Reward, traces: Traces, continuations: int) -> list[Parts]:
    """What each turn answers for, part by part: the mean over plays of the rest of which it is known."""
    _cycle([turn.line for turn in turns if turn.whole is None], traces)
    rests: list[list[_Line]] = []
    for turn in turns:
        played = [] if turn.whole is None else [turn.whole]
        # A turn that ended the dialogue has one rest, which is empty.
        forked = 0 if turn.line.is_over else continuations - len(played)
        key = f"{turn.line.plan.key}~after{turn.index}"
        rests.append([*played, *(turn.line.fork(f"{key}.{number}") for number in range(forked))] or [turn.line])
    fresh = [line for turn, lines in zip(turns, rests, strict=True) for line in lines if line is not turn.whole]
    with paid_at_the_end([line.env for line in fresh]):
        play([line.game for line in fresh], traces=traces)
    return [
        _mean([parts_of(reward, line.env.episode, line.agent) for line in lines], turn.index)
        for turn, lines in zip(turns, rests, strict=True)
    ]


def _mean(rests: Sequence[Parts], turn: int) -> Parts:
    """The mean of what one own turn answers for, as a number of its own."""
    means = {}
    for name in rests[0]:
        found = [value for rest in rests if not math.isnan(value := float(turn_values(rest[name])[turn]))]
        means[name] = RewardPart("return", [sum(found) / len(found) if found else math.nan])
    return means
