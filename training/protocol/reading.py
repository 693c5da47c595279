"""How well agreements are read in what people wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sotopia_env.families.divide.human_dialogues import agreement_report, as_data, figures_table, load_human_dialogues
from sotopia_env.tables import Table
from sotopia_env.training.protocol.protocol import Figures, Parts, Protocol


def make_agreement(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """The report on Deal or No Deal, as plain data."""
    assert protocol.data is not None
    return as_data(agreement_report(load_human_dialogues(protocol.data)))


def draw_agreement(data: Mapping[str, Any]) -> dict[str, Parts]:
    """The block ``agreement``."""
    outcomes = [[name, counted["dialogues"], counted["found"]] for name, counted in data["outcomes"].items()]
    table = Table(["outcome", "dialogues", "an agreement found in"], outcomes)
    return {"agreement": [figures_table(data), table]}


FIGURES = (
    Figures(
        "agreement",
        "agreements and divisions read in Deal or No Deal",
        "sotopia-env measure-agreement DATA",
        make_agreement,
        draw_agreement,
        needs_data=True,
    ),
)
