"""What a reward is: a pure, batched function from episodes to one number per own turn."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sotopia_env.describe import Description
from sotopia_env.episodes import Episode, Turn
from sotopia_env.names import import_attribute
from sotopia_env.rewards.components import Component, name_function
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.judges.base import Judge, judged
from sotopia_env.rewards.turn_rewards import TurnRewards, combine, in_order, number_or_none

Flags = tuple[Kind, Timing]


class Reward(Component):
    """Maps episodes to one number per own turn and agent. No environment inside, no state, nothing random.

    A subclass defines :meth:`rewards`, ``name`` and the two flags. ``a + 0.1 * b`` is a reward too.

    * ``kind``: numbers of a ``"return"`` may be summed, ``"credit"`` already holds the long-term effect.
    * ``timing``: ``"causal"`` numbers are known once the partner has replied, ``"hindsight"`` ones need the end.
    * ``needs``: what it takes besides the episode, such as ``"continuations"``.
    * ``turnwise``: whether :meth:`of_turn` tells the numbers of a running episode, at no cost that grows with it.
    """

    kind: Kind
    timing: Timing
    turnwise: ClassVar[bool] = False

    def __call__(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The rewards of a batch of episodes, judged first where the reward needs it.

        Args:
            episodes: B episodes, finished or running. In a running one, numbers not known yet are ``None``.

        Returns:
            For each episode and agent one number per own turn.
        """
        return self.rewards(judged(episodes, self.judges()))

    @abstractmethod
    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The rewards of episodes that hold the judgements of :meth:`judges` where they are finished."""

    def recent(self, episodes: Sequence[Episode], settled: Sequence[int]) -> list[list[float | None]]:
        """The rewards of the latest turns alone, in the order played: what a causal reward pays in play.

        Args:
            episodes: B episodes, running or finished.
            settled: for each episode the number of turns that are paid for already.

        Returns:
            For each episode one number for each of ``turns[settled:]``. A reward overrides this where it can save
            work; the numbers must equal those of :meth:`rewards`.
        """
        return [
            in_order(episode.turns, paid)[start:]
            for episode, paid, start in zip(episodes, self.rewards(episodes), settled, strict=True)
        ]

    def of_turn(self, turn: Turn, replied: bool) -> float | None:
        """The number of one turn of a running episode, from this turn alone (``turnwise`` rewards).

        Args:
            turn: the turn.
            replied: whether another turn followed it.
        """
        raise NotImplementedError(f"{self.name}: only turnwise rewards know the number of a single turn")

    def outcome(self, episodes: Sequence[Episode]) -> list[dict[str, float | None]]:
        """What ``step`` pays each agent at the end in place of hindsight credit, which must not be summed.

        Args:
            episodes: B finished, judged episodes.
        """
        raise NotImplementedError(f"{self.name}: a hindsight credit must say what step pays at the end (outcome)")

    def judges(self) -> tuple[Judge, ...]:
        """The judges whose judgements :meth:`rewards` reads."""
        return ()

    def children(self) -> tuple[Component, ...]:
        """Returns the components among its fields, and judges that none of these has."""
        held = super().children()
        below = {id(component) for child in held for component in child.walk()}
        return (*held, *(judge for judge in self.judges() if id(judge) not in below))

    def parts(self) -> tuple[tuple[float, Reward], ...]:
        """The rewards it is the weighted sum of, each with its own flags."""
        return ((1.0, self),)

    def by_flags(self) -> dict[Flags, Reward]:
        """For each pair of flags the sum of the parts that carry it: numbers of different pairs are never summed."""
        groups: dict[Flags, list[tuple[float, Reward]]] = {}
        for weight, part in self.parts():
            groups.setdefault((part.kind, part.timing), []).append((weight, part))
        return {flags: weighted_sum(parts) for flags, parts in groups.items()}

    def __add__(self, other: Any) -> Reward:
        return weighted_sum([*self.parts(), *as_reward(other).parts()])

    def __radd__(self, other: Any) -> Reward:
        # sum([a, b]) starts from 0.
        return self if other == 0 else as_reward(other) + self

    def __mul__(self, factor: Any) -> Reward:
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor):
            return NotImplemented
        return weighted_sum([(float(factor) * weight, part) for weight, part in self.parts()])

    __rmul__ = __mul__

    def __deepcopy__(self, memo: dict[int, Any]) -> Reward:
        # Rewards never change, and some hold a model: forks and copies of an environment share them.
        return self


@dataclass(frozen=True)
class Sum(Reward):
    """A weighted sum of rewards, made by ``+`` and ``*``. The parts keep their flags.

    Args:
        terms: weights and rewards, no two of the same name.
    """

    terms: tuple[tuple[float, Reward], ...]

    def __post_init__(self) -> None:
        """Refuse parts that nobody could tell apart in infos and stored episodes."""
        names = [part.name for _, part in self.terms]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rewards of a sum are called {name!r}; give one of them another name=")

    @property
    def name(self) -> str:  # type: ignore[override]
        """Names and weights of the parts."""
        return " + ".join(part.name if w == 1 else f"{w:g} * {part.name}" for w, part in self.terms)

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """The kind all parts share."""
        return self._shared("kind")

    @property
    def timing(self) -> Timing:  # type: ignore[override]
        """The timing all parts share."""
        return self._shared("timing")

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the parts need."""
        return tuple(dict.fromkeys(need for _, part in self.terms for need in part.needs))

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The weighted sums, ``None`` where a part is."""
        weights = [weight for weight, _ in self.terms]
        parts = [part.rewards(episodes) for _, part in self.terms]
        return [
            {
                agent: [combine(weights, values) for values in zip(*(p[agent] for p in by_part), strict=True)]
                for agent in episode.agents
            }
            for episode, *by_part in zip(episodes, *parts, strict=True)
        ]

    def recent(self, episodes: Sequence[Episode], settled: Sequence[int]) -> list[list[float | None]]:
        """The weighted sums of the latest turns."""
        weights = [weight for weight, _ in self.terms]
        parts = [part.recent(episodes, settled) for _, part in self.terms]
        return [[combine(weights, v) for v in zip(*by_part, strict=True)] for by_part in zip(*parts, strict=True)]

    def outcome(self, episodes: Sequence[Episode]) -> list[dict[str, float | None]]:
        """The weighted sums of the parts' outcomes."""
        weights = [weight for weight, _ in self.terms]
        parts = [part.outcome(episodes) for _, part in self.terms]
        return [
            {agent: combine(weights, [p[agent] for p in by_part]) for agent in episode.agents}
            for episode, *by_part in zip(episodes, *parts, strict=True)
        ]

    def judges(self) -> tuple[Judge, ...]:
        """The judges of all parts, each once."""
        found: list[Judge] = []
        for _, part in self.terms:
            found += [judge for judge in part.judges() if judge not in found]
        return tuple(found)

    def parts(self) -> tuple[tuple[float, Reward], ...]:
        """The terms."""
        return self.terms

    def describe(self) -> Description:
        """What it is, part by part under their names."""
        return {"type": type(self).__name__, "parts": {p.name: {"times": w, "reward": p} for w, p in self.terms}}

    def _shared(self, flag: str) -> Any:
        values = {getattr(part, flag) for _, part in self.terms}
        if len(values) > 1:
            raise ValueError(f"the parts of {self.name!r} differ in {flag}; ask parts() or by_flags()")
        return values.pop()


