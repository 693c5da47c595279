from __future__ import annotations

import sotopia_env
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
