from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import sotopia_env
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.episodes import Episode
from sotopia_env.policies import Decision, TokenTrace
from sotopia_env.rewards import FunctionReward
from sotopia_env.training.batches import corpus
from sotopia_env.training.rollout_func import Group, GroupMember, play_groups


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    # The models here are so small that a second thread costs more than it saves.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def episodes() -> list[Episode]:
    """Dialogues of scripted policies, with rewards."""
    return sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=12, seed=3, reward="episode", max_cycles=8)


@pytest.fixture(scope="session")
def brevity() -> FunctionReward:
    """What a turn brings is less the longer it is; known at once, and different for every member of a group."""

    def per_word(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
        return [{a: [1.0 - 0.1 * len(t.text) for t in e.own_turns(a)] for a in e.agents} for e in episodes]

    return FunctionReward(per_word, name="brevity", timing="causal")


@pytest.fixture(scope="session")
def tiny_directory(episodes: list[Episode], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of two layers."""
    model, tokenizer = build_embedded_model(corpus(episodes), seed=0, hidden_size=32, layers=2, heads=2)
    directory = tmp_path_factory.mktemp("tiny")
    LoadedModel(model, tokenizer).save(directory)
    return directory


@pytest.fixture(scope="session")
def dies_after() -> Callable[..., Any]:
    """A trainer's ``training_step`` that is interrupted once so many steps are done."""

    def wrap(steps: int, step: Callable[..., Any]) -> Callable[..., Any]:
        def training_step(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self.state.global_step == steps:
                raise KeyboardInterrupt
            return step(self, *args, **kwargs)

        return training_step

    return wrap


class Traced:
    """A scripted policy whose turns have tokens: two each, all alike."""

    def __init__(self, name: str) -> None:
        self.policy = sotopia_env.make_policy(name)
        self.name = name
        self._read: dict[tuple[str, str], tuple[int, ...]] = {}

    def act(self, observations: Sequence[Any], contexts: Sequence[Any]) -> list[Decision]:
        decisions = []
        for decision, context in zip(self.policy.act(observations, contexts), contexts, strict=True):
            key = context.episode, context.agent
            read = self._read.get(key, (1,)) if context.turn else (1,)
            self._read[key] = (*read, 7, 2)
            trace = TokenTrace(read, (7, 2), (0.0, 0.0), False)
            decisions.append(Decision(decision.action, decision.raw, decision.invalid, trace))
        return decisions


@pytest.fixture(scope="session")
def played() -> Callable[..., list[GroupMember]]:
    """Groups of dialogues that a reward was paid for, the learner and its partner scripted."""

    def play(reward: Any, groups: int = 4, size: int = 4, seed: int = 0, **options: Any) -> list[GroupMember]:
        env = sotopia_env.parallel_env("bargain", reward=reward, **options)
        members = [(Group(seed, index, index % 2), member) for index in range(groups) for member in range(size)]
        return play_groups(env, members, Traced("scripted:mixed"), sotopia_env.make_policy("scripted:mixed"))

    return play
