"""What a run of the quickstart does, and how large it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from sotopia_env.agents.scripted.traits import CLONED
from sotopia_env.families.formal import checked_mode
from sotopia_env.rewards.judges.base import as_judge

if TYPE_CHECKING:
    from sotopia_env.rewards.reward_model.saved import Target

Split = Literal["test", "validation"]
"""Settings are tried on validation tasks, with seeds that are not reported; what is reported is of test tasks."""

Variant = Literal["paper", "on-policy", "outcome"]
"""What pays the learner: a reward model of expert dialogues, one of the clone's own dialogues, or the outcome."""

VARIANTS: tuple[str, ...] = get_args(Variant)


_FEWEST_STEPS = 20


@dataclass(frozen=True)
class Learning:
    """How the learner learns.

    Args:
        steps: of GRPO.
        rate: its (first) learning rate.
        schedule: of the learning rate, by ``transformers``' name.
        beta: weight of the divergence from the clone.
    """

    steps: int = 48
    rate: float = 6e-4
    schedule: str = "constant_with_warmup"
    beta: float = 0.02


BY_OUTCOME = Learning(steps=100, rate=1.2e-3, schedule="linear", beta=0.006)
"""A score that the learner cannot talk up needs less holding to the clone's words than a model's."""


@dataclass(frozen=True)
class Settings:
    """What a run does, and how large it is.

    Args:
        agreement: how agreements are made in all that is played (:mod:`sotopia_env.families.formal`): ``"formal"``, by
            acts alone, so that no reading of words decides what a model is paid; ``"plain"``, in words as well.
        variant: ``"paper"``: a reward model learns from labels of expert dialogues, as in Sotopia-RL
            (arXiv 2508.03905); ``"on-policy"``: from labels of the clone's own dialogues; ``"outcome"``: no model, the
            goal of the whole episode pays the last turn.
        judge: scores that goal. To the ``"strict"`` one, deals outside the partner's limit are none: paid for them,
            the learner finds out how the clone is brought to take them (``"rule"``).
        expert_episodes: scripted dialogues to clone from; each gives two rows, one a seat.
        erratic_episodes: dialogues of an expert with a partner that names prices at random, half of them from each
            seat; the expert's side is cloned. They show how a price compares with a limit, and nothing else.
        expert_zones: their zones of agreement: harder than those played later, so that they show refusals enough.
        cloning_epochs: passes over them.
        cloning_batch: rows a step.
        cloning_rate: peak learning rate of cloning.
        label_episodes: dialogues the reward model learns from.
        label_group: so many of the clone's dialogues are of one task: the reward model learns what tells them apart.
        label_temperature: of the clone in them: hotter than it is played, so that siblings agree on different things.
        label_weights: ``{dimension: weight}``: a head of the reward model each, and its part in what is paid.
        label_target: what the reward model learns (:func:`~sotopia_env.training.train_reward_model`). By default the
            score at the end of the ``"episode"`` for the clone's dialogues, where siblings can be compared, and the
            ``"outcome"`` around every turn for the experts'.
        label_design: how the score of an episode becomes the label of a turn, where ``label_target`` is ``"labels"``.
        label_between: how much it counts that tasks differ, where there are siblings (see
            :class:`~sotopia_env.training.RewardModelConfig`).
        model_epochs: passes over them.
        model_batch: rows a step.
        model_rate: peak learning rate of the reward model.
        length_weight: what a turn of twice ``target_words`` costs the learner beside the reward model.
        target_words: a turn of at most so many words costs nothing.
        format_weight: what an invalid turn costs.
        learning: how the learner learns; by default as was measured for the variant.
        dialogues: played in each step of GRPO.
        group: dialogues of one task, seat and seed.
        split: of the tasks that are evaluated on. On ``"validation"`` there are no rows of the transfer tasks.
        tasks: held-out tasks; each is played from both seats against the clone.
        partner_tasks: held-out tasks against each scripted partner.
        temperatures: of the sharpened clones.
        nuclei: other values of ``top_p`` that the clone is tried at.
        unseen: scripted partners of the evaluation that the clone never met: the headline.
        partners: others that it was cloned from.
        top_p: clone and learner are played with the most likely tokens that together reach this probability: a model
            of this size, minutes from its first weights, leaves a little probability on every mistake. The learner
            explores with all of them. By default 0.9, and 0.7 where the outcome pays: that learner presses its
            partner, and one that gives way by mistake ends a dialogue that then earns nothing.
        max_turn_tokens: length limit of a turn.
    """

    agreement: str = "formal"
    variant: Variant = "on-policy"
    judge: str = "strict"
    expert_episodes: int = 4_000
    erratic_episodes: int = 12_000
    expert_zones: Mapping[str, float] = field(default_factory=lambda: {"wide": 0.35, "narrow": 0.35, "empty": 0.3})
    cloning_epochs: float = 1.0
    cloning_batch: int = 16
    cloning_rate: float = 3e-3
    label_episodes: int = 1_040
    label_group: int = 8
    label_temperature: float = 1.2
    label_weights: Mapping[str, float] = field(
        default_factory=lambda: {"goal": 4.0, "relationship": 1.0, "knowledge": 1.0}
    )
    label_target: Target | None = None
    label_design: str = "direct"
    label_between: float = 0.05
    model_epochs: float = 2.0
    model_batch: int = 16
    model_rate: float = 1e-3
    length_weight: float = 0.07
    target_words: int = 12
    format_weight: float = 0.1
    learning: Learning | None = None
    dialogues: int = 64
    group: int = 8
    split: Split = "test"
    tasks: int = 200
    partner_tasks: int = 50
    temperatures: tuple[float, ...] = (0.7, 0.5, 0.3, 0.0)
    nuclei: tuple[float, ...] = (0.9, 1.0)
    unseen: tuple[str, ...] = ("anchor", "tit-for-tat", "stonewall", "hostile", "deceptive")
    partners: tuple[str, ...] = ("firm", "warm")
    top_p: float | None = None
    max_turn_tokens: int = 48

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            ValueError: an unknown variant, mode, split or judge, dialogues that make no whole groups, or a partner
                that is called unseen and was cloned from.
        """
        as_judge(self.judge)
        checked_mode(self.agreement)
        if self.split not in get_args(Split):
            raise ValueError(f"split: {self.split!r} is none of {', '.join(get_args(Split))}")
        if met := sorted({"mixed", *CLONED}.intersection(self.unseen)):
            raise ValueError(f"unseen: {', '.join(met)} were cloned from; list them as partners")
        if self.variant not in VARIANTS:
            raise ValueError(f"variant: {self.variant!r} is none of {', '.join(VARIANTS)}")
        if self.label_group < 1 or self.label_episodes % self.label_group:
            raise ValueError(
                f"label_episodes: {self.label_episodes} is no multiple of label_group = {self.label_group}"
            )

    @property
    def grpo(self) -> Learning:
        """How the learner learns."""
        return self.learning or (BY_OUTCOME if self.variant == "outcome" else Learning())

    @property
    def too_short(self) -> bool:
        """Whether the learner takes too few steps to learn anything: such a run shows that every stage works."""
        return self.grpo.steps < _FEWEST_STEPS

    @property
    def nucleus(self) -> float:
        """From which probability mass clone and learner are played."""
        if self.top_p is not None:
            return self.top_p
        return 0.7 if self.variant == "outcome" else 0.9

    def usable_processes(self, processes: int) -> int:
        """How many of some processes can share the work: whole groups and equal shares of every batch for each.

        Args:
            processes: at most so many.
        """
        shares = [self.cloning_batch, self.dialogues // self.group]
        if self.variant != "outcome":
            # Dialogues of one task are compared with each other.
            shares.append(self.model_batch // (1 if self.variant == "paper" else self.label_group))
        common = math.gcd(*shares)
        return max(n for n in range(1, max(1, processes) + 1) if common % n == 0)

    def described(self) -> dict[str, Any]:
        """All of it as plain data, what follows from the variant filled in."""
        filled_in = {"learning": asdict(self.grpo), "top_p": self.nucleus, "label_target": self.target}
        return asdict(self) | filled_in

    @property
    def target(self) -> Target:
        """What the reward model learns."""
        return self.label_target or ("outcome" if self.variant == "paper" else "episode")


PRESETS: dict[str, Settings] = {
    "default": Settings(),
    "small": Settings(
        expert_episodes=200,
        erratic_episodes=100,
        label_episodes=64,
        model_epochs=1.0,
        cloning_batch=8,
        cloning_epochs=1.0,
        learning=Learning(steps=3),
        dialogues=16,
        tasks=10,
        partner_tasks=5,
        temperatures=(0.5, 0.0),
        nuclei=(),
        unseen=("anchor", "deceptive"),
        partners=("firm",),
    ),
}
"""``default`` is the main job; ``small`` takes a few minutes, runs every stage, and is too short to learn."""
