"""What one turn does in the search for a common friend, read on its own."""

from __future__ import annotations

from functools import partial

from sotopia_env.episodes import Turn
from sotopia_env.families.base import Move, MoveKind
from sotopia_env.families.formal import acted
from sotopia_env.families.mutual_friends.mentions import Mentions, read_mentions
from sotopia_env.families.mutual_friends.naming import read_name
from sotopia_env.families.mutual_friends.scoring import opening, values_of
from sotopia_env.families.mutual_friends.tellings import Telling, read_tellings
from sotopia_env.tasks import Task


def read_move(task: Task, turn: Turn) -> Move:
    """Reads one turn.

    Returns:
        ``accept`` where the speaker confirms to know the friend who was named, ``offer`` where it puts a name forward,
        ``reject`` where it denies to know somebody, ``tell`` or ``ask`` where it speaks of attributes. Of several the
        first counts; the content are all names and attributes. To speak of somebody without putting the name forward
        is to ``ask``. Where agreements are made by acts alone, an act gives the name, and words tell or ask.
    """
    naming = opening(task)
    if naming.formal and turn.type == "action":
        act = acted(turn.type, turn.text, partial(read_name, names=naming.names))
        return Move("none") if act is None else Move(act.kind, act.terms)
    mentions = read_mentions(turn.type, turn.text, naming.names, naming.players)
    tellings = read_tellings(turn.text, values_of(task), naming.names) if turn.type == "speak" else ()
    kind = _kind(mentions, tellings)
    if naming.formal and kind in ("offer", "accept", "reject"):
        kind = "ask" if mentions.asked and not mentions.claimed else "tell"
    return Move(kind, None if kind == "none" else (mentions, tellings))


def _kind(mentions: Mentions, tellings: tuple[Telling, ...]) -> MoveKind:
    named = bool(mentions.claimed or mentions.asked)
    # "Yes, I know someone who plays chess" answers a question about attributes and confirms nobody.
    if mentions.same or (mentions.agrees and (mentions.vouched or not (named or mentions.spoken or tellings))):
        return "accept"
    if named:
        return "offer"
    if mentions.denied:
        return "reject"
    if any(telling.kind != "asks" for telling in tellings):
        return "tell"
    return "ask" if tellings or mentions.spoken else "none"
