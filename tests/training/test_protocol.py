"""The published figures: blocks of pages, sets that are made once, and learning over several seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.tables import Table
from sotopia_env.training import protocol as P
from sotopia_env.training.protocol import protocol as module
from sotopia_env.training.protocol.blocks import blocks_of

ROOT = Path(__file__).parents[2]
PAGE = (
    "# Title\n\n<!-- figures: one -->\nold\n<!-- /figures -->\n\nBy hand.\n\n<!-- figures: two -->\n<!-- /figures -->\n"
)


def test_blocks_are_filled_and_what_stands_around_them_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert blocks_of(PAGE) == ["one", "two"]
    assert P.fill_blocks([page], {"one": "new \\1"}) == [page]
    assert page.read_text() == PAGE.replace("old\n", "\nnew \\1\n\n")
    assert P.fill_blocks([page], {"one": "new \\1"}) == []


def test_figures_without_a_block_are_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with pytest.raises(ValueError, match="no page has a block for three; write '<!-- figures: three -->'"):
        P.fill_blocks([page], {"one": "x", "three": "y"})
    assert page.read_text() == PAGE


def test_every_set_of_figures_has_its_blocks_in_the_docs() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = {name for page in pages for name in blocks_of(page.read_text("utf-8"))}
    extra = {"learning-summary", "reward-model-audit", "friends-couplings", "agreement-casino"}
    assert found == {*P.figures(), *extra}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []

    def make(protocol: P.Protocol, folder: Path) -> dict[str, Any]:
        made.append(protocol.seeds[0])
        return {"seed": protocol.seeds[0]}

    figures = module.Figures(
        "one", "a number", "sotopia-env one", make, lambda data: {"one": [Table(["seed"], [[data["seed"]]])]}
    )
    needy = module.Figures("two", "of data", "sotopia-env two", make, lambda data: {"two": []}, needs_data=True)
    monkeypatch.setattr(module, "figures", lambda: {"one": figures, "two": needy})
    return made


def test_what_is_made_is_not_made_again_and_says_how_it_was_made(tmp_path: Path, counted: list[int]) -> None:
    protocol = P.Protocol(tmp_path, seeds=(3,))
    first = P.make_figures(protocol)
    assert P.make_figures(protocol) == first
    assert counted == [3]
    assert set(first) == {"one"}
    assert "| 3    |" in first["one"] and "`sotopia-env one`; sotopia-env 0.1.0, seed 3; 0 s." in first["one"]


def test_other_seeds_are_refused_by_what_was_made(tmp_path: Path, counted: list[int]) -> None:
    P.make_figures(P.Protocol(tmp_path, seeds=(3,)))
    with pytest.raises(ValueError, match=r"one.json was made with other seed"):
        P.make_figures(P.Protocol(tmp_path, seeds=(4,)))
    assert json.loads((tmp_path / "one.json").read_text())["data"] == {"seed": 3}


def test_figures_that_need_data_say_so(tmp_path: Path, counted: list[int]) -> None:
    with pytest.raises(ValueError, match="two needs published data; give its folder with --data"):
        P.make_figures(P.Protocol(tmp_path), ["two"])
    with pytest.raises(ValueError, match="there are no figures 'three'; there are one, two"):
        P.make_figures(P.Protocol(tmp_path), ["three"])
