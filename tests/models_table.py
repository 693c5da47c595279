"""Tiny random models of the families people use, and what can be done with each: the table of docs/models.md.

``python tests/models_table.py`` measures every row and writes the page's table; ``tests/test_models.py`` measures them
one by one and holds them against the page.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig
from torch import Tensor
from transformers import PreTrainedTokenizerBase

import sotopia_env
from sotopia_env import training
from sotopia_env.agents.embedded import build_tokenizer
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.episodes import Episode
from sotopia_env.policies import TokenTrace
from sotopia_env.rewards import FunctionReward
from sotopia_env.rewards.reward_model.rows import value_row
from sotopia_env.rewards.reward_model.saved import load_reward_model
from sotopia_env.training.behaviour_cloning import CloningTrainer, _dataset, cloning_rows
from sotopia_env.training.start import load_to_train, without_dropout

WINDOW = 16
"""Windows of attention, in tokens: far shorter than a dialogue."""

_HYBRID = {"layer_types": ["linear_attention", "full_attention"]}
_DELTA = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_SLIDING = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
_MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_chunk_size": 8}
_LATENT = {
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_key_value_heads": 4,
    "head_dim": 4,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    **_EXPERTS,
}
_GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 2048}

_OWN_NAMES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
    "d_model": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "max_seq_len": "max_position_embeddings",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
}
"""Names of sizes where they are not the usual ones."""

FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Llama 2, 3": ("LlamaConfig", {}),
    "Llama 4": (
        "Llama4TextConfig",
        {
            "intermediate_size_mlp": 64,
            "num_local_experts": 2,
            "attention_chunk_size": WINDOW,
            "interleave_moe_layer_step": 2,
        },
    ),
    "Qwen 2, 2.5": ("Qwen2Config", {"tie_word_embeddings": True}),
    "Qwen 2 MoE": ("Qwen2MoeConfig", {"num_experts": 4, "shared_expert_intermediate_size": 16, **_EXPERTS}),
    "Qwen 3": ("Qwen3Config", {"tie_word_embeddings": True}),
    "Qwen 3 MoE": ("Qwen3MoeConfig", {"num_experts": 4, **_EXPERTS}),
    "Qwen 3 Next": (
        "Qwen3NextConfig",
        {"num_experts": 4, "shared_expert_intermediate_size": 16, **_EXPERTS, **_DELTA, **_HYBRID},
    ),
    "Qwen 3.5": ("Qwen3_5TextConfig", {**_DELTA, **_HYBRID}),
    "Qwen 3.5 MoE": (
        "Qwen3_5MoeTextConfig",
        {"num_experts": 4, "shared_expert_intermediate_size": 16, **_EXPERTS, **_DELTA, **_HYBRID},
    ),
    "Gemma": ("GemmaConfig", {}),
    "Gemma 2": ("Gemma2Config", {"sliding_window": WINDOW, "final_logit_softcapping": 2.0, "query_pre_attn_scalar": 8}),
    "Gemma 3": ("Gemma3TextConfig", {**_SLIDING, "query_pre_attn_scalar": 8}),
    "Gemma 3n": (
        "Gemma3nTextConfig",
        {
            **_SLIDING,
            "intermediate_size": 64,
            "vocab_size_per_layer_input": None,
            "hidden_size_per_layer_input": 8,
            "num_kv_shared_layers": 0,
            "laurel_rank": 4,
            "activation_sparsity_pattern": [0.0, 0.0],
        },
    ),
    "Gemma 4": (
        "Gemma4TextConfig",
        {
            **_SLIDING,
            "vocab_size_per_layer_input": None,
            "hidden_size_per_layer_input": 8,
            "global_head_dim": 16,
            "num_kv_shared_layers": 0,
        },
    ),
    "Mistral": ("MistralConfig", {"sliding_window": WINDOW}),
    "Ministral": ("MinistralConfig", _SLIDING),
    "Mixtral": ("MixtralConfig", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "Phi 1, 2": ("PhiConfig", {}),
    "Phi 3, 4": ("Phi3Config", {"sliding_window": WINDOW}),
    "Phi MoE": ("PhimoeConfig", {"num_local_experts": 4}),
    "SmolLM 3": ("SmolLM3Config", {}),
    "Granite": (
        "GraniteConfig",
        {"logits_scaling": 0.25, "embedding_multiplier": 2.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2},
    ),
    "Granite MoE": ("GraniteMoeConfig", {"logits_scaling": 0.25, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "Granite 4 hybrid": (
        "GraniteMoeHybridConfig",
        {
            "logits_scaling": 0.25,
            "shared_intermediate_size": 64,
            "num_local_experts": 0,
            "layer_types": ["mamba", "attention"],
            **_MAMBA2,
        },
    ),
    "Cohere": ("CohereConfig", {"logit_scale": 4.0}),
    "Cohere 2": ("Cohere2Config", {"logit_scale": 4.0, **_SLIDING}),
    "OLMo": ("OlmoConfig", {}),
    "OLMo 2": ("Olmo2Config", {}),
    "OLMo 3": ("Olmo3Config", _SLIDING),
    "OLMoE": ("OlmoeConfig", {"num_experts": 4, "num_experts_per_tok": 2}),
    "DeepSeek 2": ("DeepseekV2Config", _LATENT),
    "DeepSeek 3": ("DeepseekV3Config", _LATENT),
    "gpt-oss": ("GptOssConfig", {"num_local_experts": 4, "num_experts_per_tok": 2, **_SLIDING}),
    "GLM 4": ("Glm4Config", {}),
    "GLM 4 MoE": (
        "Glm4MoeConfig",
        {"n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1, **_EXPERTS},
    ),
    "StarCoder 2": ("Starcoder2Config", {"sliding_window": WINDOW}),
    "StableLM": ("StableLmConfig", {}),
    "Nemotron": ("NemotronConfig", {}),
    "Nemotron H": (
        "NemotronHConfig",
        {
            "layers_block_type": ["mamba", "attention"],
            "mamba_num_heads": 8,
            "mamba_head_dim": 8,
            "n_groups": 1,
            "ssm_state_size": 8,
            "chunk_size": 8,
        },
    ),
    "EXAONE 4": ("Exaone4Config", _SLIDING),
    "Hunyuan": ("HunYuanDenseV1Config", {}),
    "ERNIE 4.5": ("Ernie4_5Config", {}),
    "GPT-2": ("GPT2Config", _GPT),
    "GPT BigCode": ("GPTBigCodeConfig", _GPT),
    "GPT-Neo": (
        "GPTNeoConfig",
        {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": WINDOW},
    ),
    "GPT-NeoX, Pythia": ("GPTNeoXConfig", {}),
    "GPT-J": ("GPTJConfig", {**_GPT, "rotary_dim": 4}),
    "OPT": ("OPTConfig", {"ffn_dim": 64, "word_embed_proj_dim": 16}),
    "BLOOM": ("BloomConfig", {"n_layer": 2, "n_head": 4}),
    "Falcon": ("FalconConfig", {"alibi": True}),
    "MPT": ("MptConfig", {"d_model": 32, "n_heads": 4, "n_layers": 2, "expansion_ratio": 2, "max_seq_len": 2048}),
    "Falcon-H1": ("FalconH1Config", {"lm_head_multiplier": 4.0, "mamba_d_ssm": 64, **_MAMBA2}),
    "Bamba": ("BambaConfig", {"attn_layer_indices": [1], **_MAMBA2}),
    "LFM 2": ("Lfm2Config", {"layer_types": ["conv", "full_attention"]}),
    "RecurrentGemma": (
        "RecurrentGemmaConfig",
        {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": WINDOW, "logits_soft_cap": 2.0},
    ),
    "Mamba": ("MambaConfig", {"num_hidden_layers": 1, "state_size": 4}),
    "Mamba 2": (
        "Mamba2Config",
        {"num_hidden_layers": 1, "state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8},
    ),
    "xLSTM": ("xLSTMConfig", {"num_hidden_layers": 1, "num_heads": 4}),
    "BERT as decoder": ("BertConfig", {"is_decoder": True}),
    "BERT": ("BertConfig", {}),
}
"""Names of families, each with the class of its settings and what a tiny model of it needs besides the usual."""


def tokenizer() -> PreTrainedTokenizerBase:
    """One tokenizer for all of them, with a chat template."""
    return build_tokenizer(["Hello, I could do $80. You are Ann. Reply with [action] or [leave]."] * 2, merges=40)


def tiny(name: str, tokens: PreTrainedTokenizerBase, seed: int = 0) -> Any:
    """A random model of a family, in 32 bits, whose next tokens hang on what it has read."""
    kind, special = FAMILIES[name]
    usual = {
        "vocab_size": len(tokens),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 2048,
        "pad_token_id": tokens.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokens.eos_token_id,
    }
    given = {**usual, **special}
    if "vocab_size_per_layer_input" in given:
        given["vocab_size_per_layer_input"] = len(tokens)
    for own, usual_name in _OWN_NAMES.items():
        if own in special:
            given.pop(usual_name, None)
    if kind in (
        "GPT2Config",
        "GPTBigCodeConfig",
        "GPTJConfig",
        "GPTNeoConfig",
        "BloomConfig",
        "MptConfig",
        "FalconConfig",
    ):
        for unknown in ("intermediate_size", "num_key_value_heads", "head_dim"):
            given.pop(unknown, None)
    config = getattr(transformers, kind)(**given)
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, parameter.shape[1] ** -0.5)
        # Small, lest what was read last is all that counts where the two are one.
        for embedding in (model.get_input_embeddings(), model.get_output_embeddings()):
            embedding.weight.normal_(0, 0.25)
    return model.eval()


# --- what is done with each -------------------------------------------------------------------------------------------

QUIET = {
    "bf16": False,
    "disable_tqdm": True,
    "save_strategy": "no",
    "per_device_train_batch_size": 4,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
}


def _brevity(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
    return [{a: [1.0 - 0.1 * len(t.text) for t in e.own_turns(a)] for a in e.agents} for e in episodes]


BREVITY = FunctionReward(_brevity, name="brevity", timing="causal")
"""What a turn brings is less the longer it is: different for every member of a group."""


def dialogues() -> list[Episode]:
    """Short dialogues of scripted policies, to learn from."""
    return sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=3, seed=3, max_cycles=4)


def logits_of(model: Any, ids: Sequence[int]) -> Tensor:
    """One plain pass over one row, by ``transformers`` alone."""
    with torch.no_grad():
        logits: Tensor = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0].float()
    return logits


def plays(folder: Path, _: Sequence[Episode]) -> None:
    """What is sampled has the log-probabilities of one plain pass, and is the same alone as in a batch."""
    turns: list[list[str | None]] = []
    for batch_size in (64, 1):
        policy = LocalLM(folder, max_new_tokens=8, batch_size=batch_size)
        traces: dict[tuple[str, str], list[TokenTrace]] = {}
        played = sotopia_env.rollout("bargain", [policy], num_episodes=2, seed=1, max_cycles=4, traces=traces)
        turns.append([turn.raw for episode in played for turn in episode.turns])
        for trace in [trace for own in traces.values() for trace in own]:
            plain = logits_of(policy.model, (*trace.prompt_ids, *trace.ids)).log_softmax(-1)
            plain = plain[len(trace.prompt_ids) - 1 : -1].gather(-1, torch.tensor(trace.ids)[:, None])[:, 0]
            assert trace.logprobs is not None
            assert (plain - torch.tensor(trace.logprobs)).abs().max() < 1e-4
    assert turns[0] == turns[1]
    assert len({token for own in traces.values() for trace in own for token in trace.ids}) > 4


def is_cloned(folder: Path, episodes: Sequence[Episode]) -> None:
    """The loss is ``transformers``' own, so are its gradients, and the clone is what was trained."""
    out = folder.parent / "clone"
    loaded = load_to_train(folder)
    rows = cloning_rows(episodes, loaded)
    args = training.CloningConfig(str(out), max_steps=2, learning_rate=1e-2, **QUIET)
    trainer = CloningTrainer(loaded.model, args=args, train_dataset=_dataset(rows), processing_class=loaded.tokenizer)
    trainer.current_gradient_accumulation_steps = 1
    batch = next(iter(trainer.get_train_dataloader()))
    model = loaded.model.eval()
    predicted = int((batch["labels"][:, 1:] != -100).sum())
    found = []
    routers = {"output_router_logits": True} if trainer.aux_loss_enabled else {}
    for loss in (
        trainer.compute_loss(model, dict(batch), num_items_in_batch=predicted),
        model(**batch, **routers).loss,
    ):
        model.zero_grad()
        loss.backward()
        found.append((loss.item(), [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    (ours, own_gradients), (theirs, gradients) = found
    assert abs(ours - theirs) < 1e-4
    # What is never trained, such as the experts nobody asked, may have no gradient or one of zeros.
    assert len(own_gradients) == len(gradients)
    norm = sum(float(g.square().sum()) for g in gradients) ** 0.5
    differing = zip(own_gradients, gradients, strict=True)
    assert sum(float((a - b).square().sum()) for a, b in differing) ** 0.5 < 1e-3 * norm
    trainer.train()
    LoadedModel(model, loaded.tokenizer).save(out)
    _assert_changed_and_saved(model.eval(), out, folder)


def has_a_reward_model(folder: Path, episodes: Sequence[Episode]) -> None:
    """It is trained, saved and loaded, and says the same of a dialogue alone as in a batch."""
    out = folder.parent / "rm"
    args = training.RewardModelConfig(
        str(out), max_steps=3, learning_rate=1e-2, held_out=0.0, normalizer="z-score", **QUIET
    )
    training.train_reward_model(episodes, folder, labels={"brevity": BREVITY}, out=out, args=args)
    # Loading compares its weights with those that were trained.
    saved = load_reward_model(out)
    rows = [value_row(episode, agent, saved.encoder) for episode in episodes for agent in episode.agents]
    together, alone = (saved.heads.read([r.ids for r in rows], [r.after for r in rows], size) for size in (16, 1))
    for one, other in zip(together, alone, strict=True):
        assert abs(one - other).max() < 1e-4
    assert len({float(number) for numbers in together for (number,) in numbers}) > 1


def is_trained_by_grpo(folder: Path, _: Sequence[Episode]) -> None:
    """The divergence from the reference is 0 at equal weights, and the learner is what was trained."""
    _grpo(folder, folder.parent / "grpo")


def has_an_adapter(folder: Path, _: Sequence[Episode]) -> None:
    """The same with an adapter, which is held against itself and loads back onto its base."""
    _grpo(folder, folder.parent / "adapter", peft_config=LoraConfig(r=2, task_type="CAUSAL_LM"))


def checkpoints(folder: Path, episodes: Sequence[Episode]) -> None:
    """With checkpointing of activations the gradients of cloning are the same."""
    found = []
    for checkpointing in (False, True):
        loaded = load_to_train(folder)
        rows = cloning_rows(episodes, loaded)[:2]
        args = training.CloningConfig(str(folder.parent), max_steps=1, gradient_checkpointing=checkpointing, **QUIET)
        trainer = CloningTrainer(
            loaded.model, args=args, train_dataset=_dataset(rows), processing_class=loaded.tokenizer
        )
        if checkpointing:
            trainer.model.gradient_checkpointing_enable()
        trainer.current_gradient_accumulation_steps = 1
        trainer.model.train()
        without_dropout(trainer.model)
        batch = next(iter(trainer.get_train_dataloader()))
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=torch.tensor(100))
        loss.backward()
        found.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]))
    assert torch.allclose(*found, atol=1e-5)
    assert found[0].abs().max() > 1e-4


