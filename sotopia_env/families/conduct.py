"""What a judge can tell of an agent's conduct without knowing what the talk is about."""

from __future__ import annotations

from collections.abc import Sequence

from sotopia_env.episodes import Turn

Finding = tuple[float | None, list[str]]
"""A score, ``None`` where it cannot be known, and what it rests on."""


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
