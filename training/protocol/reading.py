"""How well agreements are read in what people wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sotopia_env.families.divide.human_dialogues import agreement_report, load_human_dialogues
from sotopia_env.tables import Cell, Table
from sotopia_env.training.protocol.protocol import Figures, Parts, Protocol


def make_agreement(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """The report on Deal or No Deal, as plain data."""
    assert protocol.data is not None
    report = agreement_report(load_human_dialogues(protocol.data))
    figures = {
        group: {name: share.to_dict() for name, share in found.items()} for group, found in report["figures"].items()
    }
    return {**report, "figures": figures}


def draw_agreement(data: Mapping[str, Any]) -> dict[str, Parts]:
    """The block ``agreement``."""
    groups = data["figures"]
    body = [[name, *(_share(found[name]) for found in groups.values())] for name in groups["all"]]
    outcomes = [[name, counted["dialogues"], counted["found"]] for name, counted in data["outcomes"].items()]
    return {
        "agreement": [
            Table(["", *(f"{name} ({count})" for name, count in data["dialogues"].items())], body),
            Table(["outcome", "dialogues", "an agreement found in"], outcomes),
        ]
    }


def _share(found: Mapping[str, Any]) -> Cell:
    share = found["hits"] / found["of"] if found["of"] else None
    return Cell(share, ".1%", found["low"], found["high"], note=f"({found['hits']}/{found['of']})")


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
