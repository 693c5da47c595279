"""Ways to call the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sotopia_env.cli import app

ROOT = Path(__file__).parents[3]


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def call() -> Callable[..., Any]:
    """The result of a command."""
    return _call


@pytest.fixture(scope="session")
def done() -> Callable[..., str]:
    """What a command that succeeds writes to stdout."""

    def run(*arguments: object) -> str:
        result = _call(*arguments)
        assert result.exit_code == 0, (result.stderr, result.exception)
        return str(result.stdout)

    return run


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """The one line on stderr of a command that the user has to mend."""

    def run(*arguments: object) -> str:
        result = _call(*arguments)
        assert result.exit_code == 2, (result.exit_code, result.stdout, result.stderr, result.exception)
        assert "Traceback" not in result.stderr
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, result.stderr
        assert result.stdout == ""
        return str(errors[0])

    return run


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start a command as a process of its own."""

    def run(*arguments: object) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "sotopia_env.cli", *map(str, arguments)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return run
