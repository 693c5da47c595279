from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import sotopia_env
from sotopia_env import rendering, speak
from sotopia_env.actions import Action
from sotopia_env.agents.loading import load_model
from sotopia_env.chat_encoding import ChatEncoder
from sotopia_env.episodes import Episode
from sotopia_env.policies import TokenTrace
from sotopia_env.rendering import chat
from sotopia_env.rewards.reward_model.rows import value_row
from sotopia_env.testing.material import open_ended_task
from sotopia_env.training.batches import Row, collate, text_row, traced_row
from sotopia_env.turns import ACTION_ORDERS
from sotopia_env.views import view


@pytest.fixture(scope="module")
def encoder(tiny_directory: Path) -> ChatEncoder:
    return ChatEncoder(load_model(tiny_directory).tokenizer)


def traces_of(episode: Episode, agent: str, encoder: ChatEncoder) -> list[TokenTrace]:
    """What a model would have read and written, had it said what was said."""
    messages = chat(view(episode, agent))
    traces = []
    for position in [i for i, message in enumerate(messages) if message["role"] == "assistant"]:
        row = encoder.encode(messages[: position + 1], add_generation_prompt=False)
        start = row.own_index.index(len(traces))
        stop = start + row.own_index.count(len(traces))
        ids = tuple(row.ids[start:stop])
        traces.append(TokenTrace(tuple(row.ids[:start]), ids, tuple(-0.5 for _ in ids)))
    return traces


def test_own_tokens_are_the_agents_words_and_their_ends(episodes: list[Episode], encoder: ChatEncoder) -> None:
    for episode in episodes:
        for agent in episode.agents:
            row = text_row(episode, agent, encoder)
            for turn in episode.own_turns(agent):
                ids = [token for token, index in zip(row.ids, row.own_index, strict=True) if index == turn.own_index]
                assert ids[-1] == encoder.end_of_turn_id
                assert encoder.tokenizer.decode(ids[:-1]) == rendering.output_text(Action(turn.type, turn.text))
            assert sum(row.own_mask) == sum(index >= 0 for index in row.own_index)


def test_text_and_traces_give_the_same_row(episodes: list[Episode], encoder: ChatEncoder) -> None:
    for episode in episodes:
        from_text = text_row(episode, "agent_1", encoder)
        from_traces = traced_row(episode, "agent_1", traces_of(episode, "agent_1", encoder))
        assert replace(from_traces, logprobs=None) == from_text
        own = [value for value in from_traces.logprobs or [] if value == value]
        assert own == [-0.5] * sum(from_text.own_mask)


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize("order", ACTION_ORDERS)
def test_rows_hold_what_a_model_would_have_read_in_play(encoder: ChatEncoder, order: str, private: bool) -> None:
    env = sotopia_env.parallel_env([open_ended_task(3)], action_order=order, private_messages=private, max_cycles=9)
    env.reset(seed=0)
    bare, prompts, number = env.unwrapped, {agent: [] for agent in env.possible_agents}, 0
    while env.agents:
        actions = {}
        for agent in bare.acting:
            prompts[agent].append(encoder.encode(bare.messages(agent)).ids)
            actions[agent] = speak(f"Word {number}.", to=["agent_2"] if private and number % 2 else ())
            number += 1
        env.step(actions)
    for agent, read in prompts.items():
        batch = collate([bare.episode], agent, encoder.tokenizer)
        ids, turns = batch.input_ids[0].tolist(), batch.utterance_index[0].tolist()
        value = value_row(bare.episode, agent, encoder)
        assert value.ids == ids
        for turn, prompt in enumerate(read):
            assert ids[: turns.index(turn)] == prompt
            assert value.before[turn] == len(prompt) - 1
        assert batch.alive_BT.sum() == len(read) > 0


def test_a_dialogue_that_outgrew_the_transcript_is_refused(encoder: ChatEncoder) -> None:
    env = sotopia_env.parallel_env("bargain", max_cycles=20)
    env.reset(seed=0)
    for _ in range(18):
        env.step(dict.fromkeys(env.unwrapped.acting, "word " * 800))
    # What was said after its last turn need not fit.
    assert text_row(env.unwrapped.episode, "agent_0", encoder).num_turns == 9
    with pytest.raises(ValueError, match="does not fit into the transcript"):
        text_row(env.unwrapped.episode, "agent_1", encoder)


def test_what_follows_the_last_own_turn_is_cut(episodes: list[Episode], encoder: ChatEncoder) -> None:
    for episode in episodes:
        for agent in episode.agents:
            row = text_row(episode, agent, encoder)
            assert row.own_mask[-1] == 1
            assert row.own_mask[row.prompt_length] == 1
            assert not any(row.own_mask[: row.prompt_length])


