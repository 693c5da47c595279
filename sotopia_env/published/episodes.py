"""Published episodes as episodes: what was said, by whom, in which order, and what the judge made of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sotopia_env.actions import NONE, Action
from sotopia_env.episodes import Ending, Episode, Judgement, Turn, agent_name
from sotopia_env.errors import RecordError
from sotopia_env.published.episode_records import FullRecord, LogRecord, check_episode
from sotopia_env.published.export import FULL_NAMES, episode_log, full_record
from sotopia_env.published.records import PublishedScenario
from sotopia_env.published.report import Report
from sotopia_env.published.scenarios import scenario_task
from sotopia_env.schema import check_record
from sotopia_env.sotopia_style import ENVIRONMENT, UNKNOWN, Opening, read_act, read_biography, read_opening
from sotopia_env.tasks import Character, Task
from sotopia_env.turns import DEFAULT_MAX_CYCLES

RUBRIC = "Sotopia-Eval"
"""The version that judgements of published episodes carry."""

Cycle = dict[int, Action]
"""What was done in one turn of the table, by seat; who did nothing is not in it."""

_AGENT_COMMENTS = re.compile(r"^Agent (\d+) comments:\n", re.MULTILINE)
_ACTED = r"(?:^|\n\n){}:? (?=said: \"|\[non-verbal communication\]|\[action\]|left the conversation|did nothing)"


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
        characters: Mapping[str, Character] | None = None,
    ) -> None:
        """Index the tasks by scenario and characters: by their ids, and by what the short format tells of them."""
        self._scenarios, self._characters = scenarios or {}, characters or {}
        self._found: dict[tuple[str, ...], Task] = {}
        for task in tasks:
            self._found.setdefault((task.scenario.id, *(c.id for c in task.characters)), task)
            self._found.setdefault((task.scenario.situation, *(c.name for c in task.characters)), task)

    def get(self, scenario: str, characters: Sequence[str]) -> Task | None:
        """The task of a scenario and its characters, both ids, or situation and names."""
        found = self._found.get((scenario, *characters))
        if found is None and scenario in self._scenarios and set(characters) <= set(self._characters):
            people = tuple(self._characters[identity] for identity in characters)
            found = replace(self._scenarios[scenario], id=_task_id(scenario, people), characters=people)
        return found


def _task_id(scenario: str, characters: Sequence[Character]) -> str:
    return ":".join([scenario, *(character.id for character in characters)])


def read_episode(raw: Any, where: str, report: Report, known: KnownTasks) -> Episode:
    """The episode of a published record.

    Its own fields take what they can; what they cannot hold, such as the judge's prompt, stands in
    ``judgements[0].latent["record"]`` under the published names, so that writing it back loses nothing.

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
    order, turns = _turns(cycles, len(names))
    models = record.models or []
    episode = Episode(
        key=record.id,
        task=task,
        config={"action_order": order, "max_cycles": max(DEFAULT_MAX_CYCLES, len(cycles))},
        turns=turns,
        ending=_ending(turns, record.reasoning, len(cycles)),
        policies={agent_name(seat): name for seat, name in enumerate(models[1 : len(names) + 1])},
    )
    judgement = _judgement(record, models[0] if models else "published", len(names))
    return _keeping(raw, episode.with_judgement(judgement), judgement, is_log=isinstance(record, LogRecord))


