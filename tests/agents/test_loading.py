"""Loading models: every way in, and an error with a remedy for every way that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.loading import LoadedModel, ModelLoadError, load_model
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
