"""What happens beside a training run: a progress bar, metrics as JSON lines, an evaluation now and then."""

from __future__ import annotations

import json
import math
import sys
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from sotopia_env.agents.loading import without_progress_bars
from sotopia_env.progress import ProgressBar
from sotopia_env.storage.journal import replace_file


class Progress(TrainerCallback):
    """A progress bar on stderr that shows some metrics beside it, and prints nothing on stdout.

    Args:
        shown: names of the metrics.
    """

    def __init__(self, shown: tuple[str, ...] = ("loss",)) -> None:
        self.shown = shown
        self._open = ExitStack()
        self._bar: ProgressBar | None = None
        # An interrupted run gives the terminal its cursor back.
        weakref.finalize(self, self._open.close)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the bar."""
        if state.is_world_process_zero:
            self._open.close()
            bar = ProgressBar("training", state.max_steps, completed=state.global_step)
            self._bar = self._open.enter_context(bar)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the bar."""
        self._open.close()
        self._bar = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Show the newest metrics."""
        if self._bar is not None and logs:
            numbers = {name: logs[name] for name in self.shown if isinstance(logs.get(name), int | float)}
            self._bar.note(", ".join(f"{name}={value:.3g}" for name, value in numbers.items()))


class Processes(TrainerCallback):
    """Says on stderr how many processes train together: a launcher may start fewer than it was asked for."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say it, once for all of them."""
        if state.is_world_process_zero:
            processes = "1 process" if args.world_size == 1 else f"{args.world_size} processes"
            print(f"training in {processes} on {args.device.type}", file=sys.stderr)


class QuietCheckpoints(TrainerCallback):
    """Keeps the writing of checkpoints from drawing bars of its own across that of the run."""

    def __init__(self) -> None:
        self._quiet = ExitStack()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin to be quiet."""
        self._quiet.enter_context(without_progress_bars())

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave all as it was."""
        self._quiet.close()


class MetricsFile(TrainerCallback):
    """Appends every log to a file of JSON lines.

    A run that goes on from a checkpoint first drops the lines of the steps it will repeat.

    Args:
        path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the lines of the steps that were saved."""
        if not state.is_world_process_zero:
            return
        kept = [line for line in read_metrics(self.path) if line["step"] <= state.global_step]
        replace_file(self.path, (_line(record).encode() for record in kept))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append one line."""
        if state.is_world_process_zero and logs:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line({"step": state.global_step, **logs}))


class EvaluateEvery(TrainerCallback):
    """Calls a function every so many steps and logs what it returns.

    Args:
        steps: how often.
        evaluate: takes the step and returns ``{name: number}``; logged as ``evaluation/{name}``.
        log: the trainer's own ``log``.
    """

    def __init__(
        self,
        steps: int,
        evaluate: Callable[[int], Mapping[str, float]],
        log: Callable[[dict[str, float]], None],
    ) -> None:
        self.steps = steps
        self.evaluate = evaluate
        self.log = log

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Evaluate where it is time."""
        if state.global_step % self.steps == 0:
            found = self.evaluate(state.global_step)
            self.log({f"evaluation/{name}": value for name, value in found.items()})


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a metrics file; a last line cut short by a kill is left out."""
    path = Path(path)
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1] if line]


def last_loss(metrics: Path) -> float | None:
    """The loss logged last, ``None`` where none was."""
    losses = [line["loss"] for line in read_metrics(metrics) if "loss" in line]
    return float(losses[-1]) if losses else None


def report_with(trainer: Any, metrics: Path, shown: tuple[str, ...]) -> None:
    """Give a trainer a metrics file, a line on its processes and, unless ``disable_tqdm``, our own progress bar."""
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Processes())
    trainer.add_callback(QuietCheckpoints())
    trainer.add_callback(MetricsFile(metrics))
    if not trainer.args.disable_tqdm:
        trainer.add_callback(Progress(shown))


def _line(record: Mapping[str, Any]) -> str:
    # A float that is not finite is no JSON: what is unknown is null.
    return json.dumps({key: None if _unknown(value) else value for key, value in record.items()}) + "\n"


def _unknown(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
