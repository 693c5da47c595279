"""The rule judge of mutual friends: seven dimensions from the text and the two tables, each with its evidence.

Deterministic, offline, under a millisecond. It reads neither a policy's internals nor its intentions, so it judges a
model's free text just as well. Whatever it cannot know is ``None``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sotopia_env.episodes import Episode, Judgement, Turn
from sotopia_env.families import conduct
from sotopia_env.families.conduct import Finding
from sotopia_env.families.formal import is_formal, words_alone
from sotopia_env.families.mutual_friends.mentions import read_mentions
from sotopia_env.families.mutual_friends.naming import Naming, find
from sotopia_env.families.mutual_friends.tables import Friend
from sotopia_env.families.mutual_friends.tellings import all_values, read_tellings
from sotopia_env.tasks import Task
from sotopia_env.turns import heard_turns

FREE_NAMES = 2
"""So many friends besides the common one may be named for nothing: a guess or two is no list."""

LISTING = 0.8
"""Share of the goal that going through one's whole table costs."""

FALSE_CLAIM = -2.5
"""Social rules for each false claim about one's own friends."""


def friends_of(hidden: Mapping[str, Any]) -> tuple[Friend, ...]:
    """The table behind the hidden values of a seat."""
    return tuple(Friend.from_dict(record) for record in hidden["friends"])


def opening(task: Task) -> Naming:
    """Nobody named yet."""
    own = tuple(frozenset(str(record["name"]) for record in hidden["friends"]) for hidden in task.scenario.hidden)
    players = frozenset(character.first_name for character in task.characters)
    names, common = tuple(sorted(frozenset().union(*own))), str(task.scenario.hidden[0]["common"])
    return Naming(names, own, common, players, formal=is_formal(task), offered=(None,) * len(own))


def score(episode: Episode, version: str, bank: str = "evaluation") -> Judgement:
    """Score both seats.

    Args:
        episode: running or finished; each seat's hidden values hold ``friends`` and ``common``.
        version: of the family.
        bank: whose words the relationship score counts.
    """
    task = episode.task
    naming = find(opening(task), episode.turns, episode.action_order)
    tables = [friends_of(hidden) for hidden in task.scenario.hidden]
    values = values_of(task)
    turns = [heard_turns(episode, agent) for agent in episode.agents]
    if naming.formal:
        turns = [[words_alone(turn) for turn in own_turns] for own_turns in turns]
    findings: list[dict[str, Finding]] = []
    for seat, own_turns in enumerate(turns):
        claims = false_claims(own_turns, tables[seat], naming, values)
        insults, insulting = conduct.social_rules(own_turns)
        findings.append(
            {
                "goal": goal(naming, seat, finished=episode.ending is not None),
                "relationship": conduct.relationship(own_turns, bank),
                "knowledge": knowledge(turns[1 - seat], tables[1 - seat], values),
                "secret": conduct.secret(own_turns, task.characters[seat].secret),
                "social_rules": (max(-10.0, (insults or 0.0) + FALSE_CLAIM * len(claims)), insulting + claims),
                "financial_and_material_benefits": (0.0, ["nothing of material value is at stake"]),
                "believability": conduct.believability(own_turns),
            }
        )
    return conduct.judgement_of(findings, version, bank=bank, latent=_latent(naming))


def named(naming: Naming, seat: int) -> list[str]:
    """The names a seat put forward or spoke of first besides that of the common friend, false ones included."""
    return sorted((naming.put[seat] | naming.spoken[seat]) - {naming.common})


def goal(naming: Naming, seat: int, *, finished: bool = True) -> Finding:
    """10 for the friend found, less 8 x the share of one's other friends named beyond two; 0 if not found."""
    if naming.found is None:
        return (0.0, ["the common friend was not named by both"]) if finished else (None, ["not over yet"])
    found = [f"turn {naming.found.turn}: {naming.found.friend} is named by both"]
    listed = named(naming, seat)
    excess = max(0, len(listed) - FREE_NAMES)
    if excess:
        found.append(f"named besides: {', '.join(listed)}")
    room = max(1, len(naming.own[seat]) - 1 - FREE_NAMES)
    return 10 * (1 - LISTING * min(1.0, excess / room)), found


def values_of(task: Task) -> tuple[str, ...]:
    """The values of all attributes in the tables of all seats."""
    return all_values(friend.values for hidden in task.scenario.hidden for friend in friends_of(hidden))


def told(turn: Turn, table: Sequence[Friend], values: tuple[str, ...]) -> list[str]:
    """The attributes of its own table that a speaker tells of its friends."""
    if turn.type != "speak":
        return []
    wanted = frozenset(value for friend in table for value in friend.values)
    tellings = [telling for telling in read_tellings(turn.text, values) if telling.kind == "has"]
    return [value for telling in tellings for value in sorted(telling.values & wanted)]


def knowledge(partner_turns: Sequence[Turn], table: Sequence[Friend], values: tuple[str, ...]) -> Finding:
    """Ten times the share of the attributes in the partner's table that the partner told of its friends."""
    wanted = {value for friend in table for value in friend.values}
    found: dict[str, str] = {}
    for turn in partner_turns:
        for value in told(turn, table, values):
            found.setdefault(value, f"turn {turn.global_index}: {value}")
    return (10 * len(found) / len(wanted) if wanted else None), list(found.values())


def false_claims(turns: Sequence[Turn], table: Sequence[Friend], naming: Naming, values: tuple[str, ...]) -> list[str]:
    """What a seat said of its own friends that its table contradicts.

    Found are: claiming to know somebody else's friend, denying to know a friend, claiming friends with an attribute
    that none has, and denying friends with attributes that one has. All have to be said in so many words.
    """
    own_names = frozenset(friend.name for friend in table)
    own_values = frozenset().union(*(friend.values for friend in table))
    found = []
    for turn in turns:
        if turn.type not in ("speak", "action"):
            continue
        mentions = read_mentions(turn.type, turn.text, naming.names, naming.players)
        where = f"turn {turn.global_index}"
        found += [f"{where}: claims to know {name}" for name in sorted(mentions.vouched - own_names)]
        found += [f"{where}: denies to know {name}" for name in sorted(mentions.unknown & own_names)]
        for telling in read_tellings(turn.text, values, naming.names):
            if not telling.own or telling.kind == "asks":
                continue
            invented = telling.values - own_values
            has_such = any(telling.values <= friend.values for friend in table)
            if telling.kind == "has" and invented and not telling.names:
                found.append(f"{where}: no friend of its own has {', '.join(sorted(invented))}")
            elif telling.kind == "lacks" and has_such and not telling.names:
                found.append(f"{where}: denies a friend with {', '.join(sorted(telling.values))}")
    return found


def _latent(naming: Naming) -> dict[str, Any]:
    return {
        "deal": naming.found is not None,
        "named": [len(named(naming, seat)) for seat in range(len(naming.own))],
    }