def _keeping(raw: Mapping[str, Any], episode: Episode, judgement: Judgement, *, is_log: bool) -> Episode:
    """The episode with every field of its record that would otherwise be written back differently."""
    written = episode_log(episode) if is_log else full_record(episode)
    kept = {
        FULL_NAMES.get(name, name) if is_log else name: value
        for name, value in raw.items()
        if name not in written or written[name] != value
    }
    if not kept:
        return episode
    return episode.with_judgement(replace(judgement, latent={"record": kept}))


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
        found = known.get(record.scenario, names)
    if found is not None:
        return found
    if isinstance(record, FullRecord):
        situation, codename = record.scenario, record.codename
        goals, backgrounds = list(record.goals.values()), list(record.backgrounds.values())
    else:
        own = [opening for opening in openings if opening is not None]
        if len(own) != len(names):
            raise RecordError(
                where, "field 'messages.0': no scenario, backgrounds and goals; load it with its profiles"
            )
        situation, codename = own[0].scenario, ""
        goals = [opening.goals[seat] for seat, opening in enumerate(own)]
        backgrounds = [opening.backgrounds[seat] for seat, opening in enumerate(own)]
    scenario = {
        "pk": record.environment or codename or record.id,
        "codename": codename,
        "scenario": situation,
        "agent_goals": goals,
        "relationship": _relationship(openings, names),
    }
    task = scenario_task(where, check_record(PublishedScenario, scenario, where), "", report)
    people = tuple(
        _character(record.agents[seat] if record.agents else name, name, backgrounds[seat])
        for seat, name in enumerate(names)
    )
    return replace(task, id=_task_id(task.scenario.id, people), characters=people)


def _character(identity: str, name: str, background: str) -> Character:
    fields: dict[str, Any] = read_biography(background, name)
    return Character(id=identity, **fields)


def _relationship(openings: Sequence[Opening | None], names: Sequence[str]) -> str:
    """The relationship behind what the agents were shown of each other; nothing told is nothing known."""
    shown = [
        (name, opening.backgrounds[seat])
        for viewer, opening in enumerate(openings)
        for seat, name in enumerate(names)
        if opening is not None and seat != viewer
    ]
    told = [(name, read_biography(text, name)) for name, text in shown if text not in ("", UNKNOWN)]
    if not told:
        return "stranger"
    if all(fields.get("personality") for _, fields in told):
        return "friend"
    return "acquaintance" if any(fields.get("public_info") for _, fields in told) else "know_by_name"


def _cycles(where: str, messages: Sequence[Sequence[tuple[str, str, str]]], names: Sequence[str]) -> list[Cycle]:
    """What was done in each turn of the table, from messages."""
    cycles: list[Cycle] = []
    for number, turn in enumerate(messages):
        acts = [(sender, text) for sender, receiver, text in turn if receiver == ENVIRONMENT and sender != ENVIRONMENT]
        cycle: Cycle = {}
        for sender, text in acts:
            if sender not in names:
                raise RecordError(where, f"messages of turn {number}: {sender!r} is none of {', '.join(names)}")
            action = read_act(text)
            if action is None:
                raise RecordError(where, f"messages of turn {number}: not the text of an act: {text!r:.60}")
            if action != NONE:
                cycle[names.index(sender)] = action
        if acts:
            cycles.append(cycle)
    return cycles


def _cycles_of_text(where: str, text: str, names: Sequence[str]) -> list[Cycle]:
    """What was done in each turn of the table, from the utterances as one text, one act a turn."""
    starts = re.compile(_ACTED.format(f"({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})"))
    found = list(starts.finditer(text))
    if not found or text[: found[0].start()].strip():
        raise RecordError(where, f"field 'social_interactions': it does not begin with an act of {' or '.join(names)}")
    cycles: list[Cycle] = []
    for match, following in zip(found, [*found[1:], None], strict=True):
        part = text[match.end() : len(text) if following is None else following.start()]
        action = read_act(part)
        if action is None:
            raise RecordError(where, f"field 'social_interactions': not the text of an act: {part!r:.60}")
        cycles.append({} if action == NONE else {names.index(match[1]): action})
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
            action = cycle.get(seat, NONE)
            turns.append(Turn(seat, own[seat], len(turns), action.type, action.text))
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


def _judgement(record: FullRecord | LogRecord, judge: str, seats: int) -> Judgement:
    """What the judge said; a score it did not give, or a bare 0.0, is unknown."""
    ratings = record.ratings or (record.rewards if isinstance(record, FullRecord) else []) or [(None, None)] * seats
    given = [dict(scores or {}) for _, scores in ratings]
    for scores in given:
        scores.pop("overall_score", None)
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
