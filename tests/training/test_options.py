"""Every setting of the three trainers has its effect or is refused; none is taken and not heeded."""

from __future__ import annotations

import dataclasses
import gc
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM, TrainerCallback

import sotopia_env
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.episodes import Episode
from sotopia_env.rewards import LengthPenalty
from sotopia_env.training import (
    CloningConfig,
    GRPOConfig,
    GRPOTrainer,
    RewardModelConfig,
    clone,
    make_rollout_func,
    read_metrics,
    train_reward_model,
)
from sotopia_env.training.behaviour_cloning import CloningTrainer, _dataset, cloning_rows, order_seed
from sotopia_env.training.grpo_config import CHOICES
from sotopia_env.training.options import CLONING, GRPO, REWARD_MODEL, Options

KINDS: dict[type, Options] = {CloningConfig: CLONING, RewardModelConfig: REWARD_MODEL, GRPOConfig: GRPO}


def inherited(kind: type) -> set[str]:
    """The settings that come from TRL and transformers."""
    return {f.name for base in kind.__mro__[1:] if dataclasses.is_dataclass(base) for f in dataclasses.fields(base)}


def own(kind: type) -> set[str]:
    return {setting.name for setting in dataclasses.fields(kind)} - inherited(kind)


def setting_of(kind: type, name: str) -> Any:
    return next(setting for setting in dataclasses.fields(kind) if setting.name == name)


def default_of(setting: Any) -> Any:
    return setting.default if setting.default_factory is dataclasses.MISSING else setting.default_factory()