def _grpo(start: Path, out: Path, **options: Any) -> None:
    env = sotopia_env.parallel_env("bargain:train", reward=BREVITY, max_cycles=4)
    args = training.GRPOConfig(
        str(out), max_steps=1, num_generations=4, max_turn_tokens=6, learning_rate=1e-2, beta=0.02, **QUIET
    )
    trainer = training.GRPOTrainer(start, env=env, partner=start, args=args, **options)
    trainer.train()
    (line,) = [line for line in training.read_metrics(out / "metrics.jsonl") if "kl_to_reference" in line]
    assert abs(line["kl_to_reference"]) < 1e-5
    _assert_changed_and_saved(trainer.model.eval(), out, start)


def _assert_changed_and_saved(trained: Any, out: Path, start: Path) -> None:
    ids = range(5, 45)
    logits = logits_of(trained, ids)
    assert torch.allclose(logits, logits_of(load_model(out).model, ids), atol=1e-5)
    assert (logits - logits_of(load_model(start).model, ids)).abs().max() > 1e-4


COLUMNS: Mapping[str, Callable[[Path, Sequence[Episode]], None]] = {
    "plays": plays,
    "is cloned": is_cloned,
    "reward model": has_a_reward_model,
    "GRPO": is_trained_by_grpo,
    "LoRA": has_an_adapter,
    "checkpointing": checkpoints,
}
"""What is done with each family; all but the first and last are saved, loaded, and held against what was trained."""


