"""The lines by which the package is used, as a reader of the README types them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import sotopia_env
from sotopia_env import rewards as R

DATA = os.environ.get("SOTOPIA_ENV_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder of Sotopia's published files")


def bare() -> Any:
    return sotopia_env.parallel_env("bargain", reward=None)


def test_every_name_of_the_package_is_there() -> None:
    for name in sotopia_env.__all__:
        assert hasattr(sotopia_env, name), name
    for name in R.__all__:
        assert hasattr(R, name), name


def test_an_episode_is_played_and_pays() -> None:
    env = sotopia_env.parallel_env("bargain", reward="episode", max_cycles=20)
    policies = {a: sotopia_env.make_policy("scripted:warm") for a in env.possible_agents}
    observations, infos = env.reset(seed=0)
    total = dict.fromkeys(env.possible_agents, 0.0)
    while env.agents:
        actions = {a: policies[a].act_one(observations[a]) for a in env.agents if infos[a]["active"]}
        observations, rewards, terminations, truncations, infos = env.step(actions)
        total = {a: total[a] + rewards[a] for a in total}
    assert any(total.values())
    assert all(terminations.values()) or all(truncations.values())
    assert len(infos["agent_0"]["utterance_rewards"]) == infos["agent_0"]["turn"]


def test_a_step_takes_helpers_and_strings() -> None:
    env = bare()
    env.reset(seed=1)
    env.step({env.possible_agents[0]: sotopia_env.speak("Hello!")})
    env.step({env.possible_agents[1]: sotopia_env.gesture("nods")})
    env.step({env.possible_agents[0]: "A bare string speaks."})
    env.step({env.possible_agents[1]: sotopia_env.do("accept")})
    env.step({env.possible_agents[0]: sotopia_env.leave()})
    kinds = ["speak", "non-verbal communication", "speak", "action", "leave"]
    assert [turn.type for turn in env.episode.turns] == kinds


@pytest.mark.parametrize("policy", ["random", "scripted:warm"])
@pytest.mark.parametrize("reward", ["episode", "uniform", "discounted"])
def test_random_and_scripted_play_both_pay(policy: str, reward: str) -> None:
    """Rewards of 0 for everyone are what the package was written against. Random play brings a deal now and then."""
    paid = [
        number
        for episode in sotopia_env.rollout("bargain", policy, num_episodes=320, seed=0, reward=reward)
        for numbers in episode.rewards[reward].values()
        for number in numbers
        if number
    ]
    assert len(paid) > 1
    assert len(set(paid)) > 1


def test_rewards_add_up_and_wrap() -> None:
    reward = R.Outcome("uniform") + R.LengthPenalty(target_words=40, weight=0.1)
    feasible = sotopia_env.Bargain(zones={"wide": 1.0})
    env = R.RewardWrapper(sotopia_env.parallel_env(feasible, reward=None), reward)
    same = sotopia_env.parallel_env(feasible, reward=reward)
    courses = []
    for one in (env, same):
        one.reset(seed=0)
        policy = sotopia_env.make_policy("scripted:warm")
        course = []
        while one.agents:
            act = {a: policy.act_one(one.unwrapped.observe(a)) for a in one.unwrapped.acting}
            course.append(one.step(act)[1])
        courses.append(course)
    assert courses[0] == courses[1]
    assert any(any(step.values()) for step in courses[0])


def test_the_same_as_wrappers() -> None:
    env = R.EpisodeReward(bare())
    assert env.reward.name == "episode"
    env = R.ClipReward(R.LengthPenalty(R.EpisodeReward(bare()), target_words=1, weight=10.0), -1, 1)
    env.reset(seed=0)
    env.step({"agent_0": "far more words than one"})
    *_, infos = env.step({"agent_1": sotopia_env.leave()})
    assert infos["agent_0"]["utterance_rewards"] == [-1.0]


def test_text_in_text_out() -> None:
    g = gymnasium.make("sotopia_env:sotopia/Bargain-v0", agent="agent_0", partner="scripted:firm", reward="episode")
    prompt, _ = g.reset(seed=0)
    assert isinstance(prompt, str)
    total, over = 0.0, False
    while not over:
        prompt, reward, terminated, truncated, info = g.step("I could do $60.")
        total, over = total + float(reward), terminated or truncated
    assert isinstance(prompt, str)
    assert info["ending"] is not None


@needs_data
def test_published_pairings_are_loaded_and_played(tmp_path: Path) -> None:
    tasks = sotopia_env.load_tasks(DATA)
    assert len(tasks) == 450
    assert len(sotopia_env.load_tasks(DATA, "hard")) == 100
    episodes = sotopia_env.rollout(tasks, ["scripted:warm", "scripted:firm"], num_episodes=64, seed=0)
    assert len(episodes) == 64
    assert all(turn.invalid is None for episode in episodes for turn in episode.turns)


def test_episodes_are_played_saved_loaded_and_relabelled(tmp_path: Path) -> None:
    episodes = sotopia_env.rollout("bargain", ["scripted:warm", "scripted:firm"], num_episodes=8, seed=0)
    sotopia_env.save_episodes(episodes, tmp_path / "e.jsonl")
    assert sotopia_env.load_episodes(tmp_path / "e.jsonl") == episodes
    labelled = R.relabel(episodes, "episode")
    paid = sotopia_env.rollout("bargain", ["scripted:warm", "scripted:firm"], num_episodes=8, seed=0, reward="episode")
    assert [episode.rewards for episode in labelled] == [episode.rewards for episode in paid]
    assert [episode.judgements for episode in labelled] == [episode.judgements for episode in paid]
    selfplay = sotopia_env.rollout("bargain", "scripted:warm", num_episodes=2)
    assert selfplay[0].policies == {"agent_0": "scripted:warm", "agent_1": "scripted:warm"}


def test_an_environment_is_branched_in_the_middle_of_a_dialogue() -> None:
    env = sotopia_env.parallel_env("bargain", reward="episode")
    env.reset(seed=0)
    env.step({"agent_0": "Hello!"})
    snapshot = env.snapshot()
    env.step({"agent_1": "Good day!"})
    env.restore(snapshot)
    siblings = env.fork(8)
    for number, sibling in enumerate(siblings):
        sibling.step({"agent_1": f"Word {number}."})
    assert [sibling.episode.turns[1].text for sibling in siblings] == [f"Word {number}." for number in range(8)]
    assert len(env.episode.turns) == 1


def test_episodes_become_tensors() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from sotopia_env import training

    episodes = sotopia_env.rollout("bargain", ["scripted:warm", "scripted:firm"], num_episodes=4, reward="uniform")
    batch = training.collate(episodes, agent="agent_0")
    turns = max(len(episode.own_turns("agent_0")) for episode in episodes)
    assert batch.rewards_BT["uniform"].shape == batch.alive_BT.shape == (4, turns)
    assert batch.own_mask.shape == batch.utterance_index.shape == batch.input_ids.shape
    written = [int(row.max()) + 1 for row in batch.utterance_index]
    assert written == [len(episode.own_turns("agent_0")) for episode in episodes]


def test_a_learner_is_trained_against_a_directory(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from sotopia_env import training
    from sotopia_env.agents.embedded import build_embedded_model
    from sotopia_env.agents.loading import LoadedModel
    from sotopia_env.training.batches import corpus

    written = corpus(sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=4))
    model = str(tmp_path / "bc")
    LoadedModel(*build_embedded_model(written, 0, hidden_size=32, layers=2, heads=2)).save(model)
    env = sotopia_env.parallel_env("bargain", reward="episode", max_cycles=4)
    sizes = {"per_device_train_batch_size": 4, "num_generations": 2, "max_turn_tokens": 4, "disable_tqdm": True}
    args = training.GRPOConfig(str(tmp_path / "grpo"), max_steps=1, **sizes)
    trainer = training.GRPOTrainer(model, env=env, partner=model, args=args)
    trainer.train()
    assert trainer.state.global_step == 1
    assert sotopia_env.make_policy(str(tmp_path / "grpo")).name == "grpo"
