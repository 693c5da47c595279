"""A trained reward model as a reward: one number per own turn, from what the speaker had read and said so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sotopia_env.describe import Description, typed
from sotopia_env.episodes import Episode
from sotopia_env.rewards.designs import Kind, Timing, at_the_end
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.turn_rewards import TurnRewards, combine

if TYPE_CHECKING:
    from sotopia_env.rewards.reward_model.rows import ValueRow
    from sotopia_env.rewards.reward_model.saved import SavedRewardModel

View = tuple[Episode, str, int]
"""An episode, whose view of it, and the first of its own turns that is to be scored."""

Numbers = list[float] | None
"""What the heads say of one turn, one number each; ``None`` where the model does not read so far."""


@dataclass(frozen=True)
class RewardModel(Reward):
    """What a trained reward model says of each turn, or of the whole dialogue.

    A model trained on labels predicts the label of the turn. One trained on outcomes predicts the score of the episode
    after each turn and right before it, and the turn's number is the difference. All own turns of a dialogue are read
    in one pass; a turn's number depends on nothing that comes after it. A model trained on episodes reads a finished
    dialogue to its end, what was heard last included, and pays the score it predicts at the last own turn. Each
    dimension is normalised as it was in training, and the reward is the weighted mean over dimensions.

    What ends beyond the longest sequence of the model has no number (``None``).

    Args:
        path: folder of the model, as ``sotopia-env train rm`` writes it.
        dimensions: ``{dimension: weight}`` of those the model knows; by default the weights it was saved with.
        name: what infos and stored episodes call it.
        batch_size: so many dialogues go through the model at a time.
        device: by default the first GPU, or the CPU where there is none.

    Raises:
        RewardModelError: there is no such model, or its base or rendering is not what it was trained with.
        ValueError: a dimension that it does not know.

    Example:
        >>> reward = 10 * RewardModel("runs/rm", {"goal": 1, "knowledge": 1})  # doctest: +SKIP
    """

    path: str
    dimensions: Mapping[str, float] | None = None
    name: str = "reward-model"
    batch_size: int = 16
    device: str | None = None
    computes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Load the model and check the dimensions."""
        # Torch is needed by those alone who use a reward model.
        from sotopia_env.rewards.reward_model.saved import load_reward_model

        object.__setattr__(self, "path", str(self.path))
        if self.batch_size < 1:
            raise ValueError(f"batch_size: {self.batch_size} is not a positive number")
        saved = load_reward_model(self.path, self.device)
        known = saved.description.dimensions
        weights = dict(known if self.dimensions is None else self.dimensions)
        if not weights:
            raise ValueError(f"dimensions: give at least one of {', '.join(known)}")
        for dimension, weight in weights.items():
            if dimension not in known:
                raise ValueError(f"dimensions: {self.path} has no head for {dimension!r}; it knows {', '.join(known)}")
            if not weight > 0:
                raise ValueError(
                    f"dimensions: the weight of {dimension!r} is {weight}; leave the dimension out instead"
                )
        object.__setattr__(self, "dimensions", weights)
        object.__setattr__(self, "_saved", saved)

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """A prediction of turns already holds the long-term effect; that of the episode is a return."""
        return "return" if self._of_episodes else "credit"

    @property
    def timing(self) -> Timing:  # type: ignore[override]
        """A number is known as soon as the turn is played; that of the episode at its end."""
        return "hindsight" if self._of_episodes else "causal"

    @property
    def saved(self) -> SavedRewardModel:
        """The loaded model and what it was trained with."""
        found: SavedRewardModel = self._saved  # type: ignore[attr-defined]
        return found

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The number of every own turn; of a model trained on episodes that of the whole, at the last one."""
        if self._of_episodes:
            return _grouped(episodes, self._at_the_end(episodes))
        views = [(episode, agent, 0) for episode in episodes for agent in episode.agents]
        return _grouped(episodes, [[self._combined(numbers) for numbers in turns] for turns in self._read(views)])

    def recent(self, episodes: Sequence[Episode], settled: Sequence[int]) -> list[list[float | None]]:
        """The numbers of the latest turns: dialogues are read once more, but only their new turns are scored."""
        if self._of_episodes:
            return super().recent(episodes, settled)
        views: list[View] = []
        for episode, start in zip(episodes, settled, strict=True):
            firsts: dict[str, int] = {}
            for turn in episode.turns[start:]:
                firsts.setdefault(turn.agent, turn.own_index)
            views += [(episode, agent, first) for agent, first in firsts.items()]
        scored = {
            (id(episode), agent, first + place): self._combined(numbers)
            for (episode, agent, first), turns in zip(views, self._read(views), strict=True)
            for place, numbers in enumerate(turns)
        }
        return [
            [scored[id(episode), turn.agent, turn.own_index] for turn in episode.turns[start:]]
            for episode, start in zip(episodes, settled, strict=True)
        ]

    def by_dimension(self, episodes: Sequence[Episode]) -> dict[str, list[TurnRewards]]:
        """What each head says by itself, in the units of its labels: nothing is normalised.

        Args:
            episodes: B episodes, finished or running.

        Returns:
            For each dimension the model knows, for each episode and agent one number per own turn: the predicted
            label, or, of a model trained on outcomes, by how much the turn changes the predicted score. Of one trained
            on episodes the predicted score at the last own turn of a finished episode, ``None`` before.
        """
        if self._of_episodes:
            scores = self._scores(episodes)
            return {
                dimension: [
                    {a: _only_last(said[a], head, len(e.own_turns(a))) for a in e.agents}
                    for e, said in zip(episodes, scores, strict=True)
                ]
                for head, dimension in enumerate(self.saved.description.dimensions)
            }
        views = [(episode, agent, 0) for episode in episodes for agent in episode.agents]
        read = self._read(views)
        return {
            dimension: _grouped(episodes, [[None if n is None else n[head] for n in turns] for turns in read])
            for head, dimension in enumerate(self.saved.description.dimensions)
        }

    def values(self, episodes: Sequence[Episode]) -> list[dict[str, float | None]]:
        """The predicted score of episodes as they stand: a potential, such as ``Progress(RewardModel("runs/rm"))``.

        Args:
            episodes: B episodes, mostly running.

        Returns:
            For each episode and agent the weighted mean over dimensions, each on the unit scale, read right before the
            agent's next turn, or at the end of its latest where nothing was heard since; ``None`` where the model does
            not read so far.

        Raises:
            ValueError: the model was not trained on outcomes, or its normalizers do not give the unit scale.
        """
        from sotopia_env.rewards.reward_model.rows import latest_row

        described = self.saved.description
        if described.target != "outcome":
            what = "scores of finished episodes alone" if self._of_episodes else "labels of turns and no scores"
            raise ValueError(f"{self.path} predicts {what}; train it with target='outcome'")
        for dimension in self.dimensions or {}:
            if (kind := described.normalizers[dimension].kind) != "range":
                raise ValueError(
                    f"{self.path}: {dimension} is normalised by {kind!r}; train it with normalizer='range'"
                )
        heads, encoder = self.saved.heads, self.saved.encoder
        latest = [latest_row(e, agent, encoder, heads.context_length) for e in episodes for agent in e.agents]
        read = heads.read([ids for ids, _ in latest], [places for _, places in latest], self.batch_size)
        numbers = iter([self._weighted(list(map(float, values[0]))) if len(values) else None for values in read])
        return [{agent: next(numbers) for agent in episode.agents} for episode in episodes]

    def score_chats(self, chats: Sequence[Sequence[Mapping[str, str]]]) -> list[float | None]:
        """The number of the last own turn of some chats, or of whole ones, in the rendering the model was trained on.

        Args:
            chats: messages ``{"role", "content"}``, the agent's own turns with the role ``assistant``.

        Raises:
            ValueError: a chat without an own turn.
        """
        from sotopia_env.rewards.reward_model.rows import end_of, row_of

        rows = []
        whole: list[tuple[list[int], list[int]]] = []
        encoder, limit = self.saved.encoder, self.saved.heads.context_length
        for chat in chats:
            num_turns = sum(message["role"] == "assistant" for message in chat)
            if not num_turns:
                raise ValueError("a chat without a message of the role assistant has no turn to be scored")
            if self._of_episodes:
                whole.append(end_of(chat, encoder, limit))
            else:
                rows.append((row_of(encoder.encode_turns(chat), limit), num_turns - 1, num_turns))
        if self._of_episodes:
            return [self._combined(said) for said in self._read_ends(whole)]
        return [self._combined(turns[0]) for turns in self._read_rows(rows)]

    def describe(self) -> Description:
        """What it is, wherever it lies: the model by digests, and how its numbers are put together."""
        return typed(self, dimensions=self.dimensions, model=self.saved)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its arguments: weights stay in their files."""
        return type(self), (self.path, self.dimensions, self.name, self.batch_size, self.device)

    def _combined(self, numbers: Numbers) -> float | None:
        """The reward of one turn: the weighted mean of its normalised numbers."""
        return None if numbers is None else self._weighted(numbers, self.saved.description.target == "outcome")

    def _weighted(self, numbers: Sequence[float], changes: bool = False) -> float | None:
        """The weighted mean of the normalised numbers of the heads, or of changes of theirs."""
        if not all(map(math.isfinite, numbers)):
            return None
        described, weights = self.saved.description, self.dimensions or {}
        values = []
        for dimension, number in zip(described.dimensions, numbers, strict=True):
            if dimension in weights:
                normalizer = described.normalizers[dimension]
                values.append(normalizer.difference(number) if changes else normalizer(number))
        total = sum(weights.values())
        return combine([weights[d] / total for d in described.dimensions if d in weights], values)

    def _read(self, views: Sequence[View]) -> list[list[Numbers]]:
        """What the heads say of the turns of each view, from its first one on."""
        from sotopia_env.rewards.reward_model.rows import ValueRow, value_row

        encoder, limit = self.saved.encoder, self.saved.heads.context_length
        rows = []
        for episode, agent, first in views:
            num_turns = len(episode.own_turns(agent))
            row = value_row(episode, agent, encoder, limit) if num_turns > first else ValueRow([], [], [])
            rows.append((row, first, num_turns))
        return self._read_rows(rows)

    def _read_rows(self, rows: Sequence[tuple[ValueRow, int, int]]) -> list[list[Numbers]]:
        """The same for rows, each with its first turn and its number of turns."""
        changes = self.saved.description.target == "outcome"
        # Ascending, as the model gives them back; an own turn ends after it begins, and before the next one does.
        places = [sorted((row.before[first:] if changes else []) + row.after[first:]) for row, first, _ in rows]
        read = self.saved.heads.read([row.ids for row, _, _ in rows], places, self.batch_size)
        found: list[list[Numbers]] = []
        for values, (_, first, num_turns) in zip(read, rows, strict=True):
            known: list[Numbers] = [
                list(map(float, numbers)) for numbers in (values[1::2] - values[::2] if changes else values)
            ]
            found.append(known + [None] * (num_turns - first - len(known)))
        return found

    @property
    def _of_episodes(self) -> bool:
        return self.saved.description.target == "episode"

    def _at_the_end(self, episodes: Sequence[Episode]) -> list[list[float | None]]:
        """For each agent of each episode in turn a terminal reward; nothing is known of a running episode."""
        numbers: list[list[float | None]] = []
        for episode, said in zip(episodes, self._scores(episodes), strict=True):
            for agent in episode.agents:
                num_turns = len(episode.own_turns(agent))
                running = episode.ending is None
                numbers.append([None] * num_turns if running else at_the_end(self._combined(said[agent]), num_turns))
        return numbers

    def _scores(self, episodes: Sequence[Episode]) -> list[dict[str, Numbers]]:
        """What the heads say of finished dialogues, by agent; ``None`` of running ones."""
        from sotopia_env.rewards.reward_model.rows import latest_row

        encoder, limit = self.saved.encoder, self.saved.heads.context_length
        over = [(i, agent) for i, e in enumerate(episodes) if e.ending is not None for agent in e.agents]
        read = self._read_ends([latest_row(episodes[i], agent, encoder, limit) for i, agent in over])
        found: list[dict[str, Numbers]] = [dict.fromkeys(episode.agents) for episode in episodes]
        for (i, agent), numbers in zip(over, read, strict=True):
            found[i][agent] = numbers
        return found

    def _read_ends(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[Numbers]:
        """What the heads say at the one place of each row."""
        read = self.saved.heads.read([ids for ids, _ in rows], [places for _, places in rows], self.batch_size)
        return [list(map(float, values[0])) if len(values) else None for values in read]


def trl_reward(model: RewardModel) -> Callable[..., list[float | None]]:
    """A reward model as a reward function of TRL's trainers, for conversational prompts and completions.

    Args:
        model: the reward model.

    Returns:
        ``(prompts, completions, **columns) -> one number per completion``, which is the number of its last own turn;
        ``None`` where the model does not read so far. Prompts have to be chats as
        :func:`sotopia_env.rendering.messages` renders them, since the model was trained on nothing else.
    """

    def reward_model(prompts: Sequence[Any], completions: Sequence[Any], **_: Any) -> list[float | None]:
        chats = []
        for prompt, completion in zip(prompts, completions, strict=True):
            if isinstance(prompt, str) or isinstance(completion, str):
                raise TypeError("a reward model reads chats: give conversational prompts, lists of role and content")
            chats.append([*prompt, *completion])
        return model.score_chats(chats)

    reward_model.__name__ = model.name
    return reward_model


def _grouped(episodes: Sequence[Episode], numbers: Sequence[list[float | None]]) -> list[TurnRewards]:
    """Lists of numbers, one for each agent of each episode in turn, as rewards of turns."""
    lists = iter(numbers)
    return [{agent: next(lists) for agent in episode.agents} for episode in episodes]


def _only_last(numbers: Numbers, head: int, num_turns: int) -> list[float | None]:
    """One head's number at the last of some turns, and nothing known of the others."""
    last = None if numbers is None else numbers[head]
    return [last if turn == num_turns - 1 else None for turn in range(num_turns)]
