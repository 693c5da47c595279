"""What becomes of every setting that the trainers take over from ``transformers`` and TRL.

A setting either has its effect or is refused when it is given: one that is taken, written down and then not heeded
misleads whoever reads the run's settings. Every setting stands in exactly one of the tables below, and one that stands
in none, since a newer release has brought it, is refused too.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Needs:
    """What another setting has to be for a setting to do anything.

    Args:
        other: the name of that setting.
        holds: whether a value of it will do.
        wording: which values do, in words.
    """

    other: str
    holds: Callable[[Any], bool]
    wording: str


@dataclass(frozen=True)
class Options:
    """The settings of one trainer that are not its own.

    Args:
        effective: what changes what is learnt, logged or saved; a test shows it for each.
        library: what ``transformers``, TRL and ``accelerate`` do alone, and nothing here stands between.
        refused: why no value but the default is taken, and what to do instead.
        needs: what has to hold for some that are effective, or are the trainer's own.
    """

    effective: frozenset[str]
    library: frozenset[str]
    refused: Mapping[str, str]
    needs: Mapping[str, Needs] = field(default_factory=dict)

    def check(self, args: Any, ours: type[Any]) -> None:
        """Refuse settings that would not be heeded; called before defaults are filled in.

        Args:
            args: the settings.
            ours: the class here that they are of, or of a subclass of which they are.

        Raises:
            ValueError: a setting is refused, or does nothing beside another one; the error names the remedy.
        """
        # The tables are read without the libraries, too.
        from accelerate.utils import parse_flag_from_env

        for variable in ("ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP"):
            if parse_flag_from_env(variable):
                raise ValueError(f"{variable}: {_SHARDED}")
        if args.save_strategy == "best":
            raise ValueError("save_strategy = 'best': nothing is evaluated between steps; take 'steps' or 'epoch'")
        kinds = [kind for kind in type(args).__mro__ if issubclass(kind, ours)]
        known = self.effective.union(self.library, *(vars(kind).get("__annotations__", ()) for kind in kinds))
        for setting in fields(args):
            name, value = setting.name, getattr(args, setting.name)
            if value == default_of(setting):
                continue
            if name in self.refused:
                # A secret is not repeated.
                given = "" if name == "hub_token" else f" = {value!r}"
                raise ValueError(f"{name}{given}: {self.refused[name]}")
            if name not in known:
                raise ValueError(
                    f"{name} = {value!r}: this setting came with a newer release of TRL or transformers, and whether "
                    "it has its effect here was not looked at; leave it out"
                )
            if name in self.needs and not self.needs[name].holds(getattr(args, self.needs[name].other)):
                needs = self.needs[name]
                raise ValueError(
                    f"{name} = {value!r} has no effect with {needs.other} = {getattr(args, needs.other)!r}; it needs "
                    f"{needs.wording}, so leave it out or change {needs.other}"
                )


def source_of(module: str, name: str) -> ast.ClassDef:
    """Returns the source of a class of settings, read without importing it, which would take seconds.

    Args:
        module: where it stands.
        name: of the class.
    """
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def own_settings(source: ast.ClassDef) -> dict[str, str]:
    """Returns the settings that a class adds, or gives another default, with that default as it is written."""
    given = [node for node in source.body if isinstance(node, ast.AnnAssign) and node.value is not None]
    return {ast.unparse(node.target): ast.unparse(node.value) for node in given if node.value is not None}


def default_of(setting: Field[Any]) -> Any:
    """Returns what a setting is where nobody gives it."""
    return setting.default if setting.default_factory is MISSING else setting.default_factory()


def _why(reasons: Mapping[str, str]) -> dict[str, str]:
    """``{name: reason}`` of ``{reason: "name name ..."}``."""
    return {name: reason for reason, names in reasons.items() for name in names.split()}


def _one_of(other: str, *values: Any) -> Needs:
    return Needs(other, lambda value: value in values, f"{other} = {' or '.join(map(repr, values))}")


_SHARDED = (
    "weights that are shared out between processes are not served yet: playing and saving take whole ones; give every "
    "process a whole copy, as torchrun does (docs/training.md)"
)
_ROWS = "rows are prepared, ordered and padded here, and nothing is ever cut; leave it out"
_LOADED = "the model is loaded before the trainer sees it; pass a LoadedModel that was made as you want it"
_NO_VLLM = (
    "turns are sampled through this package: start a server of vLLM and give backend='vllm' and vllm_url; TRL's "
    "correction is made as its defaults have it wherever it is needed"
)
_DRAWN = "turns are drawn by temperature, top_k and top_p alone, which are scored with; use those"
_LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")

_LIBRARY = frozenset(
    "output_dir use_cpu fp16 tf32 local_rank optim_args optim_target_modules "
    "activation_checkpointing activation_checkpointing_kwargs gradient_checkpointing gradient_checkpointing_kwargs "
    "torch_empty_cache_steps full_determinism debug skip_memory_metrics restore_callback_states_from_checkpoint "
    "logging_strategy logging_nan_inf_filter log_on_each_node log_level log_level_replica disable_tqdm "
    "report_to run_name project trackio_space_id trackio_bucket_id trackio_static_space_id save_total_limit "
    "accelerator_config dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers "
    "dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order "
    "ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph ddp_backend "
    "ddp_timeout".split()
)

_EFFECTIVE = frozenset(
    "per_device_train_batch_size max_steps learning_rate lr_scheduler_type lr_scheduler_kwargs warmup_steps optim "
    "weight_decay adam_beta1 adam_beta2 adam_epsilon gradient_accumulation_steps max_grad_norm bf16 logging_steps "
    "logging_first_step save_strategy save_steps seed".split()
)

_REFUSED = _why(
    {
        "nothing is evaluated between steps by transformers; evaluate what comes out with: sotopia-env evaluate": (
            "eval_strategy eval_steps eval_delay per_device_eval_batch_size prediction_loss_only eval_on_start "
            "eval_do_concat_batches eval_use_gather_object eval_accumulation_steps include_for_metrics "
            "batch_eval_metrics bf16_full_eval fp16_full_eval load_best_model_at_end metric_for_best_model "
            "greater_is_better"
        ),
        "no trainer reads it, only the scripts of transformers; leave it out": "do_train do_eval do_predict",
        "the same command goes on from its newest checkpoint; leave it out, or give another output folder": (
            "resume_from_checkpoint"
        ),
        "nothing is uploaded; upload the finished folder with: hf upload REPOSITORY FOLDER": (
            "push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push hub_revision"
        ),
        "a run that is called again goes on exactly where it was, from checkpoints in one folder; leave it out, and "
        "save more often with save_steps": "save_only_model ignore_data_skip save_on_each_node enable_jit_checkpoint",
        _ROWS: "train_sampling_strategy length_column_name remove_unused_columns label_names",
        "models are called in parts, with rows of every length, which a compiled one would not serve; leave it out": (
            "torch_compile torch_compile_backend torch_compile_mode"
        ),
        "it would change the learner's layers and not those it is held against; load the model with kernels of the "
        "hub (use_kernels=True) instead": "use_liger_kernel liger_kernel_config",
        "no keys and values are kept between the passes of training; leave it out": "use_cache",
        _SHARDED: "deepspeed fsdp fsdp_config parallelism_config",
    }
)

_NO_LABELS = "the loss has no labels to smooth, and no noise in what it reads; leave it out"
_ONE_MEAN = "the loss is the mean of each process, whatever the number of tokens; leave it out"

_WITHOUT_MUON = {
    name: Needs("muon", lambda muon: not muon, "muon = False")
    for name in "optim optim_args optim_target_modules weight_decay adam_beta1 adam_beta2 adam_epsilon".split()
}

CLONING = Options(
    effective=_EFFECTIVE
    | frozenset(
        "num_train_epochs data_seed include_num_input_tokens_seen dataloader_drop_last average_tokens_across_devices "
        "label_smoothing_factor neftune_noise_alpha loss_type router_aux_loss_coef pad_to_multiple_of".split()
    ),
    library=_LIBRARY | {"auto_find_batch_size", "activation_offloading"},
    refused=_REFUSED
    | _why(
        {
            _LOADED: "model_init_kwargs trust_remote_code chat_template_path eos_token pad_token",
            _ROWS: (
                "dataset_text_field dataset_kwargs dataset_num_proc max_length truncation_mode shuffle_dataset packing "
                "packing_strategy padding_free eval_packing"
            ),
            "own turns that were valid are learnt, and nothing else; choose whose with agents=": (
                "completion_only_loss assistant_only_loss"
            ),
        }
    ),
    needs=_WITHOUT_MUON,
)

REWARD_MODEL = Options(
    effective=_EFFECTIVE | {"num_train_epochs", "data_seed", "include_num_input_tokens_seen", "dataloader_drop_last"},
    library=_LIBRARY,
    refused=_REFUSED
    | _why(
        {
            _NO_LABELS: "label_smoothing_factor neftune_noise_alpha",
            _ONE_MEAN: "average_tokens_across_devices",
            "dialogues of one task stand in one batch; lower per_device_train_batch_size": "auto_find_batch_size",
        }
    ),
    needs=_WITHOUT_MUON,
)

GRPO = Options(
    effective=_EFFECTIVE
    | frozenset(
        "router_aux_loss_coef disable_dropout num_generations max_completion_length shuffle_dataset "
        "generation_batch_size steps_per_generation temperature top_p top_k beta num_iterations epsilon delta "
        "epsilon_high sapo_temperature_neg sapo_temperature_pos vespo_k_pos vespo_lambda_pos vespo_k_neg "
        "vespo_lambda_neg importance_sampling_level scale_rewards loss_type top_entropy_quantile entropy_coef "
        "use_adaptive_entropy entropy_coef_min entropy_coef_max entropy_coef_delta entropy_target "
        "off_policy_mask_threshold use_bias_correction_kl".split()
    ),
    library=_LIBRARY,
    refused=_REFUSED
    | _why(
        {
            "dialogues are generated, so there are no epochs; give max_steps": "num_train_epochs",
            "tasks and draws follow from seed; give that": "data_seed",
            _NO_LABELS: "label_smoothing_factor",
            "the learner would be scored with noise that it was not sampled with; leave it out": "neftune_noise_alpha",
            "loss_type says what the loss is divided by; leave it out": "average_tokens_across_devices",
            "num_tokens is logged in any case; leave it out": "include_num_input_tokens_seen",
            "every generation is whole; leave it out": "dataloader_drop_last",
            "a batch holds whole groups; lower per_device_train_batch_size": "auto_find_batch_size",
            _LOADED: "model_init_kwargs trust_remote_code chat_template_kwargs",
            "the reference and the partner would keep theirs; load the model in float32": "cast_lm_head_to_fp32",
            _ROWS: "pad_to_multiple_of",
            _SHARDED: "ds3_gather_for_generation",
            "nothing is evaluated by TRL; give evaluate= and evaluation_steps": "num_generations_eval",
            _DRAWN: "min_p repetition_penalty generation_kwargs",
            "turns are sampled with caches of our own; leave it out": (
                "cache_implementation use_transformers_continuous_batching transformers_continuous_batching_config "
                "use_transformers_paged"
            ),
            "weights stand in the reward, such as 2.0 * reward + LengthPenalty(weight=0.1)": (
                "reward_weights multi_objective_aggregation"
            ),
            "a completion is a whole dialogue here; mask_truncated_turns leaves out the turns that were cut": (
                "mask_truncated_completions"
            ),
            "the reference stays what it is; give another one as reference=": (
                "sync_ref_model ref_model_mixup_alpha ref_model_sync_steps"
            ),
            "turns call no tools; max_cycles of the environment limits a dialogue": "max_tool_calling_iterations",
            "TRL would log the names of groups and advantages that are not used; log_dialogue_steps shows one in "
            "the trackers of report_to": (
                "log_completions log_multimodal num_completions_to_print log_unique_prompts log_completions_hub_repo"
            ),
            _NO_VLLM: (
                "use_vllm vllm_mode vllm_model_impl vllm_enable_sleep_mode vllm_structured_outputs_regex "
                "vllm_server_base_url vllm_server_host vllm_server_port vllm_server_timeout vllm_group_port "
                "vllm_gpu_memory_utilization vllm_max_model_length vllm_tensor_parallel_size "
                "vllm_importance_sampling_correction vllm_importance_sampling_mode vllm_importance_sampling_clip_max "
                "vllm_importance_sampling_clip_min vllm_importance_sampling_cap"
            ),
        }
    ),
    needs={
        **dict.fromkeys(("epsilon", "delta"), _one_of("loss_type", *_LOSSES)),
        "epsilon_high": _one_of("loss_type", *_LOSSES, "cispo"),
        **dict.fromkeys(("sapo_temperature_neg", "sapo_temperature_pos"), _one_of("loss_type", "sapo")),
        **dict.fromkeys(
            ("vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg", "vespo_lambda_neg"), _one_of("loss_type", "vespo")
        ),
        "importance_sampling_level": _one_of("loss_type", *_LOSSES, "cispo", "sapo"),
        "max_completion_length": _one_of("loss_type", "dr_grpo"),
        **dict.fromkeys(
            ("entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target"),
            _one_of("use_adaptive_entropy", True),
        ),
        "use_bias_correction_kl": Needs("beta", bool, "beta above 0"),
        **dict.fromkeys(("continuations", "states_per_dialogue"), _one_of("rollouts", "single-turn")),
        "credit_estimator": _one_of("rollouts", "multi-turn"),
    },
)
