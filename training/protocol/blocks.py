"""Figures in pages of Markdown: each stands in a block between two marks, and what stands around it is written by hand.

A block begins with ``<!-- figures: NAME -->`` on a line of its own and ends with ``<!-- /figures -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sotopia_env.storage.journal import replace_file

_BLOCK = re.compile(
    r"^(?P<begin><!-- figures: (?P<name>[a-z0-9-]+) -->\n)(?P<body>.*?)(?P<end>^<!-- /figures -->$)", re.M | re.S
)


def blocks_of(text: str) -> list[str]:
    """The names of the blocks of a page, in their order."""
    return [found["name"] for found in _BLOCK.finditer(text)]


def fill_blocks(pages: Iterable[Path], blocks: Mapping[str, str]) -> list[Path]:
    """Put figures into their blocks.

    Args:
        pages: files of Markdown.
        blocks: ``{name: Markdown}``; a block of a page that is not among them stays as it is.

    Returns:
        The pages that changed.

    Raises:
        ValueError: a name stands in no page.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in pages}
    found = {name for text in texts.values() for name in blocks_of(text)}
    if lost := sorted(set(blocks) - found):
        raise ValueError(
            f"no page has a block for {', '.join(lost)}; write '<!-- figures: {lost[0]} -->' and '<!-- /figures -->' "
            "on lines of their own where the figures belong"
        )

    def filled(block: re.Match[str]) -> str:
        made = blocks.get(block["name"])
        return block[0] if made is None else f"{block['begin']}\n{made.strip()}\n\n{block['end']}"

    changed = []
    for path, text in texts.items():
        after = _BLOCK.sub(filled, text)
        if after != text:
            replace_file(path, [after.encode()])
            changed.append(path)
    return changed
