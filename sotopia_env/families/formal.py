"""Agreements by acts alone: offers, acceptances and refusals are acts, and words bind nobody.

A task says in its tags that its agreements are formal, and in its situation how they are made, so that environment,
judge and policies know. An act is the first line or sentence of an ``action``, in a small grammar that is read exactly
or not at all; what stands behind it is talk, and so is all that is said. An act that is meant as one of these and
cannot be read, or has nothing to answer, is an invalid action with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sotopia_env.episodes import Turn
from sotopia_env.tasks import Task
from sotopia_env.views import Entry

if TYPE_CHECKING:
    from sotopia_env.families.base import Family

MODES = ("plain", "formal")
"""How agreements are made: in words as well, or by acts alone."""

TAG = "agreement"
"""The tag of a task that says so; a task without it is plain."""

Kind = Literal["offer", "accept", "reject"]

Said = TypeVar("Said", Turn, Entry)

ReadTerms = Callable[[str], Any]
"""Reads what is offered or accepted, such as ``$85``; raises :class:`UnreadAct` where that is impossible."""

_RULE = "Only acts settle anything, words bind nobody:"


class UnreadAct(ValueError):
    """An act that is meant as an offer, an acceptance or a refusal, and is none; the message says why and what is."""


@dataclass(frozen=True)
class FormalAct:
    """What an act does.

    Args:
        kind: ``"offer"``, ``"accept"`` or ``"reject"``.
        terms: as the family reads them; ``None`` where an acceptance or a refusal names none.
    """

    kind: Kind
    terms: Any = None


def is_formal(task: Task) -> bool:
    """Returns whether the agreements of a task are made by acts alone."""
    return task.tags.get(TAG, "plain") == "formal"


def checked_mode(mode: str) -> str:
    """The mode, if there is one of that name."""
    if mode not in MODES:
        raise ValueError(f"agreement: {mode!r} is none of {', '.join(MODES)}")
    return mode


def told_modes(tasks: Iterable[Task], family: Family) -> str:
    """Returns how the agreements of tasks are made, for pages and tables: ``"formal"``, or ``"formal and plain"``.

    Args:
        tasks: those that know no agreements are passed over; of nothing but those it is empty.
        family: of the tasks.
    """
    found = {is_formal(task) for task in tasks if family.offer_form(task) is not None}
    return " and ".join(mode for mode in ("formal", "plain") if (mode == "formal") in found)


def rule(form: str) -> str:
    """Returns the sentences that tell how an agreement is made.

    Args:
        form: how an offer is written behind its verb, such as ``"$N"``, with an explanation if need be.
    """
    return f"{_RULE} [action] offer {form}, [action] accept, [action] reject."


def tells_rule(situation: str) -> bool:
    """Returns whether a situation says that agreements are made by acts alone."""
    return _RULE in situation


def told_form(situation: str) -> str:
    """Returns how an offer is written, as a situation with the rule says it, without the explanation."""
    told = situation.partition(f"{_RULE} [action] offer ")[2].partition(", [action] accept")[0]
    return told.partition(" (")[0]


def with_agreement(task: Task, mode: str, family: Family) -> Task:
    """Returns a task whose agreements are made in a mode.

    Args:
        task: of any mode; one whose family knows no agreements is returned as it is.
        mode: one of :data:`MODES`.
        family: of the task.
    """
    form = family.offer_form(task)
    if form is None or (checked_mode(mode) == "formal") == is_formal(task):
        return task
    told, scenario = f" {rule(form)}", task.scenario
    situation = scenario.situation + told if mode == "formal" else scenario.situation.replace(told, "")
    return replace(task, scenario=replace(scenario, situation=situation), tags={**task.tags, TAG: mode})


def all_with_agreement(tasks: Sequence[Task], mode: str | None, family: Family) -> tuple[Task, ...]:
    """Returns tasks whose agreements are made in a mode; as they are where it is ``None``.

    Raises:
        ValueError: none of them knows agreements that could be made so.
    """
    if mode is None:
        return tuple(tasks)
    if checked_mode(mode) == "formal" and all(family.offer_form(task) is None for task in tasks):
        raise ValueError(f"agreement: no task of {family.name} knows agreements that acts could make; leave it out")
    return tuple(with_agreement(task, mode, family) for task in tasks)


def read_act(text: str, read_terms: ReadTerms) -> FormalAct | None:
    """Reads the text of an ``action``.

    Args:
        text: any Unicode, any length.
        read_terms: reads what is offered.

    Returns:
        What it does, or ``None`` for an act of another kind ("hands over the keys").

    Raises:
        UnreadAct: it is meant as one of the three, and is none.
    """
    act = act_of(text)
    if act is None:
        return None
    kind, terms = act
    if kind == "offer":
        return FormalAct(kind, read_terms(terms))
    return FormalAct(kind, read_terms(terms) if terms else None)


def act_of(text: str) -> tuple[Kind, str] | None:
    """Reads an act as far as its words go: what it does, and the text of its terms; see :func:`read_act`."""
    line = _END.split(text.lstrip(_AROUND)[:_LONGEST], maxsplit=1)[0].strip(_AROUND)
    found = _ACT.match(line)
    if found is not None:
        kind: Kind = "offer" if found["offer"] else "accept" if found["accept"] else "reject"
        rest = line[found.end() :].strip(" :,")
        if kind == "offer":
            return kind, rest
        named = _OBJECT.match(rest)
        return kind, rest[named.end() :].strip(" :,") if named else rest
    if _MEANT.search(line):
        raise UnreadAct(f"{line!r:.80} is no act that can be read; write offer and what you offer, accept, or reject")
    return None


def parted(text: str) -> tuple[str, str] | None:
    """Parts the text of an ``action`` into its act and the words behind it, which are talk.

    Returns:
        ``None`` where it is no act of the three, or one that cannot be read.
    """
    try:
        if act_of(text) is None:
            return None
    except UnreadAct:
        return None
    begun = text.lstrip(_AROUND)
    end = _END.search(begun[:_LONGEST])
    return (begun, "") if end is None else (begun[: end.start()], begun[end.end() :].strip())


def words_alone(turn: Said) -> Said:
    """Returns a turn as talk: of an act its words, where there are any, as if they had been said without it.

    Args:
        turn: of a task whose agreements are made by acts alone.
    """
    parts = parted(turn.text) if turn.type == "action" else None
    return turn if parts is None or not parts[1] else replace(turn, type="speak", text=parts[1])


def acted(action_type: str, text: str, read_terms: ReadTerms) -> FormalAct | None:
    """Returns what a turn does: nothing unless it is an act that can be read."""
    if action_type != "action":
        return None
    try:
        return read_act(text, read_terms)
    except UnreadAct:
        return None


def refusal(text: str, read_terms: ReadTerms, offered: Mapping[Any, str]) -> str | None:
    """Returns why an act is not possible now, or ``None``.

    Args:
        text: of an ``action``.
        read_terms: reads what is offered.
        offered: the live offers of others, each with its text.
    """
    try:
        act = read_act(text, read_terms)
    except UnreadAct as error:
        return str(error)
    if act is None or act.kind == "offer":
        return None
    if not offered:
        return f"there is nothing to {act.kind}: nobody else has an offer on the table"
    if act.terms is not None and act.terms not in offered:
        return f"{text!r:.80}: what is on the table is {' and '.join(offered.values())}"
    return None


class OffersShown:
    """The live offers as a seat has seen them made, in the words in which they were: for its prompt.

    Args:
        agent: the seat.
        names: what each agent is called.
    """

    def __init__(self, agent: str, names: Mapping[str, str]) -> None:
        """Nothing offered yet."""
        self._agent, self._names = agent, names
        self._offers: dict[str, str] = {}

    def hear(self, agent: str, action_type: str, text: str) -> None:
        """One more turn."""
        try:
            act = act_of(text) if action_type == "action" else None
        except UnreadAct:
            return
        if act is None:
            return
        if act[0] == "offer":
            self._offers.pop(agent, None)
            self._offers[agent] = " ".join(act[1].split())
        else:
            # An acceptance that ends nothing has used up what it took.
            self._offers = {one: offer for one, offer in self._offers.items() if one == agent}

    @property
    def of_others(self) -> dict[str, str]:
        """What the other seats have on the table."""
        return {agent: offer for agent, offer in self._offers.items() if agent != self._agent}

    @property
    def line(self) -> str:
        """What is on the table; empty while nothing is."""
        told = [
            f"{'you' if agent == self._agent else self._names.get(agent, agent)} {offer}"
            for agent, offer in self._offers.items()
        ]
        return f"(Offers: {'; '.join(told)})" if told else ""


def live_terms(offers: Iterable[Any], seat: int) -> Sequence[Any]:
    """Returns the offers of other seats that are on the table."""
    return [offer for offer in offers if offer is not None and offer.seat != seat]


_LONGEST = 400
_AROUND = " \t\r\n\"'*_`."
_END = re.compile(r"\n|[.!](?=\s|$)")
_ACT = re.compile(
    r"(?:i |we )?(?:hereby |formally |gladly |happily )?(?:"
    r"(?P<offer>(?:makes? (?:an?|my|the) )?(?:new |first |final |last )?(?:counter-?)?offer(?:s|ed|ing)?(?: of)?|"
    r"propos(?:e|es|ed|ing))|"
    r"(?P<accept>(?:accept|agree)(?:s|ed|d|ing)?)|"
    r"(?P<reject>(?:reject|declin|refus)(?:e|s|es|ed|ing)?))(?=\W|$)",
    re.IGNORECASE,
)
_OBJECT = re.compile(
    r"(?:to |with )?(?:(?:the|your|this|that|my|his|her|their|our|partner's|last|current|standing) )*"
    r"(?:offer|deal|proposal|terms|price|division|split|it|that|this)(?: (?:of|at|for))?(?=\W|$)",
    re.IGNORECASE,
)
_MEANT = re.compile(
    r"\b(?:counter-?)?(?:offer|propos|accept|agree|reject|declin|refus|deal)(?:s|e|es|ed|ing|al)?\b", re.IGNORECASE
)