def another(default: Any) -> Any:
    """A value that is not the default."""
    if isinstance(default, bool):
        return not default
    if isinstance(default, int | float):
        return default + 1
    return ["other"] if isinstance(default, list) else "other"


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_stands_in_exactly_one_table(kind: type) -> None:
    options = KINDS[kind]
    tables = {
        "effective": set(options.effective),
        "library": set(options.library),
        "refused": set(options.refused),
        "its own": own(kind),
    }
    names = {setting.name for setting in dataclasses.fields(kind)}
    for name in sorted(names | set().union(*tables.values())):
        found = [table for table, members in tables.items() if name in members]
        assert len(found) == 1 and name in names, (
            f"{kind.__name__}.{name} stands in {found or 'no table'} of training/options.py"
            f"{'' if name in names else ', and is no setting any more'}. See what the release of TRL or transformers "
            "does with it. If it changes what is learnt, logged or saved, and nothing here stands between, it is "
            "effective (add a case to CASES below); if only the library is concerned, library; otherwise refused, with "
            "a remedy (and a line in docs/training.md)"
        )
    assert set(options.needs) <= options.effective | options.library | own(kind)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, options in KINDS.items() for name in sorted(options.refused)]
)
def test_what_has_no_effect_is_refused_with_a_remedy(kind: type, name: str) -> None:
    value = another(default_of(setting_of(kind, name)))
    with pytest.raises(ValueError) as error:
        kind(**{"output_dir": "out", name: value})
    given = "" if name == "hub_token" else f" = {value!r}"
    assert str(error.value) == f"{name}{given}: {KINDS[kind].refused[name]}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_of_a_newer_release_is_refused_until_somebody_looked_at_it(kind: type) -> None:
    options = dataclasses.replace(KINDS[kind], library=KINDS[kind].library - {"tf32"})
    args = kind.__new__(kind)
    for setting in dataclasses.fields(kind):
        setattr(args, setting.name, default_of(setting))
    options.check(args, kind)
    args.tf32 = True
    with pytest.raises(ValueError, match="tf32 = True: this setting came with a newer release"):
        options.check(args, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_on_training_names_what_is_refused(kind: type) -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    starts = re.findall(r"`(\w+_)\.\.\.`", page)
    for reason in set(KINDS[kind].refused.values()):
        names = [name for name, told in KINDS[kind].refused.items() if told == reason]
        assert any(f"`{name}`" in page or name.startswith(tuple(starts)) for name in names), names


@pytest.mark.parametrize("kind", [CloningConfig, RewardModelConfig])
def test_what_was_filled_in_is_taken_again(kind: Any) -> None:
    first = kind("out", learning_rate=1e-3)
    again = dataclasses.replace(first, seed=7)
    assert (again.seed, again.learning_rate, again.to_dict()) == (7, 1e-3, first.to_dict() | {"seed": 7})


def test_settings_of_a_subclass_are_its_own() -> None:
    @dataclasses.dataclass
    class Mine(GRPOConfig):
        colour: str = "red"

    assert Mine("out", colour="blue").colour == "blue"


NEEDS: dict[str, tuple[dict[str, Any], str]] = {
    "epsilon": ({"loss_type": "sapo"}, "loss_type = 'sapo'"),
    "delta": ({"loss_type": "cispo"}, "loss_type = 'cispo'"),
    "epsilon_high": ({"loss_type": "vespo"}, "loss_type = 'vespo'"),
    "importance_sampling_level": ({"loss_type": "vespo"}, "loss_type = 'vespo'"),
    "max_completion_length": ({"loss_type": "dapo"}, "loss_type = 'dapo'"),
    **dict.fromkeys(("sapo_temperature_neg", "sapo_temperature_pos"), ({}, "loss_type = 'dr_grpo'")),
    **dict.fromkeys(
        ("vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg", "vespo_lambda_neg"), ({}, "loss_type = 'dr_grpo'")
    ),
    **dict.fromkeys(
        ("entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target"),
        ({}, "use_adaptive_entropy = False"),
    ),
    "use_bias_correction_kl": ({}, "beta = 0.0"),
    **dict.fromkeys(("continuations", "states_per_dialogue"), ({}, "rollouts = 'multi-turn'")),
    "credit_estimator": ({"rollouts": "single-turn"}, "rollouts = 'single-turn'"),
}


def test_every_need_of_grpo_is_looked_at() -> None:
    assert set(NEEDS) == set(GRPO.needs)


@pytest.mark.parametrize("name", NEEDS)
def test_what_has_no_effect_beside_another_setting_is_refused(name: str) -> None:
    beside, wording = NEEDS[name]
    with pytest.raises(ValueError, match=f"{name} = .* has no effect with {wording}; it needs "):
        GRPOConfig("out", **beside, **{name: another(default_of(setting_of(GRPOConfig, name)))})


@pytest.mark.parametrize("kind", [CloningConfig, RewardModelConfig])
@pytest.mark.parametrize("name", CLONING.needs)
def test_muon_sets_its_own_moments_and_decay(kind: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} = .* has no effect with muon = True"):
        kind("out", muon=True, **{name: another(default_of(setting_of(kind, name)))})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"save_strategy": "best"}, "save_strategy = 'best': nothing is evaluated"),
        ({"temperature": 0.0}, r"temperature = 0.0: the learner explores"),
        ({"max_completion_length": None}, "max_completion_length = None: loss_type 'dr_grpo' divides by it"),
        ({"loss_type": "ppo"}, "loss_type: 'ppo' is none of grpo, bnpo"),
        ({"scale_rewards": "std"}, "scale_rewards: 'std' is none of none, group, batch"),
        ({"importance_sampling_level": "turn"}, "importance_sampling_level: 'turn' is none of token, sequence"),
        ({"save_steps": 0.1, "max_steps": 100, "num_iterations": 4}, "save_steps = 0.1: checkpoints lie between"),
    ],
)
def test_values_that_would_fail_late_or_do_nothing_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GRPOConfig("out", **wrong)
    GRPOConfig("out", save_steps=0.1, max_steps=100, num_iterations=5)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"evaluation_steps": 2}, {}, r"evaluation_steps = 2, but there is nothing to call; pass evaluate="),
        (
            {"estimator": "trajectory"},
            {"estimator": lambda rewards, alive: rewards},
            "estimator: a function is given, and 'trajectory' with None in the settings; leave one out",
        ),
        ({"seats": (2,)}, {}, r"seats = \(2,\): give numbers from 0 to 1"),
        ({"seats": ()}, {}, r"seats = \(\): give numbers from 0 to 1"),
    ],
)
def test_settings_that_do_not_go_with_the_arguments_are_refused(
    settings: dict[str, Any], options: dict[str, Any], message: str, tiny_directory: Path
) -> None:
    args = GRPOConfig("out", **COMMON, **settings)
    with pytest.raises(ValueError, match=message):
        GRPOTrainer(tiny_directory, env=world(), partner="scripted:firm", args=args, **options)


