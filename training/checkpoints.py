"""Checkpoints that survive a kill: only complete ones count, and a run goes on only with its own.

``transformers`` writes a checkpoint file by file into its final folder, so one that a kill interrupted looks like any
other. Here a file is added last, by an atomic rename, and a checkpoint without it is removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sotopia_env.training.data_parallel import wait_for_everyone

COMPLETE = "complete.json"
"""The file that stands in every complete checkpoint, and in the folder of a finished run."""


class MarkComplete(TrainerCallback):
    """Marks each checkpoint once all its files are written.

    Args:
        run: the fingerprint of the run it belongs to.
    """

    def __init__(self, run: str) -> None:
        self.run = run

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Called by the trainer after a checkpoint, of which each process has written a part."""
        wait_for_everyone()
        if state.is_world_process_zero:
            folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            write_json(folder / COMPLETE, {"run": self.run, "step": state.global_step})


def latest_checkpoint(folder: str | Path, run: str) -> Path | None:
    """The newest complete checkpoint of a run; half-written ones are removed.

    Args:
        folder: where the trainer saves its checkpoints.
        run: fingerprint of the run that wants to go on.

    Raises:
        ValueError: the checkpoints belong to a run with other data or settings.
    """
    complete = []
    for path in Path(folder).glob("checkpoint-*"):
        if not (path / COMPLETE).is_file():
            # Another process may be at it.
            shutil.rmtree(path, ignore_errors=True)
            continue
        record = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
        check_run(record, run, path)
        complete.append((int(record["step"]), path))
    return max(complete)[1] if complete else None


def finished_run(folder: str | Path, run: str) -> dict[str, Any] | None:
    """What a finished run wrote last, or ``None`` where it is not finished.

    Raises:
        ValueError: the folder holds the result of a run with other data or settings.
    """
    path = Path(folder) / COMPLETE
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    check_run(record, run, path.parent)
    return record


def check_run(record: Mapping[str, Any], run: str, folder: Path) -> None:
    """Raise ``ValueError`` where a folder was written by another run than the one at hand."""
    if record.get("run") != run:
        raise ValueError(
            f"{folder} was written by a run with other data or settings (the number of processes is one of them); "
            "give another output folder, or remove this one to start anew"
        )


def fingerprint(*parts: Any) -> str:
    """A short hash of JSON-able data: equal for equal runs, in any process."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps(part, sort_keys=True, default=_name).encode())
    return digest.hexdigest()[:16]


def _name(value: Any) -> str:
    """What stands for a function or an object in a fingerprint: never its address in memory."""
    return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', type(value).__name__)}"


SETTINGS_OF_THE_MACHINE = frozenset(
    {"output_dir", "logging_dir", "run_name", "disable_tqdm", "logging_steps", "save_steps", "save_total_limit"}
    | {"local_rank"}
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
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
