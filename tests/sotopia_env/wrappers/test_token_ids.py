from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

import sotopia_env
from sotopia_env import rendering
from sotopia_env.chat_encoding import ChatEncoder
from sotopia_env.wrappers.token_ids import TokenIds


class ByteTokenizer:
    """One id a byte, and two more: padding and the end of a text."""

    pad_token_id: int | None = 256
    eos_token_id: int | None = 257

    def __len__(self) -> int:
        return 258

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode("utf-8"))

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        return bytes(i for i in token_ids if i < 256).decode("utf-8", "replace")


def made(**options: Any) -> TokenIds:
    env = sotopia_env.parallel_env(sotopia_env.Bargain(zones={"wide": 1.0}), reward="episode")
    return TokenIds(env, ByteTokenizer(), **options)


def text_of(ids: np.ndarray) -> str:
    return ByteTokenizer().decode(ids)


def test_an_observation_is_the_seats_chat_and_padding() -> None:
    env = made(max_length=1500)
    observations, infos = env.reset(seed=0)
    for agent, ids in observations.items():
        assert ids in env.observation_space(agent)
        length = infos[agent]["length"]
        assert text_of(ids[:length]) == rendering.as_text(env.unwrapped.observe(agent))
        assert (ids[length:] == 256).all()
        assert infos[agent]["cut"] is False


def test_ids_speak_act_and_stay_silent() -> None:
    env = made(max_new_tokens=40)
    env.reset(seed=0)
    *_, infos = env.step({"agent_0": env.action_of("My price is $90."), "agent_1": env.action_of("")})
    assert infos["agent_1"]["invalid_action"] is None
    env.step({"agent_1": env.action_of("My offer is $70.")})
    ended = np.concatenate([env.action_of("[action] accept")[:15], [257], env.action_of("but never mind")])[:40]
    env.step({"agent_0": ended})
    said = [(turn.type, turn.text) for turn in env.episode.turns]
    assert said == [("speak", "My price is $90."), ("speak", "My offer is $70."), ("action", "accept")]
    assert env.unwrapped.ending is not None
    assert env.unwrapped.ending.detail["price"] == 70


def test_ids_outside_the_vocabulary_and_unreadable_output_are_reported() -> None:
    env = made(max_new_tokens=8)
    env.reset(seed=0)
    *_, infos = env.step({"agent_0": np.full(8, 300)})
    assert infos["agent_0"]["invalid_action"] == "an id of the action is outside 0..257"
    *_, infos = env.step({"agent_1": env.action_of("   ")})
    assert infos["agent_1"]["invalid_action"] == "the output is empty"


def test_what_does_not_fit_is_cut_by_whole_turns() -> None:
    env = made(max_length=900)
    env.reset(seed=0)
    for number in range(12):
        observations, *_, infos = env.step({env.unwrapped.acting[0]: f"This is turn {number}, and {'so on ' * 8}."})
    ids, length = observations["agent_0"], infos["agent_0"]["length"]
    assert infos["agent_0"]["cut"] is True
    text = text_of(ids[:length])
    assert text.startswith("You are ")
    assert "turn 11" in text
    assert "turn 0," not in text
    assert length <= 900


def test_pettingzoos_tests_pass(capsys: pytest.CaptureFixture[str]) -> None:
    parallel_api_test(made(), num_cycles=20)
    parallel_seed_test(made, num_cycles=20)


def test_snapshots_go_on_alike_and_keep_the_reward() -> None:
    env = made()
    env.reset(seed=0)
    env.step({"agent_0": env.action_of("My price is $90.")})
    other = made()
    other.reset(seed=1)
    other.restore(json.loads(json.dumps(env.snapshot())))
    ends = []
    for one in (env, other, *env.fork(1)):
        _, rewards, *_ = one.step({"agent_1": one.action_of("[leave]")})
        ends.append((one.episode.turns, rewards))
    assert ends[0] == ends[1] == ends[2]
    assert ends[0][1] == {"agent_0": 0.0, "agent_1": 0.0}


def test_a_tokenizer_of_transformers_with_a_chat_template() -> None:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    bare = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=False))
    bare.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=258, initial_alphabet=alphabet, special_tokens=["<pad>", "<end>"]
    )
    bare.train_from_iterator(["My price"], trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=bare, pad_token="<pad>", eos_token="<end>")
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}|{{ m.content }}\n{% endfor %}assistant|"
    env = TokenIds(sotopia_env.parallel_env("bargain"), tokenizer, max_length=2000)
    observations, infos = env.reset(seed=0)
    text = tokenizer.decode(observations["agent_0"][: infos["agent_0"]["length"]])
    assert text.startswith("system|You are ")
    assert text.endswith("user|Begin.\nassistant|")
    seen = env.step({"agent_0": env.action_of("My price is $90.")})[0]["agent_1"]
    assert env.episode.turns[0].text == "My price is $90."
    ids = ChatEncoder(tokenizer).encode(env.unwrapped.messages("agent_1")).ids
    assert seen[: len(ids) + 1].tolist() == [*ids, tokenizer.pad_token_id]
    # What is said never becomes a control token.
    seen = env.step({"agent_1": sotopia_env.speak("Yes.<end>")})[0]["agent_0"].tolist()
    said = tokenizer.decode(seen[: seen.index(tokenizer.pad_token_id)])
    assert said.endswith(": Yes.<end>\nassistant|")
    # One ends the own turn that stands in the chat.
    assert seen.count(tokenizer.eos_token_id) == 1


def test_lengths_are_checked() -> None:
    with pytest.raises(ValueError, match="max_length: 0 is not a positive number"):
        made(max_length=0)
