"""What is overridden or called of other libraries' trainers and caches: a release that changes it fails here first.

Where a test fails, read what the new release does there, mend the override, then the signature below, and only then
move the upper bound in pyproject.toml.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import peft
import pytest
import transformers
import trl
from packaging.requirements import Requirement
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from sotopia_env.agents.sequence_states import _BufferedLayer
from sotopia_env.training.behaviour_cloning import CloningTrainer
from sotopia_env.training.grpo import GRPOTrainer
from sotopia_env.training.reward_modelling.train import ValueTrainer

OVERRIDDEN: dict[type, dict[str, str]] = {
    trl.GRPOTrainer: {
        "train": "(self, resume_from_checkpoint=None, trial=None, ignore_keys_for_eval=None)",
        "_generate_and_score_completions": "(self, inputs)",
        "_calculate_rewards": "(self, inputs, prompts, completions, completion_ids_list)",
        "_compute_loss": "(self, model, inputs)",
        "_get_per_token_logps_and_entropies": "(self, model, input_ids, attention_mask, logits_to_keep, "
        "batch_size=None, compute_entropy=False, compute_aux_loss=False, pixel_values=None, image_grid_thw=None, "
        "num_images=None, pixel_attention_mask=None, spatial_shapes=None, num_tiles=None, image_sizes=None, "
        "token_type_ids=None, mm_token_type_ids=None, image_position_ids=None)",
        "_save": "(self, output_dir=None, state_dict=None)",
        "_save_checkpoint": "(self, model, trial)",
        "create_model_card": "(self, model_name=None, dataset_name=None, tags=None)",
    },
    trl.SFTTrainer: {
        "create_model_card": "(self, model_name=None, dataset_name=None, tags=None)",
        "_get_train_sampler": "(self, train_dataset=None)",
        "_save": "(self, output_dir=None, state_dict=None)",
        "compute_loss": "(self, model, inputs, return_outputs=False, num_items_in_batch=None)",
        "create_optimizer": "(self, model=None)",
        "training_step": "(self, *args, **kwargs)",
        "_get_learning_rate": "(self)",
    },
    transformers.Trainer: {
        "_get_train_sampler": "(self, train_dataset=None)",
        "_load_from_checkpoint": "(self, resume_from_checkpoint, model=None)",
        "_save": "(self, output_dir=None, state_dict=None)",
        "compute_loss": "(self, model, inputs, return_outputs=False, num_items_in_batch=None)",
        "create_optimizer": "(self, model=None)",
        "training_step": "(self, model, inputs, num_items_in_batch=None)",
        "_get_learning_rate": "(self)",
    },
    DynamicLayer: {"update": "(self, key_states, value_states, *args, **kwargs)"},
}
"""By class the methods that a subclass here replaces, without their annotations."""

CALLED: dict[Any, str] = {
    transformers.Trainer.log: "(self, logs, start_time=None)",
    DynamicLayer.get_seq_length: "(self)",
    Cache.__init__: "(self, layers=None, layer_class_to_replicate=None, offloading=False, "
    "offload_only_non_sliding=True)",
    DynamicCache.__init__: "(self, ddp_cache_data=None, config=None, offloading=False, offload_only_non_sliding=False)",
    AttentionInterface.register: "(key, value)",
    AttentionMaskInterface.register: "(key, value)",
    transformers.PreTrainedModel.set_attn_implementation: "(self, attn_implementation, allow_all_kernels=False)",
    peft.PeftModel.set_adapter: "(self, adapter_name, inference_mode=False)",
    peft.PeftModel.add_adapter: "(self, adapter_name, peft_config, low_cpu_mem_usage=False, "
    "autocast_adapter_dtype=True)",
    peft.PeftModel.save_pretrained: "(self, save_directory, safe_serialization=True, selected_adapters=None, "
    "save_embedding_layers='auto', is_main_process=True, path_initial_model_for_weight_conversion=None, **kwargs)",
    peft.get_peft_model_state_dict: "(model, state_dict=None, adapter_name='default', unwrap_compiled=False, "
    "save_embedding_layers='auto')",
    peft.set_peft_model_state_dict: "(model, peft_model_state_dict, adapter_name='default', "
    "ignore_mismatched_sizes=False, low_cpu_mem_usage=False)",
    peft.PeftModel.disable_adapter: "(self)",
    peft.PeftModel.get_base_model: "(self)",
}
"""What is called with these arguments, or relied on to mean the same."""

OURS = {
    GRPOTrainer: trl.GRPOTrainer,
    CloningTrainer: trl.SFTTrainer,
    ValueTrainer: transformers.Trainer,
    _BufferedLayer: DynamicLayer,
}


def bare(function: Any) -> str:
    """A signature without annotations."""
    signature = inspect.signature(function)
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


def overrides(ours: type, theirs: type) -> Iterator[str]:
    """The methods of another library that a class of this package defines anew, itself or by a class mixed in."""
    for base in ours.__mro__:
        if base.__module__.startswith("sotopia_env."):
            for name, value in vars(base).items():
                if inspect.isfunction(value) and not name.startswith("__") and hasattr(theirs, name):
                    yield name


@pytest.mark.parametrize("ours", OURS)
def test_every_override_is_known_and_what_it_overrides_is_as_it_was(ours: type) -> None:
    theirs = OURS[ours]
    assert set(overrides(ours, theirs)) == set(OVERRIDDEN[theirs])
    for name, expected in OVERRIDDEN[theirs].items():
        assert bare(getattr(theirs, name)) == expected, f"{theirs.__name__}.{name}"


@pytest.mark.parametrize("ours", OURS)
def test_an_override_takes_all_that_it_may_be_called_with(ours: type) -> None:
    theirs = OURS[ours]
    for name in OVERRIDDEN[theirs]:
        taken = inspect.signature(getattr(theirs, name)).parameters.values()
        if any(parameter.kind == inspect.Parameter.VAR_POSITIONAL for parameter in taken):
            # What it hands on without a name is what its own base takes.
            taken = inspect.signature(getattr(theirs.__base__, name)).parameters.values()
        single = [parameter for parameter in taken if parameter.kind == inspect.Parameter.POSITIONAL_OR_KEYWORD]
        needed = [parameter for parameter in single if parameter.default is inspect.Parameter.empty]
        optional = {parameter.name: None for parameter in single if parameter not in needed}
        inspect.signature(getattr(ours, name)).bind(*needed, **optional)


def test_what_is_called_takes_what_it_took() -> None:
    for function, expected in CALLED.items():
        assert bare(function) == expected, function.__qualname__


@pytest.mark.parametrize("name", ["_metrics", "_entropy_bonus_enabled", "aux_loss_enabled", "temperature", "beta"])
def test_the_grpo_trainer_has_the_attributes_that_are_read(name: str) -> None:
    source = inspect.getsource(trl.GRPOTrainer)
    assert f"self.{name} = " in source or hasattr(trl.GRPOTrainer, name)


@pytest.mark.parametrize("name", ["label_smoother", "compute_loss_func", "aux_loss_enabled"])
def test_the_cloning_trainer_has_the_attributes_that_are_read(name: str) -> None:
    assert f"self.{name} = " in inspect.getsource(trl.SFTTrainer) + inspect.getsource(transformers.Trainer)


def test_libraries_with_overridden_methods_are_bounded_above() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {r.name: r.specifier for r in map(Requirement, project["optional-dependencies"]["train"])}
    for name in ("trl", "transformers", "peft"):
        assert any(one.operator == "<" for one in found[name]), name
        assert version(name) in found[name], name
    # Each minor release of TRL may change what starts with an underscore, and rollout_func is an experiment of its.
    assert "1.17" not in found["trl"]
    assert "6.0" not in found["transformers"]
    assert "1.0" not in found["peft"]
