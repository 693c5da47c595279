from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import trl
from accelerate import Accelerator
from accelerate.utils import gather_object
from peft import LoraConfig
from transformers import TrainerCallback

import sotopia_env
from sotopia_env import training
from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.decoding import Decoder
from sotopia_env.agents.generation import Sampling
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.episodes import Episode
from sotopia_env.errors import DataWarning
from sotopia_env.policies import Context
from sotopia_env.rendering import chat
from sotopia_env.rewards import FunctionReward, LengthPenalty, Outcome, RewardWrapper
from sotopia_env.training import memory
from sotopia_env.training.advantages import group_advantages
from sotopia_env.training.callbacks import read_metrics
from sotopia_env.training.checkpoints import finished_run
from sotopia_env.training.data_parallel import launch, world
from sotopia_env.training.grpo import GRPOTrainer
from sotopia_env.training.grpo_config import CHOICES, GRPOConfig
from sotopia_env.training.rollout_func import Group, GroupMember, check_context, make_rollout_func, play_groups
from sotopia_env.views import view


def per_word(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
    """What a turn brings is less the longer it is; known at once, and different for every member of a group."""
    return [{a: [1.0 - 0.1 * len(t.text) for t in e.own_turns(a)] for a in e.agents} for e in episodes]


BREVITY = FunctionReward(per_word, name="brevity", timing="causal")


def environment(reward: Any = BREVITY, max_cycles: int = 4, **options: Any) -> Any:
    return sotopia_env.parallel_env("bargain", reward=reward, max_cycles=max_cycles, **options)


def settings(directory: Path, **changes: Any) -> GRPOConfig:
    common: dict[str, Any] = {
        "output_dir": str(directory),
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_steps": 1,
        "max_turn_tokens": 6,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "save_steps": 1,
        "bf16": False,
        "disable_tqdm": True,
        "seed": 5,
    }
    return GRPOConfig(**{**common, **changes})


def trainer_for(model: Any, args: GRPOConfig, env: Any = None, partner: Any = "scripted:firm", **options: Any) -> Any:
    return GRPOTrainer(model, env=env or environment(), partner=partner, args=args, **options)


def parameters(model: Any) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in model.parameters()])


