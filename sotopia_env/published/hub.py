"""Data sets of the Hugging Face hub by their id, downloaded once into the hub's own cache."""

from __future__ import annotations

import re
from pathlib import Path

_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::(.+))?")
_WANTED = ("*.json", "*.jsonl")


def local_path(given: str | Path) -> Path:
    """The file or folder that is meant.

    Args:
        given: a path, or the id of a data set on the hub (``"cmu-lti/sotopia"``), with one of its files if need be
            (``"cmu-lti/sotopia:sotopia_episodes_v1.jsonl"``). A path that exists is never looked for on the hub.

    Raises:
        FileNotFoundError: there is no such path, and it is no id, or the data set cannot be had.
    """
    path = Path(given).expanduser()
    if path.exists():
        return path
    found = _HUB_ID.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise FileNotFoundError(f"there is no file or folder {str(given)!r}")
    return _download(found[1], found[2])


def _download(repository: str, file: str | None) -> Path:
    missing = f"there is no file or folder {repository!r} here, and as a data set of the hub it cannot be had"
    try:
        from huggingface_hub import hf_hub_download, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
    except ModuleNotFoundError as error:
        raise FileNotFoundError(f"{missing}: pip install huggingface_hub, or download it and give its path") from error
    try:
        if file is not None:
            return Path(hf_hub_download(repository, file, repo_type="dataset"))
        return Path(snapshot_download(repository, repo_type="dataset", allow_patterns=list(_WANTED)))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError) as error:
        raise FileNotFoundError(f"{missing}: no network; download it elsewhere and give its path") from error
    except (HfHubHTTPError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileNotFoundError(f"{missing}: {type(error).__name__}: {reason}") from error
