"""How far samplers and trainer are apart on the same tokens: ``python -m sotopia_env.benchmark_agreement MODEL``.

A model plays itself, by the decoder in 32 and in 16 bits and, with ``--vllm URL``, by a server of vLLM. What each says
of the tokens that it drew is held against what a trainer makes of them, in 32 bits and as it trains (a frozen base in
bfloat16 under an adapter, mixed precision). What the number format alone does is the trainer's own difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from sotopia_env.policies import TokenTrace
from sotopia_env.tables import Cell, Table, show

TASKS = "bargain:test?agreement=formal"


def sampled(policy: Any, dialogues: int) -> list[TokenTrace]:
    """Returns all turns of some dialogues of a policy with itself.

    Args:
        policy: that keeps log-probabilities.
        dialogues: how many.
    """
    from sotopia_env.rollouts.rollout import rollout

    traces: dict[tuple[str, str], list[TokenTrace]] = {}
    rollout(TASKS, policy, num_episodes=dialogues, max_cycles=8, traces=traces)
    return [trace for own in traces.values() for trace in own if trace.ids]


def scored_again(model: str, turns: Sequence[TokenTrace], bf16: bool) -> NDArray[np.float64]:
    """Returns log-probabilities of all tokens of some turns as a trainer computes them.

    Args:
        model: directory or hub id.
        turns: sampled at temperature 1 from all tokens.
        bf16: in mixed precision over a base in bfloat16.
    """
    import torch

    from sotopia_env.training.command_line import adapter_of
    from sotopia_env.training.scoring import selected_logprobs
    from sotopia_env.training.start import load_to_train

    # A new adapter changes nothing yet.
    language_model = load_to_train(model, peft_config=adapter_of(8), seed=0, bf16=bf16).model.eval()
    lengths = torch.tensor([len(turn.prompt_ids) + len(turn.ids) for turn in turns])
    places = torch.arange(int(lengths.max()))
    ids = torch.zeros(len(turns), len(places), dtype=torch.long)
    for row, turn in zip(ids, turns, strict=True):
        row[: len(turn.prompt_ids) + len(turn.ids)] = torch.tensor([*turn.prompt_ids, *turn.ids])
    attention = places < lengths[:, None]
    chosen = attention & (places >= torch.tensor([[len(turn.prompt_ids)] for turn in turns]))
    device = language_model.device
    with torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext():
        values = selected_logprobs(language_model, ids.to(device), attention.long().to(device), chosen.to(device), 1.0)
    found: NDArray[np.float64] = values.double().cpu().numpy()
    return found


def rows_of(model: str, url: str | None, dialogues: int) -> Iterator[list[Any]]:
    """One row a sampler: its name, its number of tokens, and mean and largest differences.

    Args:
        model: directory or hub id.
        url: of a server of vLLM that serves it.
        dialogues: that each plays.
    """
    from sotopia_env.agents.local_lm import LocalLM

    samplers: dict[str, dict[str, Any]] = {
        "decoder, float32": {"dtype": "float32"},
        "decoder, bfloat16": {"dtype": "bfloat16"},
    }
    if url is not None:
        samplers["vLLM"] = {"backend": "vllm", "url": url}
    for name, options in samplers.items():
        turns = sampled(LocalLM(model, temperature=1.0, max_new_tokens=32, **options), dialogues)
        said = np.array([value for turn in turns for value in turn.logprobs or ()])
        whole, mixed = scored_again(model, turns, bf16=False), scored_again(model, turns, bf16=True)
        pairs = [np.abs(one - other) for one, other in ((said, whole), (said, mixed), (mixed, whole))]
        yield [name, len(said), *(Cell(number, ".5f") for apart in pairs for number in (apart.mean(), apart.max()))]


def main(
    model: Annotated[str, typer.Argument(help="Directory or hub id of a causal language model.")],
    vllm: Annotated[str | None, typer.Option(help="A server of vLLM that serves it, by its address.")] = None,
    dialogues: Annotated[int, typer.Option(min=1, help="How many each sampler plays.")] = 8,
) -> None:
    """Measure, and print mean and largest difference of log-probabilities a token."""
    titles = ("to trainer, 32 bits", "to trainer, 16 bits", "trainer, 16 to 32 bits")
    columns = ["sampler", "tokens", *(f"{title}: {what}" for title in titles for what in ("mean", "max"))]
    show(Table(columns, list(rows_of(model, vllm, dialogues))))


if __name__ == "__main__":
    typer.run(main)