@dataclass(frozen=True)
class FunctionReward(Reward):
    """A plain function of a list of episodes as a reward.

    Args:
        function: ``(episodes) -> [{agent: [one number per own turn]}]``; ``None`` or ``nan`` is unknown.
        name: by default the function's own.
        kind: ``"return"`` or ``"credit"``.
        timing: ``"hindsight"`` (called once the episode is over) or ``"causal"`` (called after every step).
    """

    function: Callable[[Sequence[Episode]], Sequence[Mapping[str, Sequence[float | None]]]]
    name: str = ""
    kind: Kind = "return"
    timing: Timing = "hindsight"

    def __post_init__(self) -> None:
        """Take the function's name where none was given, and the function behind the path that a spec holds."""
        if (self.kind, self.timing) == ("credit", "hindsight"):
            raise ValueError(
                "a credit known in hindsight must say what step pays at the end: subclass Reward and define outcome()"
            )
        name_function(self)

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """What the function returns, checked; of a running episode ``None`` where it needs the end.

        Raises:
            ValueError: it did not return one number per own turn for every agent of every episode.
        """
        returned = list(self.function(list(episodes))) if episodes else []
        if len(returned) != len(episodes):
            raise ValueError(f"reward {self.name!r} returned {len(returned)} results for {len(episodes)} episodes")
        checked = []
        for episode, by_agent in zip(episodes, returned, strict=True):
            for agent in episode.agents:
                num_turns = len(episode.own_turns(agent))
                if agent not in by_agent or len(by_agent[agent]) != num_turns:
                    raise ValueError(
                        f"reward {self.name!r}, episode {episode.key!r}: return one number for each of the {num_turns} "
                        f"own turns of {agent}, got {by_agent.get(agent)!r:.80}"
                    )
            early = self.timing == "hindsight" and episode.ending is None
            checked.append(
                {a: [None if early else number_or_none(value) for value in by_agent[a]] for a in episode.agents}
            )
        return checked


def as_reward(given: Any) -> Reward:
    """A ``Reward`` as it is, or a function of a list of episodes as one."""
    if isinstance(given, Reward):
        return given
    if callable(given):
        return FunctionReward(given)
    raise TypeError(f"{given!r:.80} is no reward: neither a Reward nor a function of a list of episodes")


def weighted_sum(parts: Sequence[tuple[float, Reward]]) -> Reward:
    """The sum of weighted rewards; a single one of weight 1 stays what it is."""
    return parts[0][1] if len(parts) == 1 and parts[0][0] == 1 else Sum(tuple(parts))


def from_spec(spec: Mapping[str, Any]) -> Reward:
    """Returns the reward that ``Reward.spec`` described.

    Raises:
        ValueError: the spec names no type, or none that can be imported.
        TypeError: its type is no reward.
    """
    if "type" not in spec:
        raise ValueError(f"a spec of a reward names its type; got the fields {', '.join(map(str, spec))}")
    found = import_attribute(str(spec["type"]))
    if not (isinstance(found, type) and issubclass(found, Reward)):
        raise TypeError(f"type: {spec['type']!r} is no reward")
    if found is Sum:
        return Sum(tuple((float(weight), from_spec(part)) for weight, part in spec["terms"]))
    return found(**{name: _read(value) for name, value in spec.items() if name != "type"})


def _read(value: Any) -> Any:
    return from_spec(value) if isinstance(value, Mapping) and "type" in value else value
