"""The examples run, and show what they say."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that the test names in its marker."""
    name = request.param
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", [name], indirect=True)


@of("bargain_loop")
def test_the_loop_pays_agent_0_a_good_share(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    mean = example.main(episodes=12)
    assert 0.1 < mean < 1.0
    assert f"of 12 episodes: {mean:.2f}" in capsys.readouterr().out


@of("custom_family")
def test_an_own_family_is_played_judged_and_paid(example: ModuleType) -> None:
    episodes = example.main(episodes=8)
    for episode in episodes:
        said = [any("The number is" in turn.text for turn in episode.own_turns(agent)) for agent in episode.agents]
        assert episode.judgements[-1].scores["goal"] == [10.0 * one for one in said]
        assert sum(episode.rewards["episode"]["agent_0"]) == 1.0 * said[0]
        says = [3.0 * any(c.isdigit() for c in turn.text) for turn in episode.own_turns("agent_0")]
        assert episode.rewards["direct"]["agent_0"] == [number / 3 * said[0] for number in says]
    assert len({tuple(e.judgements[-1].scores["goal"]) for e in episodes}) > 1


@of("custom_family")
def test_an_own_family_is_attributed_attacked_and_put_on_a_menu(example: ModuleType, tmp_path: Path) -> None:
    import sotopia_env
    from sotopia_env.agents.functions import FunctionPolicy
    from sotopia_env.menu import ACTS, MenuPolicy
    from sotopia_env.published import save_tasks
    from sotopia_env.rewards import Attribution, relabel
    from sotopia_env.rewards.audit.attackers import ADDED_WORDS
    from sotopia_env.rewards.audit.exploitability import play_attacks

    family, rng = example.SayTheNumber(), np.random.default_rng(0)
    tasks = list({task.id: task for task in (family.generate(rng) for _ in range(12))}.values())
    assert save_tasks(tasks, tmp_path / "tasks.jsonl") == len(tasks)
    assert sotopia_env.load_tasks(tmp_path / "tasks.jsonl") == tasks

    says = FunctionPolicy(lambda observation, rng: f"{observation['situation']} Good.", name="says")
    played = sotopia_env.rollout(tasks, says, num_episodes=2, family=family)
    for episode in relabel(played, Attribution("direct", attributor="rule"), family):
        assert episode.rewards["direct"] == {"agent_0": [1.0, 1.0], "agent_1": [1.0, 1.0]}

    plays = play_attacks(tasks, says, seed=0, family=family)
    for attack in ("longer", "repeating", "flattering", "leaking"):
        for plain, attacked in zip(plays["plain"][0], plays[attack][0], strict=True):
            words = attacked.turns[0].text.split()
            assert " ".join(words[ADDED_WORDS:]) == plain.turns[0].text
            assert family.move(plain.task, attacked.turns[0]) == family.move(plain.task, plain.turns[0])
    assert all(episode.judgements[-1].scores["goal"] == [0.0, 10.0] for episode in plays["template"][0])

    env = sotopia_env.parallel_env(tasks, family=family, interface="menu", reward="direct")
    env.reset(seed=0, options={"task": tasks[3].id})
    assert env.scene("agent_0").acts["propose-0"] == tasks[3].scenario.situation
    assert [name for name in env.scene("agent_0").acts if name.startswith("propose")] == ["propose-0"]
    chooser = MenuPolicy(lambda features, masks: np.full(len(masks), ACTS.index("propose-0")), family=family)
    (episode,) = sotopia_env.rollout(tasks[:1], chooser, num_episodes=1, family=family)
    assert {turn.text for turn in episode.turns} == {tasks[0].scenario.situation}


@of("custom_reward")
def test_an_own_reward_is_paid_added_and_written(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    from sotopia_env.testing import check_reward

    episodes = example.main(episodes=4)
    for episode in episodes:
        turns = episode.own_turns("agent_0")
        assert episode.rewards["questions"]["agent_0"] == [1.0 * ("?" in turn.text) for turn in turns]
        assert sum(episode.rewards["last_word"]["agent_0"]) == pytest.approx(
            float(episode.turns[-1].agent == "agent_0")
        )
    assert "paid 0.10" in capsys.readouterr().out
    for reward in (example.Questions(), example.last_word):
        check_reward(reward, episodes=1)


@of("custom_judge")
def test_an_own_judge_scores_what_rules_cannot(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    episodes = example.main(episodes=3)
    goals = [episode.judgements[-1].scores["goal"] for episode in episodes]
    assert all(goal in (0.0, 5.0, 10.0) for pair in goals[:2] for goal in pair)
    assert max(max(pair) for pair in goals[:2]) > 0
    assert goals[2] == [None, None]
    assert set(episodes[2].rewards["uniform"]["agent_0"]) == {None}
    assert "goals {'rule': [None, None], 'plain_dealing': [10.0, 5.0]}" in capsys.readouterr().out


@of("custom_estimator")
def test_an_own_estimator_stands_beside_those_of_the_package(example: ModuleType) -> None:
    pytest.importorskip("torch", reason="estimators belong to the training folder")
    found = example.main(group=4)
    assert list(found) == ["winner_takes_all", "trajectory", "return_to_go"]
    assert sorted(set(found["winner_takes_all"].ravel())) == [0.0, 1.0]
    hand_made = example.winner_takes_all(np.array([[-0.04, np.nan], [-0.05, -0.04]]), np.ones((2, 2), dtype=bool))
    assert hand_made.tolist() == [[1.0, 1.0], [0.0, 0.0]]


@of("monte_carlo_credit")
def test_every_own_turn_is_printed_with_credit_and_error(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    credits = example.main(k=4)
    shown = [line for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith(("+", "-"))]
    assert len(shown) == len(credits) > 1
    for (value, error), line in zip(credits, shown, strict=True):
        assert line.split()[:2] == [f"{value:+.3f}", f"{error:.3f}"]


@of("llm_judge")
def test_a_model_grades_with_reasons_and_a_second_run_asks_nothing(
    example: ModuleType, chat_server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def grade(_: dict[str, Any]) -> str:
        scores = {"goal": 8, "relationship": 3, "tact": 4}
        marks = {name: {"reason": f"The {name} of it.", "score": score} for name, score in scores.items()}
        # One score of agent_1 is out of range.
        return json.dumps({"agent_0": marks, "agent_1": {**marks, "goal": {"reason": "Great.", "score": 99}}})

    chat_server.answer(grade)
    for _ in range(2):
        episodes = example.main(f"llm:m@{chat_server.url}", episodes=2, cache=str(tmp_path / "c"), max_cycles=4)
        for episode in episodes:
            assert episode.judgements[-1].scores == {"goal": [8, None], "relationship": [3, 3], "tact": [4, 4]}
            # (0.8 + 0.8) / 2, discounted by 0.9 from the last of two turns.
            assert episode.rewards["credit"]["agent_0"] == pytest.approx([0.72, 0.8])
            assert episode.rewards["credit"]["agent_1"] == [None, None]
        # The score out of range is asked for once more.
        assert len(chat_server.requests) == 4
    out = capsys.readouterr().out
    assert "agent_0 tact         4" in out
    assert "agent_1 goal         unknown  failed (out_of_range)" in out


@of("reinforce")
def test_reinforce_learns_both_seats(example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    assert len((EXAMPLES / "reinforce.py").read_text(encoding="utf-8").splitlines()) < 150
    returns = torch.tensor([[1.0, 0.0], [0.0, 0.5], [0.5, float("nan")]])
    assert example.leave_one_out(returns).tolist() == [[0.75, 0.0], [-0.75, 0.0], [0.0, 0.0]]
    tiny = {"experts": 32, "steps": 2, "groups": 2, "members": 2, "tasks": 2, "hidden_size": 16, "learning_rate": 1e-3}
    gain = example.main(model="", out=str(tmp_path / "learner"), seed=0, **tiny)
    assert -1.0 <= gain <= 1.0
    assert (tmp_path / "learner" / "model.safetensors").is_file()
    assert f"gain: {gain:+.3f}" in capsys.readouterr().out


@pytest.mark.slow
@of("reinforce")
def test_reinforce_gains_what_the_table_of_examples_says(example: ModuleType) -> None:
    pytest.importorskip("transformers")
    sizes = {"experts": 800, "steps": 16, "groups": 4, "members": 8, "tasks": 64, "hidden_size": 64}
    assert example.main(model="", out="", seed=0, learning_rate=1e-3, **sizes) > 0.02


@of("trl_rollout_func")
def test_a_stock_trainer_learns_in_the_environment(example: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    import sotopia_env
    from sotopia_env.agents.embedded import build_embedded_model
    from sotopia_env.agents.loading import LoadedModel
    from sotopia_env.training.batches import corpus

    episodes = sotopia_env.rollout("bargain", "scripted:warm", num_episodes=2, seed=0)
    made = build_embedded_model(corpus(episodes), 0, hidden_size=16, layers=1)
    LoadedModel(*made, "tiny").save(tmp_path / "model")
    mean = example.main(str(tmp_path / "model"), out=str(tmp_path / "out"), steps=1, batch=8, max_cycles=4)
    assert -1.0 <= mean <= 1.0
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.slow
@of("train_in_python")
def test_the_chain_in_python_ends_with_a_gain_and_three_models(example: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    gain = example.main(tmp_path, episodes=40, label_episodes=40, steps=1, tasks=2, batch=8)
    assert -10.0 <= gain <= 10.0
    for name in ("clone", "reward-model", "learner"):
        assert (tmp_path / name / "model.safetensors").is_file()
        assert (tmp_path / name / "complete.json").is_file()
