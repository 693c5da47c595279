"""How well agreements are read in labelled talk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sotopia_env.training.agreement import FORMATS, SHIPPED, agreement_report, load_dialogues, report_tables
from sotopia_env.training.protocol.protocol import Figures, Parts, Protocol


def make_human(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """The reports on Deal or No Deal and CaSiNo, those of them that stand in the folder of published data."""
    assert protocol.data is not None
    blocks = {"agreement": "deal-or-no-deal", "agreement-casino": "casino"}
    there = {name: form for name, form in blocks.items() if FORMATS[form].files_of(protocol.data)}
    if not there:
        raise ValueError(f"{protocol.data} holds neither Deal or No Deal nor CaSiNo; give another folder with --data")
    return {name: agreement_report(load_dialogues(protocol.data, form)) for name, form in there.items()}


def draw_human(data: Mapping[str, Any]) -> dict[str, Parts]:
    """The blocks ``agreement`` and ``agreement-casino``."""
    return {name: report_tables(report) for name, report in data.items()}


def make_labelled(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """The report on the dialogues that come with the package."""
    return agreement_report(load_dialogues(SHIPPED))


def draw_labelled(data: Mapping[str, Any]) -> dict[str, Parts]:
    """The block ``agreement-labelled``."""
    return {"agreement-labelled": report_tables(data)}


FIGURES = (
    Figures(
        "agreement",
        "agreements and divisions read in Deal or No Deal and CaSiNo",
        "sotopia-env measure-agreement FILE",
        make_human,
        draw_human,
        needs_data=True,
    ),
    Figures(
        "agreement-labelled",
        "agreements read in talk in the manner of language models",
        "sotopia-env measure-agreement",
        make_labelled,
        draw_labelled,
    ),
)
