"""How a scripted policy reads its brief and the talk when things are divided: from texts alone, never hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sotopia_env.agents.scripted import division_phrases
from sotopia_env.agents.scripted.acts import talk_of
from sotopia_env.agents.scripted.reading import (
    SENTENCE,
    OfferTalk,
    OwnSide,
    discloses,
    known_facts,
    rapport,
    secret_is_out,
    sways,
    told_facts,
)
from sotopia_env.episodes import seat_of
from sotopia_env.families import language
from sotopia_env.families.divide.agreement import offer_to, opening, update
from sotopia_env.families.divide.items import Counts, Items, read_items, read_values, totals, worth
from sotopia_env.families.divide.moves import read_division
from sotopia_env.families.formal import tells_rule
from sotopia_env.policies import Observation
from sotopia_env.views import Entry, parse_transcript

_LOW_BALL = 0.15
"""An offer that leaves one less than this share of the points offends."""


@dataclass(frozen=True)
class DivisionBrief(OwnSide):
    """What a goal and a situation say about a division."""

    items: Items
    values: tuple[float, ...]

    def share(self, counts: Counts) -> float:
        """Points of a share of the items over those of everything."""
        return worth(counts, self.values) / worth(totals(self.items), self.values)


@dataclass(frozen=True)
class DivisionTalk(OfferTalk[Counts]):
    """A division so far; an offer is what it would leave oneself.

    Args:
        cherished: kinds the partner told it cares for.
        spared: kinds the partner told it could do without.
    """

    cherished: frozenset[int] = frozenset()
    spared: frozenset[int] = frozenset()


@lru_cache(maxsize=8192)
def read_division_brief(goal: str, situation: str) -> DivisionBrief | None:
    """The division behind a goal, or ``None`` where it is not about points for items."""
    items = read_items(situation)
    values = None if items is None else read_values(goal, items)
    if items is None or values is None or not any(values):
        return None
    return DivisionBrief(known_facts(goal), *sways(goal), items=items, values=values, formal=tells_rule(situation))


def read_division_talk(observation: Observation, brief: DivisionBrief) -> DivisionTalk:
    """Read the transcript of an observation."""
    return _read_talk(observation["transcript"], observation["agent"], brief)


@lru_cache(maxsize=4096)
def _read_talk(transcript: str, agent: str, brief: DivisionBrief) -> DivisionTalk:
    entries = parse_transcript(transcript)
    seat = seat_of(agent)
    said = talk_of(entries, formal=brief.formal)
    own = [entry for entry in said if entry.agent == agent]
    others = [entry for entry in said if entry.agent != agent]
    own_offers: list[Counts] = []
    partner_offers: list[Counts] = []
    partner_before = stalled = 0
    best = -1.0
    low_balls: set[int] = set()
    table = opening(brief.items, formal=brief.formal)
    for entry in entries:
        table = update(table, seat_of(entry.agent), entry.index, entry.type, entry.text)
        offer = table.offers[seat_of(entry.agent)]
        made = offer is not None and offer.turn == entry.index and offer.division is not None
        counts = offer.division[seat] if made and offer is not None and offer.division is not None else None
        if entry.agent == agent:
            if counts is not None:
                own_offers.append(counts)
                partner_before = len(partner_offers)
            continue
        stalled += 1
        if counts is not None:
            partner_offers.append(counts)
            if brief.share(counts) > best:
                best, stalled = brief.share(counts), 0
            if brief.share(counts) < _LOW_BALL:
                low_balls.add(entry.index)
    standing = offer_to(table, seat)
    cherished, spared = _told_of_items(others, brief.items)
    return DivisionTalk(
        own_offers=tuple(own_offers),
        partner_offers=tuple(partner_offers),
        partner_before=partner_before,
        standing=None if standing is None or standing.division is None else standing.division[seat],
        agreed=table.agreement is not None,
        told=told_facts(brief.facts, own),
        cherished=cherished,
        spared=spared,
        question=bool(others) and others[-1] is said[-1] and _asks(others[-1].text, brief.items),
        rapport=rapport(others, lambda e: e.index in low_balls, lambda e: _discloses(e.text, brief.items)),
        secret_out=secret_is_out(others),
        stalled=stalled,
    )


def _is_offer(sentence: str, items: Items) -> bool:
    return read_division("speak", sentence, items).kind != "none"


@lru_cache(maxsize=16384)
def _asks(text: str, items: Items) -> bool:
    """Whether an utterance asks something other than for a division."""
    return any("?" in sentence and not _is_offer(sentence, items) for sentence in SENTENCE.findall(text))


@lru_cache(maxsize=16384)
def _discloses(text: str, items: Items) -> bool:
    return discloses(text, lambda sentence: _is_offer(sentence, items))


def _told_of_items(others: Sequence[Entry], items: Items) -> tuple[frozenset[int], frozenset[int]]:
    """The kinds the other said it cares for, and those it could do without."""
    found: tuple[set[int], set[int]] = (set(), set())
    for entry in others:
        for kind, spares in _remarks(entry.text, items):
            found[spares].add(kind)
    return frozenset(found[0]), frozenset(found[1])


@lru_cache(maxsize=16384)
def _remarks(text: str, items: Items) -> tuple[tuple[int, bool], ...]:
    """Kinds that an utterance says something about without giving them to anybody, and whether it spares them."""
    found = []
    for sentence in SENTENCE.findall(text):
        spoken = language.words(sentence)
        named = [kind for kind, item in enumerate(items) if spoken & {item.singular, item.plural}]
        if len(named) == 1 and "?" not in sentence and not _is_offer(sentence, items):
            found.append((named[0], bool(spoken & division_phrases.SPARED_WORDS)))
    return tuple(found)