def test_weights_shared_out_by_the_launcher_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match="ACCELERATE_USE_FSDP: weights that are shared out"):
        CloningConfig("out")


def test_a_trl_trainer_with_our_dialogues_is_told_of_draws_that_are_not_made(tiny_directory: Path) -> None:
    import trl

    loaded = load_model(tiny_directory)
    settings: dict[str, Any] = {"bf16": False, "use_cpu": True, "per_device_train_batch_size": 4, "num_generations": 4}
    trainer = trl.GRPOTrainer(
        loaded.model,
        lambda completions, **_: [0.0] * len(completions),
        args=trl.GRPOConfig("out", min_p=0.1, max_steps=1, report_to="none", **settings),
        train_dataset=sotopia_env.training.group_dataset(1),
        processing_class=loaded.tokenizer,
        rollout_func=make_rollout_func(world(), "scripted:firm"),
    )
    with pytest.raises(ValueError, match=r"min_p = 0.1: turns are drawn by temperature, top_k and top_p alone"):
        trainer.train()


# --- what is effective changes something ------------------------------------------------------------------------------


class Saved(TrainerCallback):
    """Which steps were saved."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.steps.append(state.global_step)


def world() -> Any:
    reward = LengthPenalty(target_words=1, weight=0.1)
    return sotopia_env.parallel_env("bargain", reward=reward, max_cycles=4)


def mixture(tokenizer: Any) -> LoadedModel:
    """A small mixture of experts with random weights."""
    torch.manual_seed(0)
    config = Qwen3MoeConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        moe_intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_tok=2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LoadedModel(Qwen3MoeForCausalLM(config), tokenizer, "mixture")


COMMON: dict[str, Any] = {
    "learning_rate": 1e-2,
    "per_device_train_batch_size": 8,
    "max_steps": 2,
    "save_steps": 2,
    "logging_steps": 1,
    "bf16": False,
    "disable_tqdm": True,
}

TWICE = {"num_iterations": 2}
VESPO = TWICE | {"loss_type": "vespo", "learning_rate": 1e-3}
ADAPTIVE = {"use_adaptive_entropy": True, "entropy_target": 100.0}

# For each setting what else is set, and what it is changed to. "start" and "adapter" choose the model.
EVERYWHERE: dict[str, tuple[dict[str, Any], Any]] = {
    "per_device_train_batch_size": ({}, 4),
    "max_steps": ({}, 1),
    "learning_rate": ({}, 2e-2),
    "lr_scheduler_type": ({}, "constant"),
    "lr_scheduler_kwargs": ({"lr_scheduler_type": "polynomial", "warmup_steps": 0.0}, {"power": 3.0}),
    "warmup_steps": ({}, 2.0),
    "optim": ({}, "sgd"),
    "weight_decay": ({}, 0.1),
    "adam_beta1": ({}, 0.5),
    "adam_beta2": ({}, 0.5),
    "adam_epsilon": ({}, 1e-2),
    "gradient_accumulation_steps": ({}, 2),
    "max_grad_norm": ({}, 1e-3),
    "bf16": ({}, True),
    "logging_steps": ({}, 2),
    "logging_first_step": ({"logging_steps": 2}, True),
    "save_strategy": ({}, "no"),
    "save_steps": ({}, 1),
    "seed": ({}, 7),
}
BY_EPOCH: dict[str, tuple[dict[str, Any], Any]] = {
    "num_train_epochs": ({"max_steps": -1}, 2.0),
    "data_seed": ({}, 3),
    "include_num_input_tokens_seen": ({}, "all"),
    "dataloader_drop_last": ({"max_steps": -1, "per_device_train_batch_size": 7}, True),
}
CASES: dict[type, dict[str, tuple[dict[str, Any], Any]]] = {
    CloningConfig: {
        **EVERYWHERE,
        **BY_EPOCH,
        "muon": ({}, True),
        "label_smoothing_factor": ({}, 0.2),
        "neftune_noise_alpha": ({}, 5.0),
        "loss_type": ({}, "dft"),
        "router_aux_loss_coef": ({"start": "mixture"}, 0.5),
    },
    RewardModelConfig: {
        **EVERYWHERE,
        **BY_EPOCH,
        "muon": ({}, True),
        "normalizer": ({}, "z-score"),
        "held_out": ({}, 0.5),
        "between": ({}, 0.5),
    },
    GRPOConfig: {
        **EVERYWHERE,
        "lr_scheduler_type": ({}, "linear"),
        "router_aux_loss_coef": ({"start": "mixture"}, 0.5),
        "disable_dropout": ({"adapter": True}, False),
        "num_generations": ({}, 2),
        "max_completion_length": ({}, 32),
        "shuffle_dataset": ({}, True),
        "generation_batch_size": ({}, 16),
        "steps_per_generation": ({}, 2),
        "temperature": ({}, 0.5),
        "top_p": ({}, 0.5),
        "top_k": ({}, 3),
        "beta": ({}, 0.5),
        "num_iterations": ({}, 2),
        "epsilon": (TWICE, 1e-4),
        "epsilon_high": (TWICE, 1e-4),
        "delta": (TWICE, 0.5),
        "sapo_temperature_neg": (TWICE | {"loss_type": "sapo"}, 3.0),
        "sapo_temperature_pos": (TWICE | {"loss_type": "sapo"}, 3.0),
        "vespo_k_pos": (VESPO, 1.0),
        "vespo_lambda_pos": (VESPO, 1.0),
        "vespo_k_neg": (VESPO, 1.0),
        "vespo_lambda_neg": (VESPO, 1.0),
        "importance_sampling_level": (TWICE, "sequence"),
        "scale_rewards": ({}, "group"),
        "loss_type": ({}, "dapo"),
        "top_entropy_quantile": ({}, 0.3),
        "entropy_coef": ({}, 0.1),
        "use_adaptive_entropy": ({}, True),
        "entropy_coef_min": ({"use_adaptive_entropy": True, "entropy_coef": 0.1, "entropy_coef_delta": 1.0}, 0.05),
        "entropy_coef_max": (ADAPTIVE | {"entropy_coef_delta": 2.0}, 0.5),
        "entropy_coef_delta": (ADAPTIVE, 0.1),
        "entropy_target": ({"use_adaptive_entropy": True, "entropy_coef": 0.1}, 100.0),
        "off_policy_mask_threshold": (TWICE, 1e-9),
        "use_bias_correction_kl": ({"beta": 0.5}, False),
        "rollouts": ({}, "single-turn"),
        "continuations": ({"rollouts": "single-turn"}, 2),
        "states_per_dialogue": ({"rollouts": "single-turn"}, 2),
        "estimator": ({}, "trajectory"),
        "estimator_options": ({"estimator": "trajectory"}, {"scale": "group"}),
        "max_turn_tokens": ({}, 4),
        "mask_truncated_turns": ({"max_turn_tokens": 2}, True),
        "seats": ({}, (1,)),
        "reference_rows": ({}, 4),
        "play_dtype": ({}, "bfloat16"),
    },
}

# What is shown to have its effect by a test of another name.
SHOWN_ELSEWHERE: dict[type, dict[str, str]] = {
    CloningConfig: {
        "pad_to_multiple_of": "test_rows_are_padded_to_a_multiple",
        "average_tokens_across_devices": "test_tokens_are_counted_over_all_processes_or_not",
    },
    RewardModelConfig: {},
    GRPOConfig: {
        "credit_estimator": "test_what_would_silently_go_wrong_is_refused",
        "evaluation_steps": "test_metrics_describe_the_dialogues",
        "log_dialogue_steps": "test_tensorboard_keeps_metrics_and_a_dialogue",
        "backend": "test_a_server_has_the_weights_that_are_learnt",
        "vllm_url": "test_a_server_has_the_weights_that_are_learnt",
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_effective_setting_has_its_case(kind: type) -> None:
    expected = KINDS[kind].effective | own(kind)
    assert set(CASES[kind]) | set(SHOWN_ELSEWHERE[kind]) == expected
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for name in SHOWN_ELSEWHERE[kind].values():
        assert f"def {name}(" in tests


def trace(out: Path, model: torch.nn.Module, saved: Saved) -> Any:
    """What a run learnt, logged and saved."""
    weights = torch.cat([parameter.detach().flatten().double() for parameter in model.parameters()])
    lines = [
        {name: value for name, value in line.items() if not any(part in name for part in UNSTEADY)}
        for line in read_metrics(out / "metrics.jsonl")
    ]
    said = [path.read_text() for path in sorted(out.glob("*.json")) if path.name != "complete.json"]
    return weights.sum().item(), weights.square().sum().item(), json.dumps(lines), saved.steps, said


UNSTEADY = ("second", "runtime", "step_time")
"""Parts of the names of what is logged of time."""


def run(kind: type, changes: Mapping[str, Any], out: Path, tiny: Path, episodes: list[Episode]) -> Any:
    """Two steps of training with some settings."""
    changes = {**COMMON, **changes}
    start, adapter = changes.pop("start", None), changes.pop("adapter", False)
    source: Any = mixture(load_model(tiny).tokenizer) if start == "mixture" else tiny
    options: dict[str, Any] = {"callbacks": [saved := Saved()]}
    if adapter:
        options["peft_config"] = LoraConfig(r=2, lora_dropout=0.5, target_modules=["q_proj"], task_type="CAUSAL_LM")
    if kind is CloningConfig:
        clone(episodes, source, out=out, args=CloningConfig(**changes), **options)
        return trace(out, load_model(out).model, saved)
    if kind is RewardModelConfig:
        # The heads begin at 0, from where nothing yet reaches the model.
        args = RewardModelConfig("", **{"held_out": 0.25, **changes})
        train_reward_model(episodes, source, labels={"goal": "broadcast"}, out=out, args=args, **options)
        return trace(out, load_model(out).model, saved)
    common = {"num_generations": 4, "max_turn_tokens": 6}
    args = GRPOConfig(str(out), **{**common, **changes})
    trainer = GRPOTrainer(source, env=world(), partner="scripted:firm", args=args, **options)
    trainer.train()
    return trace(out, trainer.model, saved)


@pytest.fixture(scope="module")
def plain() -> dict[Any, Any]:
    """What runs with unchanged settings gave, by what else was set."""
    return {}


def cases() -> list[Any]:
    """Every effective setting; what is the same in all three trainers, and slow to walk, quickly in one alone."""
    return [
        pytest.param(kind, name, marks=[pytest.mark.slow] if name in EVERYWHERE and kind is not GRPOConfig else [])
        for kind, table in CASES.items()
        for name in table
    ]


@pytest.fixture(scope="module", autouse=True)
def little_to_collect() -> Iterator[None]:
    """Every run collects garbage once: among all that was imported it would take as long as the run."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(("kind", "name"), cases())