def test_an_invalid_turn_is_read_but_not_learnt(episodes: list[Episode], encoder: ChatEncoder) -> None:
    episode = next(episode for episode in episodes if len(episode.own_turns("agent_0")) > 1)
    turns = tuple(
        replace(turn, type="none", text="", invalid="no format") if turn.global_index == 0 else turn
        for turn in episode.turns
    )
    row = text_row(replace(episode, turns=turns), "agent_0", encoder)
    learnt = {index for index, own in zip(row.own_index, row.own_mask, strict=True) if own}
    assert 0 in row.own_index
    assert 0 not in learnt
    assert row.num_turns == len(episode.own_turns("agent_0"))


def test_an_agent_without_a_turn_keeps_its_prompt(episodes: list[Episode], encoder: ChatEncoder) -> None:
    silent = replace(episodes[0], turns=episodes[0].turns[:1])
    row = text_row(silent, "agent_1", encoder)
    assert row.num_turns == 0
    assert not any(row.own_mask)
    assert row.prompt_length == len(row.ids) > 20


def test_a_batch_holds_tokens_masks_and_rewards(episodes: list[Episode], encoder: ChatEncoder) -> None:
    agents = ["agent_0", "agent_1"] * (len(episodes) // 2)
    batch = collate(episodes, agents, encoder.tokenizer)
    rows = [text_row(episode, agent, encoder) for episode, agent in zip(episodes, agents, strict=True)]
    lengths = [len(row.ids) for row in rows]
    assert batch.input_ids.shape == (len(episodes), max(lengths))
    assert batch.attention_mask.sum(1).tolist() == lengths
    assert batch.own_mask.sum().item() == sum(sum(row.own_mask) for row in rows)
    assert torch.equal(batch.own_mask == 1, batch.utterance_index >= 0)
    assert batch.alive_BT.sum(1).tolist() == [row.num_turns for row in rows]
    assert batch.rewards_BT["episode"].shape == batch.alive_BT.shape
    for episode, agent, rewards in zip(episodes, agents, batch.rewards_BT["episode"], strict=True):
        paid = episode.rewards["episode"][agent]
        expected = torch.tensor([float("nan") if value is None else value for value in paid])
        assert torch.allclose(rewards[: len(paid)], expected, equal_nan=True)
        assert not rewards[len(paid) :].any()
    assert batch.logprobs.isnan().all()


def test_without_a_tokenizer_the_episodes_words_make_one(episodes: list[Episode]) -> None:
    first, second = collate(episodes[:3], "agent_0"), collate(episodes[:3], "agent_0")
    assert torch.equal(first.input_ids, second.input_ids)
    assert first.own_mask.sum() > 0


def test_traces_need_neither_text_nor_tokenizer(episodes: list[Episode], encoder: ChatEncoder) -> None:
    traces = {(episode.key, "agent_0"): traces_of(episode, "agent_0", encoder) for episode in episodes}
    batch = collate(episodes, "agent_0", traces=traces)
    same = collate(episodes, "agent_0", encoder.tokenizer)
    assert torch.equal(batch.own_mask, same.own_mask)
    assert torch.equal(batch.input_ids * batch.attention_mask, same.input_ids * same.attention_mask)
    assert torch.equal(batch.logprobs.isnan(), batch.own_mask == 0)


def test_traces_that_are_no_single_sequence_are_refused(episodes: list[Episode], encoder: ChatEncoder) -> None:
    episode = next(episode for episode in episodes if len(episode.own_turns("agent_0")) > 1)
    good = traces_of(episode, "agent_0", encoder)
    rewritten = [good[0], replace(good[1], prompt_ids=good[1].prompt_ids[1:]), *good[2:]]
    with pytest.raises(ValueError, match="own turn 1: the prompt does not begin with what was read"):
        traced_row(episode, "agent_0", rewritten)
    with pytest.raises(ValueError, match="token traces for"):
        traced_row(episode, "agent_0", good[:-1])


def test_wrong_arguments_are_named(episodes: list[Episode], encoder: ChatEncoder) -> None:
    with pytest.raises(ValueError, match="the list of episodes is empty"):
        collate([], "agent_0")
    with pytest.raises(ValueError, match="no 'agent_7'"):
        collate(episodes, "agent_7", encoder.tokenizer)
    with pytest.raises(ValueError, match="2 agents given for 12 episodes"):
        collate(episodes, ["agent_0", "agent_1"], encoder.tokenizer)


def test_a_row_counts_turns_cut_by_the_length_limit(episodes: list[Episode], encoder: ChatEncoder) -> None:
    traces = traces_of(episodes[0], "agent_0", encoder)
    row: Row = traced_row(episodes[0], "agent_0", [replace(traces[0], truncated=True), *traces[1:]])
    assert row.truncated == (0,)
