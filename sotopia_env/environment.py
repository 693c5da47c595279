"""Sotopia scenarios as a PettingZoo parallel environment.

## Description
Two or more characters with private goals talk. Each task is a situation, the characters and one private goal a seat.

## Action space
``Dict(action_type=Discrete(5), argument=text)``; ``step`` also takes a bare ``str`` (it speaks) and the helpers
``speak``, ``do``, ``gesture`` and ``leave``. Out of turn the only legal type is ``none``. A malformed or illegal action
becomes ``none`` and is reported in ``infos[agent]["invalid_action"]``.

## Observation space
``Dict`` of texts: ``agent``, ``name``, ``situation``, ``participants``, ``background`` (one's own, with the secret),
``partners`` (what one sees of the others), ``goal`` (one's own), ``transcript``; with ``turn`` (the cycle) and
``action_types`` (the legal types, ``MultiBinary(5)``).

## Rewards
The bare environment pays 0.0. Rewards come from a reward wrapper: ``parallel_env(..., reward="episode")``.

## Episode end
Terminated when someone leaves and fewer than two remain, when the family's end state is reached (a deal), or when an
agent is silent for more than ``max_stale`` own turns in a row. Truncated after ``max_cycles``. All agents end together.

## Information
``active`` (is it the agent's turn), ``invalid_action`` (reason or ``None``), ``turn`` (own turns so far), ``task`` (id),
``ending`` (reason or ``None``).

## Version history
* v0: initial version.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import logger
from gymnasium.utils import seeding
from pettingzoo import ParallelEnv

from sotopia_env import rendering, spaces, views
from sotopia_env.actions import ACTION_TYPES, NONE, read_action
from sotopia_env.episodes import Ending, Episode, Turn, agent_name, seat_of
from sotopia_env.families.base import Family
from sotopia_env.policies import Decision
from sotopia_env.tasks import Task
from sotopia_env.turns import ACTION_ORDERS, acting_seats, talk_ending

SNAPSHOT_VERSION = 1

DEFAULT_MAX_CYCLES = 20
"""Sotopia's turn limit, where neither the environment nor the task gives one."""

StepResult = tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]


