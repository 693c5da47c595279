"""Published episodes as episodes: what was said, by whom, in which order, and what the judge made of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sotopia_env.actions import NONE
from sotopia_env.dimensions import DIMENSIONS
from sotopia_env.episodes import Ending, Episode, Judgement, Turn, agent_name
from sotopia_env.errors import RecordError
from sotopia_env.published.episode_records import FullRecord, LogRecord, check_episode
from sotopia_env.published.export import ENDINGS, FULL_NAMES, contents, episode_log, full_record
from sotopia_env.published.profiles import environment_profile
from sotopia_env.published.records import PublishedScenario
from sotopia_env.published.report import Report
from sotopia_env.published.scenarios import Profile, scenario_task, seated
from sotopia_env.schema import check_record
from sotopia_env.sotopia_style import (
    ENVIRONMENT,
    UNKNOWN,
    Opening,
    biography,
    read_act,
    read_biography,
    read_opening,
    read_recipients,
    shows_act,
)
from sotopia_env.tasks import RELATIONSHIPS, Character, Task
from sotopia_env.turns import DEFAULT_MAX_CYCLES
from sotopia_env.views import visible_character

RUBRIC = "Sotopia-Eval"
"""The version that judgements of published episodes carry."""


@dataclass(frozen=True)
class Act:
    """What somebody did in one turn of the table: type and text, and who may know of it, as in a turn."""

    type: str
    text: str
    recipients: tuple[int, ...] | None


Cycle = dict[int, Act]
"""What was done in one turn of the table, by seat; who did nothing is not in it."""

_AGENT_COMMENTS = re.compile(r"^Agent (\d+) comments:\n", re.MULTILINE)
_ACTED = (
    r"(?:^|\n\n){}:? "
    r"(?=(?:\[private to [^\n]+\] )?"
    r"(?:said: \"|\[non-verbal communication\]|\[action\]|left the conversation|did nothing))"
)


class KnownTasks:
    """Finds the task behind an episode.

    Args:
        tasks: loaded from Sotopia's profiles.
        scenarios: tasks without characters by the id of their scenario, for pairings that are not among ``tasks``.
        characters: by id.
    """

    def __init__(
        self,
        tasks: Iterable[Task] = (),
        scenarios: Mapping[str, Task] | None = None,
        characters: Mapping[str, Profile] | None = None,
    ) -> None:
        """Index the tasks by scenario and characters: by their ids, and by what the short format tells of them."""
        self._scenarios, self._characters = scenarios or {}, characters or {}
        self._found: dict[tuple[str, ...], Task] = {}
        for task in tasks:
            profile = environment_profile(task)
            self._found.setdefault((profile["pk"], *(c.id for c in task.characters)), task)
            names = [c.name for c in task.characters]
            self._found.setdefault((profile["scenario"], *profile["agent_goals"], *names), task)

    def get(self, scenario: str, characters: Sequence[str]) -> Task | None:
        """The task of a scenario and its characters, both ids; or of a situation, the goals and the names."""
        found = self._found.get((scenario, *characters))
        if found is None and scenario in self._scenarios and set(characters) <= set(self._characters):
            people = [self._characters[identity] for identity in characters]
            found = seated(self._scenarios[scenario], ":".join([scenario, *characters]), people)
        return found


def read_episode(raw: Any, where: str, report: Report, known: KnownTasks) -> Episode:
    """The episode of a published record.

    Its own fields take what they can; what they cannot hold, such as the judge's prompt, stands in
    ``judgements[0].latent["record"]`` under the published names, so that writing it back loses nothing, and beside it
    (``"contents"``) by what one tells that nothing was changed since.

    Args:
        raw: a record of any published format.
        where: names the record in an error.
        report: takes what is kept with a reservation.
        known: tasks with the whole profiles; otherwise the task is read from the episode's own texts, which tell no
            closer relationship than a friend's.

    Raises:
        RecordError: a field is missing or wrong.
    """
    record = check_episode(raw, where)
    names, openings = _openings(where, record)
    task = _task(where, record, names, openings, report, known)
    if task.num_seats != len(names):
        raise RecordError(where, f"{len(names)} agents, but {task.num_seats} characters in the scenario")
    if record.messages is None:
        cycles = _cycles_of_text(where, record.interactions if isinstance(record, FullRecord) else "", names)
    else:
        cycles = _cycles(where, record.messages, names)
    if record.messages is not None:
        task = _as_shown(where, task, openings, report)
    order, turns = _turns(cycles, len(names))
    private = {"private_messages": True} if any(turn.recipients is not None for turn in turns) else {}
    models = record.models or []
    episode = Episode(
        key=record.id,
        task=task,
        config={"action_order": order, "max_cycles": max(DEFAULT_MAX_CYCLES, len(cycles)), **private},
        turns=turns,
        ending=_ending(turns, record.reasoning, len(cycles)),
        policies={agent_name(seat): name for seat, name in enumerate(models[1 : len(names) + 1])},
    )
    judgement = _judgement(where, record, models[0] if models else "published", len(names), report)
    return _keeping(raw, episode.with_judgement(judgement), judgement, is_log=isinstance(record, LogRecord))


def _keeping(raw: Mapping[str, Any], episode: Episode, judgement: Judgement, *, is_log: bool) -> Episode:
    """The episode with every field of its record that would otherwise be written back differently."""
    written = episode_log(episode) if is_log else full_record(episode)
    kept = {
        FULL_NAMES.get(name, name) if is_log else name: value
        for name, value in raw.items()
        if name not in written or written[name] != value
    }
    return episode.with_judgement(replace(judgement, latent={"record": kept, "contents": contents(episode, judgement)}))


def _openings(where: str, record: FullRecord | LogRecord) -> tuple[list[str], list[Opening | None]]:
    """The names of the agents by seat, and what each was shown before the first turn."""
    field = "messages" if isinstance(record, LogRecord) else "raw_messages"
    names = list(record.backgrounds) if isinstance(record, FullRecord) else []
    if record.messages is None:
        return names, [None] * len(names)
    first = [message for message in record.messages[0] if message[0] == ENVIRONMENT] if record.messages else []
    shown = [receiver for _, receiver, _ in first]
    if not names:
        names = shown
    if shown != names or len(set(names)) != len(names) or len(names) < 2:
        raise RecordError(
            where, f"field '{field}.0': one message from {ENVIRONMENT} to each of {names or 'the agents'}"
        )
    if record.agents and len(record.agents) != len(names):
        raise RecordError(where, f"field '{field}.0': {len(names)} names for {len(record.agents)} agents")
    return names, [read_opening(text, names) for _, _, text in first]


def _task(
    where: str,
    record: FullRecord | LogRecord,
    names: Sequence[str],
    openings: Sequence[Opening | None],
    report: Report,
    known: KnownTasks,
) -> Task:
    found = known.get(record.environment, record.agents)
    if found is None and isinstance(record, FullRecord):
        found = known.get(record.scenario, [*record.goals.values(), *names])
    if isinstance(record, FullRecord):
        situation, codename = record.scenario, record.codename
        goals, backgrounds = list(record.goals.values()), list(record.backgrounds.values())
    else:
        own = [opening for opening in openings if opening is not None]
        if len(own) != len(names):
            if found is not None:
                return found
            raise RecordError(
                where, "field 'messages.0': no scenario, backgrounds and goals; load it with its profiles"
            )
        situation, codename = own[0].scenario, ""
        goals = [opening.goals[seat] for seat, opening in enumerate(own)]
        backgrounds = [_told(opening.backgrounds[seat]) for seat, opening in enumerate(own)]
    scenario = {
        "pk": record.environment or codename or record.id,
        "codename": codename,
        "scenario": situation,
        "agent_goals": goals,
        "relationship": _relationship(where, openings, names, found, report),
    }
    task = scenario_task(where, check_record(PublishedScenario, scenario, where), "", report)
    if found is not None:
        return _following(where, found, task, report)
    people = [
        Profile(_character(record.agents[seat] if record.agents else name, name, backgrounds[seat]), {})
        for seat, name in enumerate(names)
    ]
    return seated(task, ":".join([task.scenario.id, *(person.character.id for person in people)]), people)


def _following(where: str, found: Task, told: Task, report: Report) -> Task:
    """The task of the profiles, with the texts that the episode itself tells where these are others."""
    texts = ("situation", "goals")
    if all(_words(getattr(found.scenario, text)) == _words(getattr(told.scenario, text)) for text in texts):
        return found
    report.note(
        where,
        f"other goals or another situation than in the profile of scenario {found.scenario.id!r}",
        "those of the episode are taken",
    )
    notes = told.scenario.notes or found.scenario.notes
    scenario = replace(told.scenario, relationship=found.scenario.relationship, notes=notes)
    tags = {**found.tags, "markup": told.tags.get("markup", {})}
    return replace(found, family=told.family, version=told.version, scenario=scenario, tags=tags)


def _words(texts: str | Sequence[str]) -> list[list[str]]:
    """The words of texts: published ones differ in their white space."""
    return [text.split() for text in ([texts] if isinstance(texts, str) else texts)]


def _as_shown(where: str, task: Task, openings: Sequence[Opening | None], report: Report) -> Task:
    """The task, with what the agents were shown of each other where that is not by their relationship."""
    if None in openings:
        report.note(where, "its opening texts are not of the published form", "what was shown is taken from the task")
        return task
    shown = [
        (seat, " ".join(_told(background).split()))
        for viewer, opening in enumerate(openings)
        for seat, background in enumerate(() if opening is None else opening.backgrounds)
        if seat != viewer
    ]
    own = RELATIONSHIPS.index(task.scenario.relationship)
    for relationship in [RELATIONSHIPS[own], *RELATIONSHIPS[:4]]:
        if all(text == _background(task.characters[seat], relationship) for seat, text in shown):
            if relationship == RELATIONSHIPS[own]:
                return task
            return replace(task, tags={**task.tags, "shown_as": relationship})
    report.note(where, "the agents were shown something else of each other than the profiles tell", "these are taken")
    return task


def _told(background: str) -> str:
    return "" if background == UNKNOWN else background


def _background(character: Character, relationship: str) -> str:
    """What one is shown of another in the published text."""
    if relationship == "stranger":
        return ""
    return " ".join(biography(visible_character(character, relationship), own=False).split())


def _character(identity: str, name: str, background: str) -> Character:
    fields: dict[str, Any] = read_biography(background, name)
    return Character(id=identity, **fields)


def _relationship(
    where: str, openings: Sequence[Opening | None], names: Sequence[str], found: Task | None, report: Report
) -> str:
    """The relationship of the profiles, or the one behind what the agents were shown of each other."""
    if found is not None:
        return found.scenario.relationship
    shown = [
        (name, opening.backgrounds[seat])
        for viewer, opening in enumerate(openings)
        for seat, name in enumerate(names)
        if opening is not None and seat != viewer
    ]
    told = [(name, read_biography(text, name)) for name, text in shown if text not in ("", UNKNOWN)]
    if not told:
        # The published text says nothing of a stranger; later releases say "Unknown" of everybody.
        if not shown or any(text == UNKNOWN for _, text in shown):
            report.note(where, "it does not tell how the agents are related", "they are taken for strangers")
        return "stranger"
    if all(fields.get("personality") for _, fields in told):
        return "friend"
    return "acquaintance" if any(fields.get("public_info") for _, fields in told) else "know_by_name"


def _cycles(where: str, messages: Sequence[Sequence[tuple[str, str, str]]], names: Sequence[str]) -> list[Cycle]:
    """What was done in each turn of the table, from messages."""
    cycles: list[Cycle] = []
    for number, turn in enumerate(messages):
        acts = [(sender, text) for sender, receiver, text in turn if receiver == ENVIRONMENT and sender != ENVIRONMENT]
        after = messages[number + 1] if number + 1 < len(messages) else []
        shown = {receiver: text for sender, receiver, text in after if sender == ENVIRONMENT}
        cycle: Cycle = {}
        for sender, text in acts:
            if sender not in names:
                raise RecordError(where, f"messages of turn {number}: {sender!r} is none of {', '.join(names)}")
            act = _act(f"{where}: messages of turn {number}", text, names)
            if act is not None:
                recipients = _witnesses(sender, text, shown, names) if act.recipients is None else act.recipients
                cycle[names.index(sender)] = replace(act, recipients=recipients)
        if acts:
            cycles.append(cycle)
    return cycles


def _act(where: str, text: str, names: Sequence[str]) -> Act | None:
    """The act behind a text, or ``None`` where nothing was done."""
    try:
        recipients, plain = read_recipients(text, names)
    except ValueError as error:
        raise RecordError(where, str(error)) from None
    action = read_act(plain)
    if action is None:
        raise RecordError(where, f"not the text of an act: {text!r:.60}")
    return None if action == NONE else Act(action.type, action.text, recipients)


def _witnesses(sender: str, text: str, shown: Mapping[str, str], names: Sequence[str]) -> tuple[int, ...] | None:
    """Who was shown an act without a mark, besides its actor; ``None`` for everyone, or where nothing tells it."""
    if not all(name in shown for name in names) or not shows_act(shown[sender], sender, text):
        return None
    saw = [shows_act(shown[name], sender, text) for name in names]
    return None if all(saw) else tuple(seat for seat, name in enumerate(names) if saw[seat] and name != sender)


def _cycles_of_text(where: str, text: str, names: Sequence[str]) -> list[Cycle]:
    """What was done in each turn of the table, from the utterances as one text, one act a turn."""
    starts = re.compile(_ACTED.format(f"({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})"))
    found = list(starts.finditer(text))
    if not found or text[: found[0].start()].strip():
        raise RecordError(where, f"field 'social_interactions': it does not begin with an act of {' or '.join(names)}")
    cycles: list[Cycle] = []
    for match, following in zip(found, [*found[1:], None], strict=True):
        part = text[match.end() : len(text) if following is None else following.start()]
        act = _act(f"{where}: field 'social_interactions'", part, names)
        cycles.append({} if act is None else {names.index(match[1]): act})
        # A turn of the table in which nobody did anything left an empty paragraph.
        cycles += [{} for _ in range((len(part) - len(part.rstrip("\n"))) // 2)]
    return cycles


def _turns(cycles: Sequence[Cycle], seats: int) -> tuple[str, tuple[Turn, ...]]:
    """The order of the turns, as far as the acts tell it, and the turns."""
    if all(set(cycle) <= {number % seats} for number, cycle in enumerate(cycles)):
        order, acting = "round-robin", [[number % seats] for number in range(len(cycles))]
    elif all(len(cycle) == 1 for cycle in cycles):
        order, acting = "random", [list(cycle) for cycle in cycles]
    else:
        order, acting = "simultaneous", _everyone_present(cycles, seats)
    turns: list[Turn] = []
    own = [0] * seats
    for cycle, of_cycle in zip(cycles, acting, strict=True):
        for seat in of_cycle:
            act = cycle.get(seat, Act("none", "", None))
            turns.append(Turn(seat, own[seat], len(turns), act.type, act.text, recipients=act.recipients))
            own[seat] += 1
    return order, tuple(turns)


def _everyone_present(cycles: Sequence[Cycle], seats: int) -> list[list[int]]:
    acting, present = [], list(range(seats))
    for cycle in cycles:
        # Sotopia lets a leaver act again.
        acting.append(sorted({*present, *cycle}))
        present = [seat for seat in present if seat not in cycle or cycle[seat].type != "leave"]
    return acting


def _ending(turns: Sequence[Turn], reasoning: str, cycles: int) -> Ending | None:
    """Why the episode was over, by its last turn or the comment of Sotopia's environment."""
    if not turns:
        return None
    last = turns[-1]
    comment = _comments(reasoning)[0]
    detail = {"comment": comment} if comment else {}
    left = [turn.seat for turn in turns[-2:] if turn.type == "leave"]
    if left:
        return Ending("left", seat=left[-1], detail=detail)
    if ENDINGS["agreement"] in comment:
        return Ending("agreement", seat=last.seat, detail=detail)
    if "stale" in comment or (not comment and last.type == "none"):
        return Ending("stale", seat=last.seat, detail=detail)
    if comment or cycles >= DEFAULT_MAX_CYCLES:
        return Ending("max_cycles", truncated=True, detail=detail)
    return None


