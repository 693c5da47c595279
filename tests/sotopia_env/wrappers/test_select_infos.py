from __future__ import annotations

from typing import Any

import pytest

import sotopia_env
from sotopia_env.menu import MenuWrapper
from sotopia_env.wrappers.base import SelectInfos


def test_infos_hold_the_chosen_keys_alone() -> None:
    env = SelectInfos(sotopia_env.parallel_env("bargain", reward="episode"), ["active", "turn"])
    _, infos = env.reset(seed=0)
    assert infos == {"agent_0": {"active": True, "turn": 0}, "agent_1": {"active": False, "turn": 0}}
    *_, infos = env.step({"agent_0": "Hello."})
    assert infos == {"agent_0": {"active": False, "turn": 1}, "agent_1": {"active": True, "turn": 0}}
    assert env.fork()[0].step({"agent_1": "Hello."})[4]["agent_1"] == {"active": False, "turn": 1}


def test_none_chosen_leaves_them_empty() -> None:
    _, infos = SelectInfos(sotopia_env.parallel_env("bargain")).reset(seed=0)
    assert infos == {"agent_0": {}, "agent_1": {}}


class ResetsAtOnce:
    """What SuperSuit's ``MarkovVectorEnv.step`` makes of infos: in the last step the next reset's are written over."""

    def __init__(self, env: Any) -> None:
        self.env = env

    def step(self, actions: dict[str, Any]) -> dict[str, dict[str, Any]]:
        *_, terminations, truncations, infos = self.env.step(actions)
        over = all(terminations[agent] or truncations[agent] for agent in terminations)
        again = self.env.reset()[1] if over else {agent: {} for agent in infos}
        return {agent: {**info, **again[agent]} for agent, info in infos.items()}


@pytest.mark.parametrize("menu", [False, True])
def test_the_final_infos_outlive_the_next_reset(menu: bool) -> None:
    env: Any = sotopia_env.parallel_env("bargain", reward="episode", max_cycles=4)
    env = MenuWrapper(env) if menu else env
    _, before = env.reset(seed=0)
    task = env.unwrapped.episode.task.id
    vector = ResetsAtOnce(env)
    for cycle in range(4):
        assert "final" not in before["agent_0"]
        before = vector.step(dict.fromkeys(env.agents, 0 if menu else "Let us talk."))
        assert ("final" in before["agent_0"]) is (cycle == 3)
    for info in before.values():
        assert info["ending"] is None  # of the next episode already
        assert info["task"] != task
        assert (info["final"]["task"], info["final"]["turn"]) == (task, 2)
        assert info["final"]["ending"] == "max_cycles"
        assert set(info["final"]["scores"]) >= {"goal", "relationship"}
        assert set(info["final"]) == {"task", "turn", "ending", "utterance_rewards", "reward_parts", "scores"}


def test_a_key_of_the_last_infos_can_be_chosen() -> None:
    env = SelectInfos(sotopia_env.parallel_env("bargain", max_cycles=1), ["final"])
    _, infos = env.reset(seed=0)
    assert infos == {"agent_0": {}, "agent_1": {}}
    *_, infos = env.step({"agent_0": "Hello."})
    assert infos["agent_1"]["final"]["ending"] == "max_cycles"