def generate(trainer: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The first batch of a trainer, and the records that went into it."""
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    return trainer._generate_and_score_completions(batch), batch


def test_groups_share_task_and_seat_and_members_differ(tiny_directory: Path) -> None:
    members = [(Group(seed=1, index=index, seat=index % 2), member) for index in range(4) for member in range(3)]
    learner = LocalLM(tiny_directory, max_new_tokens=6)
    dialogues = play_groups(environment(), members, learner, sotopia_env.make_policy("scripted:warm"), step=2)
    for start in range(0, 12, 3):
        group = dialogues[start : start + 3]
        assert len({dialogue.episode.task.id for dialogue in group}) == 1
        assert {dialogue.agent for dialogue in group} == {f"agent_{(start // 3) % 2}"}
        assert len({tuple(turn.text for turn in dialogue.episode.turns) for dialogue in group}) == 3
    assert len({dialogue.episode.task.id for dialogue in dialogues}) == 4
    again = play_groups(environment(), members[5:7], learner, sotopia_env.make_policy("scripted:warm"), step=2)
    assert [dialogue.row.ids for dialogue in again] == [dialogue.row.ids for dialogue in dialogues[5:7]]
    assert [dialogue.episode.key for dialogue in again] == ["1-2-1-2", "1-2-2-0"]


def test_groups_are_kept_in_a_file_with_their_tokens(
    tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(observations: Any, contexts: Any) -> Any:
        raise AssertionError("what is in the file is not played again")

    def play(policy: LocalLM, out: Path | None) -> list[GroupMember]:
        return play_groups(environment(), members, policy, sotopia_env.make_policy("scripted:warm"), step=2, out=out)

    def text(played: list[GroupMember]) -> list[str]:
        # Unknown logprobs are nan, which equals nothing.
        return [repr((member.episode, member.row, member.parts)) for member in played]

    members = [(Group(seed=1, index=index, seat=index % 2), member) for index in range(2) for member in range(3)]
    learner, out = LocalLM(tiny_directory, max_new_tokens=6), tmp_path / "groups.jsonl"
    kept = play(learner, out)
    assert [(m.episode, m.row.ids, m.parts) for m in kept] == [
        (m.episode, m.row.ids, m.parts) for m in play(learner, None)
    ]
    assert json.loads(out.with_name("groups.manifest.json").read_text())["run"]["seed"] == 1
    again = LocalLM(tiny_directory, max_new_tokens=6)
    monkeypatch.setattr(again, "act", refuse)
    assert text(play(again, out)) == text(kept)


def test_rewards_are_what_step_paid_part_by_part(tiny_directory: Path) -> None:
    reward = Outcome("episode", {"goal": 1.0}) + 2.0 * LengthPenalty(target_words=1, weight=0.1)
    members = [(Group(0, index, index % 2), 0) for index in range(4)]
    policy = sotopia_env.make_policy("scripted:warm")
    for dialogue in play_groups(environment(reward), members, LocalLM(tiny_directory, max_new_tokens=8), policy):
        paid = dialogue.episode.rewards[reward.name][dialogue.agent]
        numbers = np.sum([part.rewards for part in dialogue.parts.values()], axis=0)
        assert [None if np.isnan(value) else value for value in numbers] == pytest.approx(paid)
        assert list(dialogue.parts) == ["episode", "length"]
        words = [len(turn.text.split()) for turn in dialogue.episode.own_turns(dialogue.agent)]
        assert list(dialogue.parts["length"].rewards) == pytest.approx([-0.2 * max(0, n - 1) for n in words])


@pytest.mark.parametrize("order", ["simultaneous", "random"])
@pytest.mark.parametrize("seat", [0, 1])
def test_a_learners_row_is_what_it_read_and_wrote_in_every_order(tiny_directory: Path, order: str, seat: int) -> None:
    model = LocalLM(tiny_directory, max_new_tokens=6)
    members = [(Group(3, index, seat), member) for index in range(2) for member in range(2)]
    for dialogue in play_groups(environment(action_order=order, max_cycles=5), members, model, model):
        row, messages = dialogue.row, chat(view(dialogue.episode, dialogue.agent))
        own = [[i for i, turn in zip(row.ids, row.own_index, strict=True) if turn == k] for k in range(row.num_turns)]
        assert len(own) == sum(message["role"] == "assistant" for message in messages)
        read = model.encoder.encode(messages, own, add_generation_prompt=False)
        assert (row.ids, row.own_index) == (read.ids[: len(row.ids)], read.own_index[: len(row.ids)])


def test_the_seat_that_acts_second_at_the_same_time_learns(tiny_directory: Path, tmp_path: Path) -> None:
    args = settings(tmp_path, seats=(1,), max_steps=2, save_strategy="no")
    trainer = trainer_for(str(tiny_directory), args, environment(action_order="simultaneous"))
    trainer.train()
    assert not torch.allclose(parameters(load_model(tiny_directory).model), parameters(load_model(tmp_path).model))
    with pytest.raises(ValueError, match=r"a dialogue may take \d+ tokens"):
        check_context(environment(action_order="simultaneous"), load_model(tiny_directory), 300)
    check_context(environment(), load_model(tiny_directory), 300)


def test_tokens_get_the_advantage_of_their_turn(tiny_directory: Path, tmp_path: Path) -> None:
    trainer = trainer_for(str(tiny_directory), settings(tmp_path))
    output, batch = generate(trainer)
    dialogues: list[GroupMember] = [record["dialogue"] for record in batch]
    expected, _ = group_advantages(dialogues, 4)
    for row, dialogue in enumerate(dialogues):
        start = dialogue.row.prompt_length
        width = len(dialogue.row.ids) - start
        index = dialogue.row.own_index[start:]
        tokens = [expected[row, turn] if turn >= 0 else 0.0 for turn in index]
        assert output["advantages"][row, :width].tolist() == pytest.approx(tokens, abs=1e-6)
        assert not output["advantages"][row, width:].any()
        assert output["tool_mask"][row, :width].tolist() == dialogue.row.own_mask[start:]
        assert output["completion_ids"][row, :width].tolist() == dialogue.row.ids[start:]


def test_own_logprobs_are_those_the_tokens_were_sampled_with(tiny_directory: Path, tmp_path: Path) -> None:
    trainer = trainer_for(str(tiny_directory), settings(tmp_path, temperature=0.7))
    output, _ = generate(trainer)
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    attention = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    width = output["completion_ids"].shape[1]
    own = (output["tool_mask"] * output["completion_mask"]).bool()
    stock, entropies, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, attention, width, compute_entropy=True
    )
    with trainer._scoring(own):
        fast, fast_entropies, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, attention, width, batch_size=3, compute_entropy=True
        )
    assert torch.allclose(fast[own], stock[own], atol=1e-5)
    assert torch.allclose(fast_entropies[own], entropies[own], atol=1e-5)
    assert torch.allclose(fast[own], output["sampling_per_token_logps"][own], atol=1e-4)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
def test_trajectory_advantages_are_stock_grpo(tiny_directory: Path, tmp_path: Path, loss_type: str) -> None:
    changes: dict[str, Any] = {"loss_type": loss_type, "optim": "sgd", "learning_rate": 1.0}
    options = {"estimator": "trajectory", "estimator_options": {"baseline": "group", "scale": "group"}}
    ours = trainer_for(str(tiny_directory), settings(tmp_path / "ours", **changes, **options))
    stock = stock_trainer(tiny_directory, settings(tmp_path / "stock", **changes, scale_rewards="group"))
    mine, _ = generate(ours)
    theirs, _ = generate(stock)
    assert torch.equal(mine["completion_ids"], theirs["completion_ids"])
    own = mine["tool_mask"] * mine["completion_mask"]
    assert theirs["advantages"].abs().max() > 0.5
    assert torch.allclose(mine["advantages"] * own, theirs["advantages"][:, None] * own, atol=1e-5)
    ours.train()
    stock.train()
    assert logged(ours, "loss") == pytest.approx(logged(stock, "loss"), abs=1e-6)
    assert torch.allclose(parameters(ours.model), parameters(stock.model), atol=1e-6)
    assert not torch.allclose(parameters(ours.model), parameters(load_model(tiny_directory).model), atol=1e-4)


def stock_trainer(directory: Path, args: GRPOConfig) -> Any:
    """TRL's own trainer, with our dialogues."""
    loaded = load_model(directory)
    with pytest.warns(UserWarning, match="rollout_func"):
        return trl.GRPOTrainer(
            loaded.model,
            training.dialogue_return,
            args=args,
            train_dataset=training.group_dataset(args.num_groups, seed=args.seed),
            processing_class=loaded.tokenizer,
            rollout_func=make_rollout_func(environment(), "scripted:firm", max_new_tokens=6),
        )


def logged(trainer: Any, name: str) -> float:
    return float(next(line[name] for line in trainer.state.log_history if name in line))


def test_the_learner_learns_what_step_pays(tiny_directory: Path, tmp_path: Path) -> None:
    changes = {"per_device_train_batch_size": 32, "num_generations": 16, "learning_rate": 3e-2}
    args = settings(tmp_path, max_steps=20, save_strategy="no", **changes)
    trainer = trainer_for(str(tiny_directory), args, environment(max_cycles=2))
    trainer.train()
    rewards = [line["reward"] for line in read_metrics(tmp_path / "metrics.jsonl") if "reward" in line]
    assert np.mean(rewards[-3:]) > rewards[0] + 0.6
    untouched, learnt = load_model(tiny_directory).model, load_model(tmp_path).model
    assert not torch.allclose(parameters(untouched), parameters(learnt))


@pytest.mark.parametrize("kind", ["tiny", pytest.param("adapter", marks=pytest.mark.slow)])
def test_a_killed_run_ends_as_if_it_had_not_been(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_after: Callable[..., Any],
) -> None:
    start = str(request.getfixturevalue(f"{kind}_directory"))

    def run(directory: Path) -> Any:
        trainer = trainer_for(
            start, settings(directory, max_steps=4, gradient_accumulation_steps=2, beta=0.1), partner=start
        )
        trainer.train()
        return trainer

    whole = run(tmp_path / "whole")
    step = GRPOTrainer.training_step
    with monkeypatch.context() as patched:
        patched.setattr(GRPOTrainer, "training_step", dies_after(3, step))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed")
    (tmp_path / "killed" / "checkpoint-3" / "complete.json").unlink()
    resumed = run(tmp_path / "killed")
    assert torch.equal(parameters(whole.model), parameters(resumed.model))
    assert whole.running.state() == resumed.running.state()
    lines = [read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "killed")]
    for first, second in zip(*lines, strict=True):
        timeless = {"train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss", "step_time"}
        same = first.keys() - timeless - {name for name in first if "second" in name}
        assert {name: first[name] for name in same} == {name: second[name] for name in same}
    assert run(tmp_path / "killed").state.global_step == 4
    assert finished_run(tmp_path / "killed", resumed.run) == {"run": whole.run, "steps": 4}