def test_an_effective_setting_changes_what_is_learnt_logged_or_saved(
    kind: type, name: str, plain: dict[Any, Any], tiny_directory: Path, tmp_path: Path, episodes: list[Episode]
) -> None:
    beside, value = CASES[kind][name]
    key = (kind, json.dumps(beside))
    if key not in plain:
        plain[key] = run(kind, beside, tmp_path / "plain", tiny_directory, episodes)
    assert run(kind, {**beside, name: value}, tmp_path / "changed", tiny_directory, episodes) != plain[key]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_repeats_so_that_only_a_setting_can_change_it(
    kind: type, tiny_directory: Path, tmp_path: Path, episodes: list[Episode]
) -> None:
    first, second = (run(kind, {}, tmp_path / name, tiny_directory, episodes) for name in "ab")
    assert first == second


def prepared(tiny_directory: Path, out: Path, episodes: list[Episode], **changes: Any) -> tuple[Any, dict[str, Any]]:
    """A trainer for cloning, and its first batch."""
    loaded = load_model(tiny_directory)
    args = CloningConfig(str(out), **{**COMMON, **changes})
    rows = _dataset(cloning_rows(episodes, loaded))
    trainer = CloningTrainer(loaded.model, args=args, train_dataset=rows, processing_class=loaded.tokenizer)
    return trainer, next(iter(trainer.get_train_dataloader()))


