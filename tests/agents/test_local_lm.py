"""A language model as a policy: the same turns in every batch, and a trace of exactly what was sampled."""

from __future__ import annotations

import os
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sotopia_env
from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import ContextOverflow, LocalLM
from sotopia_env.chat_encoding import ChatEncoder
from sotopia_env.policies import Context, TokenTrace
from sotopia_env.rendering import output_text, parse_output

Traces = dict[tuple[str, str], list[TokenTrace]]


def play(policy: Any, episodes: int = 8, **options: Any) -> tuple[list[Any], Traces]:
    traces: Traces = {}
    played = sotopia_env.rollout(
        "bargain", [policy], num_episodes=episodes, seed=0, traces=traces, max_cycles=8, **options
    )
    return [[(turn.agent, turn.type, turn.text, turn.raw) for turn in episode.turns] for episode in played], traces


def policy(loaded: LoadedModel, **options: Any) -> LocalLM:
    return LocalLM(loaded, **{"max_new_tokens": 10, **options})


def context(turn: int = 0, episode: str = "e", seed: int = 0) -> Context:
    return Context(episode, "agent_0", turn, np.random.default_rng(seed))


def observation(seed: int = 0) -> Any:
    observations, _ = sotopia_env.parallel_env("bargain").reset(seed=seed)
    return observations["agent_0"]


def test_episodes_do_not_depend_on_batches_or_caches(embedded: LoadedModel) -> None:
    turns, traces = play(policy(embedded))
    assert sum(map(len, turns)) >= 32
    for other in (
        policy(embedded, batch_size=3),
        policy(embedded, cache_bytes=0),
        policy(embedded, cache_bytes=40_000),
    ):
        again, other_traces = play(other)
        assert again == turns
        for key, own in traces.items():
            assert [trace.ids for trace in own] == [trace.ids for trace in other_traces[key]]
            assert [trace.prompt_ids for trace in own] == [trace.prompt_ids for trace in other_traces[key]]
    assert play(policy(embedded), batch_size=1)[0] == turns


def test_a_trace_is_what_was_read_and_written(embedded: LoadedModel) -> None:
    turns, traces = play(policy(embedded))
    stop = ChatEncoder(embedded.tokenizer).end_of_turn_id
    cut = 0
    for episode, played in enumerate(turns):
        for agent in ("agent_0", "agent_1"):
            own = traces[sorted({key for key, _ in traces})[episode], agent]
            texts = [text if raw is None else raw for who, _, text, raw in played if who == agent]
            for trace, raw in zip(own, texts, strict=True):
                cut += trace.truncated
                assert trace.truncated == (trace.ids[-1] != stop)
                assert embedded.tokenizer.decode(trace.ids, skip_special_tokens=True) == raw
            for before, after in pairwise(own):
                assert after.prompt_ids[: len(before.prompt_ids) + len(before.ids)] == (*before.prompt_ids, *before.ids)
    assert cut > 0


def test_log_probabilities_are_the_models(embedded: LoadedModel) -> None:
    _, traces = play(policy(embedded, temperature=0.8), episodes=2)
    for trace in [trace for own in traces.values() for trace in own]:
        with torch.no_grad():
            logits = embedded.model(torch.tensor([trace.prompt_ids + trace.ids])).logits[0]
        expected = (logits[len(trace.prompt_ids) - 1 : -1] / 0.8).log_softmax(-1)
        assert trace.logprobs is not None
        assert trace.logprobs == pytest.approx(expected[range(len(trace.ids)), list(trace.ids)].tolist(), abs=1e-4)


