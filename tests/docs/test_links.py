"""Links between pages, into the code and to headings lead somewhere; those to elsewhere are addresses."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")]
FENCED = re.compile(r"^ *```.*?^ *```$", re.M | re.S)
LINK = re.compile(r"\]\((?P<target>[^)\s]*)\)")


def text_of(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "``", FENCED.sub("", page.read_text(encoding="utf-8")))


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as the site and code hosts make them where the two agree."""
    found: dict[str, int] = {}
    anchors = set()
    for heading in re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        number = found[slug] = found.get(slug, -1) + 1
        anchors.add(f"{slug}_{number}" if number else slug)
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for found in LINK.finditer(text_of(page)):
        target = found["target"]
        url = urlsplit(target)
        if url.scheme:
            assert url.scheme == "https", target
            assert "." in url.netloc, target
            continue
        aim = (page.parent / url.path).resolve() if url.path else page
        if aim.parent == ROOT / "docs" / "reference":
            continue  # made from the code; the build of the site looks for them
        assert aim.exists(), f"{target}: there is no {aim.relative_to(ROOT)}"
        assert aim.is_relative_to(ROOT), target
        if url.fragment:
            assert url.fragment in anchors_of(aim), f"{target}: no such heading; {sorted(anchors_of(aim))}"
