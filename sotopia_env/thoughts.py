"""What a model thinks aloud, told from what it says: nobody but the model itself is to know of its thoughts.

Every kind of mark that models in use write is known: tags (``<think>``, ``<thinking>``, ``<reasoning>``, ...),
``[THINK]``, the channels of Harmony (gpt-oss) and of Gemma 4, and the control tokens of others. Where it is not clear
what a model meant, it is taken for a thought. Reading takes time linear in the length, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TAGS = "think|thinking|thought|thoughts|reason|reasoning|reflection|scratchpad|analysis"
_TOKENS = {
    "[THINK]": "[/THINK]",
    "<|channel>": "<channel|>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "◁think▷": "◁/think▷",
    "<unused94>": "<unused95>",
}
"""What opens a thought, and what closes it, besides tags."""

_MARK = re.compile(
    rf"(?i:<(?P<end>/?)(?P<tag>(?:\w{{1,16}}:)?(?:{_TAGS}))(?:\s[^<>]{{0,64}})?>)|"
    + "|".join(map(re.escape, (*_TOKENS, *_TOKENS.values())))
)
_SIGNS = ("<", "THINK]", "◁", "analysis")
"""Without one of these a text holds no mark: most texts need no closer look."""

_QUOTES = frozenset("\"'`“”‘’«»")
_HARMONY = re.compile(r"<\|(?:start|end|return|call|channel|message|constrain)\|>")
_MESSAGE_ENDS = re.compile(r"<\|(start|end|return|call)\|>")
_ANSWER = re.compile(r"<\|(?:START|END)_RESPONSE\|>|<\|(?:begin|end)_of_solution\|>|\A\s*<answer>|</answer>\s*\Z")
_SAID_ON_PURPOSE = re.compile(r"(?:\[to [^\]\n]*\]\s*)?said:", re.IGNORECASE)


class _Mark(NamedTuple):
    start: int
    stop: int
    kind: str
    opens: bool


def without_thoughts(raw: str, *, opened: bool = False) -> str:
    """The words of a model's raw output, without what it thought aloud; empty where it only thought.

    A thought that nothing closes goes to the end: the length limit cut it. What stands before a closing mark that
    nothing opened is a thought too: the chat template had opened it. A mark between quotes is a word like others, and
    so is everything behind ``said:``, with which an agent quotes what it might have meant otherwise.

    Args:
        raw: all that the model wrote.
        opened: whether its prompt ended inside a thought.
    """
    if not opened and (not any(sign in raw for sign in _SIGNS) or _SAID_ON_PURPOSE.match(raw.lstrip())):
        return raw
    text = _final_channel(raw)
    words: list[str] = []
    position, inside = 0, "any" if opened else ""
    for mark in _marks(text):
        if not inside:
            words.append(text[position : mark.start])
            if not mark.opens:
                words.clear()
        elif mark.opens or inside not in ("any", mark.kind):
            continue
        inside, position = mark.kind if mark.opens else "", mark.stop
    if not inside:
        words.append(text[position:])
    said = _ANSWER.sub("", "".join(words))
    return raw if said == raw else said.strip()


def holds_mark(text: str) -> bool:
    """Whether a mark of a thought stands in a text."""
    return any(True for _ in _marks(text))


def begins_inside(raw: str) -> bool:
    """Whether a raw output goes on with a thought that its prompt had opened: its first mark is a closing one."""
    first = next(_marks(raw), None)
    return first is not None and not first.opens


def closing_mark(prompt: str) -> str | None:
    """The mark that would close the thought in which a prompt ends; ``None`` where it ends in none."""
    *_, last = (None, *_marks(prompt))
    if last is None or not last.opens or prompt[last.stop :].strip() not in ("", "thought"):
        return None
    return last.kind


def is_mark(token: str) -> bool:
    """Whether a token belongs to the marks of thoughts, channels and answers, which decoding must not drop."""
    return any(pattern.fullmatch(token) for pattern in (_MARK, _HARMONY, _ANSWER))


def _marks(text: str) -> Iterator[_Mark]:
    """The marks of thoughts in a text; ``kind`` is the mark that closes one."""
    for match in _MARK.finditer(text):
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if before in _QUOTES and after in _QUOTES:
            continue
        if match["tag"]:
            yield _Mark(*match.span(), f"</{match['tag'].lower()}>", not match["end"])
        else:
            mark = match[0]
            yield _Mark(*match.span(), _TOKENS.get(mark, mark), mark in _TOKENS)


def _final_channel(raw: str) -> str:
    """What stands in the final channel of Harmony's messages; a text without such messages as it is."""
    if not _HARMONY.search(raw):
        # Servers that drop special tokens leave the names of the channels.
        if raw.startswith("analysis"):
            _, found, final = raw.rpartition("assistantfinal")
            return final if found else ("" if raw[8:9].isupper() else raw)
        return raw
    first, *rest = _MESSAGE_ENDS.split(raw)
    words = []
    for piece in (first, *rest[1::2]):
        header, message, body = piece.partition("<|message|>")
        _, channel, name = header.partition("<|channel|>")
        if message and (name.strip().startswith("final") or not (channel or "to=self" in header)):
            words.append(body)
    if not words and not _HARMONY.search(first) and all(piece.strip() in ("", "end", "return") for piece in rest):
        # The prompt had opened the final channel.
        return first
    return "\n".join(words)