def test_garbage_is_a_counted_invalid_turn(embedded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = policy(embedded)
    monkeypatch.setattr(silent.tokenizer, "decode", lambda *_, **__: "  ")
    (decision,) = silent.act([observation()], [context()])
    assert decision.action.type == "none"
    assert decision.invalid == "the output is empty"


def test_a_fork_that_was_played_otherwise_is_read_from_its_text(embedded: LoadedModel) -> None:
    env = sotopia_env.parallel_env("bargain")
    observations, infos = env.reset(seed=0)
    first = next(agent for agent in env.agents if infos[agent]["active"])
    lm = policy(embedded)
    base = Context("e", first, 0, np.random.default_rng(0))
    (sampled,) = lm.act([observations[first]], [base])
    assert sampled.trace is not None
    partner = next(agent for agent in env.agents if agent != first)
    prompts = []
    for number, (fork, action) in enumerate(
        zip(env.fork(2), (sampled.action, sotopia_env.speak("hello")), strict=True)
    ):
        fork.step({first: action})
        observations, *_ = fork.step({partner: sotopia_env.speak("I can offer $85.")})
        (decision,) = lm.act([observations[first]], [Context(f"e~{number}", first, 1, np.random.default_rng(0))])
        assert decision.trace is not None
        prompts.append(decision.trace.prompt_ids)
    began = (*sampled.trace.prompt_ids, *sampled.trace.ids)
    assert prompts[0][: len(began)] == began
    assert prompts[1][: len(sampled.trace.prompt_ids)] == sampled.trace.prompt_ids
    assert "hello" in embedded.tokenizer.decode(prompts[1])


def test_an_act_that_the_game_refuses_is_still_what_was_written(
    embedded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = sotopia_env.parallel_env("bargain", agreement="formal")
    observations, _ = env.reset(seed=0)
    lm = policy(embedded)
    monkeypatch.setattr(lm.encoder, "decode", lambda ids: "[action] accept")
    (written,) = lm.act([observations["agent_0"]], [Context("e", "agent_0", 0, np.random.default_rng(0))])
    assert written.trace is not None
    *_, infos = env.step({"agent_0": written})
    assert "nothing to accept" in infos["agent_0"]["invalid_action"]
    observations, *_ = env.step({"agent_1": sotopia_env.do("offer $85")})
    now = Context("e", "agent_0", 1, np.random.default_rng(0), env.information_of("agent_0"))
    (decision,) = lm.act([observations["agent_0"]], [now])
    assert decision.trace is not None
    began = (*written.trace.prompt_ids, *written.trace.ids)
    assert decision.trace.prompt_ids[: len(began)] == began


def test_a_dialogue_too_long_for_the_model_is_refused_by_name() -> None:
    model, tokenizer = build_embedded_model(["a b"] * 2, seed=0, hidden_size=32, layers=1, heads=1, context=64)
    short = LocalLM(LoadedModel(model, tokenizer, "short"), max_new_tokens=10)
    with pytest.raises(ContextOverflow, match=r"episode 'e7', agent_0, own turn 0: .* short reads at most 64"):
        short.act([observation()], [context(episode="e7")])


def test_the_model_is_left_in_the_mode_it_was_in(embedded: LoadedModel) -> None:
    embedded.model.train()
    policy(embedded).act([observation()], [context()])
    assert embedded.model.training
    embedded.model.eval()


def test_two_policies_share_one_base() -> None:
    model, tokenizer = build_embedded_model(["hello there"] * 2, seed=0, hidden_size=32, layers=1, heads=1)
    adapted = add_lora(model, "partner")
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    add_lora(adapted, "learner")
    shared = LoadedModel(adapted, tokenizer, "shared")
    answers = {}
    for adapter in ("learner", "partner"):
        lm = LocalLM(shared, adapter=adapter, max_new_tokens=10)
        assert lm.name == f"shared:{adapter}"
        answers[adapter] = lm.act([observation()], [context()])[0].raw
    assert answers["learner"] != answers["partner"]
    assert adapted.active_adapter == "learner"


def test_one_action_without_a_context_follows_from_the_observation(embedded: LoadedModel) -> None:
    lm = policy(embedded)
    assert lm.act_one(observation()) == lm.act_one(observation()) == policy(embedded).act_one(observation())


def test_forgetting_changes_no_first_turn(embedded: LoadedModel) -> None:
    lm = policy(embedded)
    before = lm.act([observation()], [context()])
    lm.forget()
    assert lm.act([observation()], [context()]) == before


def test_pickled_as_its_arguments(embedded: LoadedModel, tmp_path: Path) -> None:
    embedded.save(tmp_path / "model")
    policy = LocalLM(tmp_path / "model", name="small", top_p=0.9)
    twin = pickle.loads(pickle.dumps(policy))  # noqa: S301 - what was pickled in this line
    assert (twin.name, twin.sampling) == ("small", policy.sampling)
    with pytest.raises(TypeError, match="'embedded' holds a model in memory; make it from a directory or a hub id"):
        pickle.dumps(LocalLM(embedded, name="embedded"))


def test_made_from_a_name(embedded: LoadedModel, tmp_path: Path) -> None:
    embedded.save(tmp_path / "clone")
    made = sotopia_env.make_policy(f"local:{tmp_path / 'clone'}", temperature=0, device="cpu")
    assert made.name == "clone"
    first, second = (made.act([observation()], [context(seed=seed)])[0].raw for seed in (0, 1))
    assert first == second
    with pytest.raises(TypeError, match="already loaded"):
        LocalLM(embedded, device="cpu")


@pytest.mark.slow
def test_a_published_model_plays_a_turn() -> None:
    directory = os.environ.get("SOTOPIA_ENV_SMOLLM2")
    if not directory:
        pytest.skip("SOTOPIA_ENV_SMOLLM2 names no directory with SmolLM2-135M-Instruct as GGUF")
    loaded = load_model(directory, device="cpu")
    lm = LocalLM(loaded, temperature=0, max_new_tokens=16)
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    ids = lm.encoder.encode(chat).ids
    assert ids == loaded.tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    stock = loaded.model.generate(torch.tensor([ids]), max_new_tokens=16, do_sample=False)[0, len(ids) :].tolist()
    (ours,) = lm.generator.generate([ids], np.zeros((1, 16)), lm.sampling)
    assert list(ours.ids) == stock
    assert "Paris" in loaded.tokenizer.decode(stock)
    turns, traces = play(LocalLM(loaded, max_new_tokens=16), episodes=2)
    assert all(len(own) == 4 for own in traces.values()) or min(map(len, turns)) < 8
    for own in traces.values():
        for before, after in pairwise(own):
            assert after.prompt_ids[: len(before.prompt_ids) + len(before.ids)] == (*before.prompt_ids, *before.ids)
    assert parse_output(output_text(sotopia_env.speak(turns[0][0][2] or "hello")))[1] is None
