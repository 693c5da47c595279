"""Episodes as tensors: token ids, what was one's own, which utterance a token belongs to, rewards. No trainer needed.

A row is one dialogue from the point of view of one agent. Where the tokens that a model read and wrote are known
(token traces), they are taken as they are; else the text is encoded with the tokenizer's chat template, which gives
the sequence that a model playing that agent would have read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from sotopia_env.agents.embedded import build_tokenizer
from sotopia_env.chat_encoding import ChatEncoder
from sotopia_env.episodes import Episode, Turn
from sotopia_env.policies import TokenTrace
from sotopia_env.rendering import chat
from sotopia_env.views import view

Traces = Mapping[tuple[str, str], Sequence[TokenTrace]]
"""Token traces beside the episodes: ``{(episode key, agent): [one per own turn]}``, as ``rollout`` fills them."""


@dataclass(frozen=True)
class Row:
    """One dialogue of one agent as tokens, up to the end of its last own turn.

    Args:
        ids: L token ids.
        own_mask: L numbers, 1 on the tokens that the agent wrote, its end-of-turn tokens included.
        own_index: L numbers, which own turn a token belongs to, -1 elsewhere.
        num_turns: how many own turns the agent had.
        logprobs: L log-probabilities under the sampling distribution, ``nan`` where a token was not sampled; ``None``
            where they are not known.
        truncated: the own turns that were cut by the length limit.
    """

    ids: list[int]
    own_mask: list[int]
    own_index: list[int]
    num_turns: int
    logprobs: list[float] | None = None
    truncated: tuple[int, ...] = ()

    @property
    def prompt_length(self) -> int:
        """How many tokens stand before the agent's first own token; all of them where it never had a turn."""
        return self.own_mask.index(1) if 1 in self.own_mask else len(self.ids)


@dataclass(frozen=True)
class Batch:
    """B dialogues, each from the point of view of one agent; L tokens and T own turns, padded on the right.

    Args:
        input_ids: (B, L) token ids.
        attention_mask: (B, L), 1 on tokens, 0 on padding.
        own_mask: (B, L), 1 on the tokens that the agent wrote: the loss mask.
        utterance_index: (B, L), which own turn a token belongs to, -1 elsewhere.
        alive_BT: (B, T) booleans, which own turns exist.
        rewards_BT: for each reward the episodes hold, (B, T) numbers: ``nan`` where unknown, 0 beyond the end.
        logprobs: (B, L) log-probabilities of the own tokens when they were sampled, ``nan`` where not known.
        agents: whose point of view each row is.
    """

    input_ids: Tensor
    attention_mask: Tensor
    own_mask: Tensor
    utterance_index: Tensor
    alive_BT: Tensor
    rewards_BT: Mapping[str, Tensor]
    logprobs: Tensor
    agents: tuple[str, ...]


def collate(
    episodes: Sequence[Episode],
    agent: str | Sequence[str],
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    traces: Traces | None = None,
) -> Batch:
    """Episodes as one batch of tensors, for any training loop.

    Args:
        episodes: B episodes.
        agent: whose point of view: one agent for all, or one for each episode.
        tokenizer: encodes the text of episodes without token traces. ``None`` makes one from these episodes' own
            words, as the embedded model does; the same episodes give the same ids.
        traces: what models read and wrote, where it was kept.

    Returns:
        The batch, padded with the tokenizer's padding token (0 where all rows come from traces and none is given).

    Raises:
        ValueError: no episodes, an unknown agent, or traces that do not fit an episode.
    """
    if not episodes:
        raise ValueError("collate: the list of episodes is empty")
    agents = [agent] * len(episodes) if isinstance(agent, str) else list(agent)
    if len(agents) != len(episodes):
        raise ValueError(f"collate: {len(agents)} agents given for {len(episodes)} episodes")
    kept = [(traces or {}).get((episode.key, name), ()) for episode, name in zip(episodes, agents, strict=True)]
    if tokenizer is None and not all(kept):
        tokenizer = tokenizer_for(episodes)
    encoder = None if tokenizer is None else ChatEncoder(tokenizer)
    rows = [
        traced_row(episode, name, found) if found or encoder is None else text_row(episode, name, encoder)
        for episode, name, found in zip(episodes, agents, kept, strict=True)
    ]
    pad_id = 0 if tokenizer is None or tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
    lengths = torch.tensor([len(row.ids) for row in rows])
    turns = torch.tensor([row.num_turns for row in rows])
    unknown = float("nan")
    return Batch(
        input_ids=_padded([row.ids for row in rows], pad_id),
        attention_mask=(torch.arange(int(lengths.max())) < lengths[:, None]).long(),
        own_mask=_padded([row.own_mask for row in rows], 0),
        utterance_index=_padded([row.own_index for row in rows], -1),
        alive_BT=torch.arange(int(turns.max())) < turns[:, None],
        rewards_BT=_rewards(episodes, agents),
        logprobs=_padded([row.logprobs or [unknown] * len(row.ids) for row in rows], unknown),
        agents=tuple(agents),
    )


