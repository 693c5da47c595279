"""Checkpoints that survive a kill: only complete ones count, and a run goes on only with its own.

``transformers`` writes a checkpoint file by file into its final folder, so one that a kill interrupted looks like any
other. Here a mark of this package is put there first (``run.json``), and last one that says what was run
(``complete.json``), by an atomic rename: a checkpoint with the first alone was cut short and is removed, and one with
neither is somebody else's and is never touched.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sotopia_env.describe import Description, differences, told
from sotopia_env.rollouts.manifest import as_stored
from sotopia_env.storage.journal import replace_file
from sotopia_env.training.callbacks import last_loss, report_with
from sotopia_env.training.data_parallel import wait_for_everyone

COMPLETE = "complete.json"
"""The file that stands in every complete checkpoint, and in the folder of a finished run; ``run`` says what was run."""

BEGUN = "run.json"
"""The file that stands in every checkpoint of ours from the moment that it is begun."""


class MarkComplete(TrainerCallback):
    """Marks each checkpoint as one of this package before it is written, and as complete once all its files are.

    Args:
        run: what the run is, as :func:`described_run` makes it.
    """

    def __init__(self, run: Mapping[str, Any]) -> None:
        self.run = run

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Called by the trainer before a checkpoint, once it is decided that there will be one."""
        self._begin(args, state, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Called by the trainer before a checkpoint at the end of an epoch."""
        self._begin(args, state, control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Called by the trainer after a checkpoint, of which each process has written a part."""
        wait_for_everyone()
        if state.is_world_process_zero:
            write_json(_checkpoint(args, state) / COMPLETE, {"run": self.run, "step": state.global_step})

    def _begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        if not (control.should_save and state.is_world_process_zero):
            return
        folder = _checkpoint(args, state)
        made = folder if folder.is_dir() else folder.with_name(f".{folder.name}")
        made.mkdir(parents=True, exist_ok=True)
        write_json(made / BEGUN, {"step": state.global_step})
        # It comes into being with its mark, whenever the run is killed.
        made.rename(folder)


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"


def latest_checkpoint(folder: str | Path, run: Mapping[str, Any]) -> Path | None:
    """Returns the newest complete checkpoint of a run; half-written ones of ours are removed.

    Args:
        folder: where the trainer saves its checkpoints.
        run: what wants to go on.

    Raises:
        ValueError: the checkpoints belong to another run; the error says what differs. Or :func:`refuse_foreign`.
    """
    refuse_foreign(folder)
    for path in Path(folder).glob(".checkpoint-*"):
        shutil.rmtree(path, ignore_errors=True)
    complete = []
    for path in sorted(Path(folder).glob("checkpoint-*")):
        if (path / COMPLETE).is_file():
            record = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
            check_run(record, run, path)
            complete.append((int(record["step"]), path))
        elif (path / BEGUN).is_file():
            # Another process may be at it.
            shutil.rmtree(path, ignore_errors=True)
    return max(complete)[1] if complete else None


def refuse_foreign(folder: str | Path) -> None:
    """Raise ``ValueError`` where a folder holds a checkpoint that is not of this package.

    A trainer would count it among its own, and remove it sooner or later.
    """
    for path in sorted(Path(folder).glob("checkpoint-*")):
        if path.is_dir() and not ((path / COMPLETE).is_file() or (path / BEGUN).is_file()):
            raise ValueError(
                f"{path} is no checkpoint that this package has written or finished; give another output folder, or "
                "move it away"
            )


def remove_checkpoints(folder: str | Path) -> None:
    """Remove the checkpoints of a finished run, and the folder where nothing else is left in it, such as logs."""
    for path in Path(folder).glob("checkpoint-*"):
        if (path / COMPLETE).is_file():
            shutil.rmtree(path, ignore_errors=True)
    # TRL's card of a model that stands elsewhere now.
    (Path(folder) / "README.md").unlink(missing_ok=True)
    with suppress(OSError):
        Path(folder).rmdir()


def train_and_save(
    trainer: Any,
    out: Path,
    run: Mapping[str, Any],
    checkpoint: Path | None,
    save: Callable[[], Mapping[str, Any]],
    *,
    started: float,
) -> None:
    """Train a run to its end, and finish its folder: model, ``metrics.jsonl`` and, last, ``complete.json``.

    Args:
        trainer: of ``transformers``; its checkpoints are removed in the end.
        out: the folder.
        run: what is run, as :func:`described_run` makes it.
        checkpoint: what to go on from, if anything.
        save: called by the first process alone; saves the model and returns what ``complete.json`` says of the data.
        started: when the run began, by ``time.perf_counter``.
    """
    report_with(trainer, out / "metrics.jsonl", shown=("loss",))
    trainer.add_callback(MarkComplete(run))
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if trainer.is_world_process_zero():
        summary = {
            "run": run,
            **save(),
            "steps": trainer.state.global_step,
            "loss": last_loss(out / "metrics.jsonl"),
            "seconds": time.perf_counter() - started,
        }
        write_json(out / COMPLETE, summary)
        remove_checkpoints(trainer.args.output_dir)
    trainer.accelerator.wait_for_everyone()


def finished_run(folder: str | Path, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns what a finished run wrote last, or ``None`` where it is not finished.

    Raises:
        ValueError: the folder holds the result of another run; the error says what differs.
    """
    path = Path(folder) / COMPLETE
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    check_run(record, run, path.parent)
    return record


def check_run(record: Mapping[str, Any], run: Mapping[str, Any], folder: Path) -> None:
    """Raise ``ValueError`` where a folder was written by another run than the one at hand."""
    remedy = "give another output folder, or remove this one to start anew"
    before = record.get("run")
    if not isinstance(before, Mapping):
        raise ValueError(
            f"{folder} was written by an earlier version, which did not say of which start model, data and settings it "
            f"was made: it cannot be gone on with; {remedy}"
        )
    if found := differences(before, run):
        raise ValueError(f"{folder} was written by a run with other {told(found)}; {remedy}")


def described_run(args: TrainingArguments, besides: Iterable[str] = (), **parts: Any) -> Description:
    """Returns what a training run is: its settings, the number of processes, and whatever else decides what is learnt.

    Args:
        args: of the trainer.
        besides: further arguments to leave out.
        parts: start model, data, ...: plain data, or objects that describe themselves.
    """
    return as_stored({"settings": settings(args, besides), "processes": args.world_size, **parts})


SETTINGS_OF_THE_MACHINE = frozenset(
    {"output_dir", "logging_dir", "run_name", "disable_tqdm", "logging_steps", "save_steps", "save_total_limit"}
    | {"local_rank", "vllm_url", "report_to", "log_dialogue_steps", "project"}
)
"""Arguments that do not change what is learnt, and may differ when a run goes on."""


def settings(args: TrainingArguments, besides: Iterable[str] = ()) -> dict[str, Any]:
    """The arguments that decide what a run learns.

    Args:
        args: of the trainer.
        besides: further arguments to leave out.
    """
    ignored = SETTINGS_OF_THE_MACHINE.union(besides)
    return {name: value for name, value in args.to_dict().items() if name not in ignored}


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON file that appears whole or not at all."""
    replace_file(path, [json.dumps(record, indent=1).encode(), b"\n"])
