"""What rewards and reward models are worth, measured against the truth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sotopia_env.rewards import get_reward
from sotopia_env.rewards.audit.collect import collect_audit
from sotopia_env.rewards.audit.fidelity import fidelity
from sotopia_env.rewards.reward_model.reward import RewardModel
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.tables import Table
from sotopia_env.training.protocol.protocol import Figures, Parts, Protocol
from sotopia_env.training.reward_card import CardSettings, reward_card
from sotopia_env.training.reward_card.text import card_parts, fidelity_table
from sotopia_env.training.reward_modelling.audit_report import prediction_report, prediction_tables
from sotopia_env.training.reward_modelling.config import RewardModelConfig
from sotopia_env.training.reward_modelling.labels import labels_of
from sotopia_env.training.reward_modelling.report import report_table
from sotopia_env.training.reward_modelling.train import REPORT, train_reward_model

DESIGNS = (
    *("episode", "broadcast", "uniform as credit", "discounted", "scaled as credit", "singular as credit"),
    *("direct", "direct-centred"),
)
"""Measured on the audit set of characters that stay the same."""

DIMENSIONS = ("goal", "relationship", "knowledge")


@dataclass(frozen=True)
class Learnt:
    """A reward model to be trained and audited.

    Args:
        policy: who plays the dialogues it learns from, and the audit set.
        dialogues: how many.
        target: what it learns.
        design: of the labels, where they are the target.
        turns: of the audit set; 0 where it is not audited, as labels have no truth.
    """

    policy: str
    dialogues: int
    target: Any
    design: str = "broadcast"
    turns: int = 0

    @property
    def name(self) -> str:
        """What it learns from, in words."""
        what = "outcomes" if self.target == "outcome" else f"labels ({self.design})"
        return f"{what} of {self.dialogues:,} dialogues of {self.policy}"


LEARNT = (
    Learnt("scripted:mixed", 2_000, "outcome", turns=220),
    Learnt("scripted:mixed", 2_000, "labels", "broadcast"),
    Learnt("scripted:mixed", 2_000, "labels", "direct"),
    Learnt("scripted:changing", 4_000, "outcome", turns=300),
)
"""The reward models of docs/reward-model.md."""


def make_audit(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """Designs against the truth of 120 turns, between players that keep their character."""
    turns = collect_audit(
        "bargain:test",
        ["scripted:mixed"],
        num_turns=120,
        seed=protocol.seeds[0],
        out=folder / "audit.jsonl",
        processes=protocol.workers,
        progress=protocol.progress,
    )
    measured = [fidelity(turns, get_reward(name), seed=protocol.seeds[0]) for name in DESIGNS]
    found = [[one.name, one.to_dict()] for one in measured]
    candidates = sum(len(turn.candidates) for turn in turns)
    return {
        "rows": found,
        "turns": len(turns),
        "tasks": len({turn.before.task.id for turn in turns}),
        "candidates": candidates,
    }


def draw_audit(data: Mapping[str, Any]) -> dict[str, Parts]:
    """The block ``audit``."""
    rested = f"{data['turns']} turns of {data['tasks']} tasks, {data['candidates']} candidates."
    rows = [(name, found) for name, found in data["rows"]]
    return {"audit": [rested, fidelity_table(rows, rows[0][1])]}


def make_card(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """The card of all designs and penalties, Shapley's among them."""
    settings = CardSettings(seed=protocol.seeds[0])
    shown = reward_card((), settings, out=folder, progress=protocol.progress)
    costly = reward_card(["shapley"], settings, out=folder, progress=protocol.progress)
    mine = [row for row in costly["rewards"] if row["role"] == "reward"]
    last = max(place for place, row in enumerate(shown["rewards"]) if row["role"] == "reward") + 1
    return {**shown, "rewards": [*shown["rewards"][:last], *mine, *shown["rewards"][last:]]}


def make_models(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """Reward models on the clone of the first seed, each with its report and what the truth says of it."""
    clone = protocol.out / "learning" / f"on-policy-{protocol.seeds[0]}" / "clone"
    if not clone.exists():
        raise ValueError(f"reward models start from the clone in {clone}; make the figures of learning first")
    return {"models": [_model(one, clone, protocol, folder) for one in LEARNT]}


def _model(learnt: Learnt, clone: Path, protocol: Protocol, folder: Path) -> dict[str, Any]:
    seed = protocol.seeds[0]
    played = learnt.policy.partition(":")[2]
    episodes = rollout(
        "bargain:train",
        learnt.policy,
        num_episodes=learnt.dialogues,
        seed=seed,
        out=folder / f"{played}.jsonl",
        processes=protocol.workers,
        progress=protocol.progress,
    )
    out = folder / f"{played}-{learnt.target}-{learnt.design}"
    train_reward_model(
        episodes,
        str(clone),
        labels=labels_of(learnt.design, list(DIMENSIONS)),
        target=learnt.target,
        out=out,
        args=RewardModelConfig(str(out), learning_rate=2e-3, muon=True, seed=seed),
    )
    audited = None
    if learnt.turns:
        turns = collect_audit(
            "bargain:test",
            [learnt.policy],
            num_turns=learnt.turns,
            seed=seed,
            out=folder / f"audit-{played}.jsonl",
            processes=protocol.workers,
            progress=protocol.progress,
        )
        audited = prediction_report(RewardModel(str(out)), turns, predicted="advantage", seed=seed)
    report = json.loads((out / REPORT).read_text(encoding="utf-8"))
    return {"name": learnt.name, "report": report, "audited": audited}


def draw_models(data: Mapping[str, Any]) -> dict[str, Parts]:
    """The blocks ``reward-model`` (held-out labels) and ``reward-model-audit`` (the truth)."""
    reports: list[str | Table] = []
    audits: list[str | Table] = []
    for model in data["models"]:
        name = model["name"]
        reports += [f"**{name[:1].upper()}{name[1:]}**", report_table(model["report"])]
        if model["audited"]:
            audits += [f"**{name[:1].upper()}{name[1:]}**", *prediction_tables(model["audited"])]
    return {"reward-model": reports, "reward-model-audit": audits}


def _of_models(protocol: Protocol) -> dict[str, Any]:
    return {"seed": protocol.seeds[0], "models": [asdict(one) for one in LEARNT]}


def _of_card(protocol: Protocol) -> dict[str, Any]:
    return {"seed": protocol.seeds[0], "card": asdict(CardSettings(seed=protocol.seeds[0]))}


FIGURES: Sequence[Figures] = (
    Figures(
        "card",
        "all designs and penalties on the reward card",
        "sotopia-env compare; sotopia-env compare shapley",
        make_card,
        lambda data: {"card": card_parts(data)},
        settings=_of_card,
    ),
    Figures(
        "audit",
        "designs on an audit set of players that keep their character",
        "sotopia-env audit bargain:test --policy scripted:mixed --turns 120; sotopia-env fidelity audit.jsonl ...",
        make_audit,
        draw_audit,
    ),
    Figures(
        "reward-model",
        "reward models on held-out labels and on the truth",
        "sotopia-env results reward-model",
        make_models,
        draw_models,
        settings=_of_models,
    ),
)
