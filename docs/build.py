"""Build the site of these pages, without a network: ``python docs/build.py``, or ``make docs``.

The pages are put together in ``build/docs/pages``: those of this folder, the project's own of the root, and the
references, which are made from the code. A link that leaves them becomes plain text, since the site has no source.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from typer.main import get_command
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BESIDES = ("CHANGELOG.md", "CONTRIBUTING.md")
"""Pages of the root that the site has too."""

MODULES = ("sotopia_env", "rewards", "agents", "training", "testing")
"""The packages whose public names have a page of the reference."""

TRAINERS = (("train", "bc"), ("train", "rm"), ("train", "grpo"))
"""Commands whose help tells settings that are no options."""

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\[]*(?:\[[^\]]*\][^\]\[]*)*)\]\((?P<target>[^)\s]+)\)")


def assemble(target: Path) -> None:
    """Put the pages of the site together.

    Args:
        target: a folder, which is made anew.
    """
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(DOCS, target, ignore=shutil.ignore_patterns("*.py", "*.toml", "__pycache__"))
    for name in BESIDES:
        shutil.copy2(ROOT / name, target / name)
    for page in target.rglob("*.md"):
        # Where the page is in the project, by which its links are written.
        inside = page.relative_to(target)
        home = ROOT if inside.name in BESIDES and len(inside.parts) == 1 else DOCS / inside.parent
        page.write_text(without_outer_links(page.read_text("utf-8"), home), "utf-8")
    reference = target / "reference"
    reference.mkdir(exist_ok=True)
    for module in MODULES:
        (reference / f"{module}.md").write_text(module_page(module), "utf-8")
    (reference / "commands.md").write_text(commands_page(), "utf-8")


def without_outer_links(text: str, home: Path) -> str:
    """Returns a page whose links stay within the site.

    Args:
        text: Markdown.
        home: the folder of the project in which the page stands.
    """

    def kept(link: re.Match[str]) -> str:
        path, hash_, anchor = link["target"].partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return link[0]
        aim = (home / path).resolve()
        if aim.is_relative_to(DOCS):
            return link[0] if home != ROOT else f"[{link['text']}]({aim.relative_to(DOCS)}{hash_}{anchor})"
        if aim.parent == ROOT and aim.name in BESIDES:
            up = "" if home == ROOT else "../" * len(home.relative_to(DOCS).parts)
            return f"[{link['text']}]({up}{aim.name}{hash_}{anchor})"
        return link["text"]

    return LINK.sub(kept, text)


def module_page(name: str) -> str:
    """Returns the page of a package's public names, to be filled from their docstrings."""
    path = name if name == "sotopia_env" else f"sotopia_env.{name}"
    return f"# {path}\n\n::: {path}\n"


def commands_page() -> str:
    """Returns the page of the command line: every command and option, and the settings of the trainers."""
    from sotopia_env.cli import app
    from sotopia_env.cli.exit_codes import EXIT_CODES

    told = subprocess.run(
        [sys.executable, "-m", "typer", "sotopia_env.cli.commands", "utils", "docs", "--name", "sotopia-env"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    commands = get_command(app).commands  # type: ignore[attr-defined]

    def whole(line: re.Match[str]) -> str:
        command = commands.get(line["name"])
        return line[0] if command is None else f"* `{line['name']}`: {command.get_short_help_str(limit=300)}"

    # The list of commands cuts what each does after some words.
    page = re.sub(r"^\* `(?P<name>[a-z-]+)`: .*$", whole, told, flags=re.M)
    page = page.replace("# `sotopia-env`", "# Commands", 1).rstrip() + "\n"
    codes = "".join(f"| {code} | {said} |\n" for code, said in EXIT_CODES.items())
    page += f"\n## Exit codes\n\n| code | what it says |\n|---|---|\n{codes}"
    runner = CliRunner(env={"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"})
    for names in TRAINERS:
        shown = runner.invoke(app, [*names, "--help"]).output
        page += f"\n## Settings of `sotopia-env {' '.join(names)}`\n\n```text\n{shown.strip()}\n```\n"
    return page


def build(folder: Path = ROOT / "build" / "docs") -> Path:
    """Build the site, with warnings as errors.

    Args:
        folder: for all that is made; what was there is made anew.

    Returns:
        The folder of the site.

    Raises:
        RuntimeError: a link leads nowhere, or the builder warns of something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    assemble(folder / "pages")
    shutil.copy2(DOCS / "zensical.toml", folder)
    shutil.rmtree(folder / "site", ignore_errors=True)
    # The docstrings are read from the files of this project, whatever is installed.
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{done.stdout}\n{done.stderr}")
    return folder / "site"


if __name__ == "__main__":
    try:
        print(build())
    except RuntimeError as error:
        sys.exit(str(error))