def measure(name: str, episodes: Sequence[Episode], columns: Sequence[str] = tuple(COLUMNS)) -> dict[str, str]:
    """What each column says of a family: ``works``, or in which words it is refused."""
    tokens = tokenizer()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "start"
        LoadedModel(tiny(name, tokens), tokens).save(saved)
        for column in columns:
            try:
                COLUMNS[column](saved, episodes)
                found[column] = "works"
            except ValueError as error:
                found[column] = re.sub(r"\S*/", "", str(error)).strip()
    return found


# --- the page ---------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
_BEGIN, _END = "<!-- made by tests/models_table.py -->", "<!-- end -->"


def as_markdown(rows: Mapping[str, Mapping[str, str]]) -> str:
    """The table, with the words of a refusal below it, once each."""
    refusals = list(dict.fromkeys(said for row in rows.values() for said in row.values() if said != "works"))
    lines = [f"| family | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for name, row in rows.items():
        cells = [said if said == "works" else f"refused ({refusals.index(said) + 1})" for said in row.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{number}. {said}" for number, said in enumerate(refusals, 1))])


def read_page() -> dict[str, dict[str, str]]:
    """What the page says: for each family its columns, refusals in their words."""
    lines = PAGE.read_text(encoding="utf-8").partition(_BEGIN)[2].partition(_END)[0].strip().splitlines()
    refusals = {number: said for number, _, said in (line.partition(". ") for line in lines if line[:1].isdigit())}
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return {
        name: {
            column: cell if cell == "works" else refusals[cell.removeprefix("refused (").removesuffix(")")]
            for column, cell in zip(header[1:], cells, strict=True)
        }
        for name, *cells in rows
    }


def write_page(rows: Mapping[str, Mapping[str, str]]) -> None:
    """Put the table into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    page = f"{before}{_BEGIN}\n{as_markdown(rows)}\n{_END}{rest.partition(_END)[2]}"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    learnt_from = dialogues()
    write_page({family: measure(family, learnt_from) for family in FAMILIES})