def text_row(episode: Episode, agent: str, encoder: ChatEncoder) -> Row:
    """One agent's dialogue from its text. Turns that were invalid are read, but not counted as its own words.

    Raises:
        ValueError: the agent has no seat, or what it had read at its last turn is longer than the transcript of an
            observation, so that no model has read it as one sequence.
    """
    turns = _own_turns(episode, agent)
    read = view(episode, agent, turns[-1].global_index if turns else None)
    if read.window() is not read:
        raise ValueError(
            f"episode {episode.key!r}: its text does not fit into the transcript of an observation; "
            "leave it out, or train on episodes with a smaller max_cycles"
        )
    encoded = encoder.encode_turns(chat(view(episode, agent)))
    invalid = {turn.own_index for turn in turns if turn.invalid is not None}
    own_mask = [int(own and i not in invalid) for own, i in zip(encoded.own_mask, encoded.own_index, strict=True)]
    return Row(encoded.ids, own_mask, encoded.own_index, len(turns))


def traced_row(episode: Episode, agent: str, traces: Sequence[TokenTrace]) -> Row:
    """One agent's dialogue from the tokens it read and wrote.

    Raises:
        ValueError: there is not one trace for each own turn, or one does not begin with what was read and written
            before it, so that the dialogue is no single sequence.
    """
    where = f"episode {episode.key!r}, {agent}"
    if len(traces) != len(_own_turns(episode, agent)):
        raise ValueError(
            f"{where}: {len(traces)} token traces for {len(episode.own_turns(agent))} own turns; "
            "only a policy that writes tokens in every turn can be trained on them"
        )
    ids: list[int] = []
    own_mask: list[int] = []
    own_index: list[int] = []
    logprobs: list[float] = []
    for turn, trace in enumerate(traces):
        read = len(trace.prompt_ids) - len(ids)
        if read < 0 or list(trace.prompt_ids[: len(ids)]) != ids:
            raise ValueError(
                f"{where}, own turn {turn}: the prompt does not begin with what was read and written before; "
                "multi-turn training needs a chat template that keeps earlier messages, and a context that holds them"
            )
        wrote = len(trace.ids)
        ids += [*trace.prompt_ids[len(ids) :], *trace.ids]
        own_mask += [0] * read + [1] * wrote
        own_index += [-1] * read + [turn] * wrote
        logprobs += [float("nan")] * read + list(trace.logprobs or [float("nan")] * wrote)
    known = bool(traces) and all(trace.logprobs is not None for trace in traces)
    cut = tuple(turn for turn, trace in enumerate(traces) if trace.truncated)
    return Row(ids, own_mask, own_index, len(traces), logprobs if known else None, cut)


def corpus(episodes: Sequence[Episode]) -> list[str]:
    """What the models of all seats read and write in some episodes: the texts that a tokenizer is made for."""
    return [
        message["content"] for episode in episodes for agent in episode.agents for message in chat(view(episode, agent))
    ]


def tokenizer_for(episodes: Sequence[Episode]) -> PreTrainedTokenizerBase:
    """The embedded model's tokenizer, made for the words of some episodes."""
    return build_tokenizer(corpus(episodes))


def _own_turns(episode: Episode, agent: str) -> Sequence[Turn]:
    if agent not in episode.agents:
        raise ValueError(f"episode {episode.key!r}: no {agent!r}; its agents are {', '.join(episode.agents)}")
    return episode.own_turns(agent)


def _rewards(episodes: Sequence[Episode], agents: Sequence[str]) -> dict[str, Tensor]:
    """What every episode holds numbers of, (B, T) each."""
    names = [name for name in episodes[0].rewards if all(name in episode.rewards for episode in episodes)]
    rewards = {}
    for name in names:
        numbers = [episode.rewards[name][agent] for episode, agent in zip(episodes, agents, strict=True)]
        rewards[name] = _padded([[float("nan") if r is None else float(r) for r in row] for row in numbers], 0.0)
    return rewards


def _padded(rows: Sequence[Sequence[float]], value: float) -> Tensor:
    dtype = torch.float32 if isinstance(value, float) else torch.long
    return pad_sequence([torch.tensor(row, dtype=dtype) for row in rows], batch_first=True, padding_value=value)
