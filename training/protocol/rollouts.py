"""Whole dialogues and single turns as what is compared, from one clone and with the same number of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sotopia_env import rewards as R
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.families.bargain import Bargain
from sotopia_env.make import parallel_env
from sotopia_env.policies import Policy
from sotopia_env.statistics import interval_over_runs
from sotopia_env.tables import Cell, Table, estimate
from sotopia_env.training.callbacks import read_metrics
from sotopia_env.training.checkpoints import COMPLETE
from sotopia_env.training.evaluation import draw_tasks, evaluate
from sotopia_env.training.grpo import GRPOTrainer
from sotopia_env.training.grpo_config import GRPOConfig
from sotopia_env.training.protocol.learning import share_clone
from sotopia_env.training.protocol.protocol import Figures, Parts, Protocol
from sotopia_env.training.quickstart import LEARNING_BANK, Run
from sotopia_env.training.quickstart_settings import PRESETS, Settings

MARKS = 4
"""The learner is evaluated after each quarter of its tokens."""

MEASURED = ("goal", "goal_strict", "deal_rate")


@dataclass(frozen=True)
class Arm:
    """One way to learn.

    Args:
        paid_by: ``"outcome"``, or ``"reward model"``: one of turns, whose numbers are credit that is known at once.
        rollouts: settings of :class:`~sotopia_env.training.GRPOConfig`: what is compared, and how the learner is held.
    """

    paid_by: str
    rollouts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What its row is called."""
        number = self.rollouts.get("continuations")
        return str(self.rollouts["rollouts"]) + ("" if number is None else f", continuations {number}")


# The divergence from the clone is weighed as in the quickstart. Rows of single turns have the tokens of one of the 2.7
# turns that a clone takes in a dialogue, so that the same hold takes 2.7 times the weight.
ARMS = (
    Arm("outcome", {"rollouts": "multi-turn", "beta": 0.006}),
    Arm("outcome", {"rollouts": "single-turn", "continuations": 1, "beta": 0.016}),
    Arm("outcome", {"rollouts": "single-turn", "continuations": 4, "beta": 0.016}),
    Arm("reward model", {"rollouts": "multi-turn", "beta": 0.02}),
    Arm("reward model", {"rollouts": "single-turn", "continuations": 0, "beta": 0.054}),
)


@dataclass(frozen=True)
class Size:
    """How much is learnt and played.

    Args:
        tokens: that each learner samples, in all that it plays.
        tasks: held-out ones; each is played from both seats at every mark.
        rate: the learning rate.
        rows: of a step.
    """

    tokens: int = 90_000
    tasks: int = 50
    rate: float = 6e-4
    rows: int = 64


SIZES = {"default": Size(), "small": Size(tokens=4_000, tasks=5, rows=16)}


