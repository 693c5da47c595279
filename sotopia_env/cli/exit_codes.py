"""What the exit code of a command says."""

from __future__ import annotations

from collections.abc import Mapping

DONE, NO, REFUSED, BUDGET, INTERRUPTED = 0, 1, 2, 3, 130

EXIT_CODES: Mapping[int, str] = {
    DONE: "Done.",
    NO: "`check` found a broken rule; the input of `play` ended before the game; or a fault, with a traceback.",
    REFUSED: "A wrong argument, file or setting, a missing library or a server that fails: one line says which, and "
    "what helps. Nothing was begun, or what was finished is kept.",
    BUDGET: "The budget of calls, tokens or money is used up: what is paid for is kept, and the same command goes on.",
    INTERRUPTED: "Ctrl-C; what is long goes on when the same command is given again.",
}
"""Of every command."""
