"""What the first page promises: short, one table of figures that are those of the results, a valid citation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import sotopia_env
from sotopia_env.training.protocol.learning import DETAILS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows_of(block: str, page: str) -> list[dict[str, str]]:
    """The rows of the first table of a block, by their headings."""
    body = page.partition(f"<!-- figures: {block} -->\n")[2].partition("<!-- /figures -->")[0]
    table = re.search(r"(?:^\|.*\n)+", body, re.M)
    assert table is not None
    heading, _, *rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in table[0].splitlines()]
    return [dict(zip(heading, row + [""] * (len(heading) - len(row)), strict=True)) for row in rows]


def test_the_readme_is_short_and_has_one_picture() -> None:
    assert len(README.split()) <= 900
    assert len(re.findall(r"!\[[^\]]+\]\(", README)) == 1


def test_its_four_rows_are_those_of_the_results() -> None:
    shown = rows_of("learning-summary", README)
    full = rows_of("learning", (ROOT / "docs" / "results.md").read_text(encoding="utf-8"))
    assert len(shown) == 4
    for row in shown:
        (same,) = [one for one in full if one["tasks"] == "test" and one["policy"] == row["policy"]]
        assert row.items() <= same.items()
        assert set(same) - set(row) == {"tasks", *DETAILS}


def test_the_citation_is_of_this_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "version", "license"} <= citation.keys()
    assert citation["version"] == project["version"] == sotopia_env.__version__
    assert citation["license"] == project["license"]
    assert [one["name"] for one in citation["authors"]] == [one["name"] for one in project["authors"]]
    assert {one["url"] for one in citation["references"]} == set(
        re.findall(r"https://arxiv\.org/abs/(?:2310\.11667|2508\.03905)", README)
    )