class SotopiaParallelEnv(ParallelEnv[str, dict[str, Any], Any]):
    """The bare environment: it plays tasks and pays nothing.

    Args:
        family: draws and watches the tasks.
        tasks: a fixed set to play, instead of tasks the family draws.
        split: which split the family draws from.
        max_cycles: turn limit in cycles (turns of the table); ``None`` takes the task's own, or 20.
        action_order: ``"round-robin"``, ``"simultaneous"`` or ``"random"``.
        max_stale: an agent may be silent for so many own turns in a row.
        action_types: the types that may be used; leave ``"leave"`` out to forbid leaving.
        render_mode: ``"human"``, ``"ansi"`` or ``None``.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "sotopia_v0",
        "render_modes": ["human", "ansi"],
        "render_fps": 1,
        "is_parallelizable": True,
    }

    def __init__(
        self,
        family: Family,
        *,
        tasks: Sequence[Task] | None = None,
        split: str = "train",
        max_cycles: int | None = None,
        action_order: str = "round-robin",
        max_stale: int = 2,
        action_types: Sequence[str] = ACTION_TYPES,
        render_mode: str | None = None,
    ) -> None:
        """Check the arguments and build the spaces; nothing is played before ``reset``."""
        _check_arguments(tasks, max_cycles, action_order, max_stale, action_types, render_mode, self.metadata)
        self.family = family
        self.tasks = None if tasks is None else tuple(tasks)
        self.split = split
        self.max_cycles = max_cycles
        self.action_order = action_order
        self.max_stale = max_stale
        self.action_types = tuple(kind for kind in ACTION_TYPES if kind in action_types)
        self.render_mode = render_mode
        self.possible_agents = [agent_name(seat) for seat in range(self.tasks[0].num_seats if self.tasks else 2)]
        self.agents: list[str] = []
        self.observation_spaces = {agent: spaces.observation_space() for agent in self.possible_agents}
        self.action_spaces = {agent: spaces.action_space(self.action_types) for agent in self.possible_agents}
        self.state_space = spaces.state_space()
        self._legal = [ACTION_TYPES.index(kind) for kind in self.action_types]
        self._rng: np.random.Generator | None = None
        self._seed: int | None = None
        self._task: Task | None = None
        self._key = ""
        self._begin()

    # PettingZoo's face

    def observation_space(self, agent: str) -> Any:
        """The observation space of an agent: the same object every call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        """The action space of an agent: the same object every call."""
        return self.action_spaces[agent]

    @property
    def np_random(self) -> np.random.Generator:
        """The generator behind every draw of the environment."""
        if self._rng is None:
            self._rng, self._seed = seeding.np_random(None)
        return self._rng

    @property
    def unwrapped(self) -> SotopiaParallelEnv:
        """The environment itself."""
        return self

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin an episode.

        Args:
            seed: re-seeds the generator; ``None`` goes on with it. 0 is a seed.
            options: ``{"task": id or Task}`` chooses the task; unknown keys are ignored.

        Raises:
            KeyError: the environment has no task of that id.
        """
        if seed is not None:
            self._rng, self._seed = seeding.np_random(int(seed))
        self._task = self._choose_task((options or {}).get("task"))
        self._key = f"{self._task.id}:{int(self.np_random.integers(2**62)):016x}"
        self._begin()
        if self.render_mode == "human":
            print(self._task.scenario.situation)
        return self._observations(), self._infos({})

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Play one cycle.

        Args:
            actions: for each acting agent an element of its action space, a ``str``, an ``Action`` or a ``Decision``;
                what is missing is ``none`` and reported.

        Returns:
            Observations, rewards (0.0), terminations, truncations and infos of every agent.

        Raises:
            RuntimeError: before ``reset`` or after the end.
            KeyError: an action of an unknown agent.
        """
        task = self._playing()
        unknown = [agent for agent in actions if agent not in self.possible_agents]
        if unknown:
            raise KeyError(f"step: unknown agent {unknown[0]!r}; the agents are {', '.join(self.possible_agents)}")
        invalid: dict[str, str] = {}
        self._last_start = len(self._turns)
        for seat in range(task.num_seats):
            agent = agent_name(seat)
            if seat in self._acting:
                turn = self._turn(seat, actions.get(agent))
                if turn.invalid is not None:
                    invalid[agent] = turn.invalid
                self._play(turn)
            elif agent in actions and read_action(_action_of(actions[agent])) != (NONE, None):
                invalid[agent] = "it is not this agent's turn: only none is legal"
        self._close_cycle()
        over = self._ending is not None
        truncated = over and self._ending.truncated  # type: ignore[union-attr]
        live = self.agents
        if over:
            self.agents = []
        if self.render_mode == "human":
            self._print_cycle()
        observations = self._observations()
        infos = self._infos(invalid)
        return (
            observations,
            dict.fromkeys(live, 0.0),
            dict.fromkeys(live, over and not truncated),
            dict.fromkeys(live, truncated),
            infos,
        )

    def render(self) -> str | None:
        """The transcript: a ``str`` for ``"ansi"``; in ``"human"`` mode ``step`` has printed it already."""
        if self.render_mode is None:
            logger.warn("render() was called without a render_mode; give render_mode='ansi' or 'human'.")
            return None
        return self._transcript if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Nothing is held open."""

    def state(self) -> dict[str, str]:  # type: ignore[override]
        """Everything there is to know, all goals and secrets included."""
        if self._task is None:
            raise RuntimeError("state: call reset first")
        scenario = self._task.scenario
        return {
            "situation": scenario.situation,
            "goals": "\n".join(scenario.goals),
            "backgrounds": "\n".join(views.own_profile(character) for character in self._task.characters),
            "transcript": self._transcript,
        }

    # Episodes and branching

    @property
    def episode(self) -> Episode:
        """The episode so far, running or finished, as frozen plain data."""
        if self._task is None:
            raise RuntimeError("episode: call reset first")
        return Episode(
            key=self._key,
            task=self._task,
            config=self.config,
            turns=tuple(self._turns),
            ending=self._ending,
            seed=self._seed,
        )

    @property
    def config(self) -> dict[str, Any]:
        """The keyword arguments that decide how an episode goes on."""
        return {
            "max_cycles": self.max_cycles,
            "action_order": self.action_order,
            "max_stale": self.max_stale,
            "action_types": list(self.action_types),
        }

    @property
    def last_turns(self) -> tuple[Turn, ...]:
        """The turns played by the last ``step``."""
        return tuple(self._turns[self._last_start :])

    @property
    def acting(self) -> tuple[str, ...]:
        """The agents asked to act next; empty once the episode is over."""
        return tuple(agent_name(seat) for seat in self._acting)

    @property
    def ending(self) -> Ending | None:
        """Why the episode is over, or ``None``."""
        return self._ending

    def observe(self, agent: str) -> dict[str, Any]:
        """The present observation of one agent."""
        if self._task is None:
            raise RuntimeError("observe: call reset first")
        return self._observe(seat_of(agent))

    def own_turns_played(self, agent: str) -> int:
        """How many turns an agent has had."""
        return self._own_counts[seat_of(agent)]

    def messages(self, agent: str) -> list[dict[str, str]]:
        """The chat messages of one seat, built on demand."""
        return rendering.messages(self.observe(agent))

    def snapshot(self) -> dict[str, Any]:
        """The whole state as plain JSON-able data; :meth:`restore` puts it back, in any process."""
        return {
            "format_version": SNAPSHOT_VERSION,
            "episode": self.episode.to_dict(),
            "cycle": self._cycle,
            "acting": list(self._acting),
            "generator": copy.deepcopy(self.np_random.bit_generator.state),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back, or over, to the state of a snapshot, its configuration included."""
        version = snapshot.get("format_version")
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"restore: format_version is {version!r}, this package reads {SNAPSHOT_VERSION}")
        self._resume(Episode.from_dict(snapshot["episode"]))
        self._cycle = int(snapshot["cycle"])
        self._acting = tuple(snapshot["acting"])
        generator = np.random.Generator(np.random.PCG64())
        generator.bit_generator.state = copy.deepcopy(dict(snapshot["generator"]))
        self._rng = generator

    def fork(self, n: int = 1) -> list[SotopiaParallelEnv]:
        """``n`` independent environments in the present state, generators included."""
        return [self._copy() for _ in range(n)]

    @classmethod
    def from_episode(cls, episode: Episode, family: Family, *, seed: int = 0) -> SotopiaParallelEnv:
        """An environment in the state an episode is in, ready to go on from its last turn.

        Args:
            episode: running or cut short; its ``ending`` is not read but found again from the turns.
            family: the family of its task.
            seed: seeds the generator, which only random turn orders draw from.
        """
        env = cls(family, tasks=(episode.task,), **episode.config)
        env._rng, env._seed = seeding.np_random(seed)
        env._resume(episode)
        return env

    # The machinery

    def _begin(self) -> None:
        self._turns: list[Turn] = []
        self._own_counts = [0] * len(self.possible_agents)
        self._idle = [0] * len(self.possible_agents)
        self._present = list(range(len(self.possible_agents)))
        self._cycle = 0
        self._last_start = 0
        self._ending: Ending | None = None
        self._transcript = ""
        self._acting: tuple[int, ...] = ()
        if self._task is None:
            return
        self.agents = self.possible_agents[:]
        self._static = [views.static_observation(self._task, seat) for seat in range(self._task.num_seats)]
        self._progress = self.family.begin(self._task)
        self._acting = acting_seats(self.action_order, 0, self._present, self.np_random)

    def _choose_task(self, wanted: Any) -> Task:
        if isinstance(wanted, Task):
            return wanted
        if self.tasks is None:
            if wanted is not None:
                raise KeyError(f"reset: tasks are drawn by the family, so task {wanted!r} cannot be chosen by its id")
            return self.family.generate(self.np_random, self.split)
        if wanted is None:
            return self.tasks[int(self.np_random.integers(len(self.tasks)))]
        for task in self.tasks:
            if task.id == wanted:
                return task
        raise KeyError(f"reset: no task {wanted!r} among the {len(self.tasks)} tasks of this environment")

    def _playing(self) -> Task:
        if self._task is None:
            raise RuntimeError("step: call reset first")
        if self._ending is not None:
            raise RuntimeError(f"step: the episode is over ({self._ending.reason}); call reset")
        return self._task

    def _turn(self, seat: int, given: Any) -> Turn:
        decision = given if isinstance(given, Decision) else None
        action, reason = read_action(_action_of(given))
        if decision is not None and decision.invalid is not None:
            action, reason = NONE, decision.invalid
        if action.type not in self.action_types:
            action, reason = NONE, f"{action.type} is not among this environment's action types"
        raw = None if decision is None or decision.raw == action.text else decision.raw
        return Turn(seat, self._own_counts[seat], len(self._turns), action.type, action.text, raw, reason)

    def _play(self, turn: Turn) -> None:
        seat = turn.seat
        self._turns.append(turn)
        self._own_counts[seat] += 1
        self._idle[seat] = self._idle[seat] + 1 if turn.type == "none" else 0
        if turn.type == "leave":
            self._present.remove(seat)
        self._transcript = views.extend_transcript(self._transcript, turn)
        self._progress = self.family.advance(self._progress, turn)
        if self._ending is None:
            self._ending = self.family.ending(self._progress) or talk_ending(
                turn, self._idle, self._present, self.max_stale
            )

    def _close_cycle(self) -> None:
        self._cycle += 1
        if self._ending is None and self._cycle >= self._limit():
            self._ending = Ending("max_cycles", truncated=True)
        if self._ending is not None:
            self._acting = ()
        else:
            self._acting = acting_seats(self.action_order, self._cycle, self._present, self.np_random)

    def _limit(self) -> int:
        if self.max_cycles is not None:
            return self.max_cycles
        task_limit = None if self._task is None else self._task.max_cycles
        return DEFAULT_MAX_CYCLES if task_limit is None else task_limit

    def _observations(self) -> dict[str, Any]:
        return {agent_name(seat): self._observe(seat) for seat in range(len(self._static))}

    def _observe(self, seat: int) -> dict[str, Any]:
        legal = np.zeros(len(ACTION_TYPES), dtype=np.int8)
        legal[self._legal if seat in self._acting else 0] = 1
        return {**self._static[seat], "transcript": self._transcript, "turn": self._cycle, "action_types": legal}

    def _infos(self, invalid: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        task = self._task
        return {
            agent_name(seat): {
                "active": seat in self._acting,
                "invalid_action": invalid.get(agent_name(seat)),
                "turn": self._own_counts[seat],
                "task": "" if task is None else task.id,
                "ending": None if self._ending is None else self._ending.reason,
            }
            for seat in range(len(self._static))
        }

    def _resume(self, episode: Episode) -> None:
        _check_arguments((episode.task,), render_mode=None, metadata=self.metadata, **episode.config)
        self.max_cycles = episode.config["max_cycles"]
        self.action_order = episode.config["action_order"]
        self.max_stale = episode.config["max_stale"]
        self.action_types = tuple(episode.config["action_types"])
        self._legal = [ACTION_TYPES.index(kind) for kind in self.action_types]
        self._task, self._key, self._seed = episode.task, episode.key, episode.seed
        self._begin()
        for cycle in _cycles(episode.turns, self.action_order):
            self._last_start = len(self._turns)
            for turn in cycle:
                self._play(turn)
            self._close_cycle()
        if self._ending is not None:
            self.agents = []

    def _copy(self) -> SotopiaParallelEnv:
        twin = copy.copy(self)
        twin.agents, twin._turns = list(self.agents), list(self._turns)
        twin._own_counts, twin._idle, twin._present = list(self._own_counts), list(self._idle), list(self._present)
        twin.observation_spaces = copy.deepcopy(self.observation_spaces)
        twin.action_spaces = copy.deepcopy(self.action_spaces)
        twin._rng = copy.deepcopy(self.np_random)
        return twin

    def _print_cycle(self) -> None:
        for turn in self.last_turns:
            print(views.entry_text(turn))
        if self._ending is not None:
            print(f"-- {self._ending.reason} --")


def _cycles(turns: Sequence[Turn], order: str) -> list[list[Turn]]:
    """The turns of an episode, cycle by cycle: in simultaneous order a cycle begins where the seats start over."""
    cycles: list[list[Turn]] = []
    for turn in turns:
        if order == "simultaneous" and cycles and turn.seat > cycles[-1][-1].seat:
            cycles[-1].append(turn)
        else:
            cycles.append([turn])
    return cycles


def _action_of(given: Any) -> Any:
    return given.action if isinstance(given, Decision) else given


def _check_arguments(
    tasks: Sequence[Task] | None,
    max_cycles: int | None,
    action_order: str,
    max_stale: int,
    action_types: Sequence[str],
    render_mode: str | None,
    metadata: Mapping[str, Any],
) -> None:
    if tasks is not None and not tasks:
        raise ValueError("tasks: the list is empty; give at least one task")
    if tasks is not None and len({task.num_seats for task in tasks}) > 1:
        raise ValueError("tasks: all tasks of one environment need the same number of seats")
    if max_cycles is not None and max_cycles < 1:
        raise ValueError(f"max_cycles: {max_cycles} is not a positive number")
    if action_order not in ACTION_ORDERS:
        raise ValueError(f"action_order: {action_order!r} is none of {', '.join(ACTION_ORDERS)}")
    if max_stale < 0:
        raise ValueError(f"max_stale: {max_stale} is negative")
    unknown = set(action_types) - set(ACTION_TYPES)
    if unknown or "none" not in action_types:
        raise ValueError(f"action_types: a selection of {', '.join(ACTION_TYPES)} that holds none; got {action_types}")
    if render_mode is not None and render_mode not in metadata["render_modes"]:
        raise ValueError(f"render_mode: {render_mode!r} is none of {', '.join(metadata['render_modes'])}")