def _comments(reasoning: str) -> tuple[str, dict[int, str]]:
    """The comment of the environment, and those on each seat."""
    parts = _AGENT_COMMENTS.split(reasoning)
    environment = parts[0].removeprefix("Environment comments: ").removesuffix("\n")
    return environment, {int(number) - 1: text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def _judgement(where: str, record: FullRecord | LogRecord, judge: str, seats: int, report: Report) -> Judgement:
    """What the judge said; a score it did not give or that its range does not hold, or a bare 0.0, is unknown."""
    ratings = record.ratings or (record.rewards if isinstance(record, FullRecord) else []) or [(None, None)] * seats
    given = [dict(scores or {}) for _, scores in ratings]
    for seat, scores in enumerate(given):
        scores.pop("overall_score", None)
        for dimension, (low, high) in DIMENSIONS.items():
            score = scores.get(dimension)
            if score is not None and not low <= score <= high:
                problem = f"field 'rewards.{seat}.{dimension}': {score:g} is not within {low:g} and {high:g}"
                report.note(where, problem, "that score is taken for unknown")
                scores[dimension] = None
    dimensions = list(dict.fromkeys(dimension for scores in given for dimension in scores)) or ["goal"]
    evidence: dict[str, list[list[str]]] = {}
    starts = re.compile(rf"^({'|'.join(map(re.escape, dimensions))}): ", re.MULTILINE)
    for seat, text in _comments(record.reasoning)[1].items():
        parts = starts.split(text)
        for dimension, said in zip(parts[1::2], parts[2::2], strict=True):
            per_seat = evidence.setdefault(dimension, [[] for _ in range(seats)])
            if seat < seats:
                per_seat[seat].append(said.removesuffix("\n"))
    return Judgement(
        judge, RUBRIC, {dimension: [scores.get(dimension) for scores in given] for dimension in dimensions}, evidence
    )
