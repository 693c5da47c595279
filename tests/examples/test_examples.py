"""The examples run, and show what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_loop_pays_agent_0_a_good_share(capsys: pytest.CaptureFixture[str]) -> None:
    mean = example("bargain_loop").main(episodes=12)
    assert 0.1 < mean < 1.0
    assert f"over 12 episodes: {mean:.2f}" in capsys.readouterr().out


def test_own_parts_are_played_paid_and_judged(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="the example uses an estimator of the training folder")
    module = example("own_parts")
    episodes = module.main()
    assert len(episodes) == 8
    for episode in episodes:
        said = [any("The number is" in turn.text for turn in episode.own_turns(agent)) for agent in episode.agents]
        assert episode.judgements[-1].scores["goal"] == [10.0 * one for one in said]
        words = [-0.01 * len(turn.text.split()) for turn in episode.own_turns("agent_0")]
        assert episode.rewards["brevity"]["agent_0"] == pytest.approx(tuple(words))
        assert sum(episode.rewards["uniform"]["agent_0"]) == pytest.approx(1.0 * said[0])
    advantages = module.winner_takes_all(np.array([[-0.04, -0.04], [-0.05, -0.04]]), np.ones((2, 2), dtype=bool))
    assert advantages.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert "advantages" in capsys.readouterr().out


@pytest.mark.slow
def test_training_in_python_ends_with_a_gain_and_two_models(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    gain = example("train_in_python").main(tmp_path, episodes=40, steps=1, tasks=2)
    assert -10.0 <= gain <= 10.0
    for name in ("clone", "learner"):
        assert (tmp_path / name / "model.safetensors").is_file()
        assert (tmp_path / name / "complete.json").is_file()