def test_rows_are_padded_to_a_multiple(tiny_directory: Path, tmp_path: Path, episodes: list[Episode]) -> None:
    (plain, batch), (padded, wider) = (
        prepared(tiny_directory, tmp_path, episodes, **changes) for changes in ({}, {"pad_to_multiple_of": 64})
    )
    assert batch["input_ids"].shape[1] % 64 and not wider["input_ids"].shape[1] % 64
    number = (batch["labels"] != -100).sum()
    losses = [
        trainer.compute_loss(trainer.model, b, num_items_in_batch=number).item()
        for trainer, b in ((plain, batch), (padded, wider))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_tokens_are_counted_over_all_processes_or_not(
    tiny_directory: Path, tmp_path: Path, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for average in (True, False):
        trainer, batch = prepared(tiny_directory, tmp_path, episodes, average_tokens_across_devices=average)
        # As in one of two processes that hold as many own tokens each.
        monkeypatch.setattr(type(trainer.accelerator), "num_processes", property(lambda self: 2))
        own = (batch["labels"] != -100).sum()
        losses.append(trainer.compute_loss(trainer.model, batch, num_items_in_batch=2 * own if average else own))
        monkeypatch.undo()
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)


@pytest.mark.parametrize("changes", [{"loss_type": "dft"}, {"label_smoothing_factor": 0.2}], ids=str)
def test_losses_other_than_the_plain_one_are_those_of_trl(
    tiny_directory: Path, tmp_path: Path, episodes: list[Episode], changes: dict[str, Any]
) -> None:
    trainer, batch = prepared(tiny_directory, tmp_path, episodes, **changes)
    number = (batch["labels"] != -100).sum()
    ours = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=number).item()
    logits = trainer.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    targets, known = batch["labels"][:, 1:].clamp(min=0), batch["labels"][:, 1:] != -100
    logprobs = logits.log_softmax(-1)
    chosen = logprobs.gather(-1, targets[..., None])[..., 0]
    by_hand = (-chosen * chosen.exp() if "loss_type" in changes else -0.8 * chosen - 0.2 * logprobs.mean(-1))[
        known
    ].sum() / number
    assert ours == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_seed_of_the_order_may_be_0() -> None:
    assert [order_seed(CloningConfig(seed=7, data_seed=seed)) for seed in (None, 0, 3)] == [7, 0, 3]


