"""The rule judge of divisions: seven dimensions from the text and the task's hidden values, each with its evidence.

Deterministic, offline, a fraction of a millisecond. It never reads a policy's internals, so it judges a model's free
text just as well. What it cannot know is ``None``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from sotopia_env.episodes import Episode, Judgement, Turn
from sotopia_env.families import conduct, language
from sotopia_env.families.conduct import Finding
from sotopia_env.families.divide.agreement import DivisionAgreement, DivisionTable, find_agreement
from sotopia_env.families.divide.formal_division import read_share
from sotopia_env.families.divide.items import Counts, Items, complement, divisions, items_of, share_text, totals, worth
from sotopia_env.families.divide.moves import read_division
from sotopia_env.families.formal import acted, is_formal, words_alone
from sotopia_env.turns import heard_turns


def score(episode: Episode, version: str, bank: str = "evaluation") -> Judgement:
    """Score both seats of a division.

    Args:
        episode: running or finished.
        version: of the family.
        bank: whose words the relationship score counts.
    """
    items, hidden = items_of(episode.task), episode.task.scenario.hidden
    formal = is_formal(episode.task)
    table = find_agreement(episode.turns, items, episode.action_order, formal=formal)
    agreement = table.agreement
    finished = episode.ending is not None
    turns = [heard_turns(episode, agent) for agent in episode.agents]
    findings: list[dict[str, Finding]] = [
        {
            "goal": goal(agreement, seat, values, items, finished),
            "relationship": conduct.relationship(turns[seat], bank),
            "knowledge": conduct.knowledge(turns[1 - seat], hidden[1 - seat].get("facts", ())),
            "secret": conduct.secret(turns[seat], conduct.own_secret(episode.task, seat)),
            "social_rules": conduct.social_rules(turns[seat]),
            "financial_and_material_benefits": benefits(agreement, seat, values, items, finished),
            "believability": believability(turns[seat], items, formal=formal),
        }
        for seat, values in enumerate(tuple(own["values"]) for own in hidden)
    ]
    return conduct.judgement_of(findings, version, bank=bank, latent=_latent(table, hidden, turns))


def points_share(counts: Counts, values: tuple[float, ...], items: Items) -> float:
    """Points of a share over those of everything, the most attainable; 0 to 1."""
    most = worth(totals(items), values)
    return worth(counts, values) / most if most else 0.0


@lru_cache(maxsize=16384)
def best_even_split(first: tuple[float, ...], second: tuple[float, ...], items: Items) -> float:
    """The largest share of points that both sides can have at once: above 0.5 where trading off kinds helps both."""
    return max(
        min(points_share(counts, first, items), points_share(complement(counts, items), second, items))
        for counts in divisions(items)
    )


@lru_cache(maxsize=16384)
def best_sum(first: tuple[float, ...], second: tuple[float, ...], items: Items) -> float:
    """The largest sum of both sides' shares of points: 1 where they value everything alike, 2 where nothing."""
    return max(
        points_share(counts, first, items) + points_share(complement(counts, items), second, items)
        for counts in divisions(items)
    )


def goal(
    agreement: DivisionAgreement | None, seat: int, values: tuple[float, ...], items: Items, finished: bool = True
) -> Finding:
    """Ten times the share of the points; 0 without an agreement, unknown while the episode runs."""
    if agreement is None:
        return (0.0, ["no agreement"]) if finished else (None, ["not over yet"])
    counts = agreement.division[seat]
    gained = points_share(counts, values, items)
    got = share_text(items, counts)
    doubt = "" if agreement.certain else " (not certain)"
    return 10 * gained, [f"turn {agreement.accepted_turn}: {got}, {gained:.0%} of the points{doubt}"]


def benefits(
    agreement: DivisionAgreement | None, seat: int, values: tuple[float, ...], items: Items, finished: bool = True
) -> Finding:
    """Gain against half of the points, -5 to 5; 0 without an agreement."""
    if agreement is None:
        return (0.0, ["no agreement"]) if finished else (None, ["not over yet"])
    gained = points_share(agreement.division[seat], values, items)
    return 10 * (gained - 0.5), [f"{gained:.0%} of the points"]


def believability(turns: Sequence[Turn], items: Items, *, formal: bool = False) -> Finding:
    """10, less 2.5 for each invalid turn, repeated utterance, or offer that takes back an earlier one.

    An offer takes back an earlier one if it leaves the other with less of some kind and with more of none.
    """
    _, found = conduct.believability([words_alone(turn) for turn in turns] if formal else turns)
    earlier: list[Counts] = []
    for turn in turns:
        share = _offered(turn, items, formal)
        if share is None:
            continue
        if any(share != before and all(s >= b for s, b in zip(share, before, strict=True)) for before in earlier):
            found.append(f"turn {turn.global_index}: takes back an earlier offer")
        earlier.append(share)
    return max(0.0, 10 - 2.5 * len(found)), found


def _offered(turn: Turn, items: Items, formal: bool) -> Counts | None:
    """What a turn that offers would leave to its speaker, if it is an offer of its own."""
    if formal:
        act = acted(turn.type, turn.text, partial(read_share, items=items))
        return act.terms if act is not None and act.kind == "offer" else None
    move = read_division(turn.type, turn.text, items)
    if move.kind != "offer" or move.proposal is None or move.amends or move.consent is not None:
        return None
    share = tuple(count for count in move.proposal.share(items) if count is not None)
    return share if len(share) == len(items) else None


def _latent(
    table: DivisionTable,
    hidden: Sequence[Mapping[str, Any]],
    turns: Sequence[Sequence[Turn]],
) -> dict[str, Any]:
    """What the world knows besides: points, how much of the joint gain was found, what was told, what was not read."""
    agreement, items = table.agreement, table.items
    values = [tuple(own["values"]) for own in hidden]
    even = best_even_split(values[0], values[1], items)
    record: dict[str, Any] = {"deal": agreement is not None, "unread": len(table.unread), "best_even_split": even}
    if any("facts" in own for own in hidden):
        record["facts_told"] = [
            [fact for fact in own["facts"] if any(language.tells(fact, turn.text) for turn in said)]
            for own, said in zip(hidden, turns, strict=True)
        ]
    if agreement is not None:
        shares = [points_share(agreement.division[seat], values[seat], items) for seat in range(2)]
        record |= {
            "division": [list(counts) for counts in agreement.division],
            "points": [worth(agreement.division[seat], values[seat]) for seat in range(2)],
            "shares": shares,
            "efficiency": sum(shares) / best_sum(values[0], values[1], items),
            "certain": agreement.certain,
        }
    return record
