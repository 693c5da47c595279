"""The rule judge of bargains: seven dimensions from the text and the task's hidden values, each with its evidence.

Deterministic, offline, a fraction of a millisecond. It never reads a policy's internals, so it judges a model's free
text just as well. What it cannot know is ``None``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sotopia_env.episodes import Episode, Judgement, Turn
from sotopia_env.families.bargain.agreement import Agreement, Standing, find_agreement
from sotopia_env.families.bargain.formal_price import read_price
from sotopia_env.families.bargain.moves import read_move
from sotopia_env.families.conduct import Finding, judgement_of, knowledge, relationship, secret, social_rules
from sotopia_env.families.formal import acted, is_formal, words_alone
from sotopia_env.turns import heard_turns

MINIMUM_ZONE = 0.1
"""A zone narrower than this share of the list price is scored as if it were so wide."""

WALKED_AWAY = 10.0
"""Goal of both sides where no price could suit both and none was agreed on."""


def score(episode: Episode, version: str, bank: str = "evaluation") -> Judgement:
    """Score both seats of a bargain."""
    hidden = episode.task.scenario.hidden
    formal = is_formal(episode.task)
    standing = find_agreement(episode.turns, episode.task.num_seats, episode.action_order, formal=formal)
    agreement = standing.agreement
    finished = episode.ending is not None
    turns = [heard_turns(episode, agent) for agent in episode.agents]
    findings: list[dict[str, Finding]] = [
        {
            "goal": goal(agreement, own, other, finished),
            "relationship": relationship(turns[seat], bank),
            "knowledge": knowledge(turns[1 - seat], other["facts"]),
            "secret": secret(turns[seat], own["secret"]),
            "social_rules": social_rules(turns[seat]),
            "financial_and_material_benefits": benefits(agreement, own, other, finished),
            "believability": believability(turns[seat], own["role"], formal=formal),
        }
        for seat, own, other in ((0, hidden[0], hidden[1]), (1, hidden[1], hidden[0]))
    ]
    return judgement_of(findings, version, bank=bank, latent=_latent(episode, standing))


def share(price: float, own: Any, other: Any) -> float:
    """Which share of the zone a price gives to a seat; below 0 outside its own limit."""
    zone = max(abs_zone(own, other), MINIMUM_ZONE * own["list_price"])
    gain = price - own["limit"] if own["role"] == "seller" else own["limit"] - price
    return gain / zone


def abs_zone(own: Any, other: Any) -> float:
    """Buyer's limit minus seller's limit."""
    seller, buyer = (own, other) if own["role"] == "seller" else (other, own)
    return float(buyer["limit"] - seller["limit"])


def goal(agreement: Agreement | None, own: Any, other: Any, finished: bool = True) -> Finding:
    """1 + 9 x the share of the zone for a deal within one's limit, else 0; unknown while the episode runs.

    In an empty zone no deal is right, whoever left or however the talk ended: :data:`WALKED_AWAY`, which no deal with a
    partner beyond its limit exceeds. Tables tell of empty zones apart.
    """
    if agreement is None:
        if not finished:
            return None, ["not over yet"]
        if abs_zone(own, other) < 0:
            return WALKED_AWAY, ["no deal, and no price could suit both: the zone is empty"]
        return 0.0, ["no deal, though one was possible"]
    gained, where = share(agreement.price, own, other), f"turn {agreement.accepted_turn}: ${agreement.price:g}"
    if gained < 0:
        return 0.0, [f"{where} lies outside the limit ${own['limit']:g}"]
    return 1 + 9 * min(gained, 1.0), [f"{where} gives {gained:.0%} of the zone"]


def benefits(agreement: Agreement | None, own: Any, other: Any, finished: bool = True) -> Finding:
    """Gain against the even split of the zone, -5 to 5; 0 without a deal."""
    if agreement is None:
        return (0.0, ["no deal"]) if finished else (None, ["not over yet"])
    gained = share(agreement.price, own, other)
    return 10 * (min(max(gained, 0.0), 1.0) - 0.5), [f"{gained:.0%} of the zone"]


def believability(turns: Sequence[Turn], role: str, *, formal: bool = False) -> Finding:
    """10, less 2.5 for each invalid turn, repeated utterance, or offer that takes back an earlier one."""
    found, seen, best = [], set(), None
    for turn in turns:
        said = words_alone(turn) if formal else turn
        text = " ".join(said.text.lower().split())
        if turn.invalid is not None:
            found.append(f"turn {turn.global_index}: invalid, {turn.invalid}")
        elif said.type == "speak" and text in seen:
            found.append(f"turn {turn.global_index}: said before")
        price = offered(turn, formal=formal)
        if price is not None:
            position = price if role == "buyer" else -price
            if best is not None and position < best:
                found.append(f"turn {turn.global_index}: ${price:g} takes back an earlier offer")
            best = position if best is None else max(best, position)
        seen.add(text)
    return max(0.0, 10 - 2.5 * len(found)), found


def offered(turn: Turn, *, formal: bool) -> float | None:
    """The price that a turn offers, in dollars."""
    if formal:
        act = acted(turn.type, turn.text, read_price)
        return act.terms if act is not None and act.kind == "offer" else None
    move = read_move(turn.type, turn.text)
    # A number without a sign may count something else, which only what is on the table tells.
    return move.price if move.kind == "offer" and not move.bare else None


def _latent(episode: Episode, standing: Standing) -> dict[str, Any]:
    hidden, agreement = episode.task.scenario.hidden, standing.agreement
    record: dict[str, Any] = {"zone": abs_zone(hidden[0], hidden[1]), "deal": agreement is not None}
    record["unread"] = len(standing.unread)
    if agreement is not None:
        shares = [share(agreement.price, hidden[seat], hidden[1 - seat]) for seat in range(2)]
        record |= {"price": agreement.price, "certain": agreement.certain, "shares": shares}
        record |= {"outside_limit": [s < 0 for s in shares]}
    elif episode.ending is not None and record["zone"] < 0:
        record["walked_away"] = episode.ending.reason == "left"
    return record
