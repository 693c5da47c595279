from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import sotopia_env
from sotopia_env.menu import ACTS, FEATURES, MenuWrapper
from sotopia_env.wrappers.base import SelectInfos
from sotopia_env.wrappers.token_ids import TokenIds

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("mask", ["info", "observation"])
def test_torchrl_checks_the_menu(mask: str, menu: Callable[..., MenuWrapper]) -> None:
    pytest.importorskip("torchrl")
    from torchrl.envs.libs.pettingzoo import PettingZooWrapper
    from torchrl.envs.utils import check_env_specs

    env = PettingZooWrapper(SelectInfos(menu(mask), ["action_mask"] if mask == "info" else []), seed=0)
    check_env_specs(env)
    played = env.rollout(8)
    assert list(env.group_map) == ["agent"]
    assert played["agent", "action_mask"].shape[1:] == (2, len(ACTS))
    features = ("observation",) if mask == "info" else ("observation", "observation")
    assert played[("agent", *features)].shape[1:] == (2, len(FEATURES))


def test_torchrl_checks_token_ids(byte_tokenizer: Any) -> None:
    pytest.importorskip("torchrl")
    from torchrl.envs.libs.pettingzoo import PettingZooWrapper
    from torchrl.envs.utils import check_env_specs

    ids = TokenIds(sotopia_env.parallel_env("bargain", reward="episode"), byte_tokenizer, max_length=512)
    env = PettingZooWrapper(SelectInfos(ids, ["length"]), seed=0)
    check_env_specs(env)