def make_rollouts(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """What each learner reaches, for every seed; those of one seed share clone and reward model."""
    return {"runs": [_of_seed(protocol, folder, seed) for seed in protocol.seeds]}


def _of_seed(protocol: Protocol, folder: Path, seed: int) -> dict[str, Any]:
    size, settings = SIZES[protocol.preset], _settings(protocol)
    start = folder / f"start-{seed}"
    learnt = protocol.out / "learning" / f"on-policy-{seed}"
    if not start.exists() and (learnt / "clone" / COMPLETE).exists():
        share_clone(learnt, start)
    run = Run(start, seed, settings)
    run.clone(run.experts())
    run.model_reward()
    clone, tasks = str(start / "clone"), draw_tasks(f"bargain:{settings.split}?agreement=formal", size.tasks, seed)

    partner = LocalLM(clone, name="clone")

    def measure(policy: Policy) -> dict[str, float]:
        summary = evaluate(policy, partner, tasks, seed=seed).summary
        return {name: summary[name]["mean"] for name in MEASURED}

    rewards = {"outcome": R.Outcome(judge=settings.judge), "reward model": run.reward()}
    arms = []
    for number, arm in enumerate(ARMS):
        out = folder / f"learner-{number}-{seed}"
        if not (out / COMPLETE).exists():
            trainer = GRPOTrainer(
                clone,
                env=parallel_env(Bargain(judge_bank=LEARNING_BANK, agreement="formal"), reward=rewards[arm.paid_by]),
                partner=partner,
                args=GRPOConfig(
                    str(out),
                    # Tokens end it before.
                    max_steps=10_000,
                    per_device_train_batch_size=size.rows,
                    learning_rate=size.rate,
                    seed=seed,
                    **arm.rollouts,
                ),
            )
            trainer.add_callback(Budget(trainer, size.tokens, measure))
            trainer.train()
        arms.append(_told(out))
    return {"seed": seed, "before": measure(partner), "arms": arms}


class Budget(TrainerCallback):
    """Ends training when the learner has sampled so many tokens, and evaluates it at each mark on the way.

    Args:
        trainer: whose.
        tokens: of all that it plays.
        measure: a policy in numbers.
    """

    def __init__(self, trainer: GRPOTrainer, tokens: int, measure: Callable[[Policy], Mapping[str, float]]) -> None:
        self.trainer, self.tokens, self.measure = trainer, tokens, measure
        self.spent = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count what was sampled before a run was cut off."""
        self.spent = sum(map(_sampled, read_metrics(Path(str(args.output_dir)) / "metrics.jsonl")))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Count what was sampled in a step."""
        passed = self.marks
        self.spent += _sampled(logs or {})
        if self.marks > passed:
            found = self.measure(self.trainer.policy)
            told = {f"evaluation/{name}": value for name, value in {"marks": self.marks, **found}.items()}
            Trainer.log(self.trainer, told)
        control.should_training_stop |= self.spent >= self.tokens

    @property
    def marks(self) -> int:
        """How many of the marks are passed."""
        return min(MARKS, int(MARKS * self.spent / self.tokens))


def _sampled(line: Mapping[str, Any]) -> float:
    return float(line.get("turn_tokens", 0.0) + line.get("continuation_tokens", 0.0))


def _told(folder: Path) -> dict[str, Any]:
    """What the metrics of a finished run say."""
    lines = read_metrics(folder / "metrics.jsonl")
    steps = [line for line in lines if "turn_tokens" in line]
    found = {line["evaluation/marks"]: line for line in lines if "evaluation/marks" in line}
    # A step that is larger than a quarter passes several marks at once.
    after = [next(found[mark] for mark in sorted(found) if mark >= wanted) for wanted in range(1, MARKS + 1)]
    return {
        "steps": len(steps),
        "tokens": sum(map(_sampled, steps)),
        "turn_tokens": sum(line["turn_tokens"] for line in steps),
        "seconds": sum(line["step_time"] for line in steps),
        "after": [{name: line[f"evaluation/{name}"] for name in MEASURED} for line in after],
    }


def draw_rollouts(data: Mapping[str, Any]) -> dict[str, Parts]:
    """The block ``rollouts``: a row for each way to learn."""
    runs: Sequence[Mapping[str, Any]] = data["runs"]
    body = []
    for number, arm in enumerate(ARMS):
        found = [run["arms"][number] for run in runs]
        before = [run["before"]["goal"] for run in runs]
        gains = [one["after"][-1]["goal"] - start for one, start in zip(found, before, strict=True)]
        body.append(
            [
                arm.paid_by,
                arm.name,
                _mean(before),
                *(_mean([one["after"][mark]["goal"] for one in found]) for mark in range(MARKS)),
                estimate(interval_over_runs(gains).to_dict()),
                _mean([one["after"][-1]["goal_strict"] for one in found]),
                _mean([one["after"][-1]["deal_rate"] for one in found], ".0%"),
                _mean([one["steps"] for one in found], ".0f"),
                _mean([one["turn_tokens"] / one["tokens"] for one in found], ".0%"),
                _mean([one["seconds"] / 60 for one in found], ".1f"),
            ]
        )
    quarters = [f"after {mark + 1}/{MARKS}" for mark in range(MARKS)]
    headings = ["gain", "strict", "deals", "steps", "tokens learnt from", "minutes"]
    return {"rollouts": [Table(["paid by", "rollouts", "goal of the clone", *quarters, *headings], body)]}


def _mean(values: Sequence[float], form: str = ".2f") -> Cell:
    return Cell(sum(values) / len(values), form)


def _settings(protocol: Protocol) -> Settings:
    """Of the clone, and of a reward model whose numbers are known at once."""
    return replace(PRESETS[protocol.preset], variant="paper")


def _described(protocol: Protocol) -> dict[str, Any]:
    arms = [{"paid by": arm.paid_by, **arm.rollouts} for arm in ARMS]
    size = vars(SIZES[protocol.preset])
    return {"seeds": list(protocol.seeds), "settings": _settings(protocol).described(), "size": size, "arms": arms}


FIGURES = (
    Figures(
        "rollouts",
        "whole dialogues and single turns, learnt from with equal tokens",
        "sotopia-env results rollouts",
        make_rollouts,
        draw_rollouts,
        settings=_described,
    ),
)