@pytest.mark.parametrize("muon", [False, True])
def test_the_learning_rate_that_is_logged_is_the_one_that_was_given(
    tiny_directory: Path, tmp_path: Path, episodes: list[Episode], muon: bool
) -> None:
    args = CloningConfig(**COMMON, muon=muon, lr_scheduler_type="constant")
    clone(episodes, tiny_directory, out=tmp_path, args=args)
    rates = [line["learning_rate"] for line in read_metrics(tmp_path / "metrics.jsonl") if "learning_rate" in line]
    assert rates == [1e-2, 1e-2]


# --- the losses of GRPO, with one advantage per turn ------------------------------------------------------------------


def batch_of(trainer: Any) -> dict[str, Any]:
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    output: dict[str, Any] = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    # As if the weights had changed since: otherwise all ratios are 1, and most losses the same.
    generator = torch.Generator().manual_seed(0)
    noise = 0.5 * torch.randn(output["completion_ids"].shape, generator=generator)
    output["old_per_token_logps"] = output["sampling_per_token_logps"].nan_to_num(0.0) + noise
    return output


@pytest.mark.parametrize(
    ("loss_type", "level"),
    [
        (loss_type, level)
        for loss_type in CHOICES["loss_type"]
        for level in CHOICES["importance_sampling_level"]
        if (loss_type, level) != ("vespo", "sequence")  # which is refused
    ],
)
def test_every_loss_is_trls_own_with_the_advantage_of_each_turn(
    tiny_directory: Path, tmp_path: Path, loss_type: str, level: str
) -> None:
    changes = {**COMMON, "num_generations": 4, "max_turn_tokens": 6, "loss_type": loss_type, "beta": 0.1}
    args = GRPOConfig(str(tmp_path), **changes, importance_sampling_level=level)
    trainer = GRPOTrainer(tiny_directory, env=world(), partner="scripted:firm", args=args)
    inputs = batch_of(trainer)
    ours = trainer._compute_loss(trainer.model, inputs).item()
    # TRL's own way to score, which looks at every token.
    own = inputs["completion_mask"] * inputs["tool_mask"]
    theirs = super(GRPOTrainer, trainer)._compute_loss(trainer.model, inputs).item()
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-7)
    # Per turn: another advantage in one turn alone changes the loss.
    turned = dict(inputs, advantages=inputs["advantages"].clone())
    turned["advantages"][0, own[0].nonzero()[0]] += 1.0
    assert trainer._compute_loss(trainer.model, turned).item() != pytest.approx(ours, rel=1e-4)


