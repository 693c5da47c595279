"""How to get what an extra of the package brings, by how the package itself came here."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shlex import quote
from urllib.parse import unquote, urlsplit

_CHECKOUT = Path(__file__).resolve().parents[1]


def install_command(extra: str) -> str:
    """Returns the command that adds an extra: ``pip install -e '.[train]'`` in a checkout.

    Args:
        extra: one of those in ``pyproject.toml``, such as ``"train"``.
    """
    try:
        told = distribution("sotopia-env").read_text("direct_url.json")
    except PackageNotFoundError:
        told = None
        if (_CHECKOUT / "pyproject.toml").is_file():
            told = json.dumps({"url": _CHECKOUT.as_uri(), "dir_info": {"editable": True}})
    if told is None:
        return f"pip install 'sotopia-env[{extra}]'"
    source = json.loads(told)
    url = urlsplit(source["url"])
    if url.scheme == "file":
        folder = unquote(url.path)
        editable = "-e " if source.get("dir_info", {}).get("editable") else ""
        return f"pip install {editable}{quote(f'{_shown(Path(folder))}[{extra}]')}"
    found = source.get("vcs_info")
    address = f"{found['vcs']}+{source['url']}@{found['commit_id']}" if found else source["url"]
    return f"pip install {quote(f'sotopia-env[{extra}] @ {address}')}"


def _shown(path: Path) -> str:
    """The working directory is a point."""
    return "." if path.resolve() == Path.cwd() else str(path)
