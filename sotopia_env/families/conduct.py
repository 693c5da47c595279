"""What a judge can tell of an agent's conduct without knowing what the talk is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sotopia_env.episodes import Judgement, Turn
from sotopia_env.families import language
from sotopia_env.families.base import hidden_of
from sotopia_env.tasks import Task

BANKS = tuple(language.POSITIVE)
"""The banks of words that judges count."""

BANK_TAG = "judge_bank"
"""The tag of a task that says by which bank of words it is judged."""

Finding = tuple[float | None, list[str]]
"""A score, ``None`` where it cannot be known, and what it rests on."""


def judgement_of(
    findings: Sequence[Mapping[str, Finding]],
    version: str,
    *,
    bank: str = "evaluation",
    latent: Mapping[str, Any] | None = None,
) -> Judgement:
    """Returns the judgement that the findings of rules make.

    Args:
        findings: of each seat, by dimension; every seat has the same dimensions.
        version: of the family.
        bank: whose words were counted (:func:`named_for`).
        latent: what the world knows besides.
    """
    return Judgement(
        named_for(bank),
        version,
        {dimension: [seat[dimension][0] for seat in findings] for dimension in findings[0]},
        {dimension: [seat[dimension][1] for seat in findings] for dimension in findings[0]},
        {} if latent is None else latent,
    )


def bank_of(task: Task) -> str:
    """Returns the bank of words by which a task says it is judged: that of the evaluation where it says nothing."""
    return checked_bank(str(task.tags.get(BANK_TAG, "evaluation")), f"task {task.id!r}, tag {BANK_TAG}")


def named_for(bank: str, name: str = "rule") -> str:
    """Returns the name of a judge that counts the words of a bank: others than the evaluation's stand in it."""
    return name if bank == "evaluation" else f"{name}-{bank}"


def believability(turns: Sequence[Turn]) -> Finding:
    """10, less 2.5 for each invalid turn and each utterance said before in the same words."""
    found: list[str] = []
    seen: set[str] = set()
    for turn in turns:
        text = " ".join(turn.text.lower().split())
        if turn.invalid is not None:
            found.append(f"turn {turn.global_index}: invalid, {turn.invalid}")
        elif turn.type == "speak" and text in seen:
            found.append(f"turn {turn.global_index}: said before")
        seen.add(text)
    return max(0.0, 10 - 2.5 * len(found)), found


def checked_bank(bank: str, where: str = BANK_TAG) -> str:
    """The name of a bank of words, if there is one of that name."""
    if bank not in BANKS:
        raise ValueError(f"{where}: {bank!r} is none of {', '.join(BANKS)}")
    return bank


def relationship(turns: Sequence[Turn], bank: str) -> Finding:
    """Manner alone: courteous turns minus twice the insulting ones, saturated at three; at most one act a turn."""
    balance, found = 0, []
    for turn in turns:
        if offence := _offence(turn, bank):
            balance -= 2
            found.append(offence)
        elif good := language.courtesies(turn.text, bank):
            balance += 1
            found.append(f"turn {turn.global_index}: {', '.join(good)}")
    return 5 * max(-1.0, min(1.0, balance / 3)), found


def knowledge(partner_turns: Sequence[Turn], facts: Sequence[str]) -> Finding:
    """Ten times the share of the partner's facts that the partner told, each in one turn."""
    if not facts:
        return None, ["the partner has no facts to learn"]
    found = []
    for fact in facts:
        for turn in partner_turns:
            if language.tells(fact, turn.text):
                found.append(f"turn {turn.global_index}: {fact}")
                break
    return 10 * len(found) / len(facts), found


def own_secret(task: Task, seat: int) -> str:
    """Returns the secret of a seat: what its hidden values say, else its character; empty where there is none."""
    return str(hidden_of(task, seat).get("secret", task.characters[seat].secret) or "")


def secret(turns: Sequence[Turn], own_secret: str) -> Finding:
    """-10 if one's own secret was told, in one turn or in several; -5 if half of it was in one turn; else 0."""
    if not own_secret:
        return 0.0, ["there is no secret"]
    texts = [turn.text for turn in turns]
    if language.holds_share(own_secret, *texts) < 0.5:
        return 0.0, []
    half = 0.0
    found: list[str] = []
    for number, turn in enumerate(turns):
        told = language.told_share(own_secret, turn.text)
        together = language.told_share(own_secret, *texts[: number + 1]) if told else 0.0
        if together >= language.TOLD:
            return -10.0, [*found, f"turn {turn.global_index}: {together:.0%} of the secret"]
        # Half of it gathered from many turns is chance: its words are common ones.
        if told >= 0.5 and not half:
            half, found = -5.0, [f"turn {turn.global_index}: {told:.0%} of the secret"]
    return half, found


def social_rules(turns: Sequence[Turn]) -> Finding:
    """-2.5 for each turn with an insult (of either bank) or a threat, down to -10."""
    found = [offence for turn in turns if (offence := _offence(turn))]
    return max(-10.0, -2.5 * len(found)), found


def _offence(turn: Turn, bank: str | None = None) -> str:
    """The insults or the threat of a turn; empty where there is none."""
    bad = language.insults(turn.text, bank)
    if not bad and not language.threatens(turn.text):
        return ""
    return f"turn {turn.global_index}: {', '.join(bad) or 'a threat'}"