# --- one distribution -------------------------------------------------------------------------------------------------

CUTS = [{"top_k": 3}, {"top_p": 0.7}, {"temperature": 0.7}, {"top_k": 40, "top_p": 0.9, "temperature": 1.3}]


@pytest.mark.parametrize("beta", [0.0, 0.02])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_sampled_scored_and_reference_log_probabilities_are_of_one_distribution(
    tiny_directory: Path, tmp_path: Path, cut: dict[str, Any], beta: float
) -> None:
    args = GRPOConfig(str(tmp_path), **COMMON, num_generations=4, max_turn_tokens=6, beta=beta, **cut)
    trainer = GRPOTrainer(tiny_directory, env=world(), partner="scripted:firm", args=args)
    trainer.model.train()
    output = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    attention = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    own = (output["tool_mask"] * output["completion_mask"]).bool()
    with trainer._scoring(own):
        scored, entropies, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, attention, own.shape[1], compute_entropy=True
        )
    sampled = output["sampling_per_token_logps"][own]
    assert torch.allclose(scored[own], sampled, atol=1e-4)
    assert trainer._metrics["train"]["kl_to_reference"][0] == pytest.approx(0.0, abs=1e-8)
    if beta:
        assert torch.allclose(output["ref_per_token_logps"][own], sampled, atol=1e-4)
    # No more tokens than may be drawn: their logarithm bounds the entropy.
    number = cut.get("top_k", len(trainer.processing_class))
    assert 0 < entropies[own].max() <= torch.tensor(float(number)).log() + 1e-4


def own_logits(model: Any, output: dict[str, Any]) -> torch.Tensor:
    """What predicts the learner's own tokens, by one plain pass."""
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    attention = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    own = (output["tool_mask"] * output["completion_mask"]).bool()
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(input_ids=ids, attention_mask=attention).logits
    return logits[:, -own.shape[1] - 1 : -1][own]


