from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from sotopia_env.cli.listing import described
from sotopia_env.resolve import list_names


def test_every_listed_name_has_a_description(done: Callable[..., str]) -> None:
    for kind, names in list_names().items():
        lines = done("list", kind).splitlines()
        assert [line.split("  ")[0] for line in lines] == names()
        assert all(len(described(kind, name)) > 5 for name in names())
        assert json.loads(done("list", kind, "--json")) == {kind: names()}


@pytest.mark.parametrize("command", [("list",), ("list", "--json"), ("train", "bc", "--help")])
def test_a_reader_that_has_seen_enough_meets_no_error(
    start: Callable[..., subprocess.Popen[str]], command: tuple[str, ...]
) -> None:
    process = start(*command)
    assert process.stdout is not None
    # Nobody reads: what is written meets a closed pipe.
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait()
