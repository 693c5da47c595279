"""Groups of dialogues played in the environment, in the shape TRL's ``GRPOTrainer`` takes from a ``rollout_func``.

A group is G dialogues of one task, seat and seed: they differ in nothing but what the policies draw. The learner's
turns of all dialogues are sampled in one batch, and so are the partner's.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset

from sotopia_env.agents.generation import Sampling
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.episodes import Episode, agent_name
from sotopia_env.policies import Policy
from sotopia_env.resolve import make_policy
from sotopia_env.rewards.judges.base import RuleJudge
from sotopia_env.rewards.learning import RewardPart, dialogue_value, parts_of, turn_values
from sotopia_env.rewards.outcome import ScoredReward
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.wrappers.base import PaidWhenOver, reward_of
from sotopia_env.rollouts.executors import Workers
from sotopia_env.rollouts.plan import EpisodePlan, EpisodePlans, RunContext
from sotopia_env.rollouts.run import play_plan
from sotopia_env.seeds import seed_of
from sotopia_env.storage.traces import Traces
from sotopia_env.training.batches import Row, traced_row
from sotopia_env.training.options import GRPO

UNPAID_IN_A_ROW = 32
"""After so many dialogues of unknown reward training stops: of a judge that fails nine times in ten one was known."""


@dataclass(frozen=True)
class Group:
    """What the dialogues of a group share. As text it is the prompt that stands in the data set.

    Args:
        seed: of the run.
        index: of the group in the run; draws its task.
        seat: which seat learns.
    """

    seed: int
    index: int
    seat: int

    def to_prompt(self) -> str:
        """The text :meth:`from_prompt` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_prompt(cls, prompt: Any) -> Group:
        """The group behind a prompt of :func:`group_dataset`.

        Raises:
            ValueError: the prompt is something else.
        """
        try:
            return cls(**json.loads(prompt))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"the prompt {prompt!r:.80} names no group of dialogues; train on training.group_dataset(...)"
            ) from error


@dataclass(frozen=True)
class GroupMember:
    """One member of a group, played.

    Args:
        group: what it shares with its siblings.
        member: 0 .. G - 1.
        episode: with the judgements and rewards that the environment's ``step`` paid by.
        agent: who learns.
        row: its tokens.
        parts: for each part of the reward its flags and its numbers, weight included, ``nan`` where unknown.
        weight: what its advantages are multiplied by.
    """

    group: Group
    member: int
    episode: Episode = field(repr=False)
    agent: str
    row: Row = field(repr=False)
    parts: Mapping[str, RewardPart] = field(repr=False)
    weight: float = 1.0

    @property
    def total(self) -> float | None:
        """What ``step`` paid for the dialogue (:func:`dialogue_value`, all parts); ``None`` where that is unknown."""
        total = sum(map(dialogue_value, self.parts.values())) if self.row.num_turns else math.nan
        return None if math.isnan(total) else total

    @property
    def unknown_turns(self) -> list[bool]:
        """For each own turn whether what it answers for is unknown, in some part of the reward."""
        unknown = [np.isnan(turn_values(part)) for part in self.parts.values()]
        return [bool(turn) for turn in np.any(unknown, axis=0)]

    @property
    def unpaid(self) -> bool:
        """Whether some part of the reward knows nothing at all of the dialogue, in which the agent had a turn."""
        return bool(self.row.num_turns) and any(np.isnan(turn_values(part)).all() for part in self.parts.values())


