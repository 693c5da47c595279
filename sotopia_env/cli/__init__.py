"""The command line: the same strings as in Python, progress on stderr, results on stdout or in files."""

from sotopia_env.cli.commands import app, main

__all__ = ["app", "main"]
