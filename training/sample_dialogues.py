"""One dialogue of a run, now and then, with what each turn was paid: for whoever watches it in a tracker."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback

from sotopia_env.training.rollout_func import GroupMember

SAMPLE = "dialogue"
"""The name under which trackers keep it."""


@dataclass(frozen=True)
class DialogueTable:
    """A dialogue with its rewards.

    Args:
        heading: whose dialogue it is, how it ended and what was paid for all of it.
        columns: their names.
        rows: one for each turn; ``None`` where a number is unknown, or is none of the learner's.
    """

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]

    def markdown(self) -> str:
        """Returns it as a Markdown table in which nothing that was said is markup."""
        lines = [self.columns, ("---",) * len(self.columns)]
        lines += [tuple(_cell(value) for value in row) for row in self.rows]
        return "\n".join([escaped(self.heading), "", *(f"| {' | '.join(line)} |" for line in lines)])


def dialogue_table(dialogue: GroupMember) -> DialogueTable:
    """Returns what was said and, for each of the learner's turns, what each part of the reward gave it.

    Args:
        dialogue: of a step of training.
    """
    episode, total = dialogue.episode, dialogue.total
    paid = {name: np.asarray(part.rewards, dtype=np.float64) for name, part in dialogue.parts.items()}
    rows = []
    for turn in episode.turns:
        said = turn.text if turn.invalid is None else f"{turn.text or turn.raw or ''} (invalid: {turn.invalid})"
        own = turn.agent == dialogue.agent
        numbers = (float(values[turn.own_index]) if own else None for values in paid.values())
        known = (None if number is None or np.isnan(number) else number for number in numbers)
        rows.append((turn.agent, turn.type, said, *known))
    ending = "not over" if episode.ending is None else episode.ending.reason
    worth = "unknown" if total is None else f"{total:.4g}"
    heading = f"{episode.task.id}, {dialogue.agent} learns, ended by {ending}, return {worth}"
    return DialogueTable(heading, ("agent", "type", "text", *paid), tuple(rows))


class SampleDialogue(TrainerCallback):
    """Hands one dialogue to each tracker every so many steps: TensorBoard, trackio and wandb.

    Args:
        steps: how often.
        dialogues: returns those of the step; which one is shown moves on, so that all places of a batch come up.
        callbacks: returns those of the trainer, TensorBoard's with its writer among them.
    """

    def __init__(
        self, steps: int, dialogues: Callable[[], Sequence[GroupMember]], callbacks: Callable[[], Sequence[Any]]
    ) -> None:
        self.steps = steps
        self.dialogues = dialogues
        self.callbacks = callbacks

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Log one where it is time."""
        played = self.dialogues()
        if not (state.is_world_process_zero and played and state.global_step % self.steps == 0):
            return
        table = dialogue_table(played[(state.global_step // self.steps - 1) % len(played)])
        for callback in self.callbacks():
            if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
                callback.tb_writer.add_text(SAMPLE, table.markdown(), state.global_step)
        step = {"train/global_step": state.global_step}
        columns: list[str | int] = ["dialogue", *table.columns]
        if "wandb" in (args.report_to or ()):
            import wandb

            rows = [[table.heading, *row] for row in table.rows]
            wandb.log({SAMPLE: wandb.Table(columns=columns, data=rows), **step})
        if "trackio" in (args.report_to or ()):
            import trackio

            # Its cells are Markdown.
            rows = [[escaped(v) if isinstance(v, str) else v for v in (table.heading, *row)] for row in table.rows]
            trackio.log({SAMPLE: trackio.Table(columns=columns, data=rows), **step})


def escaped(text: str) -> str:
    """Returns a text that Markdown and HTML show as it is, on one line, without marks that turn its direction."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"[^\w\s,']|_", lambda mark: f"&#{ord(mark[0])};", line)


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return escaped(value) if isinstance(value, str) else f"{value:.4g}"
