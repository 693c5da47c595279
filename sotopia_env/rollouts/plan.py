"""What is to be played, as plain data: plans of episodes, and the environments in which they are played."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode
from sotopia_env.families import family_of, family_of_all
from sotopia_env.families.base import Family
from sotopia_env.make import parallel_env
from sotopia_env.policies import Policy
from sotopia_env.resolve import make_policy
from sotopia_env.rollouts.lockstep import OnCycle
from sotopia_env.rollouts.manifest import as_stored, describe_run
from sotopia_env.seeds import episode_key, episode_seed
from sotopia_env.tasks import Task


@dataclass(frozen=True)
class EpisodePlan:
    """One episode to be played.

    Args:
        key: of the episode, and of the contexts its policies get.
        seed: of all that the policies draw.
        policies: for every agent its policy, by name or object.
        task: of the episode; by default the environment draws one.
        env_seed: of what the environment draws (its task, turn orders), and written in the episode; ``seed`` by
            default.
        begun: an episode to go on from, after its last turn, in a bare environment; it has a task already.
    """

    key: str
    seed: int
    policies: Mapping[str, Any]
    task: Task | None = None
    env_seed: int | None = None
    begun: Episode | None = None

    @property
    def reset_seed(self) -> int:
        """The seed of the environment."""
        return self.seed if self.env_seed is None else self.env_seed


class Paying(Protocol):
    """Pays for episodes when they are over: the learner, or the file, that reads them looks at no single step.

    ``waits``: whether most of its time is spent on waiting for servers, so that it pays while others are played.
    """

    waits: bool

    def begin(self, envs: Sequence[Any]) -> None:
        """Has the steps of environments pay nothing."""
        ...

    def pay(self, envs: Sequence[Any]) -> None:
        """Pays all that environments owe, whose episodes are over."""
        ...


@dataclass(frozen=True)
class RunContext:
    """Where plans are played.

    Args:
        env: an environment, wrapped or bare, that is forked for each episode. Without one, each task is played in a
            bare environment of its own family.
        family: of the tasks, where it is not one the package ships.
        env_options: of the bare environments that are made, such as ``max_cycles``.
        judged: whether finished episodes are judged by their family.
        paying: what has the environments paid when their episodes are over, and not step by step; by default an
            environment pays as it is played.
        on_cycle: see :data:`~sotopia_env.rollouts.lockstep.OnCycle`.
    """

    env: Any = None
    family: Family | None = None
    env_options: Mapping[str, Any] = field(default_factory=dict)
    judged: bool = False
    paying: Paying | None = None
    on_cycle: OnCycle | None = None

    def begin(self, plans: Sequence[EpisodePlan], states: dict[int, SotopiaParallelEnv] | None = None) -> list[Any]:
        """An environment for each plan, ready for its first turn.

        Args:
            plans: of episodes.
            states: of the episodes that others went on from before; those of these plans are added.
        """
        states = {} if states is None else states
        forks = iter(self.env.fork(sum(plan.begun is None for plan in plans)) if self.env is not None else ())
        return [self._reset(plan, forks) if plan.begun is None else self._resumed(plan, states) for plan in plans]

    def finished(self, env: Any, plan: EpisodePlan) -> Episode:
        """The episode of a plan, with what a reward wrapper paid for it."""
        names = {agent: policy.name for agent, policy in plan.policies.items()}
        episode = replace(env.episode, key=plan.key, seed=plan.reset_seed, policies=names)
        return episode.with_judgement(env.unwrapped.family.score(episode)) if self.judged else episode

    def _reset(self, plan: EpisodePlan, forks: Iterator[Any]) -> Any:
        env = next(forks, None)
        if env is None:
            if plan.task is None:
                raise ValueError(
                    f"plan {plan.key!r}: it names no task, and there is no environment that could draw one"
                )
            family = self.family or family_of(plan.task)
            env = SotopiaParallelEnv(family, tasks=(plan.task,), **self.env_options)
        env.reset(seed=plan.reset_seed, options=None if plan.task is None else {"task": plan.task})
        return env

    def _resumed(self, plan: EpisodePlan, states: dict[int, SotopiaParallelEnv]) -> SotopiaParallelEnv:
        """The environment in the state of an episode; those of one state are forks of one another."""
        begun = plan.begun
        assert begun is not None
        if self.env is not None:
            raise ValueError(f"plan {plan.key!r}: an episode goes on in a bare environment; give a context without env")
        if id(begun) not in states:
            state = SotopiaParallelEnv.from_episode(begun, self.family or family_of(begun.task), seed=plan.reset_seed)
            if state.rules.action_order == "random":
                return state
            # Nothing is drawn from the generator, so that its seed makes no difference.
            states[id(begun)] = state
        return states[id(begun)].fork()[0]


@dataclass(frozen=True)
class Opened:
    """A plan of many episodes whose names have become things.

    Args:
        context: where they are played.
        episodes: the plans of the episodes, in order, their policies made.
        describe: what the manifest tells of the run, from whether token traces are stored.
        command: what the user typed, where that is known.
    """

    context: RunContext
    episodes: Sequence[EpisodePlan]
    describe: Callable[[bool], dict[str, Any]]
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class RolloutPlan:
    """Many episodes of tasks, as the arguments of :func:`~sotopia_env.rollout` say them: names travel to processes."""

    tasks: Any
    policies: Any
    num_episodes: int
    seed: int = 0
    env_options: Mapping[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    on_cycle: OnCycle | None = None

    def __len__(self) -> int:
        """How many episodes."""
        return self.num_episodes

    def opened(self) -> Opened:
        """Make the environment and the policies."""
        env = parallel_env(self.tasks, **self.env_options)
        seated = seat(self.policies, env.possible_agents)
        fixed = env.unwrapped.tasks
        episodes = [
            EpisodePlan(
                episode_key(self.seed, i), episode_seed(self.seed, i), seated, fixed[i % len(fixed)] if fixed else None
            )
            for i in range(self.num_episodes)
        ]

        def describe(traces: bool) -> dict[str, Any]:
            return describe_run(env, seated, seed=self.seed, traces=traces)

        paid = env.paid_when_over() if self.env_options.get("reward") is not None else None
        # A reward that waits for nobody is paid step by step: so its numbers are known as an environment tells them.
        paying = paid if paid is not None and paid.waits else None
        return Opened(
            RunContext(env, judged=True, paying=paying, on_cycle=self.on_cycle), episodes, describe, self.command
        )

    def place(self, key: str) -> int | None:
        """The number of an episode in the run, from its key; ``None`` where it belongs to another run."""
        seed, dash, index = key.rpartition("-")
        return int(index) if dash and index.isdecimal() and seed == str(self.seed) else None

    @property
    def first_key(self) -> str:
        """The key of the first episode."""
        return episode_key(self.seed, 0)


@dataclass(frozen=True)
class EpisodePlans:
    """Many episodes, each with a plan of its own.

    Args:
        episodes: the plans; policies may be names, and are then made once each.
        context: where they are played.
        seed: of the run, for its manifest.
        prefix: a file may hold further episodes, whose keys begin like this.
        roles: what the manifest calls the policies: each role with the policy as the plans give it.
    """

    episodes: Sequence[EpisodePlan]
    context: RunContext = field(default_factory=RunContext)
    seed: int = 0
    prefix: str | None = None
    roles: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many episodes."""
        return len(self.episodes)

    def opened(self) -> Opened:
        """Make the policies."""
        made: dict[Any, Policy] = {}

        def policy(given: Any) -> Policy:
            name = given if isinstance(given, str) else id(given)
            if name not in made:
                made[name] = make_policy(given)
            return made[name]

        episodes = [
            replace(plan, policies={agent: policy(given) for agent, given in plan.policies.items()})
            for plan in self.episodes
        ]

        def describe(traces: bool) -> dict[str, Any]:
            (env,) = self.context.begin(episodes[:1])
            named = {role: policy(given) for role, given in self.roles.items()} or _by_name(made.values())
            # Each episode's own task is compared with that of its plan.
            described = {**describe_run(env, named, seed=self.seed, traces=traces), "tasks": None}
            if self.context.env is None and self.context.family is None:
                tasks = [plan.task if plan.begun is None else plan.begun.task for plan in episodes]
                described |= as_stored({"family": family_of_all([task for task in tasks if task is not None])})
            return described

        return Opened(self.context, episodes, describe)

    def place(self, key: str) -> int | None:
        """The number of an episode in the run, from its key; ``None`` where it belongs to another run."""
        known = self.prefix is not None and key.startswith(self.prefix)
        return self._places.setdefault(key, len(self._places)) if known else self._places.get(key)

    @property
    def first_key(self) -> str:
        """The key of the first episode."""
        return self.episodes[0].key

    @cached_property
    def _places(self) -> dict[str, int]:
        return {plan.key: i for i, plan in enumerate(self.episodes)}


Plan = RolloutPlan | EpisodePlans


def _by_name(policies: Iterable[Policy]) -> dict[str, Policy]:
    """Policies by their names; those that share one are numbered."""
    named: dict[str, Policy] = {}
    for policy in {id(policy): policy for policy in policies}.values():
        twins = sum(name.partition("#")[0] == policy.name for name in named)
        named[f"{policy.name}#{twins + 1}" if twins else policy.name] = policy
    return named


def seat(policies: Any, agents: Sequence[str]) -> dict[str, Policy]:
    """The policy of every agent: one given is for all, else one for each.

    Raises:
        ValueError: there are neither as many as agents nor a single one.
    """
    given = [policies] if isinstance(policies, str) or not isinstance(policies, Sequence) else list(policies)
    if len(given) not in (1, len(agents)):
        raise ValueError(f"policies: {len(given)} given for {len(agents)} seats; give one for all or one for each")
    made = [make_policy(policy) for policy in given]
    return dict(zip(agents, made * len(agents) if len(made) == 1 else made, strict=True))
