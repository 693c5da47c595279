"""Finding a common friend in plain language: what to ask, what to tell, when to name whom.

Pure functions of what was said, the own table and a generator. A player weighs its own friends by what the other said:
who has no such friend is out, and the more attributes fit together, the likelier the friend. It guesses once a friend
is likely enough, confirms a friend of its own that the other names, and else asks or tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from sotopia_env.actions import Action, leave, speak
from sotopia_env.agents.scripted import friend_phrases, phrases
from sotopia_env.agents.scripted.acts import settling, talk_of
from sotopia_env.agents.scripted.manners import manner, slip
from sotopia_env.agents.scripted.reading import rapport, secret_is_out, sways
from sotopia_env.agents.scripted.traits import Traits
from sotopia_env.families.formal import acted, tells_rule
from sotopia_env.families.generated import Coupling, pick
from sotopia_env.families.mutual_friends.catalogue import phrase
from sotopia_env.families.mutual_friends.mentions import Mentions, read_mentions
from sotopia_env.families.mutual_friends.tables import Friend, read_table
from sotopia_env.families.mutual_friends.tellings import read_tellings
from sotopia_env.policies import Observation
from sotopia_env.views import Entry, parse_transcript

Values = frozenset[str]

_NO = re.compile(r"(?:^|[.!?]\s)\W*(?:no|nope|none|nobody|sorry|unfortunately|i am afraid|i'm afraid)\b", re.IGNORECASE)
_YES = re.compile(r"(?:^|[.!?]\s)\W*(?:yes|yeah|yep|indeed|i do\b|of course)\b", re.IGNORECASE)
_WHOM = re.compile(r"\b(?:anyone|anybody|someone|somebody|friend of yours|one who|any of)\b", re.IGNORECASE)
_UNKNOWN_NAME = re.compile(r"\b(?:know|is it|could it be|called|named)\s+[A-ZÀ-Þ][^\W\d_]+\b[^?]*\?")

_CHANCE_OTHERWISE = {"has": (0.55, 0.2, 0.05), "asks": (0.8, 0.5, 0.3)}
"""How likely the other would say this of somebody else than the friend in question, for 1, 2, and 3 or more values."""

LIKELY = 0.4
"""A friend is named once it is this likely to be the common one."""


@dataclass(frozen=True)
class Talk:
    """What was said so far, as one side hears it.

    Args:
        weights: for each own friend how likely it is the common one; adds up to 1 unless all are out.
        asked: attributes one asked for, group by group.
        told: names of the own friends one told something of.
        named: own friends one named, to guess or to confirm.
        confirmed: whether one has claimed a friend that the other named too.
        put: an own friend the other has named and not denied, or ``None``; where acts alone settle anything, one that
            it has on the table.
        suggested: there, an own friend that the other's last turn names in words, and that one has not offered yet.
        unknown: there, whether the other's last turn offers somebody one does not know.
        question: attributes the other's last turn asks for, as far as one knows them; ``None`` if it asks nothing.
        wants: whether that question is about an attribute or a person rather than open.
        stranger: whether it names somebody one does not know.
        rapport: how the other's manner has made one feel, -1 to 1.
        secret_out: whether the other's secret came out.
        stalled: turns of the other in a row that brought no news.
    """

    weights: tuple[float, ...]
    asked: frozenset[Values] = frozenset()
    told: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    confirmed: bool = False
    put: str | None = None
    suggested: str | None = None
    unknown: bool = False
    question: Values | None = None
    wants: bool = False
    stranger: bool = False
    rapport: float = 0.0
    secret_out: bool = False
    stalled: int = 0

    @property
    def is_asked(self) -> bool:
        """Whether the other asks for an attribute or a person; "Who are your friends?" asks for nothing to answer."""
        return self.question is not None and (bool(self.question) or self.wants or self.stranger)


def befriend(observation: Observation, traits: Traits, rng: np.random.Generator) -> Action | None:
    """What a player with these traits does now; ``None`` where there is no table, or the friend is found already."""
    table = read_table(observation["goal"])
    if not table:
        return None
    players = frozenset(line.partition(": ")[2].partition(" ")[0] for line in observation["participants"].split("\n"))
    formal = tells_rule(observation["situation"])
    talk = read_talk(observation["transcript"], observation["agent"], table, players, formal=formal)
    if talk.confirmed:
        return None
    draws = rng.random(8)
    # Whatever is said draws from a generator of its own, so that a courtesy alone changes no other decision.
    wording = np.random.default_rng(int(rng.integers(2**31)))
    open_to = _openness(traits, talk, observation["goal"])
    parts = manner(draws[0], traits, wording)
    known = talk.put or talk.suggested
    if known is not None:
        said = pick(friend_phrases.NAMES, rng).format(name=known)
        return settling("accept" if talk.put else f"offer {known}", parts, said, formal=formal)
    if talk.stalled >= traits.patience + 3:
        return leave(pick(friend_phrases.FAREWELLS, rng))
    if talk.is_asked:
        if draws[1] >= open_to:
            parts.append(pick(phrases.EVASIONS, wording))
            open_to = 0.0  # who evades a question does not tell just after
        else:
            parts.append(_answer(table, talk, traits, open_to, draws, rng))
    parts += slip(observation, talk.rapport, draws[4], traits)
    guessed, said = _move(table, talk, traits, open_to, draws, rng)
    if guessed is not None:
        return settling(f"offer {guessed}", parts, said, formal=formal)
    if formal and talk.unknown and open_to:
        return settling("reject", [*parts, said], "", formal=True)
    return speak(" ".join([*parts, said]))


def _openness(traits: Traits, talk: Talk, goal: str) -> float:
    """The chance of telling: the couplings of the world act here and nowhere else."""
    sway = _read_sway(goal)
    value = traits.openness + sway.manners * (0.8 * talk.rapport - 0.25)
    value += sway.questions * (0.35 * talk.is_asked - 0.13)
    value -= 0.4 * sway.leaks * talk.secret_out
    return min(max(value, 0.05), 1.0)


@lru_cache(maxsize=4096)
def _read_sway(goal: str) -> Coupling:
    return Coupling(*(min(max(value, -0.5), 1.0) for value in sways(goal)))


def _answer(
    table: Sequence[Friend],
    talk: Talk,
    traits: Traits,
    open_to: float,
    draws: np.ndarray,
    rng: np.random.Generator,
) -> str:
    wanted = talk.question or frozenset()
    if talk.stranger:
        return pick(friend_phrases.STRANGERS, rng)
    if not wanted:
        return pick(friend_phrases.DENIES_UNHEARD, rng)
    fitting = [friend for friend in table if wanted <= friend.values]
    said = describe(table, wanted)
    if not fitting or draws[2] < traits.deceit:
        return pick(friend_phrases.DENIES, rng).format(phrase=said)
    if draws[3] < open_to - 0.4:  # an open player adds a detail of its own accord
        more = [value for value in sorted(_likeliest(table, talk, fitting, rng).values) if value not in wanted]
        if more:
            said = f"{said} and {describe(table, [pick(more, rng)])}"
    return pick(friend_phrases.CONFIRMS, rng).format(phrase=said)


def _move(
    table: Sequence[Friend],
    talk: Talk,
    traits: Traits,
    open_to: float,
    draws: np.ndarray,
    rng: np.random.Generator,
) -> tuple[str | None, str]:
    """A guess, or a statement and a question, or the wish to hear more: whom it guesses, and what it says."""
    best = _likeliest(table, talk, table, rng)
    weight = talk.weights[table.index(best)]
    if best.name not in talk.named and weight > LIKELY:
        return best.name, pick(friend_phrases.GUESSES, rng).format(name=best.name)
    parts = []
    untold = [friend for friend in table if friend.name not in talk.told and talk.weights[table.index(friend)] > 0]
    if untold and draws[6] < open_to:
        friend = _likeliest(table, talk, untold, rng)
        values = sorted(friend.values)
        number = min(len(values), 1 + (draws[7] < open_to))
        chosen = [values[int(i)] for i in sorted(rng.choice(len(values), size=number, replace=False))]
        parts.append(pick(friend_phrases.TELLS, rng).format(phrase=describe(table, chosen)))
    if draws[5] < traits.curiosity + 0.1:
        group = _best_question(table, talk, rng)
        if group:
            parts.append(pick(friend_phrases.ASKS, rng).format(phrase=describe(table, group)))
    return None, " ".join(parts) or pick(friend_phrases.PROMPTS, rng)


def _likeliest(table: Sequence[Friend], talk: Talk, among: Iterable[Friend], rng: np.random.Generator) -> Friend:
    """The likeliest of some friends, one named already only for want of another; ties are drawn."""
    weights = {friend.name: weight for friend, weight in zip(table, talk.weights, strict=True)}
    pool = list(among)
    scores = [weights[friend.name] - (friend.name in talk.named) for friend in pool]
    best = [friend for friend, score in zip(pool, scores, strict=True) if score >= max(scores) - 1e-9]
    return pick(best, rng)


def _best_question(table: Sequence[Friend], talk: Talk, rng: np.random.Generator) -> tuple[str, ...]:
    """One or two attributes, not asked for before, that about half of the likely friends have."""
    mass: dict[tuple[str, ...], float] = {}
    for friend, weight in zip(table, talk.weights, strict=True):
        values = sorted(friend.values)
        for group in [(value,) for value in values] + list(combinations(values, 2)):
            mass[group] = mass.get(group, 0.0) + weight
    open_groups = {group: abs(m - 0.45) for group, m in mass.items() if m > 0 and frozenset(group) not in talk.asked}
    if not open_groups:
        return ()
    best = min(open_groups.values())
    ties = [group for group, distance in open_groups.items() if distance <= best + 1e-9]
    return pick(ties, rng)


def describe(table: Sequence[Friend], values: Iterable[str]) -> str:
    """Attributes as they are said of one friend: ``works at Marlow Glass and is into chess``."""
    kinds = {value: kind for friend in table for kind, value in friend.attributes}
    return " and ".join(phrase(kinds[value], value) for value in sorted(values))


@lru_cache(maxsize=4096)
def read_talk(
    transcript: str, agent: str, table: tuple[Friend, ...], players: frozenset[str], *, formal: bool = False
) -> Talk:
    """Read a transcript from one side.

    Args:
        transcript: of an observation.
        agent: who reads.
        table: its friends.
        players: first names of those who talk.
        formal: whether acts alone settle anything.
    """
    names = tuple(friend.name for friend in table)
    values = tuple(sorted(frozenset().union(*(friend.values for friend in table))))
    chances = [1.0] * len(table)
    asked: set[Values] = set()
    told: set[str] = set()
    named: set[str] = set()
    confirmed = False
    put: str | None = None
    mine: str | None = None
    pending: tuple[Values, frozenset[str]] = (frozenset(), frozenset())
    stalled = 0
    entries = parse_transcript(transcript)
    said = talk_of(entries, formal=formal)
    unknown, suggested = False, frozenset[str]()
    for entry, words in zip(entries, said, strict=True):
        mentions = read_mentions(words.type, words.text, names, players)
        tellings = read_tellings(words.text, values) if words.type == "speak" else ()
        does = None
        if formal:
            act = acted(entry.type, entry.text, str)
            does, terms = (None, "") if act is None else (act.kind, act.terms or "")
            heard = words.type == "speak"
            suggested = (mentions.claimed | mentions.asked) - mentions.denied if heard else frozenset()
            mentions = _by_act(does, terms, mentions.denied, names, put if entry.agent == agent else mine)
            unknown = does == "offer" and not mentions.asked
        if entry.agent == agent:
            asks = [telling.values for telling in tellings if telling.kind == "asks"]
            asked.update(asks)
            told |= {
                friend.name
                for telling in tellings
                if telling.kind == "has"
                for friend in table
                if telling.values <= friend.values
            }
            named |= mentions.named
            confirmed = confirmed or (put is not None and put in mentions.claimed)
            pending = (asks[-1] if asks else frozenset(), mentions.asked)
            mine = min(mentions.asked, default=mine) if formal else None
            put = None if does in ("accept", "reject") else put
            continue
        findings = [(telling.kind, telling.values) for telling in tellings]
        if not any(kind != "asks" for kind, _ in findings) and pending[0]:
            findings += [("lacks", pending[0])] if _NO.search(words.text) else []
            findings += [("has", pending[0])] if _YES.search(words.text) else []
        out = _ruled_out(mentions, pending[1], words.text)
        if does in ("accept", "reject"):
            # Whom both know would have ended the talk.
            out, mine = out | mentions.claimed, None
        for kind, group in findings:
            for i, friend in enumerate(table):
                chances[i] *= _chance(kind, group, friend)
        for i, friend in enumerate(table):
            chances[i] *= friend.name not in out
        put = _put_forward(mentions, None if does == "offer" else put, out)
        stalled = 0 if findings or out or put else stalled + 1
        pending = (frozenset(), frozenset())
    total = sum(chances)
    others = [entry for entry in said if entry.agent != agent]
    heard_last = bool(said) and said[-1].agent != agent
    last = said[-1] if heard_last and said[-1].type == "speak" else None
    question = _question(last, values)
    unknown = unknown and heard_last
    if unknown and question is None:
        question = frozenset()
    heard_of = suggested if heard_last else frozenset()
    return Talk(
        weights=tuple(chance / total if total else 0.0 for chance in chances),
        asked=frozenset(asked),
        told=frozenset(told),
        named=frozenset(named),
        confirmed=confirmed,
        put=put,
        suggested=min(heard_of - named, default=None),
        unknown=unknown,
        question=question,
        wants=last is not None and question is not None and _WHOM.search(last.text) is not None,
        stranger=unknown
        or (last is not None and not question and not heard_of and _UNKNOWN_NAME.search(last.text) is not None),
        rapport=rapport(others, _evades, lambda entry: _describes(entry, values)),
        secret_out=secret_is_out(others),
        stalled=stalled,
    )


def _by_act(
    kind: str | None, terms: str, denied: frozenset[str], names: Sequence[str], answered: str | None
) -> Mentions:
    """What an act says of friends. Words deny to know somebody, and name nobody.

    Args:
        kind: of the act.
        terms: whom it offers.
        denied: by the words.
        names: of the own friends.
        answered: whom the other has on the table.
    """
    asked = frozenset(name for name in names if kind == "offer" and name.lower() == terms.lower())
    answer = frozenset() if answered is None else frozenset((answered,))
    return Mentions(
        asked=asked,
        claimed=answer if kind == "accept" else frozenset(),
        denied=denied | (answer if kind == "reject" else frozenset()),
    )


def _chance(kind: str, group: Values, friend: Friend) -> float:
    fits = group <= friend.values
    if kind == "lacks":
        return 0.0 if fits else 1.0
    return 1.0 if fits else _CHANCE_OTHERWISE[kind][min(len(group), 3) - 1]


def _ruled_out(mentions: Mentions, guessed: frozenset[str], text: str) -> frozenset[str]:
    """The own friends the other does not know."""
    plain_no = len(guessed) == 1 and _NO.search(text) is not None and not mentions.claimed & guessed
    return mentions.denied | guessed if plain_no else mentions.denied


def _put_forward(mentions: Mentions, put: str | None, out: frozenset[str]) -> str | None:
    named = mentions.named - out
    if named:
        return min(named)
    return None if put in out else put


def _question(last: Entry | None, values: tuple[str, ...]) -> Values | None:
    if last is None or "?" not in last.text:
        return None
    asks = [telling.values for telling in read_tellings(last.text, values) if telling.kind == "asks"]
    return asks[-1] if asks else frozenset()


def _evades(entry: Entry) -> bool:
    return any(evasion in entry.text for evasion in phrases.EVASIONS)


def _describes(entry: Entry, values: tuple[str, ...]) -> bool:
    return any(telling.kind == "has" for telling in read_tellings(entry.text, values))
