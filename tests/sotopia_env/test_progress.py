from __future__ import annotations

import re

import pytest

from sotopia_env import progress
from sotopia_env.progress import ProgressBar


def test_a_bar_goes_to_stderr_and_counts_what_was_done_before(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("turns", 5, completed=2) as bar:
        bar.advance()
        bar.advance(2)
        bar.note("loss=[1]")
    printed = capsys.readouterr()
    assert (printed.out, bar.completed) == ("", 5)
    assert "turns" in printed.err and "5/5" in printed.err and "loss=[1]" in printed.err


def test_a_log_file_gets_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PAUSE", 0.0)
    with ProgressBar("turns", 3) as bar:
        bar.update(1)
        bar.update(2)
    first, second = capsys.readouterr().err.splitlines()[:2]
    # How long two updates took says how long the last will take.
    assert first == "turns 1/3" and re.fullmatch(r"turns 2/3 \d+:\d\d:\d\d left", second)


def test_a_bar_that_is_not_shown_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("turns", 3, show=False) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")
