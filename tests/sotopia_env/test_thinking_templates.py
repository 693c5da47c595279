"""Chat templates of models that think: with thinking off all of them keep a dialogue as one sequence of tokens."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.agents.embedded import build_tokenizer
from sotopia_env.chat_encoding import ChatEncoder, ChatTemplateError
from sotopia_env.thoughts import closing_mark

FOLDER = Path(importlib.util.find_spec("trl").origin).parent / "chat_templates"  # type: ignore[union-attr, arg-type]
PICTURES = {"idefics3", "llava_next", "smolvlm"}
"""Templates that take texts in parts alone, as models of pictures do."""
NAMES = sorted({path.stem for path in FOLDER.glob("*.jinja") if "training" not in path.stem} - PICTURES)
TEXTS = ["Begin.", "hello", "deal", "I can", "limit", "deal"]


def tokenizer_of(name: str) -> Any:
    template = (FOLDER / f"{name}.jinja").read_text()
    found = set(re.findall(r"<\|?/?[\w▁｜]+\|?>|\[/?[A-Z]+\]", template)) | {"<think>", "</think>", "<|eot|>"}
    tokenizer = build_tokenizer(["Hello there I can do $80. limit Begin. deal"] * 2, merges=10)
    special = sorted(token for token in found if "think" not in token)
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>", "extra_special_tokens": special})
    tokenizer.add_tokens(sorted(found - set(special)))
    tokenizer.chat_template = template
    return tokenizer


def chat(*texts: str) -> list[dict[str, str]]:
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    return [{"role": "system", "content": "You sell the bike."}, *turns]


def letters(tokenizer: Any, ids: list[int]) -> str:
    return "".join(tokenizer.decode(ids).split())


@pytest.mark.parametrize("name", NAMES)
def test_with_thinking_off_each_prompt_and_what_was_sampled_begin_the_next(name: str) -> None:
    tokenizer = tokenizer_of(name)
    encoder = ChatEncoder(tokenizer)
    assert encoder.keeps_turns
    assert not encoder.opens_thought
    for end in encoder.stop_ids:
        sampled: list[list[int]] = []
        before: list[int] = []
        for length in (1, 3, 5):
            prompt = encoder.encode(chat(*TEXTS[:length]), sampled).ids
            assert prompt[: len(before)] == before
            assert closing_mark(tokenizer.decode(prompt)) is None
            sampled.append([*tokenizer.encode(TEXTS[length]), end])
            before = [*prompt, *sampled[-1]]
        row = encoder.encode(chat(*TEXTS), sampled, add_generation_prompt=False).ids
        assert row[: len(before)] == before
        if end == encoder.end_of_turn_id:
            # What is encoded from its text stands as what was sampled does, white space aside.
            from_text = encoder.encode(chat(*TEXTS[:5])).ids
            assert letters(tokenizer, from_text) == letters(tokenizer, prompt)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("qwen3", "assistant\n<think>\n\n</think>\n\n"),
        ("qwen3_5_think", "assistant\n<think>\n\n</think>\n\n"),
        ("qwen3_8", "assistant\n<think>\n\n</think>\n\n"),
        ("deepseek_r1_distill", "<｜Assistant｜><think>\n\n</think>\n\n"),
        ("glm4moe", "<|assistant|>\n<think></think>"),
        ("nemotron_3_nano", "assistant\n<think></think>"),
        ("gptoss", "<|start|>assistant<|channel|>final<|message|>"),
        ("muse_glimmer", "<|start|>assistant to=user<|message|>"),
        ("gemma4", "<|turn>model\n"),
        ("llama3", "assistant<|end_header_id|>\n\n"),
    ],
)
def test_with_thinking_off_a_turn_begins_where_words_do(name: str, ending: str) -> None:
    tokenizer = tokenizer_of(name)
    encoder = ChatEncoder(tokenizer)
    for texts in (TEXTS[:1], TEXTS[:3]):
        assert tokenizer.decode(encoder.encode(chat(*texts)).ids).endswith(ending)


@pytest.mark.parametrize(
    ("name", "ending", "opened"),
    [
        ("qwen3", "<|im_start|>assistant\n", False),
        ("qwen3_5_nothink", "assistant\n<think>\n", True),
        ("deepseek_r1_distill", "<｜Assistant｜><think>\n", True),
        ("glm4moe", "<|assistant|>", False),
        ("gptoss", "<|start|>assistant", False),
        ("gemma4", "<|turn>model\n", False),
    ],
)
def test_with_thinking_on_the_template_has_its_way_and_forgets_thoughts(name: str, ending: str, opened: bool) -> None:
    tokenizer = tokenizer_of(name)
    encoder = ChatEncoder(tokenizer, thinking="on", append_only=False)
    messages = chat(*TEXTS[:3])
    ids = encoder.encode(messages).ids
    options = {"enable_thinking": True, "thinking": True}
    assert ids == tokenizer.apply_chat_template(messages, add_generation_prompt=True, **options)["input_ids"]
    assert tokenizer.decode(ids).endswith(ending)
    assert encoder.opens_thought is opened
    assert not encoder.keeps_turns


def test_channels_end_with_their_own_tokens() -> None:
    tokenizer = tokenizer_of("gptoss")

    def stops(thinking: Any) -> set[str]:
        encoder = ChatEncoder(tokenizer, thinking=thinking, append_only=False)
        return set(tokenizer.convert_ids_to_tokens(list(encoder.stop_ids)))

    assert stops("off") == {"<|end|>", "<|return|>"}
    # A thought ends with <|end|> too.
    assert stops("on") == {"<|return|>"}
    with pytest.raises(ChatTemplateError, match="ends thoughts and words alike; take thinking='off'"):
        ChatEncoder(tokenizer_of("muse_glimmer"), thinking="on", append_only=False)
    with pytest.raises(ValueError, match="thinking is 'maybe'"):
        ChatEncoder(tokenizer, thinking="maybe")  # type: ignore[arg-type]


def test_decoding_keeps_the_marks_of_thoughts_and_drops_other_special_tokens() -> None:
    tokenizer = tokenizer_of("gptoss")
    raw = "<|channel|>analysis<|message|>limit<|end|><|start|>assistant<|channel|>final<|message|>deal"
    ids = tokenizer.encode(raw)
    assert ChatEncoder(tokenizer).decode([tokenizer.pad_token_id, *ids, tokenizer.eos_token_id]) == raw


def test_dialogues_that_think_refuse_to_be_one_sequence() -> None:
    encoder = ChatEncoder(tokenizer_of("qwen3"), thinking="on")
    with pytest.raises(ChatTemplateError, match="drops the reasoning of earlier turns.*thinking='off'"):
        encoder.encode(chat(*TEXTS[:3]))
