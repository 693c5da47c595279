"""List the strings with which tasks, policies, rewards and judges are named, and what each stands for."""

from __future__ import annotations

from typing import Annotated

import typer

from sotopia_env.cli.common import AsJson, clear_errors, print_json

_TOLD = {
    "tasks": {
        "bargain": "a sale: one price, a hidden limit on each side",
        "divide": "items to be shared, worth different points to each",
        "mutual-friends": "find the friend that both have",
        "mini": "open-ended scenes of everyday life, whose goals a model judges",
        "sotopia": "Sotopia's published scenarios, from the folder in SOTOPIA_ENV_DATA",
    },
    "policies": {
        "random": "any legal action, at random",
        "erratic": "names prices at random",
        "scripted:mixed": "another character every episode, by the seed",
        "scripted:changing": "another character every turn",
        "scripted:firm": "gives way late and little",
        "scripted:soft": "gives way early and much",
        "scripted:warm": "friendly, and answers what it is asked",
        "scripted:blunt": "speaks of the matter alone",
        "scripted:curious": "asks much",
        "scripted:patient": "stays long at the table",
        "scripted:anchor": "begins with an extreme offer",
        "scripted:tit-for-tat": "gives way as much as the other side does",
        "scripted:stonewall": "hardly moves",
        "scripted:hostile": "insults now and then",
        "scripted:deceptive": "now and then says what is not true",
        "local": "a causal language model in this process",
        "vllm": "a model that vLLM serves or runs",
        "openai": "a model behind a server that speaks OpenAI's protocol",
        "human": "you, at this terminal",
    },
    "rewards": {
        "episode": "the score, at the last turn",
        "uniform": "the score, shared equally among the turns",
        "broadcast": "the score, at every turn",
        "discounted": "the score, less for earlier turns",
        "scaled": "the score times the importance of the turn",
        "singular": "the score, at the most important turn alone",
        "direct": "the importance of the turn, as the attributor gives it",
        "direct-centred": "the same, times how far the score lies above its mean",
        "progress": "by how much one stands better once the other has replied",
        "progress-paper": "the same in the published form",
        "monte-carlo:POLICY": "the change in value, by playing on",
        "shapley:POLICY": "the turn's share by Shapley, by playing on",
        "model:FOLDER": "a reward model that was trained here",
        "length": "a penalty for many words",
        "format": "a penalty for turns that are no valid action",
        "repetition": "a penalty for saying the same again",
        "secret": "a penalty for telling one's secret",
    },
    "judges": {
        "rule": "the rules of the family, exact where it can know",
        "strict": "the same; a deal outside the other side's limit is none",
        "llm": "a model, asked for Sotopia's seven dimensions",
    },
}

_OWN = "one of your own"


def described(kind: str, name: str) -> str:
    """What a listed name stands for.

    Args:
        kind: of the slot, such as ``"policies"``.
        name: as the list has it.

    Raises:
        KeyError: nobody has said it.
    """
    if name == "module:attribute":
        return _OWN
    told = _TOLD[kind]
    return told[name] if name in told else told[name.partition(":")[0]]


def list_names(
    kind: Annotated[str, typer.Argument(help="tasks, policies, rewards or judges; everything by default.")] = "",
    as_json: AsJson = False,
) -> None:
    """Every string that names tasks, policies, rewards or judges, and what it stands for."""
    with clear_errors():
        from sotopia_env.resolve import list_names as names_of

        names = names_of()
        if kind and kind not in names:
            raise ValueError(f"{kind!r} is none of {', '.join(names)}")
        found = {key: make() for key, make in names.items() if kind in ("", key)}
        if as_json:
            print_json(found)
            return
        for key, strings in found.items():
            indent = "" if kind else "  "
            if not kind:
                print(f"{key}:")
            for name in strings:
                print(f"{indent}{name:<26}  {described(key, name)}")
