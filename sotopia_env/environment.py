"""Sotopia scenarios as a PettingZoo parallel environment.

## Description
Two to five characters with private goals talk. Each task is a situation, the characters and one private goal a seat.

## Action space
``Dict(action_type=Discrete(5), argument=text)``; ``step`` also takes a bare ``str`` (it speaks) and the helpers
``speak``, ``do``, ``gesture`` and ``leave``. Out of turn the only legal type is ``none``. A malformed or illegal action
becomes ``none`` and is reported in ``infos[agent]["invalid_action"]``. With ``private_messages=True`` there is also
``to=MultiBinary(number of seats)``, the seats it is for: zeros are everyone. Only they, the speaker, judges, ``state``
and ``render`` see it.

## Observation space
``Dict`` of texts: ``agent``, ``name``, ``situation``, ``participants``, ``background`` (one's own, with the secret),
``partners`` (what one sees of the others), ``goal`` (one's own), ``transcript``; with ``turn`` (the cycle) and
``action_types`` (the legal types, ``MultiBinary(5)``). With ``private_messages=True`` there is also ``recipients``, the
seats one may address now (``MultiBinary(number of seats)``).

## Rewards
The bare environment pays 0.0. Rewards come from a reward wrapper: ``parallel_env(..., reward="episode")``.

## Episode end
Terminated when someone leaves and fewer than two remain, when the family's end state is reached (a deal), or when an
agent is silent for more than ``max_stale`` own turns in a row. Truncated after ``max_cycles``. All agents end together;
until then one that has left takes no further turn.

## Information
``active`` (is it the agent's turn), ``invalid_action`` (reason or ``None``), ``turn`` (own turns so far), ``task``
(id), ``ending`` (reason or ``None``), ``offers`` (what each agent has on the table, in words; ``None`` where nothing is
offered in the game), ``transcript_cut`` (whether the oldest turns have dropped out of the transcript).
The last infos also hold ``final``: ``task``, ``turn`` and ``ending`` once more, with the ``scores``, ``reward_parts``
and ``utterance_rewards`` of a reward. A reset that writes its own infos over the last ones leaves it alone.

## Version history
* v0: initial version.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from gymnasium import logger
from gymnasium.utils import seeding
from pettingzoo import ParallelEnv

from sotopia_env import rendering, spaces, views
from sotopia_env.actions import ACTION_TYPES
from sotopia_env.episode_state import EpisodeState, agent_names
from sotopia_env.episodes import Ending, Episode, Turn, agent_name, seat_of
from sotopia_env.families.base import Family
from sotopia_env.families.formal import all_with_agreement, is_formal
from sotopia_env.tasks import Character, Task
from sotopia_env.turns import Rules, number_of_seats

SNAPSHOT_VERSION = 1

_OBSERVED = spaces.observation_space()

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
        private_messages: whether an action may be for some seats alone.
        agreement: ``"formal"`` has agreements made by acts alone (:mod:`sotopia_env.families.formal`), ``"plain"`` by
            words as well; ``None`` takes each task as it is.
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
        private_messages: bool = False,
        agreement: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Check the arguments and build the spaces; nothing is played before ``reset``."""
        num_seats = number_of_seats(family.num_seats, tasks)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode: {render_mode!r} is none of {', '.join(self.metadata['render_modes'])}")
        self.family = family
        self.agreement = agreement
        self.tasks = None if tasks is None else all_with_agreement(tasks, agreement, family)
        self.split = split
        self.rules = Rules(max_cycles, action_order, max_stale, tuple(action_types), private_messages)
        self.render_mode = render_mode
        self.possible_agents = [agent_name(seat) for seat in range(num_seats)]
        self.agents: list[str] = []
        self._unpaid = dict.fromkeys(self.possible_agents, 0.0)
        self._not_over = dict.fromkeys(self.possible_agents, False)
        self.observation_spaces: dict[str, Any] = {}
        self.action_spaces: dict[str, Any] = {}
        self._make_spaces()
        self.state_space = spaces.state_space(num_seats)
        self._rng: np.random.Generator | None = None
        self._seed: int | None = None
        self._key = ""
        self._state: EpisodeState | None = None

    # PettingZoo's API

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
            self._rng, _ = seeding.np_random(None)
        return self._rng

    @property
    def max_cycles(self) -> int | None:
        """The turn limit the environment was given; it may be set, as PettingZoo's own tests do."""
        return self.rules.max_cycles

    @max_cycles.setter
    def max_cycles(self, value: int | None) -> None:
        self.rules = replace(self.rules, max_cycles=value)

    @property
    def action_types(self) -> tuple[str, ...]:
        """The types of action that may be used."""
        return self.rules.action_types

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
            self._rng, _ = seeding.np_random(int(seed))
        task = self._choose_task((options or {}).get("task"))
        key = f"{task.id}:{int(self.np_random.integers(2**62)):016x}"
        state = self._begin(task, key, None if seed is None else int(seed))
        if self.render_mode == "human":
            print(task.scenario.situation)
        return state.observations(range(task.num_seats), self.rules), state.information({})

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
        state = self._playing("step")
        if state.ending is not None:
            raise RuntimeError(f"step: the episode is over ({state.ending.reason}); call reset")
        for agent in actions:
            if agent not in self.possible_agents:
                raise KeyError(f"step: unknown agent {agent!r}; the agents are {', '.join(self.possible_agents)}")
        turns, invalid = state.read(actions, self.rules)
        state.play(turns, self.rules, self.np_random)
        terminations, truncations = self._not_over.copy(), self._not_over.copy()
        if state.ending is not None:
            over = truncations if state.ending.truncated else terminations
            over.update(dict.fromkeys(over, True))
            self.agents = []
        if self.render_mode == "human":
            self._print_cycle()
        observations = state.observations(range(len(self.possible_agents)), self.rules)
        return observations, self._unpaid.copy(), terminations, truncations, state.information(invalid)

    @staticmethod
    def step_many(envs: Sequence[Any], actions: Sequence[Mapping[str, Any]]) -> list[StepResult]:
        """Step many environments, each as :meth:`step` would: where rewards lie over them, each is asked once for all.

        Args:
            envs: N environments of one kind; call it on their type.
            actions: N mappings from agent to action.

        Returns:
            N results of ``step``.
        """
        return [env.step(given) for env, given in zip(envs, actions, strict=True)]

    def render(self) -> str | None:
        """The transcript: a ``str`` for ``"ansi"``; in ``"human"`` mode ``step`` has printed it already."""
        if self.render_mode is None:
            logger.warn("render() was called without a render_mode; give render_mode='ansi' or 'human'.")
            return None
        if self.render_mode == "human":
            return None
        return "" if self._state is None else self._state.transcript

    def close(self) -> None:
        """Nothing is held open."""

    def state(self) -> dict[str, Any]:
        """Everything that is known to anyone: all goals, secrets and private messages, and whose turn it is."""
        state = self._playing("state")
        acting = np.array([agent in self.acting for agent in self.possible_agents], dtype=np.int8)
        texts = views.static_state(state.task)
        return {**texts, "transcript": state.transcript, "turn": state.cycle, "acting": acting}

    # Episodes and branching

    @property
    def episode(self) -> Episode:
        """The episode so far, running or finished, as frozen plain data."""
        state = self._playing("episode")
        return Episode(
            key=self._key,
            task=state.task,
            config=self.config,
            turns=tuple(state.turns),
            ending=state.ending,
            seed=self._seed,
        )

    @property
    def config(self) -> dict[str, Any]:
        """The keyword arguments that decide how an episode goes on."""
        return self.rules.to_dict()

    @property
    def last_turns(self) -> tuple[Turn, ...]:
        """The turns played by the last ``step``."""
        state = self._state
        return () if state is None else tuple(state.turns[state.first_of_cycle :])

    @property
    def acting(self) -> tuple[str, ...]:
        """The agents asked to act next; empty once the episode is over."""
        return () if self._state is None else agent_names(self._state.acting)

    @property
    def ending(self) -> Ending | None:
        """Why the episode is over, or ``None``."""
        return None if self._state is None else self._state.ending

    def observe(self, agent: str) -> dict[str, Any]:
        """The present observation of one agent."""
        return self._playing("observe").observations((self._seat(agent),), self.rules)[agent]

    def own_turns_played(self, agent: str) -> int:
        """How many turns an agent has had."""
        return self._playing("own_turns_played").own_turns[self._seat(agent)]

    def information_of(self, agent: str) -> dict[str, Any]:
        """What a policy is told beside the observation: see :class:`~sotopia_env.policies.Context`."""
        return self._playing("information_of").information_of(self._seat(agent))

    def refusal(self, agent: str, text: str) -> str | None:
        """Why the act ``do(text)`` of an agent would be invalid now by the rules of the game, or ``None``."""
        state = self._playing("refusal")
        return self.family.refusal(state.progress, self._seat(agent), text)

    def view(self, agent: str) -> views.View:
        """All that one agent has seen, its turns not cut to the window of an observation."""
        self._seat(agent)
        return views.view(self.episode, agent)

    def messages(self, agent: str) -> list[dict[str, str]]:
        """The chat messages of one seat, built on demand."""
        return rendering.messages(self.observe(agent))

    def snapshot(self) -> dict[str, Any]:
        """The whole state as plain JSON-able data; :meth:`restore` puts it back, in any process."""
        state = self._playing("snapshot")
        return {
            "format_version": SNAPSHOT_VERSION,
            "episode": self.episode.to_dict(),
            "acting": list(state.acting),
            "generator": copy.deepcopy(self.np_random.bit_generator.state),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back, or over, to the state of a snapshot, its configuration included.

        Raises:
            ValueError: the snapshot is of another format, or of an environment with more or fewer agents.
        """
        version = snapshot.get("format_version")
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"restore: format_version is {version!r}, this package reads {SNAPSHOT_VERSION}")
        self._resume(Episode.from_dict(snapshot["episode"]))
        self._playing("restore").acting = tuple(snapshot["acting"])
        # Replaying has drawn from the generator where turn orders are random.
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
        env._rng, _ = seeding.np_random(seed)
        env._resume(episode)
        return env

    # The machinery

    def _begin(self, task: Task, key: str, seed: int | None) -> EpisodeState:
        if task.num_seats != len(self.possible_agents):
            seats = len(self.possible_agents)
            raise ValueError(f"task {task.id!r} has {task.num_seats} seats, this environment {seats}")
        if is_formal(task) and "action" not in self.rules.action_types:
            raise ValueError(
                f"task {task.id!r}: its agreements are made by acts alone, and action_types leaves out 'action'"
            )
        scenario = task.scenario
        try:
            static = _static(scenario.situation, task.shown_as, tuple(scenario.goals), tuple(task.characters))
        except ValueError as error:
            raise ValueError(f"task {task.id!r}: {error}") from None
        state = EpisodeState.begin(task, static, self.family, self.rules, self.np_random)
        self._state, self._key, self._seed = state, key, seed
        self.agents = self.possible_agents[:]
        return state

    def _choose_task(self, wanted: Any) -> Task:
        if isinstance(wanted, Task):
            return self._with_agreement(wanted)
        if self.tasks is None:
            if wanted is not None:
                raise KeyError(f"reset: tasks are drawn by the family, so task {wanted!r} cannot be chosen by its id")
            return self._with_agreement(self.family.generate(self.np_random, self.split))
        if wanted is None:
            return self.tasks[int(self.np_random.integers(len(self.tasks)))]
        for task in self.tasks:
            if task.id == wanted:
                return task
        raise KeyError(f"reset: no task {wanted!r} among the {len(self.tasks)} tasks of this environment")

    def _with_agreement(self, task: Task) -> Task:
        return task if self.agreement is None else all_with_agreement([task], self.agreement, self.family)[0]

    def _playing(self, asked: str) -> EpisodeState:
        if self._state is None:
            raise RuntimeError(f"{asked}: call reset first")
        return self._state

    def _seat(self, agent: str) -> int:
        if agent not in self.possible_agents:
            raise KeyError(f"unknown agent {agent!r}; the agents are {', '.join(self.possible_agents)}")
        return seat_of(agent)

    def _make_spaces(self) -> None:
        rules, num_seats = self.rules, len(self.possible_agents)
        addressed = num_seats if rules.private_messages else None
        self.observation_spaces = {agent: spaces.observation_space(addressed) for agent in self.possible_agents}
        self.action_spaces = {
            agent: spaces.action_space(rules.action_types, addressed) for agent in self.possible_agents
        }

    def _resume(self, episode: Episode) -> None:
        rules = Rules.from_dict(episode.config)
        before, self.rules = self.rules, rules
        if (rules.action_types, rules.private_messages) != (before.action_types, before.private_messages):
            self._make_spaces()
        state = self._begin(episode.task, episode.key, episode.seed)
        state.replay(episode.turns, rules, self.np_random)
        if state.ending is not None:
            self.agents = []

    def _copy(self) -> SotopiaParallelEnv:
        twin = copy.copy(self)
        twin.agents = list(self.agents)
        twin.observation_spaces = {a: spaces.independent(space) for a, space in self.observation_spaces.items()}
        twin.action_spaces = {a: spaces.independent(space) for a, space in self.action_spaces.items()}
        twin._rng = copy.deepcopy(self.np_random)
        twin._state = None if self._state is None else self._state.copy()
        return twin

    def _print_cycle(self) -> None:
        for turn in self.last_turns:
            print(views.entry_text(turn))
        if self.ending is not None:
            print(f"-- {self.ending.reason} --")


@lru_cache(maxsize=1_024)
def _static(
    situation: str, relationship: str, goals: tuple[str, ...], characters: tuple[Character, ...]
) -> tuple[dict[str, Any], ...]:
    """What every seat observes before the first turn, checked once and shared by all that play the task."""
    found = []
    for seat in range(len(characters)):
        texts = views.static_texts(seat, situation, relationship, goals, characters)
        for name, text in texts.items():
            if text not in _OBSERVED[name]:
                raise ValueError(f"{name} of {texts['agent']} is too long ({len(text)}) or not encodable")
        found.append({**texts, "transcript": "", "turn": 0, "action_types": None})
    return tuple(found)