def among_three(mine: torch.Tensor, theirs: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """The log-probabilities that others give to what was drawn, over the three tokens most likely to the learner."""
    best = mine.topk(3).indices
    place = (best == drawn[:, None]).int().argmax(-1, keepdim=True)
    return theirs.gather(-1, best).log_softmax(-1).gather(-1, place)[:, 0]


def test_a_cut_learner_that_shares_its_base_with_the_reference_is_asked_as_itself(
    tiny_directory: Path, tmp_path: Path
) -> None:
    args = GRPOConfig(str(tmp_path), **COMMON, num_generations=4, max_turn_tokens=6, beta=0.1, top_k=3)
    adapter = LoraConfig(r=2, lora_alpha=64, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    start = get_peft_model(load_model(tiny_directory).model, adapter)
    loaded = LoadedModel(start, load_model(tiny_directory).tokenizer)
    trainer = GRPOTrainer(loaded, env=world(), partner="scripted:firm", args=args)
    # The learner moves away from the reference, which is the adapter as it was given: one that changes nothing yet.
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "lora_B" in name and parameter.requires_grad:
                parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(0))
    output = batch_of(trainer)
    mine = own_logits(trainer.model, output)
    with trainer.model.disable_adapter():
        theirs = own_logits(trainer.model, output)
    own = (output["tool_mask"] * output["completion_mask"]).bool()
    expected = among_three(mine, theirs, output["completion_ids"][own])
    assert torch.allclose(output["ref_per_token_logps"][own], expected, atol=1e-4)
    assert not torch.allclose(expected, among_three(mine, mine, output["completion_ids"][own]), atol=1e-2)


def test_what_was_drawn_is_drawable_and_the_bonus_for_entropy_stays_finite(
    tiny_directory: Path, tmp_path: Path
) -> None:
    args = GRPOConfig(str(tmp_path), **COMMON, num_generations=4, max_turn_tokens=6, top_k=2, entropy_coef=0.1)
    trainer = GRPOTrainer(tiny_directory, env=world(), partner="scripted:firm", args=args)
    logits = torch.tensor([[3.0, 1.0, 2.0, -1.0]], requires_grad=True)
    among = trainer._drawable(logits, torch.tensor([[2]]))
    assert among.tolist() == [[True, False, True, False]]
    # A token that rounding put outside is drawable: it was drawn.
    assert trainer._drawable(logits, torch.tensor([[1]])).tolist() == [[True, True, True, False]]
    trainer.train()
    assert all(torch.isfinite(parameter).all() for parameter in trainer.model.parameters())


def test_a_cut_goes_with_a_balancing_loss(tiny_directory: Path, tmp_path: Path) -> None:
    start = mixture(load_model(tiny_directory).tokenizer)
    args = GRPOConfig(str(tmp_path), **COMMON, num_generations=4, max_turn_tokens=6, top_p=0.9)
    GRPOTrainer(start, env=world(), partner="scripted:firm", args=args).train()
    first, *_ = (row for row in read_metrics(tmp_path / "metrics.jsonl") if "kl_to_reference" in row)
    assert first["kl_to_reference"] < 1e-5


def test_the_reference_is_asked_about_the_tokens_that_the_learner_may_draw(
    tiny_directory: Path, tmp_path: Path
) -> None:
    """With other weights the divergence is that of two distributions over the same tokens."""
    other = load_model(tiny_directory)
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    args = GRPOConfig(str(tmp_path), **COMMON, num_generations=4, max_turn_tokens=6, beta=0.1, top_k=3)
    trainer = GRPOTrainer(tiny_directory, env=world(), partner="scripted:firm", args=args, reference=other)
    output = batch_of(trainer)
    mine, theirs = own_logits(trainer.model, output), own_logits(other.model, output)
    own = (output["tool_mask"] * output["completion_mask"]).bool()
    expected = among_three(mine, theirs, output["completion_ids"][own])
    assert torch.allclose(output["ref_per_token_logps"][own], expected, atol=1e-4)
