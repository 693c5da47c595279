"""Thoughts stay private: what models think aloud is told from what they say, for every kind of mark."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sotopia_env
from sotopia_env.actions import NONE, speak
from sotopia_env.rendering import output_text, parse_output, read_output
from sotopia_env.thoughts import begins_inside, closing_mark, is_mark, without_thoughts

WORDS = "I could do $80."
SPOKEN = {
    "think": f"<think>limit $60</think>\n{WORDS}",
    "capitals and blanks": f"<Think >limit $60</THINK>{WORDS}",
    "a closing mark alone": f"My limit is $60, hide it.\n</think>\n\n{WORDS}",
    "two closing marks": f"limit </think> $60 </think> {WORDS}",
    "thinking": f"<thinking>limit $60</thinking>\n{WORDS}",
    "reasoning": f"<reasoning>limit $60</reasoning>\n{WORDS}",
    "an attribute": f'<thinking budget="9">limit $60</thinking>{WORDS}',
    "a prefix": f"<seed:think>limit $60</seed:think>{WORDS}",
    "Magistral": f"[THINK]limit $60[/THINK]{WORDS}",
    "Command A": f"<|START_THINKING|>limit $60<|END_THINKING|><|START_RESPONSE|>{WORDS}<|END_RESPONSE|>",
    "Kimi": f"◁think▷limit $60◁/think▷{WORDS}",
    "Gemma 4": f"<|channel>thought\nlimit $60<channel|>{WORDS}",
    "MedGemma": f"<unused94>thought\nlimit $60<unused95>{WORDS}",
    "Harmony": f"<|channel|>analysis<|message|>limit $60<|end|><|start|>assistant<|channel|>final<|message|>{WORDS}",
    "Harmony, begun by the prompt": f"limit $60<|end|><|start|>assistant<|channel|>final<|message|>{WORDS}<|return|>",
    "Harmony, a call": "<|channel|>commentary to=f<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>"
    + WORDS,
    "Harmony without its special tokens": f"analysislimit $60assistantfinal{WORDS}",
    "Harmony, the channel begun by the prompt": f"{WORDS}<|end|>",
    "recipients": f"assistant to=self<|message|>limit $60<|eot|><|start|>assistant to=user<|message|>{WORDS}",
    "two blocks": f"<think>a $60</think>\n<think>b $61</think>\n{WORDS}",
    "a block within": f"<think>limit <think>$60</think> or $61</think>{WORDS}",
    "another kind within": f"<think>limit <reasoning>$60</reasoning> or $61</think>{WORDS}",
    "a block behind": f"{WORDS}\n<think>limit $60</think>",
    "a block that was cut": f"{WORDS}\n<think>limit $60",
    "a mention among thoughts": f'<think>I must write "</think>" when I am done</think>{WORDS}',
    "an answer": f"<think>limit $60</think>\n<answer>{WORDS}</answer>",
}
UNSPOKEN = {
    "a block that was cut": "<think>limit $60",
    "a closing mark at the end": "limit $60</think>\n",
    "a mismatched end": f"<thinking>limit $60</think>{WORDS}",
    "Magistral": "[THINK]limit $60",
    "Gemma 4": "<|channel>thought\nlimit",
    "Harmony": "<|channel|>analysis<|message|>limit $60",
    "Harmony, before the last channel": "<|channel|>analysis<|message|>limit<|end|><|start|>assistant",
    "Harmony without its special tokens": "analysisWe need to hide $60",
}
ORDINARY = [
    'He wrote "<think>" on the board, and `</think>` below.',
    "“<think>” is a tag.",
    "analysis of the price: $80",
    "I <3 you, and 3 < 4 > 2 [sic].",
    "  spaces stay  ",
    "I think <b>so</b>.",
    "",
]


@pytest.mark.parametrize("kind", SPOKEN)
def test_only_the_words_are_spoken(kind: str) -> None:
    assert parse_output(SPOKEN[kind]) == (speak(WORDS), None)


@pytest.mark.parametrize("kind", UNSPOKEN)
def test_thoughts_alone_are_no_action_and_the_reason_says_so(kind: str) -> None:
    assert parse_output(UNSPOKEN[kind]) == (NONE, "the output holds thoughts alone, and no words")


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert without_thoughts(text) == text


def test_acts_and_json_are_read_behind_thoughts() -> None:
    assert parse_output("<think>take it</think>\n[action] accept") == (sotopia_env.do("accept"), None)
    action = '<think>$60</think>{"action_type": "speak", "argument": "<think>$60</think>I could."}'
    assert parse_output(action) == (speak("I could."), None)
    assert parse_output('[action] <think>"$60"</think> accept') == (sotopia_env.do("accept"), None)


def test_a_thought_that_the_prompt_began_ends_with_its_mark_or_not_at_all() -> None:
    assert read_output(f"limit $60</think>{WORDS}", opened=True) == (speak(WORDS), None)
    assert read_output("limit $60", opened=True)[0] == NONE
    assert read_output("said: limit $60", opened=True)[0] == NONE
    assert begins_inside("limit</think>words")
    assert not begins_inside("<think>limit</think>words")
    assert not begins_inside("words")


def test_what_was_said_with_marks_is_written_so_that_it_is_read_back() -> None:
    for text in (*SPOKEN.values(), *UNSPOKEN.values()):
        assert parse_output(output_text(speak(text))) == (speak(text.strip()), None)


@pytest.mark.parametrize(
    ("prompt", "mark"),
    [
        ("<|im_start|>assistant\n<think>\n", "</think>"),
        ("<think>\n\n</think>\n\n", None),
        ("<|im_start|>assistant\n", None),
        ("<|turn>model\n<|channel>thought\n", "<channel|>"),
        ("[/INST][THINK]", "[/THINK]"),
        ("Think in <think> tags. <|assistant|>", None),
    ],
)
def test_the_thought_in_which_a_prompt_ends_can_be_closed(prompt: str, mark: str | None) -> None:
    assert closing_mark(prompt) == mark


def test_marks_are_told_from_other_tokens() -> None:
    marks = ["<think>", "</think>", "[THINK]", "<|channel|>", "<|message|>", "<channel|>", "<|START_RESPONSE|>"]
    assert all(map(is_mark, marks))
    assert not any(map(is_mark, ["<|im_end|>", "</s>", "<pad>", "[INST]", "think", "<|tool_call>"]))


@pytest.mark.parametrize("interface", ["text", "dict"])
def test_no_other_agent_is_shown_a_thought(interface: str) -> None:
    env = sotopia_env.make.with_interface(sotopia_env.parallel_env("bargain"), interface)
    env.reset(seed=0)
    raw = SPOKEN["think"]
    given_: Any = raw if interface == "text" else sotopia_env.policies.Decision(parse_output(raw)[0], raw)
    observations = env.step({"agent_0": given_})[0]
    assert env.episode.turns[0].raw == raw
    assert WORDS in str(observations["agent_1"])
    assert "limit $60" not in str(observations["agent_1"])
    assert "limit $60" not in str(observations["agent_0"])


HOSTILE = ["<", "<think>", "</think>", '"<think>', "<|start|>", "<|message|>", "<think ", "<a:", "<answer>",
           "</answer> ", "[to ", "```", "``` ", " ", "\n", "<|channel|>", "analysis", "assistantfinal",
           "[THINK]"]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_reading_is_linear(piece: str) -> None:
    """A quadratic reader would take minutes, so that no time needs to be measured."""
    parse_output(piece * 60_000 + "x")


@given(st.lists(st.sampled_from([*HOSTILE, "said:", "{", '{"action_type": 1}', "final", "<|end|>"]) | st.text()))
def test_anything_is_read(pieces: list[str]) -> None:
    raw = "".join(pieces)
    action, reason = parse_output(raw)
    assert (action == NONE) or reason is None
    assert parse_output(output_text(speak(raw)))[0].text in (raw.strip(), "")
