"""A folder that holds a run refuses every other run, and says what differs; the same run goes on, wherever it lies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.episodes import Episode
from sotopia_env.families import Bargain
from sotopia_env.training import GRPOConfig, GRPOTrainer, RewardModelConfig, evaluate, train_reward_model
from sotopia_env.training.checkpoints import finished_run
from sotopia_env.training.evaluation import draw_tasks

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def other_weights(tiny_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model in a folder of the same name, with one weight changed."""
    folder = tmp_path_factory.mktemp("moved") / tiny_directory.name
    loaded = load_model(tiny_directory)
    with torch.no_grad():
        next(iter(loaded.model.parameters())).view(-1)[3] += 1.0
    loaded.save(folder)
    return folder


@pytest.fixture(scope="module")
def reward_models(
    tiny_directory: Path, other_weights: Path, episodes: list[Episode], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    folders = []
    for name, start in (("one", tiny_directory), ("other", other_weights)):
        out = tmp_path_factory.mktemp(name) / "rm"
        args = RewardModelConfig(str(out), max_steps=1, per_device_train_batch_size=4, disable_tqdm=True, bf16=False)
        folders.append(train_reward_model(episodes, str(start), labels={"goal": "uniform"}, out=out, args=args))
    return folders[0], folders[1]


def penalised(weight: float = 0.1, judge: str = "rule") -> R.Reward:
    return R.Outcome("episode", judge=judge) + R.LengthPenalty(target_words=12, weight=weight)


@pytest.fixture(scope="module")
def trainer(tiny_directory: Path) -> Callable[..., Any]:
    def make(
        out: Path, start: Any = tiny_directory, reward: Any = None, partner: Any = tiny_directory, **changes: Any
    ) -> Any:
        reference, adapter = changes.pop("reference", None), changes.pop("max_turn_tokens", 6)
        env = sotopia_env.parallel_env(Bargain(**changes), reward=reward or penalised(), max_cycles=4)
        args = GRPOConfig(
            str(out), max_steps=1, per_device_train_batch_size=4, num_generations=2, max_turn_tokens=adapter,
            save_steps=1, bf16=False, disable_tqdm=True,
        )  # fmt: skip
        partner = partner if isinstance(partner, LocalLM) else str(partner)
        return GRPOTrainer(str(start), env=env, partner=partner, args=args, reference=reference)

    return make


@pytest.fixture(scope="module")
def trained(trainer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "learner"
    trainer(out).train()
    return out


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"reward": penalised(weight=5.0)}, r"reward\.parts\.length\.reward\.weight \(0\.1, not 5\.0\)"),
        ({"coupling": -0.5}, r"family\.coupling\.manners \(1\.0, not -0\.5\)"),
        ({"zones": {"narrow": 1.0}}, r"family\.zones\.wide \(0\.66\d+, not null\)"),
        ({"reward": penalised(judge="strict")}, r'judge\.name \("rule", not "strict"\)'),
        ({"max_turn_tokens": 7}, r"settings\.max_turn_tokens \(6, not 7\)"),
    ],
)
def test_another_world_reward_or_judge_is_refused(
    trainer: Callable[..., Any], trained: Path, change: dict[str, Any], what: str
) -> None:
    before = (trained / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match=rf"written by a run with other .*{what}.*; give another output folder"):
        trainer(trained, **change).train()
    assert (trained / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("slot", ["start", "partner", "reference"])
def test_other_weights_in_a_folder_of_the_same_name_are_refused(
    trainer: Callable[..., Any], trained: Path, other_weights: Path, slot: str
) -> None:
    what = {"start": r"start\.weights", "partner": r"partner\.model\.weights", "reference": r"reference\.weights"}
    with pytest.raises(ValueError, match=rf"written by a run with other .*{what[slot]} \("):
        trainer(trained, **{slot: other_weights}).train()


def test_another_sampling_of_the_partner_is_refused(
    trainer: Callable[..., Any], trained: Path, tiny_directory: Path
) -> None:
    partner = LocalLM(tiny_directory, top_p=0.5)
    with pytest.raises(ValueError, match=r"partner\.sampling\.top_p \(null, not 0\.5\)"):
        trainer(trained, partner=partner).train()


def test_another_reward_model_is_refused_and_a_moved_one_is_the_same(
    trainer: Callable[..., Any], reward_models: tuple[Path, Path], tmp_path: Path
) -> None:
    one, other = reward_models
    trainer(tmp_path / "run", reward=R.RewardModel(str(one))).train()
    with pytest.raises(ValueError, match=r"other reward\.model\.weights \("):
        trainer(tmp_path / "run", reward=R.RewardModel(str(other))).train()
    with pytest.raises(ValueError, match=r'other reward\.name \("reward-model", not "mine"\)'):
        trainer(tmp_path / "run", reward=R.RewardModel(str(one), name="mine")).train()
    moved = shutil.copytree(one, tmp_path / "elsewhere")
    again = trainer(tmp_path / "run", reward=R.RewardModel(str(moved)))
    assert finished_run(tmp_path / "run", again.run) is not None


def test_the_same_run_goes_on_from_another_place_and_from_objects(
    trainer: Callable[..., Any], trained: Path, tiny_directory: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(tiny_directory, tmp_path / "elsewhere" / tiny_directory.name)
    run_moved = shutil.copytree(trained, tmp_path / "learner")
    again = trainer(run_moved, start=moved, partner=LocalLM(load_model(moved)))
    again.train()
    assert again.state.global_step == 1
    assert str(tmp_path) not in str(again.run)


def test_a_rollout_is_of_one_sampling_and_of_one_model(
    tiny_directory: Path, other_weights: Path, tmp_path: Path
) -> None:
    def play(model: Path | LoadedModel, number: int = 2, **sampling: Any) -> list[Episode]:
        policy = LocalLM(model, name="m", max_new_tokens=4, **sampling)
        out = tmp_path / "e.jsonl"
        return sotopia_env.rollout("bargain", policy, num_episodes=number, out=out, max_cycles=2)

    played = play(tiny_directory, top_p=0.9)
    with pytest.raises(ValueError, match=r"other policies\.agent_0\.sampling\.top_p \(0\.9, not 0\.5\)"):
        play(tiny_directory, top_p=0.5)
    with pytest.raises(ValueError, match=r"other policies\.agent_0\.model\.weights"):
        play(other_weights, top_p=0.9)
    assert play(load_model(tiny_directory), 3, top_p=0.9)[:2] == played


def test_a_model_trained_anew_in_its_folder_is_not_evaluated_by_the_old_episodes(
    tiny_directory: Path, other_weights: Path, tmp_path: Path
) -> None:
    tasks, model, out = draw_tasks("bargain:test", 2), tmp_path / "model", tmp_path / "rows.jsonl"
    shutil.copytree(tiny_directory, model)
    given: dict[str, Any] = {"tasks": tasks, "out": out, "max_cycles": 2}
    first = evaluate(f"local:{model}", "scripted:firm", **given)
    assert evaluate(f"local:{model}", "scripted:firm", **given).results == first.results
    shutil.rmtree(model)
    shutil.copytree(other_weights, model)
    with pytest.raises(ValueError, match=r"rows.jsonl was played with other policies\.policy\.model\.weights"):
        evaluate(f"local:{model}", "scripted:firm", **given)
