"""Episodes as parquet, which `datasets`, pandas and databases read: one row an episode, turns as typed columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pydantic_core

from sotopia_env.episodes import Episode, plain_json
from sotopia_env.errors import RecordError
from sotopia_env.schema import read_episode
from sotopia_env.storage.journal import read_all, replacing

_ROWS = 1_000
"""Episodes in a row group: what is in memory at a time."""


def episode_schema() -> Any:
    """The columns of an episode as a ``pyarrow.Schema``.

    Keys, seeds and turns are typed columns; what differs from family to family (task, configuration, ending, policies,
    judgements, rewards) is JSON, which ``datasets`` gives back as Python objects. The same columns serve JSON lines:
    ``load_dataset("json", data_files=..., features=datasets.Features.from_arrow_schema(episode_schema()))``.
    """
    pa = _pyarrow()
    turn = pa.struct(
        [
            ("seat", pa.int32()),
            ("own_index", pa.int32()),
            ("global_index", pa.int32()),
            ("type", pa.string()),
            ("text", pa.string()),
            ("raw", pa.string()),
            ("invalid", pa.string()),
            ("recipients", pa.list_(pa.int32())),
        ]
    )
    plain = pa.json_()
    return pa.schema(
        [
            ("key", pa.string()),
            ("task", plain),
            ("config", plain),
            ("turns", pa.list_(turn)),
            ("ending", plain),
            ("seed", pa.int64()),
            ("policies", plain),
            ("judgements", plain),
            ("rewards", plain),
            ("format_version", pa.int32()),
        ]
    )


def save_parquet(episodes: Iterable[Episode], path: str | Path) -> None:
    """Write episodes as parquet. The file appears whole or not at all.

    Raises:
        ModuleNotFoundError: ``pyarrow`` is not installed.
        ValueError: an episode holds what is no plain data.
    """
    pa = _pyarrow()
    from pyarrow import parquet

    schema = episode_schema()
    path = Path(path)
    left = iter(episodes)
    try:
        with replacing(path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            while rows := [_row(episode, schema) for episode in islice(left, _ROWS)]:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    except OSError as error:
        reason = f"episodes were not saved to {path}: {error.strerror}; nothing was changed"
        raise OSError(error.errno, reason) from error


def load_parquet(path: str | Path, *, on_error: str = "report") -> list[Episode]:
    """Read the episodes of a parquet file that :func:`save_parquet` made, or that has its columns.

    Args:
        path: the file.
        on_error: ``"report"`` warns of a row that is no episode, skips it and sums up; ``"raise"`` raises.

    Raises:
        ModuleNotFoundError: ``pyarrow`` is not installed.
        RecordError: a row is no episode and ``on_error`` is ``"raise"``; the error names file, row and field.
        ValueError: the file is no parquet, or not one row is an episode.
        FileNotFoundError: there is no such file.
    """
    pa = _pyarrow()
    from pyarrow import parquet

    with Path(path).open("rb") as file:
        try:
            found = parquet.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path} is no parquet file ({error})") from error
        readers = (
            lambda number=number, row=row: _episode(row, f"{path}, row {number}") for number, row in _rows(found)
        )
        return read_all(readers, str(path), on_error)


def _row(episode: Episode, schema: Any) -> dict[str, Any]:
    """An episode as it stands in a row: JSON columns as text."""
    try:
        return {
            column.name: plain_json(getattr(episode, column.name)).decode()
            if str(column.type) == "extension<arrow.json>"
            else getattr(episode, column.name)
            for column in schema
        } | {"turns": [vars(turn) for turn in episode.turns]}
    except (TypeError, ValueError):
        episode.to_json()  # names the field
        raise


def _rows(file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    for batch in file.iter_batches(batch_size=_ROWS):
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _episode(row: dict[str, Any], where: str) -> Episode:
    for name, value in row.items():
        if name not in ("key", "turns", "seed", "format_version") and isinstance(value, str):
            try:
                row[name] = pydantic_core.from_json(value, allow_inf_nan=False)
            except ValueError as error:
                raise RecordError(where, f"field {name!r}: not valid JSON ({error})") from error
    return read_episode(row, where)


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("parquet needs pyarrow: pip install pyarrow", name="pyarrow") from error
    return pyarrow
