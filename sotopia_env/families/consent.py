"""Words of consent, refusal and condition that are the same whatever people agree on; each game adds its own.

Alternatives of patterns for plain text (:func:`sotopia_env.families.plain_text.plain`).
"""

from __future__ import annotations

ASSENT = (
    "alright", "all right", "yes", "yeah", "yep", "well", "fine", "oh", "ah", "then", "now", "so", "great", "perfect",
    "cool", "excellent", "awesome", "wonderful", "in that case", "i guess", "i think", "i suppose", "you know what",
    "fair enough", "absolutely", "thanks", "thank you",
)  # fmt: skip
"""What may stand before words of consent, besides "ok" and "sure"."""

SOUNDING = ("good", "great", "fair", "perfect", "fine", "reasonable", "right", "like a (?:deal|plan)")
"""How an offer "sounds" to somebody who takes it."""

CONDITIONS = (
    "if", "unless", "provid(?:ed|ing)", "assuming", "once", "until", "(?:as|so) long as", "on (?:the )?condition",
)  # fmt: skip
"""What makes of consent an offer at most."""

CONTRASTS = frozenset(("but", "however", "though", "although", "except"))
"""Conjunctions that undo the consent before them."""

NEGATIONS = frozenset(
    "not never cannot can't cant couldn't won't wont wouldn't don't dont doesn't didn't isn't ain't nor neither hardly "
    "shouldn't wouldnt couldnt isnt doesnt".split()
)
"""Words that deny what follows them."""

QUOTING = ("said", "say", "says", "saying", "told me", "mentioned", "called it", "the word", "promised")
"""Before words that are somebody else's."""

POSTPONED = (
    r"\blet me (?:just )?(?:think|check|ask|sleep|talk|consider|see)",
    r"\bthink (?:about|it over|on it)",
    r"\bget back to you",
    r"\b(?:kidding|joking)\b",
    r"\bneed (?:some |more |a little )?time\b",
)
"""What takes back all consent of an utterance."""

BEFORE_REFUSAL = (
    "sorry", "well", "then", "ok", "okay", "so", "i'?m afraid", "there'?s", "there is", "it'?s", "i guess", "we have",
)  # fmt: skip
"""What may stand before "no deal"."""

NO_DEAL = (r"no deal\b(?! ?breaker)", r"(?:the |my )?(?:deal|offer)(?:'?s| is) (?:off|withdrawn)")
"""The deal is off."""

FORGET_IT = ("forget it", "never ?mind")
"""The same, less formally."""

# Formal acts: "accepts the offer", "reject".
SPOILING = ("if", "unless", "but", "provided", "as long as", "not", "never", r"pretend\w*", r"consider\w*")
"""With one of these a formal act is none."""
ACCEPTING = r"\W{0,3}(?:(?:i|we|to) )?(?:\w{2,12}ly )?"
"""Before the verb of an acceptance."""
ACCEPTS = ("accept(?:s|ed|ing)?", "agree(?:s|d)?")
PROPOSING = r"\W{0,3}(?:(?:i|we) )?"
"""Before the verb of a proposal or a refusal."""
REJECTS = rf"{PROPOSING}(?:reject|decline|refuse)(?:s|d|ed|ing)?"


def any_of(*alternatives: str) -> str:
    """Returns a group of alternatives."""
    return f"(?:{'|'.join(alternatives)})"
