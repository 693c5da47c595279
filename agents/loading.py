"""Loading causal language models: from a directory, a hub id, a GGUF file or a PEFT adapter, always in the same way.

Weights are read from safetensors or GGUF only, and code that comes with a model is never run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, constants, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import HFValidationError, validate_repo_id
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase
from transformers.utils import logging

from sotopia_env.agents.adapters import keep_active_adapter, without_known_warnings
from sotopia_env.agents.digests import describe_model, describe_tokenizer
from sotopia_env.agents.forward import bare
from sotopia_env.describe import Description

PLAIN_CHAT_TEMPLATE = (
    "{{ bos_token or '' }}"
    "{% for message in messages %}"
    "{{ message['role'] + ':\\n' + message['content'] + eos_token + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}"
)
"""For tokenizers without a chat template. Only the token between messages cannot be uttered."""


_PATIENCE = 10.0
"""Seconds that the hub has to say whether there is a model."""

FAST = "fast"
"""The number format of playing: see :func:`fast_dtype`."""

LARGE = 10_000_000
"""From so many weights on float32 is given up for speed: on a CPU with instructions for bfloat16, 64 dialogues of
models of 13 and 28 million weights play 2.0 and 2.4 times as fast in it."""


class ModelLoadError(ValueError):
    """A model cannot be loaded; the message says why and what to do."""


@dataclass(frozen=True)
class LoadedModel:
    """A model, ready to be asked or trained.

    Args:
        model: a causal language model of ``transformers``, or a ``PeftModel`` around one.
        tokenizer: has a chat template and a padding token.
        name: for tables and episodes.
        ends: tokens that end a turn; by default those of the model's generation config and of the tokenizer.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    name: str = "model"
    ends: frozenset[int] | None = None

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end a turn, as tokenizer and generation config name them."""
        return _ends(self.model.generation_config, self.tokenizer) if self.ends is None else self.ends

    def describe(self, adapters: Collection[str] | None = None) -> Description:
        """What the model is, wherever it was loaded from: digests of weights, configuration and tokenizer.

        Args:
            adapters: see :func:`~sotopia_env.agents.digests.describe_model`.
        """
        tokenizer = None if self.tokenizer is None else describe_tokenizer(self.tokenizer)
        stops = None if self.tokenizer is None else sorted(self.stop_ids)
        return {**describe_model(self.model, adapters), "tokenizer": tokenizer, "stop_ids": stops}

    def save(self, directory: str | Path) -> None:
        """Write model (of a ``PeftModel`` its active adapter alone) and tokenizer, for :func:`load_model` to read.

        An adapter names its base by a path that holds from every working directory.
        """
        with without_progress_bars():
            if isinstance(self.model, PeftModel):
                config = self.model.active_peft_config
                if config.base_model_name_or_path and Path(config.base_model_name_or_path).is_dir():
                    config.base_model_name_or_path = str(Path(config.base_model_name_or_path).resolve())
                self.model.save_pretrained(str(directory), selected_adapters=[self.model.active_adapter])
                keep_active_adapter(directory, self.model)
            else:
                self.model.save_pretrained(directory)
            self.tokenizer.save_pretrained(directory)


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep ``transformers`` from drawing a bar for every file it reads or writes."""
    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def computes_in_bfloat16(device: torch.device | None = None) -> bool:
    """Returns whether a device has instructions for bfloat16, so that it saves time.

    Args:
        device: by default the first GPU, or the CPU where there is none.
    """
    if torch.cuda.is_available() if device is None else device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device is not None and device.type != "cpu":
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def fast_dtype(model: Any) -> torch.dtype:
    """Returns the number format in which a model plays fastest where it is.

    That is bfloat16 where the device has instructions for it and the model ten million weights or more; else float32 on
    a CPU, and what the weights are held in elsewhere. Weights of 16 bits stay as they are on a GPU.

    Args:
        model: a causal language model of ``transformers``, adapters included.
    """
    base = bare(model)
    return _fast(number_of_weights(base), base.dtype, base.device)


def number_of_weights(model: Any) -> int:
    """Returns how many numbers a model learns, or has learnt."""
    return sum(weight.numel() for weight in model.parameters())


def _fast(weights: int, own: torch.dtype, device: torch.device) -> torch.dtype:
    if device.type != "cpu" and own != torch.float32:
        return own
    if weights >= LARGE and computes_in_bfloat16(device):
        return torch.bfloat16
    return torch.float32


