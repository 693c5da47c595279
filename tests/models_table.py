"""Tiny random models of the families people use, and what can be done with each: the table of docs/models.md.

``python tests/models_table.py`` measures every row and writes the page's table; ``tests/test_models.py`` measures them
one by one and holds them against the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers
from transformers import PreTrainedTokenizerBase

from sotopia_env.agents.embedded import build_tokenizer
from sotopia_env.agents.loading import LoadedModel

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

FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Llama 2, 3": ("LlamaConfig", {}),
    "Llama 4": (
        "Llama4TextConfig",
        {"intermediate_size_mlp": 64, "num_local_experts": 2, "attention_chunk_size": WINDOW, "interleave_moe_layer_step": 2},
    ),
    "Qwen 2, 2.5": ("Qwen2Config", {"tie_word_embeddings": True}),
    "Qwen 2 MoE": ("Qwen2MoeConfig", {"num_experts": 4, "shared_expert_intermediate_size": 16, **_EXPERTS}),
    "Qwen 3": ("Qwen3Config", {"tie_word_embeddings": True}),
    "Qwen 3 MoE": ("Qwen3MoeConfig", {"num_experts": 4, **_EXPERTS}),
    "Qwen 3 Next": ("Qwen3NextConfig", {"num_experts": 4, "shared_expert_intermediate_size": 16, **_EXPERTS, **_DELTA, **_HYBRID}),
    "Qwen 3.5": ("Qwen3_5TextConfig", {**_DELTA, **_HYBRID}),
    "Qwen 3.5 MoE": ("Qwen3_5MoeTextConfig", {"num_experts": 4, "shared_expert_intermediate_size": 16, **_EXPERTS, **_DELTA, **_HYBRID}),
    "Gemma": ("GemmaConfig", {}),
    "Gemma 2": ("Gemma2Config", {"sliding_window": WINDOW, "final_logit_softcapping": 2.0, "query_pre_attn_scalar": 8}),
    "Gemma 3": ("Gemma3TextConfig", {**_SLIDING, "query_pre_attn_scalar": 8}),
    "Gemma 3n": (
        "Gemma3nTextConfig",
        {**_SLIDING, "intermediate_size": 64, "vocab_size_per_layer_input": None, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0, "laurel_rank": 4, "activation_sparsity_pattern": [0.0, 0.0]},
    ),
    "Gemma 4": ("Gemma4TextConfig", {**_SLIDING, "vocab_size_per_layer_input": None, "hidden_size_per_layer_input": 8, "global_head_dim": 16, "num_kv_shared_layers": 0}),
    "Mistral": ("MistralConfig", {"sliding_window": WINDOW}),
    "Ministral": ("MinistralConfig", _SLIDING),
    "Mixtral": ("MixtralConfig", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "Phi 1, 2": ("PhiConfig", {}),
    "Phi 3, 4": ("Phi3Config", {"sliding_window": WINDOW}),
    "Phi MoE": ("PhimoeConfig", {"num_local_experts": 4}),
    "SmolLM 3": ("SmolLM3Config", {}),
    "Granite": ("GraniteConfig", {"logits_scaling": 0.25, "embedding_multiplier": 2.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2}),
    "Granite MoE": ("GraniteMoeConfig", {"logits_scaling": 0.25, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "Granite 4 hybrid": (
        "GraniteMoeHybridConfig",
        {"logits_scaling": 0.25, "shared_intermediate_size": 64, "num_local_experts": 0, "layer_types": ["mamba", "attention"], **_MAMBA2},
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
    "GLM 4 MoE": ("Glm4MoeConfig", {"n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1, **_EXPERTS}),
    "StarCoder 2": ("Starcoder2Config", {"sliding_window": WINDOW}),
    "StableLM": ("StableLmConfig", {}),
    "Nemotron": ("NemotronConfig", {}),
    "Nemotron H": (
        "NemotronHConfig",
        {"layers_block_type": ["mamba", "attention"], "mamba_num_heads": 8, "mamba_head_dim": 8, "n_groups": 1, "ssm_state_size": 8, "chunk_size": 8},
    ),
    "EXAONE 4": ("Exaone4Config", _SLIDING),
    "Hunyuan": ("HunYuanDenseV1Config", {}),
    "ERNIE 4.5": ("Ernie4_5Config", {}),
    "Seed-OSS": ("SeedOssConfig", {}),
    "GPT-2": ("GPT2Config", _GPT),
    "GPT BigCode": ("GPTBigCodeConfig", _GPT),
    "GPT-Neo": ("GPTNeoConfig", {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": WINDOW}),
    "GPT-NeoX, Pythia": ("GPTNeoXConfig", {}),
    "GPT-J": ("GPTJConfig", {**_GPT, "rotary_dim": 4}),
    "OPT": ("OPTConfig", {"ffn_dim": 64, "word_embed_proj_dim": 16}),
    "BLOOM": ("BloomConfig", {"n_layer": 2, "n_head": 4}),
    "Falcon": ("FalconConfig", {"alibi": True}),
    "MPT": ("MptConfig", {"d_model": 32, "n_heads": 4, "n_layers": 2, "expansion_ratio": 2, "max_seq_len": 2048}),
    "Falcon-H1": ("FalconH1Config", {"lm_head_multiplier": 4.0, "mamba_d_ssm": 64, **_MAMBA2}),
    "Bamba": ("BambaConfig", {"attn_layer_indices": [1], **_MAMBA2}),
    "Jamba": ("JambaConfig", {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2, "expert_layer_period": 2, "expert_layer_offset": 1, "use_mamba_kernels": False, "mamba_d_state": 4, "mamba_dt_rank": 4}),
    "LFM 2": ("Lfm2Config", {"layer_types": ["conv", "full_attention"]}),
    "RecurrentGemma": ("RecurrentGemmaConfig", {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": WINDOW, "logits_soft_cap": 2.0}),
    "Mamba": ("MambaConfig", {"state_size": 4}),
    "Mamba 2": ("Mamba2Config", {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8}),
    "RWKV": ("RwkvConfig", {"attention_hidden_size": 32}),
    "xLSTM": ("xLSTMConfig", {"num_heads": 4}),
    "BERT as decoder": ("BertConfig", {"is_decoder": True}),
    "BERT": ("BertConfig", {}),
}  # fmt: skip
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
    for taken, alias in {"n_embd": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads", "n_positions": "max_position_embeddings", "d_model": "hidden_size", "n_heads": "num_attention_heads", "n_layers": "num_hidden_layers", "num_layers": "num_hidden_layers", "num_heads": "num_attention_heads", "max_seq_len": "max_position_embeddings"}.items():
        if taken in special:
            given.pop(alias, None)
    if kind in ("GPT2Config", "GPTBigCodeConfig", "GPTJConfig", "GPTNeoConfig", "BloomConfig", "MptConfig", "FalconConfig"):
        for unknown in ("intermediate_size", "num_key_value_heads", "head_dim"):
            given.pop(unknown, None)
    config = getattr(transformers, kind)(**given)
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.6 / parameter.shape[1] ** 0.5)
        for embedding in (model.get_input_embeddings(), model.get_output_embeddings()):
            if embedding is not None:
                embedding.weight.normal_(0, 0.5)
    return model.eval()
