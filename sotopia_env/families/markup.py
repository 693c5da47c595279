"""The markup inside published scenarios and goals: what the players read, and what only the judge may."""

from __future__ import annotations

import re

_AGENT = re.compile(r"agent_\d")
_TAG = re.compile(r"""<(/?)(extra_info|strategy_hint|clarification_hint|p)(?:\s+viewer\s*=\s*["']([^"']*)["'])?\s*>""")


def split_markup(text: str, viewer: str | None = None) -> tuple[str, str]:
    """Separate what the players read from what is for the judge alone.

    Args:
        text: a published scenario or goal. Tags other than Sotopia's are ordinary text.
        viewer: the one agent that reads the text, such as ``"agent_0"`` for a goal; ``None`` if all do.

    Returns:
        The text without tags; and what stood inside ``viewer="environment"``, which holds answers, or is for somebody
        else who never reads this text.

    Raises:
        ValueError: a tag is not closed, closes nothing, or names another viewer of a text that all read. Guessing
            could show an answer.
    """
    shown: list[str] = []
    hidden: list[str] = []
    open_tags: list[tuple[str, bool]] = []
    position = 0
    for match in _TAG.finditer(text):
        closes, tag, only = match.groups()
        _place(text[position : match.start()], open_tags, shown, hidden)
        position = match.end()
        if closes:
            if not open_tags or open_tags.pop()[0] != tag:
                raise ValueError(f"</{tag}> does not close the tag before it; repair the markup")
            continue
        understood = only in (None, "environment") or (viewer is not None and _AGENT.fullmatch(only))
        if not understood:
            allowed = "'environment'" if viewer is None else "'environment' or an agent such as 'agent_0'"
            raise ValueError(f"<{tag}> is for viewer {only!r}; only {allowed} is understood here")
        open_tags.append((tag, only not in (None, viewer)))
    if open_tags:
        raise ValueError(f"<{open_tags[-1][0]}> is never closed; repair the markup")
    shown.append(text[position:])
    return "".join(shown).strip(), " ".join(part.strip() for part in hidden)


def _place(part: str, open_tags: list[tuple[str, bool]], shown: list[str], hidden: list[str]) -> None:
    (hidden if any(is_hidden for _, is_hidden in open_tags) else shown).append(part)