def test_the_card_says_what_was_learnt_from_what(tiny_directory: Path, tmp_path: Path) -> None:
    trainer_for(str(tiny_directory), settings(tmp_path, max_steps=1)).train()
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "fine-tuned version of" not in card
    for pattern in (
        rf"start model +\| {tiny_directory.name} ",
        r"world +\| bargain \d",
        r"paid by +\| \S",
        r"partner +\| scripted:firm ",
        r"steps +\| 1 ",
    ):
        assert re.search(pattern, card), (pattern, card)


def test_a_run_that_is_cut_off_leaves_a_card_of_its_own_too(tiny_directory: Path, tmp_path: Path) -> None:
    trainer = trainer_for(str(tiny_directory), settings(tmp_path, max_steps=3, save_steps=1))

    class Cut(TrainerCallback):
        def on_save(self, *_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

    trainer.add_callback(Cut())
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "fine-tuned version of" not in card
    assert re.search(r"steps +\| 1 ", card)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("estimator", "best"), ("credit_estimator", "best"), ("scale_rewards", "seat"), ("loss_type", "best")],
)
def test_names_that_are_none_are_refused_before_anything_is_loaded(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"'{value}' is (unknown|none of)"):
        settings(tmp_path, **{setting: value})


def test_a_run_goes_on_only_as_itself(tiny_directory: Path, tmp_path: Path) -> None:
    trainer_for(str(tiny_directory), settings(tmp_path, max_steps=1)).train()
    with pytest.raises(ValueError, match=r"other settings\.beta \(0\.0, not 0\.5\)"):
        trainer_for(str(tiny_directory), settings(tmp_path, max_steps=1, beta=0.5)).train()


