"""The figures of the reward card: a panel for each kind of number, with one line for each reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from sotopia_env.training.report.figures import COLOURS, name_lines, panel, point
from sotopia_env.training.reward_card.text import on_all

Row = Mapping[str, Any]

TITLES = {"siblings": "Between siblings", "between_turns": "Between turns of an episode", "pooled": "Pooled"}
"""The three fidelities, and the titles of their panels."""

_WIDEST = 3.0


def fidelity_figure(data: Mapping[str, Any]) -> list[Markup]:
    """Correlation with the true advantage, three ways; dashed, what the exact truth would reach."""
    rows = data["rewards"]

    def draw(kind: str, ax: Axes) -> None:
        ceiling = on_all(data)["fidelity"][kind]["pearson"]["ceiling"]
        ax.axvline(0, color=COLOURS["muted"], linewidth=1)
        if ceiling is not None:
            ax.axvline(ceiling, color=COLOURS["muted"], linewidth=1, linestyle="--")
        for y, row in enumerate(rows):
            point(ax, y, row["fidelity"][kind]["pearson"], "value", _colour(row))
        ax.set_xlim(-0.65, 1.05)

    return _panels(rows, TITLES, draw, "fidelity", "correlation with the true advantage")


def exploit_figure(data: Mapping[str, Any]) -> list[Markup]:
    """Scores of exploitation, one panel for each attack."""
    rows = [row for row in data["rewards"] if row["exploits"]]

    def draw(attack: str, ax: Axes) -> None:
        ax.axvline(0, color=COLOURS["muted"], linewidth=1)
        for y, row in enumerate(rows):
            exploit = next(exploit for exploit in row["exploits"] if exploit["attack"] == attack)
            score = {k: v if v is None else max(-_WIDEST, min(_WIDEST, v)) for k, v in exploit["score"].items()}
            point(ax, y, score, "mean", COLOURS["baseline" if exploit["exploitable"] else "learner"])
        ax.set_xlim(-_WIDEST * 1.06, _WIDEST * 1.06)

    return _panels(rows, {name: name for name in data["attacks"]}, draw, "exploits", "score of exploitation by attack")


def price_figure(data: Mapping[str, Any]) -> list[Markup]:
    """Variance of the gradient and seconds per 1,000 turns, both on logarithmic axes."""
    rows = data["rewards"]
    values: dict[str, Callable[[Row], float | None]] = {
        "noise": lambda row: row["fidelity"]["gradient"]["noise"],
        "seconds": lambda row: row["cost"].get("seconds"),
    }
    titles = {"noise": "Variance of the gradient (samples)", "seconds": "Seconds per 1,000 turns"}

    def draw(kind: str, ax: Axes) -> None:
        ax.set_xscale("log")
        for y, row in enumerate(rows):
            value = values[kind](row)
            if value is not None and value > 0:
                ax.plot(value, y, "o", color=_colour(row), markersize=5)

    return _panels(rows, titles, draw, "price", "variance of the gradient and cost")


def _panels(
    rows: Sequence[Row], titles: Mapping[str, str], draw: Callable[[str, Axes], None], name: str, description: str
) -> list[Markup]:
    """A panel for each key of the titles, with one line for each reward."""

    def lined(key: str, ax: Axes) -> None:
        draw(key, ax)
        name_lines(ax, [row["name"] for row in rows])

    size = (4.2, 0.65 + 0.215 * len(rows))
    return [
        panel(f"{name}-{key}", title, size, partial(lined, key), f"{title}: {description}")
        for key, title in titles.items()
    ]


def _colour(row: Row) -> str:
    return COLOURS["baseline" if row["role"] == "control" else "learner"]
