"""The games of one ``play``, wherever they are shown: who sits where, what is played, and what the judge says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sotopia_env.agents.human import HumanPolicy, speaker_names, visible
from sotopia_env.episodes import Episode, agent_name, seat_of
from sotopia_env.make import parallel_env
from sotopia_env.policies import Policy
from sotopia_env.resolve import family_and_tasks, make_policy
from sotopia_env.rollouts.lockstep import OnCycle
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.showing.episode import ending_text, seat_names
from sotopia_env.tables import Cell, Table
from sotopia_env.views import static_observation


@dataclass(frozen=True)
class Games:
    """The games of one command: the episodes of one run, so that those of any number stand in one file.

    Args:
        tasks: whatever ``parallel_env`` takes; fixed ones are played in turn.
        seats: the policy of each seat; ``None`` where a person sits.
        seed: of the run.
        options: of :func:`~sotopia_env.rollout` and of the environment.
    """

    tasks: Any
    seats: tuple[Policy | None, ...]
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def people(self) -> list[str]:
        """The agents that persons play."""
        return [agent_name(seat) for seat, policy in enumerate(self.seats) if policy is None]

    def play(
        self, person: HumanPolicy, number: int = 0, *, out: Path | None = None, on_cycle: OnCycle | None = None
    ) -> Episode:
        """Plays one game, and those before it that are not in the file yet.

        Args:
            person: plays the seats of persons.
            number: of the game, from 0.
            out: the file of the run.
            on_cycle: see :func:`~sotopia_env.rollout`.
        """
        seated = [person if policy is None else policy for policy in self.seats]
        options = {"seed": self.seed, "out": out, "on_cycle": on_cycle, **self.options}
        return rollout(self.tasks, seated, num_episodes=number + 1, **options)[number]


def games_of(
    tasks: str,
    given: Any,
    policies: Sequence[str],
    seat: int,
    *,
    seed: int = 0,
    task: str | None = None,
    all_seats: bool = False,
    **options: Any,
) -> Games:
    """The games that a command asks for.

    Args:
        tasks: as they were named, for errors.
        given: the tasks, in the mode that was asked for.
        policies: of the other seats: one for all of them, or one for each.
        seat: where the person sits.
        seed: of fixed tasks it says which comes first.
        task: id of the one task to be played.
        all_seats: whether there may be a policy for each seat, and ``human`` may be one of them.
        options: of :class:`Games`.

    Raises:
        ValueError: there is no such task or seat, or too few or too many policies.
    """
    _, fixed, _ = family_and_tasks(given, "train")
    if fixed is not None:
        if task is None:
            first = seed % len(fixed)
            turned = [*fixed[first:], *fixed[:first]]
        else:
            turned = [one for one in fixed if one.id == task]
        if not turned:
            raise ValueError(f"--task {task!r} is none of the {len(fixed)} tasks of {tasks}")
        given = [one for one in turned if one.num_seats == turned[0].num_seats]
    elif task is not None:
        raise ValueError(f"--task: the tasks of {tasks} are drawn by the seed; give another --seed")
    num_seats = len(parallel_env(given).possible_agents)
    if not 0 <= seat < num_seats:
        raise ValueError(f"--seat {seat}: there are the seats 0 to {num_seats - 1}")
    if all_seats and len(policies) == num_seats:
        if seat:
            raise ValueError(f"--seat {seat}: {num_seats} policies fill every seat; write human where you sit")
        names: list[str | None] = [*policies]
    elif len(policies) in (1, num_seats - 1):
        names = [*policies] * (num_seats - 1) if len(policies) == 1 else [*policies]
        names.insert(seat, None)
    else:
        raise ValueError(f"{len(policies)} policies for {num_seats - 1} other seats; give one for all or one for each")
    made: dict[str, Policy | None] = {name: make_policy(name) for name in dict.fromkeys(policies)}
    if all_seats:
        made["human"] = None
    seated = tuple(None if name is None else made[name] for name in names)
    return Games(given, seated, seed, options)


@dataclass(frozen=True)
class Verdict:
    """How a game ended, and what the judge says of it.

    Args:
        how: the ending.
        scores: of the judge, by dimension and seat; ``None`` where nobody has judged.
        findings: what they rest on: dimension, whom it is about, and the finding.
    """

    how: str
    scores: Table | None
    findings: Sequence[tuple[str, str, str]]


def verdict(episode: Episode, seat: int | None = None) -> Verdict:
    """The verdict on a finished episode, by the judge who came last.

    Args:
        episode: judged or not.
        seat: of the reader, where it is one of them.
    """
    how = ending_text(episode.ending, seat_names(episode.task))
    participants = static_observation(episode.task, 0)["participants"]
    names = {
        agent: name + (" (you)" if seat_of(agent) == seat else "")
        for agent, name in speaker_names(participants).items()
    }
    if not episode.judgements:
        return Verdict(how, None, ())
    judgement = episode.judgements[-1]
    rows = [
        [dimension, *(Cell(None if value is None else value + 0.0, ".2f") for value in values)]
        for dimension, values in judgement.scores.items()
    ]
    title = f"Scores of the judge {judgement.judge} {judgement.version}"
    findings = [
        (dimension, name, visible(finding))
        for dimension, by_seat in judgement.evidence.items()
        for name, found in zip(names.values(), by_seat, strict=True)
        for finding in found
    ]
    return Verdict(how, Table(["dimension", *names.values()], rows, title), findings)