@pytest.mark.parametrize("resume", [None, False])
def test_the_checkpoint_of_another_trainer_stays(tiny_directory: Path, tmp_path: Path, resume: bool | None) -> None:
    theirs = tmp_path / "checkpoint-500" / "model.safetensors"
    theirs.parent.mkdir()
    theirs.write_bytes(b"weeks of work")
    with pytest.raises(ValueError, match="checkpoint-500 is no checkpoint that this package has written"):
        trainer_for(str(tiny_directory), settings(tmp_path)).train(resume_from_checkpoint=resume)
    assert theirs.read_bytes() == b"weeks of work"


def test_the_reference_is_the_partner_and_stays(tiny_directory: Path, tmp_path: Path) -> None:
    args = settings(tmp_path, max_steps=3, beta=0.2, reference_rows=0)
    trainer = trainer_for(str(tiny_directory), args, partner=str(tiny_directory))
    assert trainer.reference.model is trainer.rollout.partner.model
    before = parameters(trainer.reference.model)
    trainer.train()
    assert torch.equal(parameters(trainer.reference.model), before)
    history = [line for line in trainer.state.log_history if "kl" in line]
    assert history[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert history[0]["kl_to_reference"] == pytest.approx(0.0, abs=1e-6)
    assert history[2]["kl"] > 1e-4
    assert history[2]["kl_to_reference"] == pytest.approx(history[2]["kl"], rel=1e-3)


def test_divergence_is_logged_without_beta(tiny_directory: Path, tmp_path: Path) -> None:
    trainer = trainer_for(str(tiny_directory), settings(tmp_path, max_steps=2, reference_rows=3))
    trainer.train()
    divergences = [line["kl_to_reference"] for line in trainer.state.log_history if "kl_to_reference" in line]
    assert divergences[0] == pytest.approx(0.0, abs=1e-6)
    assert divergences[1] > 1e-4


@pytest.fixture(scope="module")
def adapter_directory(tiny_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that is an adapter on the tiny model, different from its base."""
    loaded = load_model(tiny_directory)
    model = add_lora(loaded.model, "default", r=2, dropout=0.0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.add_(0.05)
    directory = tmp_path_factory.mktemp("adapter")
    LoadedModel(model, loaded.tokenizer).save(directory)
    return directory


def test_learner_and_partner_may_be_adapters_of_one_base(adapter_directory: Path, tmp_path: Path) -> None:
    args = settings(tmp_path, max_steps=2, beta=0.1, per_device_train_batch_size=4)
    trainer = trainer_for(str(adapter_directory), args, partner=str(adapter_directory))
    model = trainer.model
    assert trainer.rollout.partner.model is model is trainer.reference.model
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    trainer.train()
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed
    assert all(".default." in name for name in changed)
    history = [line["kl"] for line in trainer.state.log_history if "kl" in line]
    assert history[0] == pytest.approx(0.0, abs=1e-6)
    assert history[1] > 0
    saved = load_model(tmp_path).model
    assert list(saved.peft_config) == ["default"]
    assert any(
        torch.equal(model.get_parameter(name), value) for name, value in saved.named_parameters() if name in changed
    )


def test_a_fresh_adapter_is_held_against_its_base(tiny_directory: Path, tmp_path: Path) -> None:
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = trainer_for(str(tiny_directory), settings(tmp_path, max_steps=2, beta=0.1), peft_config=lora)
    trainer.train()
    history = [line["kl"] for line in trainer.state.log_history if "kl" in line]
    assert history[0] == pytest.approx(0.0, abs=1e-6)
    assert history[1] > 0


def test_unknown_rewards_move_nothing_and_are_counted(tiny_directory: Path, tmp_path: Path) -> None:
    def unknown_for_some(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
        paid = per_word(episodes)
        for by_agent, episode in zip(paid, episodes, strict=True):
            if len(episode.turns[0].text) % 2:
                by_agent["agent_0"] = [None] * len(by_agent["agent_0"])
        return paid

    env = environment(FunctionReward(unknown_for_some, name="sometimes"))
    trainer = trainer_for(str(tiny_directory), settings(tmp_path, seats=(0,), per_device_train_batch_size=16), env)
    output, batch = generate(trainer)
    unknown = torch.tensor([record["dialogue"].total is None for record in batch])
    assert 0 < unknown.sum() < 16
    assert not output["advantages"][unknown].any()
    assert output["advantages"][~unknown].any()
    assert trainer._metrics["train"]["unknown_rewards"] == [unknown.float().mean().item()]
    trainer.train()
    assert np.isfinite(parameters(trainer.model).numpy()).all()


def nobody_knows(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
    return [{a: [None] * len(e.own_turns(a)) for a in e.agents} for e in episodes]


@pytest.mark.parametrize(("size", "steps"), [(32, 0), (8, 3)])
def test_training_stops_where_no_dialogue_can_be_paid(
    tiny_directory: Path, tmp_path: Path, size: int, steps: int
) -> None:
    env = environment(FunctionReward(nobody_knows, name="unknown") + 0.1 * LengthPenalty(target_words=1))
    args = settings(tmp_path, max_steps=20, per_device_train_batch_size=size, save_strategy="no")
    trainer = trainer_for(str(tiny_directory), args, env)
    with pytest.raises(ValueError, match=r"'unknown \+ 0.1 \* length' is unknown in all of the last 32 "):
        trainer.train()
    assert trainer.state.global_step == steps
    assert not (tmp_path / "complete.json").exists()


def test_a_short_run_that_was_never_paid_says_so(tiny_directory: Path, tmp_path: Path) -> None:
    env = environment(FunctionReward(nobody_knows, name="unknown"))
    trainer = trainer_for(str(tiny_directory), settings(tmp_path, save_strategy="no"), env)
    with pytest.warns(DataWarning, match="in all of the last 8 dialogues"):
        trainer.train()


def test_a_judge_that_fails_now_and_then_stops_nothing(tiny_directory: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def sometimes(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
        asked.append(len(episodes))
        return per_word(episodes) if len(asked) % 2 else nobody_knows(episodes)

    env = environment(FunctionReward(sometimes, name="sometimes"))
    args = settings(tmp_path, max_steps=3, per_device_train_batch_size=32, save_strategy="no")
    trainer = trainer_for(str(tiny_directory), args, env)
    with pytest.raises(ValueError, match="in all of the last 32 dialogues"):
        trainer.train()
    assert trainer.state.global_step == 1, "a whole step without a word of the judge is a server that is gone"
    args = settings(tmp_path / "small", max_steps=3, save_strategy="no")
    trainer_for(str(tiny_directory), args, env).train()


@pytest.mark.parametrize("tasks", ["mini", "sotopia:all"])
def test_tasks_that_rules_can_never_score_are_refused_at_once(tiny_directory: Path, tmp_path: Path, tasks: str) -> None:
    if tasks == "sotopia:all" and "SOTOPIA_ENV_DATA" not in os.environ:
        pytest.skip("SOTOPIA_ENV_DATA is not set")
    known = (
        r"the judge 'rule' never knows goal in tasks of 'mini'|the rule judge can never know goal of \d+ of \d+ tasks"
    )
    with pytest.raises(ValueError, match=known):
        env = sotopia_env.parallel_env(tasks, reward="episode", max_cycles=4)
        trainer_for(str(tiny_directory), settings(tmp_path), env)
    assert not list(tmp_path.iterdir())
    secrets = sotopia_env.parallel_env("mini", reward=Outcome("episode", {"secret": 1}), max_cycles=4)
    make_rollout_func(secrets, "scripted:firm")


@pytest.mark.slow
@pytest.mark.parametrize("rollouts", ["multi-turn", "single-turn"])
@pytest.mark.parametrize("iterations", [1, 2])
def test_two_processes_learn_what_one_learns(
    tiny_directory: Path, tmp_path: Path, rollouts: str, iterations: int
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    learn(str(tiny_directory), str(one), rollouts, iterations)
    launch(2, learn, str(tiny_directory), str(two), rollouts, iterations)
    running = [json.loads((path / "checkpoint-4" / "running_baseline.json").read_text()) for path in (one, two)]
    assert running[0] == running[1]
    for mine, theirs in zip(read_metrics(one / "metrics.jsonl"), read_metrics(two / "metrics.jsonl"), strict=True):
        for name in {"loss", "grad_norm", "reward", "zero_spread_groups", "unknown_turns"} & mine.keys():
            assert theirs[name] == pytest.approx(mine[name], abs=1e-5), (mine["step"], name)


def learn(directory: str, out: str, rollouts: str, iterations: int) -> None:
    """Four steps of 16 rows, whatever the number of processes; of two iterations the first goes in pieces."""
    torch.set_num_threads(1)
    memory.NUMBERS_AT_A_TIME = 2**14
    env = environment(Outcome("episode", {"believability": 1}) + LengthPenalty(target_words=1), max_cycles=6)
    args = settings(
        Path(out),
        max_steps=4,
        per_device_train_batch_size=16 // world()[1],
        save_steps=4,
        scale_rewards="batch",
        rollouts=rollouts,
        num_iterations=iterations,
    )
    trainer_for(directory, args, env).train()


@pytest.mark.slow
def test_shares_of_a_group_in_several_processes_are_other_members(tiny_directory: Path) -> None:
    prompts = [Group(0, index, 0).to_prompt() for index in (0, 0, 0, 0, 1, 1, 1, 1)]
    alone = numbers_of_members(prompts, str(tiny_directory))
    assert alone == ["0-0-0-0", "0-0-0-1", "0-0-0-2", "0-0-0-3", "0-0-1-0", "0-0-1-1", "0-0-1-2", "0-0-1-3"]
    assert launch(2, numbers_of_members, prompts, str(tiny_directory)) == alone


def numbers_of_members(prompts: list[str], directory: str) -> list[str]:
    """The keys of the dialogues that all processes play, each its share of the prompts."""
    accelerator = Accelerator(cpu=True)
    rank, size = world()
    share = len(prompts) // size
    shares = prompts[rank * share : (rank + 1) * share]
    trainer = SimpleNamespace(
        state=SimpleNamespace(global_step=0), processing_class=SimpleNamespace(eos_token_id=2), accelerator=accelerator
    )
    learner = LocalLM(directory, max_new_tokens=2)
    played = make_rollout_func(environment(max_cycles=2), "scripted:firm", learner=learner)(shares, trainer)
    keys: list[str] = gather_object([dialogue.episode.key for dialogue in played["dialogue"]])
    return keys


def test_a_dialogue_without_an_own_turn_is_masked(tiny_directory: Path, tmp_path: Path) -> None:
    def leaves_at_once(observation: Any, rng: np.random.Generator) -> Any:
        return sotopia_env.leave()

    args = settings(tmp_path, seats=(1, 0))
    trainer = trainer_for(str(tiny_directory), args, partner=leaves_at_once)
    output, batch = generate(trainer)
    silent = torch.tensor([record["dialogue"].row.num_turns == 0 for record in batch])
    assert silent.tolist() == [True] * 4 + [False] * 4
    assert not output["tool_mask"][silent][:, 0].any()
    trainer.train()
    assert np.isfinite(parameters(trainer.model).numpy()).all()


def test_several_updates_for_each_generation(tiny_directory: Path, tmp_path: Path) -> None:
    args = settings(
        tmp_path, max_steps=4, per_device_train_batch_size=4, steps_per_generation=2, num_iterations=2, save_steps=4
    )
    trainer = trainer_for(str(tiny_directory), args)
    assert args.num_groups == 2
    trainer.train()
    ratios = [line["clip_ratio/region_mean"] for line in trainer.state.log_history if "clip_ratio/region_mean" in line]
    assert ratios[0] == 0.0
    assert max(ratios) > 0.0
    assert sum("seconds_playing" in line for line in trainer.state.log_history) == 1


def test_turns_cut_by_the_limit_are_counted_and_masked_by_option(tiny_directory: Path, tmp_path: Path) -> None:
    for masked in (False, True):
        args = settings(tmp_path, max_turn_tokens=1, mask_truncated_turns=masked)
        trainer = trainer_for(str(tiny_directory), args)
        output, batch = generate(trainer)
        truncated = sum(len(record["dialogue"].row.truncated) for record in batch)
        turns = sum(record["dialogue"].row.num_turns for record in batch)
        own = (output["tool_mask"] * output["completion_mask"]).sum().item()
        assert truncated > 0
        assert own == (turns - truncated if masked else turns)
        assert trainer._metrics["train"]["truncated_turns"][0] > 0


def test_metrics_describe_the_dialogues(tiny_directory: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    def evaluate(policy: Any, step: int) -> dict[str, float]:
        seen.append((policy.name, step))
        rng = np.random.default_rng(0)
        env = environment()
        observations, _ = env.reset(seed=0)
        (decision,) = policy.act([observations["agent_0"]], [Context("evaluation", "agent_0", 0, rng)])
        return {"tokens": float(len(decision.trace.ids))}

    args = settings(tmp_path, max_steps=2, evaluation_steps=2)
    env = RewardWrapper(environment(), "episode")
    trainer = trainer_for(str(tiny_directory), args, env, evaluate=evaluate)
    trainer.train()
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert 1.0 <= lines[0]["turns"] <= 2.0
    assert {
        "deal_rate",
        "invalid_rate",
        "words_per_turn",
        "parts/episode",
        "scores/believability",
        "scores/partner/believability",
        "zero_spread_groups",
        "entropy",
        "own_tokens_per_second",
        "seconds_playing",
    } <= lines[0].keys()
    shares = [value for name, value in lines[0].items() if name.startswith("endings/")]
    assert sum(shares) == pytest.approx(1.0)
    assert seen == [("learner", 2)]
    (evaluation,) = [line for line in lines if "evaluation/tokens" in line]
    assert evaluation.keys() == {"step", "epoch", "evaluation/tokens"}
    assert evaluation["step"] == 2
    assert [line["step"] for line in lines if "reward" in line] == [1, 2]
    assert all(json.dumps(line) for line in lines)


def test_what_would_silently_go_wrong_is_refused(
    tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(ValueError, match="a group may not span processes"):
        patched.setattr(GRPOConfig, "world_size", 2)
        settings(tmp_path, per_device_train_batch_size=2)
    with pytest.raises(ValueError, match="checkpoints lie between two generations"):
        settings(tmp_path, steps_per_generation=2, save_steps=3)
    with pytest.raises(ValueError, match="give the number of steps"):
        settings(tmp_path, max_steps=-1)
    with pytest.raises(TypeError, match="the environment pays nothing"):
        trainer_for(str(tiny_directory), settings(tmp_path), environment(None))
    with pytest.raises(ValueError, match=r"a dialogue may take \d+ tokens .* but the model reads at most 2048"):
        trainer_for(str(tiny_directory), settings(tmp_path, max_turn_tokens=600))
    with pytest.raises(ValueError, match="estimator 'best' is unknown"):
        trainer_for(str(tiny_directory), settings(tmp_path, estimator="best"))
    with pytest.raises(ValueError, match="names no group of dialogues"):
        Group.from_prompt("Say something nice.")


def test_advantages_of_groups_are_scaled_as_asked(tiny_directory: Path) -> None:
    members = [(Group(3, index, 0), member) for index in range(2) for member in range(4)]
    learner, partner = LocalLM(tiny_directory, max_new_tokens=6), sotopia_env.make_policy("scripted:warm")
    dialogues = play_groups(environment(), members, learner, partner)
    plain, _ = group_advantages(dialogues, 4)
    by_group, _ = group_advantages(dialogues, 4, scale_rewards="group")
    by_batch, _ = group_advantages(dialogues, 4, scale_rewards="batch")
    totals = np.array([dialogue.total for dialogue in dialogues], dtype=np.float64).reshape(2, 4)
    spread = np.repeat(totals.std(axis=1, ddof=1) + 1e-4, 4)[:, None]
    assert by_group == pytest.approx(plain / spread)
    assert by_batch == pytest.approx(plain / (totals.std(ddof=1) + 1e-4))
    with pytest.raises(ValueError, match="is not whole"):
        group_advantages(dialogues[1:], 4)
    flat = [replace(dialogue, parts={"episode": replace_rewards(dialogue)}) for dialogue in dialogues[:4]]
    assert group_advantages(flat, 4)[1] == 1.0


def replace_rewards(dialogue: GroupMember) -> Any:
    return dialogue.parts["brevity"]._replace(rewards=[0.0] * dialogue.row.num_turns)


def test_turns_of_a_copy_in_bfloat16_are_corrected(tiny_directory: Path, tmp_path: Path) -> None:
    exact = trainer_for(tiny_directory, settings(tmp_path / "exact"))
    assert "importance_sampling_ratio" not in generate(exact)[0]
    trainer = trainer_for(
        tiny_directory,
        settings(tmp_path / "copy", play_dtype="bfloat16"),
        peft_config=LoraConfig(task_type="CAUSAL_LM"),
    )
    batch, _ = generate(trainer)
    assert trainer.policy.generator.dtype == torch.bfloat16
    own = batch["tool_mask"].bool()
    difference = ((batch["old_per_token_logps"] - batch["sampling_per_token_logps"]) * own).nan_to_num(0.0)
    assert 1e-4 < difference.abs().max() < 0.2  # more than rounding in 32 bits
    ratio = difference.sum(-1, keepdim=True).exp()
    torch.testing.assert_close(batch["importance_sampling_ratio"], ratio)
    (mean,) = trainer._metrics["train"]["sampling/importance_sampling_ratio/mean"]
    assert mean == pytest.approx(ratio.mean().item(), abs=1e-5)
    trainer.train()
    assert (tmp_path / "copy" / "complete.json").is_file()


LOSSES: list[dict[str, Any]] = [
    *({"loss_type": name} for name in CHOICES["loss_type"]),
    {"loss_type": "luspo", "importance_sampling_level": "sequence"},
    {"loss_type": "grpo", "importance_sampling_level": "sequence", "scale_rewards": "batch"},
    {"beta": 0.3, "use_bias_correction_kl": True},
    {"entropy_coef": 0.1, "top_p": 0.9},
    {"top_entropy_quantile": 0.5, "off_policy_mask_threshold": 0.1},
    {"gradient_accumulation_steps": 2, "steps_per_generation": 2},
]


@pytest.mark.parametrize("adapter", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_rows_that_go_there_and_back_by_themselves_teach_what_the_batch_teaches(
    adapter: bool, tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gradient(trainer: Any, batch: dict[str, Any]) -> tuple[float, torch.Tensor]:
        trainer.model.zero_grad()
        loss = trainer._compute_loss(trainer.model, batch)
        loss.backward()
        return loss.item(), torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.requires_grad])

    monkeypatch.setattr(memory, "NUMBERS_AT_A_TIME", 2**13)
    for number, changes in enumerate(LOSSES):
        args = settings(tmp_path / str(number), play_dtype="bfloat16", **changes)
        lora = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False) if adapter else None
        trainer = trainer_for(tiny_directory, args, peft_config=lora)
        batch, _ = generate(trainer)
        trainer.current_gradient_accumulation_steps = args.gradient_accumulation_steps
        # A turn that teaches nothing is not read.
        batch["advantages"][3] = 0.0
        loss, found = gradient(trainer, batch)
        whole, gradients = gradient(trainer, {name: value for name, value in batch.items() if name != "scored_at"})
        assert loss == pytest.approx(whole, rel=1e-5, abs=1e-6), changes
        assert gradients.norm() > 0
        assert (found - gradients).norm() < 1e-5 * gradients.norm(), changes


def test_a_batch_that_teaches_nothing_leaves_gradients_of_zero(tiny_directory: Path, tmp_path: Path) -> None:
    trainer = trainer_for(tiny_directory, settings(tmp_path, play_dtype="bfloat16"))
    batch, _ = generate(trainer)
    batch["advantages"].zero_()
    trainer.current_gradient_accumulation_steps = 1
    trainer._compute_loss(trainer.model, batch).backward()
    assert all(p.grad is not None and not p.grad.any() for p in trainer.model.parameters())


def test_a_server_has_the_weights_that_are_learnt(tiny_directory: Path, tmp_path: Path, chat_server: Any) -> None:
    """The server answers as vLLM does, with this machine's model and the weights that were handed over last."""
    chat_server.models = ["start"]
    held: dict[str, Any] = {}

    def answer(request: dict[str, Any]) -> Any:
        if request.get("method") == "reload_weights":
            held["model"] = load_model(request["kwargs"]["weights_path"]).model
        if "prompt" not in request:
            return chat_server.response({})
        rng = np.random.default_rng(request["seed"])
        decoder = Decoder(held["model"], request["stop_token_ids"], 0, cache_bytes=0)
        sampling = Sampling(request["temperature"], max_new_tokens=request["max_tokens"])
        (found,) = decoder.generate([request["prompt"]], rng.random((1, sampling.max_new_tokens)), sampling)
        logprobs = {"token_logprobs": [value - 0.01 for value in found.logprobs or ()]}
        return chat_server.response({"choices": [{"token_ids": list(found.ids), "logprobs": logprobs}]})

    chat_server.otherwise = answer
    args = settings(tmp_path / "out", max_steps=2, backend="vllm", vllm_url=chat_server.url)
    trainer = trainer_for(tiny_directory, args)
    trainer.train()
    handed = [request for request in chat_server.requests if request["path"] == "/collective_rpc"]
    assert len(handed) == 2
    name = "sampling/importance_sampling_ratio/min"
    ratios = [row[name] for row in read_metrics(tmp_path / "out/metrics.jsonl") if name in row]
    assert len(ratios) == 2
    # 0.01 a token is what the server is off by, of dialogues of a few dozen tokens; with stale weights it is far more.
    assert all(1.0 < ratio < 1.5 for ratio in ratios)
    with pytest.raises(ValueError, match="a server is asked with both"):
        settings(tmp_path / "none", backend="vllm")
