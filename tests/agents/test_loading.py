"""Loading models: every way in, and an error with a remedy for every way that fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from peft import PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertLMHeadModel

from sotopia_env.agents import loading
from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.loading import LoadedModel, ModelLoadError, load_model, load_tokenizer
from sotopia_env.chat_encoding import ChatEncoder


@pytest.fixture
def saved(embedded: LoadedModel, tmp_path: Path) -> Path:
    embedded.save(tmp_path / "base")
    return tmp_path / "base"


def edit_tokenizer(directory: Path, **changes: object) -> None:
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_directory_is_loaded_for_use(saved: Path) -> None:
    loaded = load_model(saved, device="cpu")
    assert loaded.name == "base"
    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training
    assert loaded.tokenizer.padding_side == "left"
    assert loaded.stop_ids == {loaded.tokenizer.eos_token_id}
    assert load_model(str(saved), name="clone", dtype="bfloat16", device="cpu").model.dtype == torch.bfloat16


def test_what_plays_is_loaded_in_the_fastest_format(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load_model(saved, device="cpu")
    LoadedModel(add_lora(base.model), base.tokenizer).save(tmp_path / "adapter")
    monkeypatch.setattr(loading, "computes_in_bfloat16", lambda device: True)
    assert load_model(saved, device="cpu", dtype="fast").model.dtype == torch.float32  # too small to gain from it
    monkeypatch.setattr(loading, "LARGE", 1_000)
    large = load_model(saved, device="cpu", dtype="fast").model
    assert large.dtype == torch.bfloat16
    assert large.model.rotary_emb.inv_freq.dtype == torch.float32
    adapted = load_model(tmp_path / "adapter", device="cpu", dtype="fast").model
    assert {weight.dtype for weight in adapted.parameters()} == {torch.bfloat16}
    assert load_model(saved, device="cpu").model.dtype == torch.float32
    monkeypatch.setattr(loading, "computes_in_bfloat16", lambda device: False)
    assert load_model(saved, device="cpu", dtype="fast").model.dtype == torch.float32


def test_what_transformers_takes_is_passed_on(saved: Path) -> None:
    loaded = load_model(saved, device_map="cpu", attn_implementation="eager")
    assert loaded.model.config._attn_implementation == "eager"
    assert loaded.model.device == torch.device("cpu")


def test_a_model_that_runs_elsewhere_leaves_its_tokenizer_here(saved: Path, tmp_path: Path) -> None:
    base = load_model(saved, device="cpu")
    LoadedModel(add_lora(base.model), base.tokenizer).save(tmp_path / "adapter")
    for folder in (saved, tmp_path / "adapter"):
        here = load_tokenizer(folder)
        assert here.model is None
        assert (here.stop_ids, here.name) == (base.stop_ids, folder.name)
        assert here.tokenizer.get_vocab() == base.tokenizer.get_vocab()


def test_without_a_chat_template_a_plain_one_is_used(saved: Path) -> None:
    (saved / "chat_template.jinja").unlink()
    loaded = load_model(saved, device="cpu")
    encoded = ChatEncoder(loaded.tokenizer).encode([{"role": "user", "content": "Begin."}])
    assert loaded.tokenizer.decode(encoded.ids) == "user:\nBegin.<|end|>\nassistant:\n"


def test_a_chat_template_can_be_given(saved: Path) -> None:
    template = "{% for m in messages %}{{ m['content'] + eos_token }}{% endfor %}"
    assert load_model(saved, device="cpu", chat_template=template).tokenizer.chat_template == template


def test_without_a_padding_token_the_end_token_serves(saved: Path) -> None:
    edit_tokenizer(saved, pad_token=None)
    tokenizer = load_model(saved, device="cpu").tokenizer
    assert tokenizer.pad_token_id == tokenizer.eos_token_id


def test_an_adapter_directory_is_loaded_on_its_base(saved: Path, tmp_path: Path) -> None:
    base = load_model(saved, device="cpu")
    adapted = add_lora(base.model, "default", seed=1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    LoadedModel(adapted, base.tokenizer).save(tmp_path / "adapter")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        expected = adapted.eval()(ids).logits
        for again in (
            load_model(tmp_path / "adapter", device="cpu"),
            load_model(saved, adapter=tmp_path / "adapter", device="cpu"),
        ):
            torch.testing.assert_close(again.model(ids).logits, expected)
    assert load_model(tmp_path / "adapter", device="cpu").name == "adapter"
    assert not torch.allclose(expected, load_model(saved, device="cpu").model(ids).logits, atol=1e-3)


def test_pickled_weights_are_refused(saved: Path) -> None:
    torch.save(load_file(saved / "model.safetensors"), saved / "pytorch_model.bin")
    (saved / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match="convert them to safetensors"):
        load_model(saved)


def test_pickled_adapters_are_refused(saved: Path, tmp_path: Path) -> None:
    adapted = add_lora(load_model(saved, device="cpu").model)
    adapted.save_pretrained(tmp_path / "adapter")
    adapter = tmp_path / "adapter" / "learner"
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelLoadError, match=r"no adapter_model\.safetensors"):
        load_model(adapter)


def test_missing_weights_are_no_silent_start_from_scratch(saved: Path) -> None:
    weights = load_file(saved / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"1 weights are missing, such as model\.norm\.weight"):
        load_model(saved)


def test_damaged_files_are_named(saved: Path) -> None:
    data = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(data[:1000])
    with pytest.raises(ModelLoadError, match="base does not load"):
        load_model(saved)
    (saved / "config.json").write_text("{")
    with pytest.raises(ModelLoadError, match="base does not load"):
        load_model(saved)


def test_what_is_no_model_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="there is no directory .*/runs/quickstart/bc; train a model into it"):
        load_model(tmp_path / "runs/quickstart/bc")
    with pytest.raises(ModelLoadError, match="is empty"):
        load_model(tmp_path)
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(ModelLoadError, match=r"holds neither config\.json"):
        load_model(tmp_path)
    with pytest.raises(ModelLoadError, match="is a file"):
        load_model(tmp_path / "notes.txt")
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(ModelLoadError, match=r"gguf_file='a\.gguf'"):
        load_model(tmp_path)


def test_an_adapter_without_a_base_is_explained(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": None}))
    with pytest.raises(ModelLoadError, match="load_model\\(BASE, adapter="):
        load_model(tmp_path)
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(ModelLoadError, match="names no base_model_name_or_path"):
        load_model(tmp_path)


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def unreachable(self: object, name: str, **options: object) -> None:
        asked.append(name)
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(ModelLoadError, match=r"no directory 'nodir', and the hub .* \(Name or service not known\)"):
        load_model("nodir")
    assert asked == ["nodir"]


def test_a_hub_model_without_a_network_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelLoadError, match="without a network, download it elsewhere and give its directory"):
        load_model("nobody/no-such-model")


# --- what an adapter is saved as, and where its base is looked for --------------------------------------------------


def disturbed(model: Any) -> Any:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(torch.tensor([[5, 6, 7]])).logits
    return found


def test_the_active_adapter_is_saved_whatever_its_name(saved: Path, tmp_path: Path) -> None:
    base = load_model(saved, device="cpu")
    adapted = disturbed(add_lora(base.model, seed=1))
    expected = logits(adapted)
    add_lora(adapted, "partner", seed=2)
    adapted.set_adapter("learner")
    LoadedModel(adapted, base.tokenizer).save(tmp_path / "adapter")
    assert not [path for path in (tmp_path / "adapter").iterdir() if path.is_dir()]
    torch.testing.assert_close(logits(load_model(tmp_path / "adapter", device="cpu").model), expected)
    adapted.save_pretrained(tmp_path / "stock")
    with pytest.raises(ModelLoadError, match="is no model: .*; .*stock/(learner|partner) is an adapter"):
        load_model(tmp_path / "stock")


def test_a_base_is_found_from_every_working_directory(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = load_model("base", device="cpu")
    LoadedModel(add_lora(base.model), base.tokenizer).save("runs/adapter")
    config = tmp_path / "runs" / "adapter" / "adapter_config.json"
    written = json.loads(config.read_text())
    assert written["base_model_name_or_path"] == str(saved)
    monkeypatch.chdir("/")
    load_model(tmp_path / "runs" / "adapter", device="cpu")
    # As older files and other programs have it: from where they were started.
    config.write_text(json.dumps({**written, "base_model_name_or_path": "base"}))
    load_model(tmp_path / "runs" / "adapter", device="cpu")
    config.write_text(json.dumps({**written, "base_model_name_or_path": "/gone/base"}))
    with pytest.raises(ModelLoadError, match=r"its base was /gone/base, which is not there; use load_model\(BASE"):
        load_model(tmp_path / "runs" / "adapter", device="cpu")


def test_adapters_that_speak_first_are_refused(saved: Path, tmp_path: Path) -> None:
    base = load_model(saved, device="cpu")
    prompted = get_peft_model(base.model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    prompted.save_pretrained(tmp_path / "adapter")
    with pytest.raises(ModelLoadError, match=r"\(PROMPT_TUNING\) puts tokens of its own in front"):
        load_model(saved, adapter=tmp_path / "adapter", device="cpu")


# --- models that are not what they seem -----------------------------------------------------------------------------


def test_an_encoder_is_refused_and_a_decoder_of_its_kind_is_not(saved: Path, tmp_path: Path) -> None:
    tokenizer = load_model(saved, device="cpu").tokenizer
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    for is_decoder in (True, False):
        config = BertConfig(vocab_size=len(tokenizer), is_decoder=is_decoder, initializer_range=0.3, **sizes)
        LoadedModel(BertLMHeadModel(config), tokenizer).save(tmp_path / "bert")
        if is_decoder:
            load_model(tmp_path / "bert", device="cpu")
            continue
        with pytest.raises(ModelLoadError, match="BertLMHeadModel says of a token hangs on later ones"):
            load_model(tmp_path / "bert", device="cpu")


def test_a_padding_token_without_a_row_gives_way_and_others_are_named(saved: Path, tmp_path: Path) -> None:
    loaded = load_model(saved, device="cpu")
    rows = len(loaded.tokenizer)
    loaded.tokenizer.add_special_tokens({"pad_token": "<|my_pad|>"})
    loaded.save(tmp_path / "padded")
    again = load_model(tmp_path / "padded", device="cpu")
    assert again.tokenizer.pad_token_id == again.tokenizer.eos_token_id < rows
    again.save(tmp_path / "again")
    assert load_model(tmp_path / "again", device="cpu").tokenizer.pad_token_id < rows
    loaded.tokenizer.add_tokens(["zebra"])
    loaded.save(tmp_path / "grown")
    with pytest.raises(ModelLoadError, match=rf"has {rows + 2} tokens, but the model only {rows}: .* zebra;"):
        load_model(tmp_path / "grown", device="cpu")


def write_gguf(directory: Path, loaded: LoadedModel) -> None:
    """The embedded model as llama.cpp's programs would hold it."""
    config, tokenizer = loaded.model.config, loaded.tokenizer
    directory.mkdir()
    writer = gguf.GGUFWriter(str(directory / "model.gguf"), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "model.layers": "blk",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for name, weight in loaded.model.state_dict().items():
        if name == "lm_head.weight":
            continue  # it is that of the embeddings
        values = weight.numpy()
        for part, number in heads.items():
            if part in name:  # llama.cpp turns neighbouring values, transformers the two halves
                values = values.reshape(number, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_model_from_gguf_is_saved_as_safetensors(embedded: LoadedModel, tmp_path: Path) -> None:
    write_gguf(tmp_path / "gguf", embedded)
    loaded = load_model(tmp_path / "gguf", device="cpu")
    torch.testing.assert_close(logits(loaded.model), logits(embedded.model))
    assert loaded.model.dtype == torch.float32
    loaded.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "model.safetensors").is_file()
    torch.testing.assert_close(logits(load_model(tmp_path / "saved", device="cpu").model), logits(embedded.model))
