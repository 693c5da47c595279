"""Make the pictures of the docs anew: ``python docs/screenshots.py [NAME...]``. Needs Chromium.

Each picture is what a headless browser shows of a page that a command has written, 1280 pixels wide.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from sotopia_env.cli import app

IMAGES = Path(__file__).parent / "images"
WIDTH = 1280


def viewer(folder: Path) -> tuple[str, int]:
    """The viewer on scripted bargains with formal agreements, one turn of one of them marked."""
    episodes = folder / "episodes.jsonl"
    seats = ("scripted:firm", "scripted:warm")
    command("rollout", "bargain:test", *seats, "-n", "40", "--out", episodes, "--reward", "discounted")
    command("view", episodes, "--reward", "scaled")
    return f"{episodes.with_suffix('.html').as_uri()}#0-1/3", 820


PICTURES: dict[str, Callable[[Path], tuple[str, int]]] = {"viewer": viewer}
"""For each picture what makes its page, given an empty folder: the address and the height in pixels."""


def command(*arguments: object) -> None:
    """Run a command of the command line."""
    app([str(argument) for argument in arguments], standalone_mode=False)


def shoot(address: str, height: int, out: Path) -> None:
    """Write what the browser shows of a page, in 128 colours: text needs no more, and a repository keeps every one."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("there is no chromium on the path")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
    size = [f"--window-size={WIDTH},{height}", "--virtual-time-budget=5000"]
    subprocess.run([program, *options, *size, f"--screenshot={out}", address], check=True, stderr=subprocess.DEVNULL)
    with Image.open(out) as picture:
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            shoot(*PICTURES[name](Path(folder)), IMAGES / f"{name}.png")
