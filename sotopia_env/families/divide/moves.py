"""What one utterance does to a division: an offer, an acceptance, a refusal, nothing or unread, each on its own.

Consent and refusal are looked for fragment by fragment (``plain_text``), what is given to whom in one
scan of the whole (:mod:`sotopia_env.families.divide.scan`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sotopia_env.families.divide import phrases
from sotopia_env.families.divide.items import Items
from sotopia_env.families.divide.proposals import Proposal
from sotopia_env.families.divide.scan import scan
from sotopia_env.families.plain_text import Sentence, plain, sentences

Kind = Literal["offer", "accept", "reject", "unread", "none"]
Consent = Literal["clear", "vague", "bare", "heard"]


@dataclass(frozen=True)
class DivisionMove:
    """What one utterance does to the division.

    Args:
        kind: ``"offer"``, ``"accept"``, ``"reject"``, ``"unread"`` for what seems to dispose of something and cannot be
            read, or ``"none"``.
        proposal: what is offered, or named in the acceptance; ``None`` where nothing is.
        consent: how an acceptance, or an offer that opens with one ("ok you take the hats"), is put: ``"clear"``
            ("deal"), ``"vague"`` ("sounds good"), ``"bare"`` ("ok"), ``"heard"`` ("ok" among other words, which answers
            a question alone) or ``None``.
        asked: whether an offer was put as a question.
        amends: whether an offer changes what was just proposed ("deal, but I keep one hat").
    """

    kind: Kind
    proposal: Proposal | None = None
    consent: Consent | None = None
    asked: bool = False
    amends: bool = False


NO_MOVE = DivisionMove("none")


@lru_cache(maxsize=8_192)
def read_division(action_type: str, text: str, items: Items) -> DivisionMove:
    """Read one utterance.

    Args:
        action_type: one of :data:`sotopia_env.actions.ACTION_TYPES`; only ``speak`` and ``action`` can move anything.
        text: what was said or done, any Unicode, any length.
        items: what is divided.
    """
    if action_type == "speak":
        return _read_speech(phrases.mark_items(phrases.without_symbols(plain(text)), items), items)
    if action_type == "action":
        return _read_act(phrases.mark_items(plain(text)[:400], items), items)
    return NO_MOVE


def _read_act(act: str, items: Items) -> DivisionMove:
    if phrases.ACT_SPOILT.search(act):
        return NO_MOVE
    if phrases.ACT_REJECT.match(act):
        return DivisionMove("reject")
    proposal = scan(act, items) if phrases.ACT_OFFER.match(act) else None
    if proposal is not None and not proposal.clear:
        return DivisionMove("unread")
    if phrases.ACT_ACCEPT.match(act):
        return DivisionMove("accept", proposal, "clear")
    return NO_MOVE if proposal is None else DivisionMove("offer", proposal)


@dataclass
class _Findings:
    """What the fragments of an utterance hold besides the items.

    Args:
        consent: of a whole fragment, the clearest of all.
        opening: with which a fragment opens that goes on ("ok you take the hats").
        withdrawn: whether a deal is called off.
        refused: whether what is on offer was refused, after which praise is no consent.
        undone: whether a condition or a "but" follows the consent.
        contrasted: whether a "but" stands in a sentence with items.
        asked: whether items were last named in a question.
        wishes_asked: whether a question waits for an answer.
        talking: whether a fragment holds something else: "okay, I understand" hears rather than agrees.
    """

    consent: Consent | None = None
    opening: Consent | None = None
    withdrawn: bool = False
    refused: bool = False
    undone: bool = False
    contrasted: bool = False
    asked: bool = False
    wishes_asked: bool = False
    talking: bool = False

    def note(self, kind: Consent) -> None:
        """One more sign of consent; it also answers what was asked before it."""
        if self.refused and kind != "clear":
            return
        if self.consent in (None, "bare") or kind == "clear":
            self.consent = kind
        if kind == "clear":
            self.asked = self.wishes_asked = False
        self.undone = False


_WORDS = re.compile(r"[a-z0-9']+")
_ENDS = re.compile(r"[^.!?;\n]+[.!?;\n]*")


def _read_speech(text: str, items: Items) -> DivisionMove:
    findings = _Findings()
    telling = [sentence for sentence in _ENDS.findall(text) if _read_sentence(sentence, findings)]
    proposal = scan("".join(telling), items) if telling else None
    if phrases.POSTPONED.search(text):
        findings.consent = findings.opening = None
    consent = findings.consent or findings.opening
    if proposal is not None and not proposal.clear:
        return DivisionMove("unread")
    if proposal is not None:
        if findings.consent is not None and not (findings.asked or findings.undone or findings.wishes_asked):
            return DivisionMove("accept", proposal, findings.consent)
        amends = findings.undone and consent is not None
        spoken = None if findings.undone or findings.contrasted else consent
        asked = findings.asked or findings.contrasted or findings.wishes_asked
        return DivisionMove("offer", proposal, spoken, asked, amends)
    if findings.withdrawn:
        return DivisionMove("reject")
    if findings.consent is not None and not (findings.undone or findings.wishes_asked):
        heard = findings.consent == "bare" and findings.talking
        if heard and telling:
            return NO_MOVE
        return DivisionMove("accept", None, "heard" if heard else findings.consent)
    return NO_MOVE


def _read_sentence(text: str, findings: _Findings) -> bool:
    """Note consent and refusal; whether the sentence names items that somebody may get."""
    sentence = next(sentences(text), None)
    if sentence is None:
        return False
    texts, links, _ = sentence
    stripped = text.strip()
    words = set(_WORDS.findall(text))
    asked = "?" in text or phrases.QUESTION.match(stripped) is not None
    conditional = phrases.is_conditional(text, words)
    names = phrases.names_items(text, words)
    consents_before = findings.consent is not None
    if links[0] in phrases.CONTRASTS and consents_before:
        findings.undone = True
    for index, fragment in enumerate(texts):
        if index > 0 and links[index] in phrases.CONTRASTS:
            findings.undone = findings.undone or findings.consent is not None
            findings.contrasted = findings.contrasted or (names and links[index] not in ("if", "unless"))
        if phrases.WITHDRAWAL.match(fragment) and not asked and not conditional:
            findings.withdrawn, findings.consent, findings.opening = True, None, None
        elif phrases.REFUSAL.match(fragment) and not asked:
            findings.refused, findings.consent, findings.opening = True, None, None
        else:
            _read_consent(sentence, index, findings, asked, conditional)
    if asked and findings.consent is not None and not names and phrases.is_aside(text, in_itself=consents_before):
        return False
    if asked and phrases.ASKS_WISHES.match(stripped):
        findings.wishes_asked = True
        return False
    if names:
        findings.asked = asked
        findings.wishes_asked = findings.wishes_asked or (asked and consents_before)
    elif asked:
        findings.asked = True
        findings.wishes_asked = True
    return names


def _read_consent(sentence: Sentence, index: int, findings: _Findings, asked: bool, conditional: bool) -> None:
    texts, links, _ = sentence
    fragment = texts[index]
    consent = phrases.consent_of(fragment)
    if consent is not None and not phrases.GREETING.match(fragment) and not _is_reported(texts, index):
        kind: Consent = "clear" if consent["clear"] is not None else "vague" if consent["vague"] is not None else "bare"
        before = texts[index - 1] if index and links[index] == "and" else ""
        demanded = phrases.DEMAND.match(before) is not None or not before.isascii()  # it names items
        if kind != "clear" and links[index] == "and" and findings.consent is None:
            return  # "You are generous and fair" praises
        if (conditional and kind != "bare") or demanded:
            findings.opening, findings.undone = findings.opening or kind, True
        elif not asked or (index == 0 and len(texts) > 1):
            findings.note(kind)
    elif consent is None:
        opens = phrases.OPENS_CONSENT.match(fragment) if index == 0 else None
        if opens is not None:
            findings.opening = "clear" if opens["clear"] else "bare"
        findings.talking = findings.talking or phrases.GREETING.match(fragment) is None


def _is_reported(texts: list[str], index: int) -> bool:
    return index > 0 and texts[index - 1].endswith(phrases.QUOTING)