def cast(model: Any, dtype: torch.dtype, *, frozen: bool = False) -> Any:
    """Hold a model's weights in another number format, but for those that its kind keeps in 32 bits.

    ``model.to(dtype)`` would take digits from the angles of its positions too.

    Args:
        model: a causal language model of ``transformers``, adapters included.
        dtype: the format.
        frozen: leave weights that are trained as they are.
    """
    kept = {*(getattr(model, "_keep_in_fp32_modules", None) or ())}
    for name, weight in model.named_parameters():
        if kept.isdisjoint(name.split(".")) and not (frozen and weight.requires_grad):
            weight.data = weight.data.to(dtype)
    return model


def load_model(
    source: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    adapter: str | Path | None = None,
    gguf_file: str | None = None,
    chat_template: str | None = None,
    name: str | None = None,
    attn_implementation: str | None = None,
    revision: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    quantization_config: Any = None,
) -> LoadedModel:
    """Load a causal language model and its tokenizer.

    Args:
        source: a directory with a model, with one GGUF file or with a PEFT adapter (whose base is then loaded too), or
            a hub id such as ``Qwen/Qwen2.5-7B-Instruct``.
        device: where to put it; by default the first GPU, or the CPU where there is none.
        dtype: of the weights; by default float32 on a CPU, and what the files hold elsewhere. ``"fast"`` is that of
            :func:`fast_dtype`, for playing.
        adapter: directory or hub id of a PEFT adapter to put on the model.
        gguf_file: which GGUF file of the source to read, where it holds several. Its weights are read in 32 bits; the
            tokenizer that is built of it may split an empty line, or two spaces before a digit, unlike llama.cpp.
        chat_template: replaces the tokenizer's own.
        name: for tables and episodes; by default the directory's name or the hub id.
        attn_implementation: as ``transformers`` takes it, such as ``"flash_attention_2"``.
        revision: of a model on the hub: a branch, a tag or a commit.
        device_map: shares the layers out among devices (``"auto"``), in place of ``device``.
        quantization_config: as ``transformers`` takes it, such as a ``BitsAndBytesConfig``.

    Raises:
        ModelLoadError: there is no such model, it is damaged or incomplete, or it could only be read unsafely.
    """
    path, to_play = _directory(source), dtype == FAST
    named = name or (path.resolve().name if path else str(source))
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if path is not None and (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        if adapter is not None:
            raise ModelLoadError(f"{path} holds an adapter already; give its base model as source, or no adapter")
        base = base_of(path)
        on_base = load_model(
            base,
            device=target,
            dtype=dtype,
            adapter=path,
            gguf_file=gguf_file,
            name=named,
            attn_implementation=attn_implementation,
            device_map=device_map,
            quantization_config=quantization_config,
        )
        return LoadedModel(on_base.model, _with_template(on_base.tokenizer, chat_template), named)
    if path is not None and gguf_file is None:
        gguf_file = _only_gguf(path)
    options = _given(trust_remote_code=False, gguf_file=gguf_file, revision=None if path else revision)
    placed = _given(
        attn_implementation=attn_implementation, device_map=device_map, quantization_config=quantization_config
    )
    # What is trained from it may name it as its base, and be read from another working directory.
    location = str(path.resolve() if path else source)
    try:
        # A download from the hub does show how far it is.
        with nullcontext() if path is None else without_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(_tokenizer_source(adapter) or location, **options)
            if dtype == FAST:
                config = AutoConfig.from_pretrained(location, **options)
                with torch.device("meta"):
                    skeleton = AutoModelForCausalLM.from_config(config)
                dtype = _fast(number_of_weights(skeleton), config.dtype or torch.float32, target)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                location,
                dtype=dtype or ("float32" if target.type == "cpu" else "auto"),
                use_safetensors=True if gguf_file is None else None,
                output_loading_info=True,
                **options,
                **placed,
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelLoadError(_explain(source, path, error)) from error
    model, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelLoadError(
            f"{source}: {len(missing)} weights are missing, such as {missing[0]}; the checkpoint is incomplete, or not "
            "that of a causal language model"
        )
    if gguf_file is not None:
        _forget_quantization(model)
    here = not (device_map or getattr(model, "is_quantized", False))
    model = (model.to(target) if here else model).eval()
    _refuse_reading_ahead(source, model)
    encoding = _with_template(tokenizer, chat_template)
    _refuse_unknown_tokens(source, model, encoding)
    if adapter is not None:
        model = _with_adapter(model, adapter, to_play=to_play)
        model = (model.to(target) if here else model).eval()
    return LoadedModel(model, encoding, named)


def check_source(source: str | Path) -> None:
    """Look whether there is a model, without loading it.

    Args:
        source: as for :func:`load_model`.

    Raises:
        ModelLoadError: there is none in the directory, and none of that name on the hub.
    """
    path = _directory(source)
    if path is None:
        try:
            AutoConfig.from_pretrained(str(source), trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise ModelLoadError(_explain(source, None, error)) from error
    elif not (path / "adapter_config.json").is_file():
        _only_gguf(path)


def load_tokenizer(source: str | Path, *, chat_template: str | None = None) -> LoadedModel:
    """Load what is needed of a model that runs elsewhere: all but the model itself, which is ``None``.

    Args:
        source: as for :func:`load_model`.
        chat_template: replaces the tokenizer's own.

    Raises:
        ModelLoadError: it holds no tokenizer.
    """
    path = _directory(source)
    origins = [str(source), *([base_of(path)] if path and (path / "adapter_config.json").is_file() else [])]
    try:
        tokenizer = AutoTokenizer.from_pretrained(_tokenizer_source(path) or origins[-1], trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelLoadError(_explain(source, path, error)) from error
    generation = None
    with suppress(OSError):
        generation = GenerationConfig.from_pretrained(origins[-1])
    encoding = _with_template(tokenizer, chat_template)
    return LoadedModel(None, encoding, path.resolve().name if path else str(source), _ends(generation, encoding))


def _ends(generation: Any, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    configured = getattr(generation, "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(int(index) for index in (*ids, tokenizer.eos_token_id) if index is not None)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _directory(source: str | Path) -> Path | None:
    """The local directory behind a source, or ``None`` for a hub id."""
    path = Path(source).expanduser()
    if path.is_dir():
        if not any(path.iterdir()):
            raise ModelLoadError(
                f"the directory {path} is empty; a model's directory holds config.json and its weights"
            )
        return path
    if path.is_file():
        raise ModelLoadError(f"{path} is a file; give the directory it lies in")
    try:
        validate_repo_id(str(source))
    except HFValidationError as error:
        raise ModelLoadError(f"there is no directory {path}; train a model into it, or correct the path") from error
    _reach_hub(str(source))
    return None


def _reach_hub(name: str) -> None:
    """Ask the hub once for a model that is not here yet: without a network, its files would be tried for a minute."""
    if constants.HF_HUB_OFFLINE or isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    try:
        HfApi().model_info(name, timeout=_PATIENCE)
    except HfHubHTTPError:
        # It answers: what is wrong with the name, or with who asks, the loading says.
        return
    except Exception as error:  # of whichever library the hub is asked with
        raise ModelLoadError(_explain(name, None, error)) from error


def _only_gguf(path: Path) -> str | None:
    """The name of the one GGUF file of a directory that holds no other model."""
    if (path / "config.json").is_file():
        return None
    files = sorted(file.name for file in path.glob("*.gguf"))
    if len(files) > 1:
        raise ModelLoadError(f"{path} holds {len(files)} GGUF files; choose one with gguf_file={files[0]!r}")
    if not files:
        inside = next((f"; {found.parent} is an adapter" for found in path.glob("*/adapter_config.json")), "")
        raise ModelLoadError(
            f"{path} is no model: it holds neither config.json, nor adapter_config.json, nor a GGUF file{inside}"
        )
    return files[0]


def base_of(path: Path) -> str:
    """Returns where the base of an adapter is: as it says, or, for a relative path, seen from the adapter's own folder.

    Raises:
        ModelLoadError: it names none, or one that is not there.
    """
    try:
        base = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(
            f"{path / 'adapter_config.json'} names no base_model_name_or_path; give the base"
        ) from error
    remedy = f"use load_model(BASE, adapter={str(path)!r}), or write the base into base_model_name_or_path there"
    if not base:
        raise ModelLoadError(f"{path / 'adapter_config.json'} names no base; {remedy}")
    if Path(base).is_dir():
        return str(base)
    above = [folder / base for folder in (path.resolve(), *path.resolve().parents) if (folder / base).is_dir()]
    if above:
        return str(above[0])
    if Path(base).is_absolute() or base.startswith("."):
        raise ModelLoadError(f"{path / 'adapter_config.json'}: its base was {base}, which is not there; {remedy}")
    # Perhaps the name of a model on the hub.
    return str(base)


def _tokenizer_source(adapter: str | Path | None) -> str | None:
    """An adapter may come with the tokenizer it was trained with."""
    if adapter is None or not (Path(adapter) / "tokenizer_config.json").is_file():
        return None
    return str(adapter)


def _with_adapter(model: Any, adapter: str | Path, *, to_play: bool) -> PeftModel:
    path = Path(adapter)
    if path.is_dir() and not (path / "adapter_model.safetensors").is_file():
        raise ModelLoadError(f"{path} holds no adapter_model.safetensors; other formats are not read")
    try:
        # Who only plays it needs no more of its digits than of its base's, and is not to cast between the two.
        with without_known_warnings():
            adapted = PeftModel.from_pretrained(
                model, str(adapter), use_safetensors=True, autocast_adapter_dtype=not to_play
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelLoadError(f"the adapter {adapter} does not load onto this base model: {error}") from error
    if adapted.active_peft_config.is_prompt_learning:
        raise ModelLoadError(
            f"the adapter {adapter} ({adapted.active_peft_config.peft_type.value}) puts tokens of its own in front of "
            "every text, which is not served; take one that changes weights, such as LoRA"
        )
    return adapted


def _forget_quantization(model: Any) -> None:
    """Let a model that was read from GGUF be trained and saved as any other: its weights are plain numbers by now."""
    model.hf_quantizer, model.is_quantized = None, False
    for holder, name in ((model, "quantization_method"), (model.config, "quantization_config")):
        if hasattr(holder, name):
            delattr(holder, name)


@torch.no_grad()
def _refuse_reading_ahead(source: str | Path, model: Any) -> None:
    """Refuse a model whose words hang on what comes after them, such as an encoder."""
    ids = torch.tensor([[0, 1, 2], [0, 1, 3]], device=model.device)
    logits = model(input_ids=ids, use_cache=False).logits[:, 1].float()
    # The same sums of the same numbers; with experts, rounded otherwise.
    if (logits[0] - logits[1]).abs().max() > 1e-2 * logits.abs().max():
        raise ModelLoadError(
            f"{source}: what this {type(model).__name__} says of a token hangs on later ones, so it is no causal "
            "language model; take a decoder (for an encoder that was trained as one, set is_decoder in its config.json)"
        )


def _refuse_unknown_tokens(source: str | Path, model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Pad with another token where the model has none for the tokenizer's own; refuse others that it does not have."""
    rows = model.get_input_embeddings().weight.shape[0]
    unknown = {token: index for token, index in tokenizer.get_vocab().items() if index >= rows}
    if tokenizer.pad_token in unknown:
        # What is padding is masked, so any token will do.
        ends = tokenizer.eos_token
        tokenizer.pad_token = ends if ends and ends not in unknown else tokenizer.convert_ids_to_tokens(0)
    added, template = tokenizer.added_tokens_decoder, str(tokenizer.chat_template)
    written = [
        token
        for token, index in unknown.items()
        # No text makes a special token: only the template writes them, and a model that knows them.
        if index not in added or not added[index].special or token in template or token == tokenizer.eos_token
    ]
    if written:
        raise ModelLoadError(
            f"{source}: the tokenizer has {len(tokenizer)} tokens, but the model only {rows}: it does not know "
            f"{', '.join(sorted(written)[:3])}; train it with model.resize_token_embeddings({len(tokenizer)}), or take "
            "the tokenizer it was trained with"
        )


def _with_template(tokenizer: PreTrainedTokenizerBase, chat_template: str | None) -> PreTrainedTokenizerBase:
    """A tokenizer that can encode chats and pad batches on the left."""
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    elif not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
    if tokenizer.pad_token_id is None:
        # Padding is always masked by length, so that sharing a token with the end of a turn hides nothing.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = "left"
    return tokenizer


def _explain(source: str | Path, path: Path | None, error: Exception) -> str:
    reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error).strip().split("\n")[0])
    if path is None:
        return (
            f"there is no directory {str(source)!r}, and the hub model of that name cannot be had ({reason}); "
            "without a network, download it elsewhere and give its directory"
        )
    if any(path.glob("*.bin")) and not any(path.glob("*.safetensors")):
        return f"{path} holds pickled weights (*.bin), which can run code; convert them to safetensors first"
    return f"{path} does not load as a causal language model: {reason}"