def group_dataset(
    num_groups: int, *, seed: int = 0, seats: Sequence[int] = (0, 1), states_per_dialogue: int = 1
) -> Dataset:
    """A data set of groups for TRL's trainers, one row each; the seats that learn alternate.

    Args:
        num_groups: how many.
        seed: of the run; decides tasks and every draw.
        seats: which seats learn.
        states_per_dialogue: so many groups in a row have one seat, since they are of one dialogue
            (:mod:`sotopia_env.training.single_turn`).
    """
    groups = (Group(seed, index, seats[index // states_per_dialogue % len(seats)]) for index in range(num_groups))
    return Dataset.from_dict({"prompt": [group.to_prompt() for group in groups]})


def play_groups(
    env: Any,
    members: Sequence[tuple[Group, int]],
    learner: Policy,
    partner: Policy,
    *,
    step: int = 0,
    out: str | Path | None = None,
    processes: Workers = 1,
) -> list[GroupMember]:
    """Play the members of groups to their ends, in lockstep.

    Args:
        env: a reward-wrapped environment; it is forked, and stays as it is.
        members: for each dialogue its group and its number in it; no two are the same.
        learner: acts for the group's seat. Its decisions carry token traces.
        partner: acts for all other seats.
        step: of the training run; seeds the draws together with seed, group and member.
        out: as in :func:`~sotopia_env.rollout`, with token traces beside it.
        processes: as in :func:`~sotopia_env.rollout`.

    Raises:
        TypeError: the environment pays nothing.
        ValueError: with ``out``, groups of several runs.
    """
    reward = paid_by(env).for_family(env.unwrapped.family)
    plans = [member_plan(env, group, member, learner, partner, step) for group, member in members]
    traces: Traces = {}
    # Nobody looks at what single steps pay, unless a wrapper over the reward does.
    context = RunContext(env, paying=PaidWhenOver(reward))
    episodes = play_plan(
        EpisodePlans(plans, context, _seed_of(members, out)),
        out=out,
        batch_size=len(plans) or 1,
        processes=processes,
        traces=traces,
    )
    played = []
    for (group, member), episode in zip(members, episodes, strict=True):
        agent = agent_name(group.seat)
        row = traced_row(episode, agent, traces.get((episode.key, agent), ()))
        played.append(GroupMember(group, member, episode, agent, row, parts_of(reward, episode, agent)))
    return played


def member_plan(env: Any, group: Group, member: int, learner: Policy, partner: Policy, step: int) -> EpisodePlan:
    """How one member of a group is played: its task and draws follow from seed, step, group and member."""
    fixed = env.unwrapped.tasks
    return EpisodePlan(
        key=f"{group.seed}-{step}-{group.index}-{member}",
        seed=seed_of(group.seed, step, group.index, member),
        policies={a: learner if a == agent_name(group.seat) else partner for a in env.possible_agents},
        task=fixed[group.index % len(fixed)] if fixed else None,
        env_seed=seed_of(group.seed, step, group.index),
    )


def _seed_of(members: Sequence[tuple[Group, int]], out: Any) -> int:
    """The one seed of a run, for the manifest of what is kept."""
    seeds = {group.seed for group, _ in members}
    if out is not None and len(seeds) > 1:
        raise ValueError(
            f"groups of the runs {', '.join(map(str, sorted(seeds)))}: a file takes one run; give each its own out"
        )
    return min(seeds, default=0)


def paid_by(env: Any) -> Reward:
    """Returns the reward that an environment pays.

    Raises:
        TypeError: it pays none.
    """
    reward = reward_of(env)
    if reward is None:
        raise TypeError("the environment pays nothing: parallel_env(..., reward=...), or wrap it in a RewardWrapper")
    return reward


class RolloutFunc:
    """A ``rollout_func`` for TRL's trainers, stock ones included, together with :func:`group_dataset`.

    Called with prompts and trainer, it plays one dialogue per prompt with the trainer's present weights. Besides
    ``prompt_ids``, ``completion_ids``, ``logprobs`` and ``env_mask`` (1 on the learner's own tokens) it returns, for
    each dialogue, ``utterance_index`` (for each completion token its own turn, -1 elsewhere), ``dialogue`` and
    ``dialogue_return``, which the reward function :func:`dialogue_return` hands on.

    Args:
        env: a reward-wrapped environment.
        partner: a policy, its name, or a directory.
        max_new_tokens: length limit of one turn.
        learner: acts with the weights in training; by default made of the trainer's model, tokenizer and sampling.
        mask_truncated: keep turns that the length limit cut out of the loss.

    Raises:
        TypeError: the environment pays nothing.
        ValueError: the reward can never be known of some of the tasks; or, when it is called, in whole steps of 32
            dialogues or more it was known of none.

    Example:
        >>> rollout_func = make_rollout_func(env, "scripted:firm")  # doctest: +SKIP
        >>> data = group_dataset(64)  # doctest: +SKIP
        >>> trl.GRPOTrainer(model, dialogue_return, train_dataset=data, rollout_func=rollout_func)  # doctest: +SKIP
    """

    def __init__(
        self,
        env: Any,
        partner: Any,
        *,
        max_new_tokens: int = 48,
        learner: Policy | None = None,
        mask_truncated: bool = False,
    ) -> None:
        check_payable(env)
        self.env = env
        self.partner = make_policy(partner)
        self.max_new_tokens = max_new_tokens
        if isinstance(learner, LocalLM) and not learner.encoder.keeps_turns:
            raise ValueError(
                f"the learner {learner.name!r} forgets its thoughts, so that its dialogues are no single sequence to "
                "train on; make it with thinking='off'"
            )
        self.learner = learner
        self.mask_truncated = mask_truncated
        self.paid = 0
        """Dialogues so far of which the reward knew something."""
        self.unpaid = 0
        """Dialogues in a row of which it knew nothing."""
        self.dialogues: list[GroupMember] = []
        """What was played to its end at the last call."""
        self.sampled: dict[str, int] = {}
        """How many tokens the learner sampled at the last call, and what for."""

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """Play one dialogue for each prompt."""
        if self.learner is None:
            self.learner = learner_of(trainer, self.max_new_tokens)
        members = []
        # A stock trainer cuts a group into shares of several processes: those of the ones before have their numbers.
        before = gather_object([list(map(Group.from_prompt, prompts))])[: PartialState().process_index]
        seen = Counter(group for groups in before for group in groups)
        for group in map(Group.from_prompt, prompts):
            members.append((group, seen[group]))
            seen[group] += 1
        played = self.play(members, self.learner, int(trainer.state.global_step))
        for policy in (self.learner, self.partner):
            if isinstance(policy, LocalLM):
                # These dialogues are over, and training needs the memory.
                policy.forget()
        self._count(gather_object([m.unpaid for m in played if m.row.num_turns]))
        ends = int(trainer.processing_class.eos_token_id)
        rows = [completion_of(member.row, ends, self.mask_truncated) for member in played]
        logprobs = [row.logprobs for row in rows]
        return {
            "prompt_ids": [row.prompt_ids for row in rows],
            "completion_ids": [row.completion_ids for row in rows],
            "logprobs": None if any(values is None for values in logprobs) else logprobs,
            "env_mask": [row.mask for row in rows],
            "utterance_index": [row.utterance_index for row in rows],
            "dialogue": played,
            "dialogue_return": [member.total for member in played],
        }

    def play(self, members: Sequence[tuple[Group, int]], learner: Policy, step: int) -> list[GroupMember]:
        """Play the members of groups, and note what was played and sampled.

        Args:
            members: for each row its group and its number in it.
            learner: acts for the group's seat.
            step: of the training run.
        """
        self.dialogues = play_groups(self.env, members, learner, self.partner, step=step)
        self.sampled = {"turn_tokens": sum(sum(dialogue.row.own_mask) for dialogue in self.dialogues)}
        return self.dialogues

    def _count(self, unpaid: Sequence[bool]) -> None:
        """Count the dialogues of a step, of all processes, in which the learner spoke."""
        self.paid += unpaid.count(False)
        self.unpaid = self.unpaid + len(unpaid) if all(unpaid) else 0
        if self.unpaid >= UNPAID_IN_A_ROW:
            # Rather than go on for hours and report success.
            raise ValueError(self.told_unpaid())

    def told_unpaid(self) -> str:
        """What was unknown in all dialogues of late, and the remedy."""
        reward = paid_by(self.env)
        judges = ", ".join(judge.name for judge in reward.judges())
        return (
            f"the reward {reward.name!r} is unknown in all of the last {self.unpaid} dialogues"
            f"{f' (judged by {judges})' if judges else ''}: nothing can be learnt from them. Look whether the judge "
            "answers and can score these tasks; else take another reward or judge, such as "
            "Outcome(judge='llm:MODEL@URL'), or other tasks"
        )


def make_rollout_func(env: Any, partner: Any, **options: Any) -> RolloutFunc:
    """A ``rollout_func`` for TRL's trainers; see :class:`RolloutFunc`."""
    return RolloutFunc(env, partner, **options)


def dialogue_return(
    completions: Sequence[Any], dialogue_return: Sequence[float | None], **_: Any
) -> list[float | None]:
    """The reward function beside :func:`make_rollout_func`: what the environment paid for the dialogue.

    Returns are summed over turns, hindsight credit counts as its outcome: summed, it would pay for staying. Causal
    credit is summed, as ``step`` pays it; where it is a label and no change (a reward model of labels), a trainer that
    sees one number a dialogue pays for turns, and ``GRPOTrainer``, which sees each turn, does not.
    """
    return list(dialogue_return)


def learner_of(trainer: Any, max_new_tokens: int) -> LocalLM:
    """The model in training as a policy, with the trainer's tokenizer and sampling, and its backend where it has one.

    Stock trainers do not correct for another number format, so there the model plays in its own.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    sampling = sampling_of(trainer.args, max_new_tokens)
    options = {
        name: value
        for name, setting in (("backend", "backend"), ("url", "vllm_url"), ("dtype", "play_dtype"))
        if (value := getattr(trainer.args, setting, None)) is not None
    }
    return LocalLM(LoadedModel(model, trainer.processing_class), name="learner", **asdict(sampling), **options)


def sampling_of(args: Any, max_new_tokens: int) -> Sampling:
    """How a trainer's settings have the learner's tokens drawn.

    Args:
        args: TRL's ``GRPOConfig``, or ours.
        max_new_tokens: length limit of one turn.

    Raises:
        ValueError: they ask for more than temperature, ``top_k`` and ``top_p``.
    """
    for name, unused in (("min_p", None), ("repetition_penalty", 1.0), ("generation_kwargs", None)):
        if getattr(args, name) != unused:
            raise ValueError(f"{name} = {getattr(args, name)!r}: {GRPO.refused[name]}")
    return Sampling(args.temperature, args.top_k or None, args.top_p if args.top_p < 1 else None, max_new_tokens)


@dataclass(frozen=True)
class Completion:
    """A row cut where the learner's first token stands: TRL's prompt, and its completion.

    Args:
        prompt_ids: everything before.
        completion_ids: the rest, the partner's words included.
        mask: 1 on tokens that count in the loss.
        utterance_index: which own turn a token belongs to, -1 elsewhere.
        logprobs: under the sampling distribution, ``nan`` on the partner's tokens; ``None`` where not known.
    """

    prompt_ids: list[int]
    completion_ids: list[int]
    mask: list[int]
    utterance_index: list[int]
    logprobs: list[float] | None


def completion_of(row: Row, filler: int, mask_truncated: bool = False) -> Completion:
    """One row as TRL's trainers take it.

    Args:
        row: a dialogue.
        filler: a token for the masked row of a dialogue in which the learner never had a turn; TRL takes no empty ones.
        mask_truncated: whether turns cut by the length limit are masked.
    """
    if not row.num_turns:
        return Completion([filler], [filler], [0], [-1], [float("nan")])
    start = row.prompt_length
    index = row.own_index[start:]
    cut = set(row.truncated) if mask_truncated else set()
    mask = [int(own and turn not in cut) for own, turn in zip(row.own_mask[start:], index, strict=True)]
    logprobs = None if row.logprobs is None else row.logprobs[start:]
    return Completion(row.ids[:start], row.ids[start:], mask, index, logprobs)


def check_payable(env: Any, samples: int = 8) -> None:
    """Refuse tasks of which the rules that the reward reads can never know the score.

    Args:
        env: the environment.
        samples: of a family that draws its tasks, so many are looked at.

    Raises:
        TypeError: the environment pays nothing.
        ValueError: there are such tasks; the error says how many.
    """
    reward, bare = paid_by(env), env.unwrapped
    tasks = bare.tasks or [bare.family.generate(np.random.default_rng(seed)) for seed in range(samples)]
    for part in reward.walk():
        if not (isinstance(part, ScoredReward) and isinstance(part.judge, RuleJudge)):
            continue
        family = bare.family if part.judge.family is None else part.judge.family
        unknown = [task for task in tasks if not all(family.knows(task, d) for d in part.dimensions)]
        if unknown:
            raise ValueError(
                f"reward {part.name!r}: the {part.judge.name} judge can never know {', '.join(part.dimensions)} of "
                f"{len(unknown)} of {len(tasks)} tasks, such as {unknown[0].id!r} of {unknown[0].family!r}; leave them "
                "out, or take a judge that understands them: Outcome(judge='llm:MODEL@URL')"
            )


def check_context(env: Any, loaded: LoadedModel, max_new_tokens: int, samples: int = 8) -> None:
    """Refuse tasks whose dialogues could outgrow the model's context.

    Args:
        env: the environment.
        loaded: the learner.
        max_new_tokens: length limit of one turn, of either side.
        samples: so many tasks are looked at.

    Raises:
        ValueError: one is too long.
    """
    policy = LocalLM(loaded, max_new_tokens=max_new_tokens)
    limit = policy.context_length
    if limit is None:
        return
    (twin,) = env.fork(1)
    fixed = twin.unwrapped.tasks
    for index in range(min(samples, len(fixed)) if fixed else samples):
        _, infos = twin.reset(seed=index, options={"task": fixed[index]} if fixed else None)
        bare = twin.unwrapped
        at_once = len(bare.possible_agents) if bare.rules.action_order == "simultaneous" else 1
        turns = at_once * bare.rules.limit(bare.episode.task)
        for agent in bare.possible_agents:
            prompt = len(policy.encoder.encode(bare.messages(agent)).ids)
            # A name and the template's own tokens come with each turn.
            longest = prompt + turns * (max_new_tokens + 8)
            if longest > limit:
                raise ValueError(
                    f"task {infos[agent]['task']!r}: a dialogue may take {longest} tokens ({prompt} before it begins), "
                    f"but the model reads at most {limit}; lower max_cycles or max_turn_tokens, or take another model"
                )
