"""Models that think play: their thoughts are nobody else's, and stay out of a history whose template drops them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.agents.generation import Continuation
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.chat_encoding import ChatTemplateError
from sotopia_env.policies import Context, TokenTrace
from sotopia_env.training.rollout_func import RolloutFunc
from sotopia_env.wrappers.token_ids import TokenIds

OPENING = (
    "{% for m in messages %}{{ m.role + '\n' + m.content.split('</think>')[-1] + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant\n<think>\n' }}"
    "{% if not (enable_thinking | default(true)) %}{{ '\n</think>\n\n' }}{% endif %}{% endif %}"
)
"""Opens the thinking and drops it from earlier turns, as Qwen3.5 does."""


@pytest.fixture
def thinker(embedded: LoadedModel) -> LoadedModel:
    tokenizer = copy.deepcopy(embedded.tokenizer)
    tokenizer.chat_template = OPENING
    return LoadedModel(embedded.model, tokenizer, "thinker")


def saying(policy: LocalLM, raw: str, *, cut: bool = False) -> list[list[int]]:
    """Have a policy write a text in every turn; the prompts that it reads."""
    prompts: list[list[int]] = []
    end = () if cut else tuple(policy.encoder.stop_ids)
    ids = (*policy.tokenizer.encode(raw, add_special_tokens=False), *end)

    def generate(given: Sequence[list[int]], *_: Any) -> list[Continuation]:
        prompts.extend(given)
        return [Continuation(ids, (0.0,) * len(ids), cut)] * len(given)

    policy.generator.generate = generate  # type: ignore[method-assign]
    return prompts


def play(policy: Any, **options: Any) -> tuple[Any, Any]:
    traces: dict[tuple[str, str], list[TokenTrace]] = {}
    (episode,) = sotopia_env.rollout("bargain", [policy, "scripted:firm"], traces=traces, num_episodes=1, **options)
    return episode, traces


def test_thinking_off_is_the_default_and_keeps_one_sequence(thinker: LoadedModel) -> None:
    policy = LocalLM(thinker)
    prompts = saying(policy, "I could do $100.")
    episode, traces = play(policy, max_cycles=6)
    assert [turn.text for turn in episode.own_turns("agent_0")] == ["I could do $100."] * 3
    assert all(policy.tokenizer.decode(prompt).endswith("<think>\n\n</think>\n\n") for prompt in prompts)
    (own,) = traces.values()
    for before, after in pairwise(own):
        assert after.prompt_ids[: len(before.prompt_ids) + len(before.ids)] == (*before.prompt_ids, *before.ids)


def test_thinking_on_speaks_the_words_and_forgets_the_thoughts(thinker: LoadedModel) -> None:
    policy = LocalLM(thinker, thinking="on")
    prompts = saying(policy, "My limit is $66.\n</think>\n\nI could do $100.")
    episode, _ = play(policy, max_cycles=6)
    own = episode.own_turns("agent_0")
    assert [turn.text for turn in own] == ["I could do $100."] * 3
    assert all("$66" in turn.raw for turn in own)
    texts = [policy.tokenizer.decode(prompt) for prompt in prompts]
    assert [text.count("I could do $100.") for text in texts] == [0, 1, 2]
    assert not any("$66" in text for text in texts)
    assert all(text.endswith("<think>\n") for text in texts)


def test_thoughts_alone_are_a_counted_invalid_turn(thinker: LoadedModel) -> None:
    policy = LocalLM(thinker, thinking="on")
    saying(policy, "My limit is $66, and I", cut=True)
    episode, _ = play(policy, max_cycles=2)
    (turn,) = episode.own_turns("agent_0")
    assert (turn.type, turn.text, turn.raw) == ("none", "", "My limit is $66, and I")
    assert turn.invalid == "the output holds thoughts alone, and no words"


def test_a_local_model_addresses_its_words(thinker: LoadedModel) -> None:
    env = sotopia_env.parallel_env("bargain", private_messages=True)
    observations, _ = env.reset(seed=0)
    policy = LocalLM(thinker)
    prompts = saying(policy, "[to agent_1] psst")
    for turn in range(2):
        context = Context("e", "agent_0", turn, np.random.default_rng(0))
        (decision,) = policy.act([observations["agent_0"]], [context])
        assert (decision.action.text, decision.action.to) == ("psst", (1,))
        env.step({"agent_0": decision})
        observations = env.step({"agent_1": sotopia_env.speak("hm")})[0]
    # The own turn is remembered as it was sampled.
    assert decision.trace is not None
    sampled = list(decision.trace.ids)
    assert any(prompts[1][i : i + len(sampled)] == sampled for i in range(len(prompts[1])))


def test_chosen_by_name_and_kept_in_copies(thinker: LoadedModel, tmp_path: Path) -> None:
    thinker.save(tmp_path / "m")
    made = sotopia_env.make_policy(f"local:{tmp_path / 'm'}?thinking=on&max_new_tokens=7&temperature=0.5")
    assert (made.name, made.encoder.thinking) == ("m?thinking=on&max_new_tokens=7&temperature=0.5", "on")
    assert (made.sampling.max_new_tokens, made.sampling.temperature) == (7, 0.5)
    twin = pickle.loads(pickle.dumps(made))  # noqa: S301 - what was pickled in this line
    assert (twin.name, twin.encoder.thinking) == (made.name, "on")
    assert made.describe() != sotopia_env.make_policy(f"local:{tmp_path / 'm'}").describe()
    assert sotopia_env.make_policy(f"{tmp_path / 'm'}?thinking=off").encoder.thinking == "off"
    for query, message in (
        ("thinkin=on", "there is no option 'thinkin'; one may give"),
        ("thinking", "there is no option|options are written|thinking is ''"),
        ("thinking=maybe", "thinking is 'maybe'"),
        ("", r"options are written \?NAME=VALUE"),
    ):
        with pytest.raises(ValueError, match=message):
            sotopia_env.make_policy(f"local:{tmp_path / 'm'}?{query}")


def test_a_template_that_rewrites_is_refused_before_the_first_turn(thinker: LoadedModel) -> None:
    thinker.tokenizer.chat_template = OPENING.replace("eos_token + '\n'", "eos_token ~ loop.revindex")
    with pytest.raises(ChatTemplateError, match=r"changes its text around earlier messages.*chat_template\.jinja"):
        LocalLM(thinker)


def test_a_learner_that_forgets_its_thoughts_cannot_be_trained(thinker: LoadedModel) -> None:
    env = sotopia_env.parallel_env("bargain", reward="episode")
    with pytest.raises(ValueError, match="thinking='off'"):
        RolloutFunc(env, "scripted:firm", learner=LocalLM(thinker, thinking="on"))
    RolloutFunc(env, "scripted:firm", learner=LocalLM(thinker))


@pytest.mark.parametrize("thinking", ["off", "on"])
def test_token_ids_are_those_of_a_local_model(thinker: LoadedModel, thinking: Any) -> None:
    bare = sotopia_env.parallel_env("bargain", private_messages=True)
    env = TokenIds(bare, thinker.tokenizer, max_length=1500, thinking=thinking)
    ids, infos = env.reset(seed=0)
    prompts = saying(policy := LocalLM(thinker, thinking=thinking), "x")
    policy.act([env.unwrapped.observe("agent_0")], [Context("e", "agent_0", 0, np.random.default_rng(0))])
    assert ids["agent_0"][: infos["agent_0"]["length"]].tolist() == prompts[0]
    thought = "My limit is $66.</think>" if thinking == "on" else "<think>My limit is $66.</think>"
    env.step({"agent_0": env.action_of(f"{thought}[to agent_1] I could do $100.")})
    turn = env.episode.turns[0]
    assert (turn.text, turn.recipients) == ("I could do $100.", (1,))
    if thinking == "on":
        env.step({"agent_1": env.action_of("My limit is $66.")})
        assert env.episode.turns[1].invalid == "the output holds thoughts alone, and no words"
