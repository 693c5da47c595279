"""The manifest of a run: what was played with what, beside the episodes, as plain JSON that holds no secret."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
import shlex
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env.episodes import Episode, plain_json
from sotopia_env.errors import DataWarning
from sotopia_env.policies import Policy
from sotopia_env.storage.journal import replace_file
from sotopia_env.storage.locks import ProcessLocks
from sotopia_env.tasks import Task

FORMAT_VERSION = 1

_LIBRARIES = ("gymnasium", "pettingzoo", "numpy", "pydantic")
_OPTIONAL_LIBRARIES = ("torch", "transformers", "trl", "peft", "openai", "pyarrow")

_FINGERPRINTED = 8
"""So many drawn tasks tell a family with its settings from another."""

_SECRET_NAME = r"[\w-]*(?:key|token|secret|password)"
_SECRETS = (
    (re.compile(r"(?<=://)[^/\s@]+(?=@)"), "***"),  # user:password@host
    (re.compile(r"\b(?:sk|hf|gsk|ghp|xai)[-_][\w-]{12,}"), "***"),  # keys as providers write them
    (re.compile(rf"(?i)(--{_SECRET_NAME}[= ]|\b{_SECRET_NAME}=)\S+"), r"\1***"),  # --api-key X, ?key=X
)


def manifest_path(episodes: str | Path) -> Path:
    """Where the manifest of a file of episodes stands: ``e.manifest.json`` beside ``e.jsonl``."""
    return Path(episodes).with_suffix(".manifest.json")


def describe_run(env: Any, policies: Mapping[str, Policy], *, seed: int, traces: bool) -> dict[str, Any]:
    """What has to be the same for two calls to be one run, as plain data.

    Args:
        env: the environment, wrapped or bare.
        policies: of every agent. One with a ``config`` (plain data) is described by it as well.
        seed: of the run.
        traces: whether token traces are stored.
    """
    bare = env.unwrapped
    reward = getattr(env, "reward", None)
    drawn = (bare.family.generate(np.random.default_rng(i), bare.split) for i in range(_FINGERPRINTED))
    described = {
        "seed": seed,
        "tasks": {
            "family": bare.family.name,
            "version": bare.family.version,
            "split": "" if bare.tasks else bare.split,
            "number": len(bare.tasks) if bare.tasks else None,
            "fingerprint": fingerprint(bare.tasks or drawn),
        },
        "policies": {agent: _policy(policy) for agent, policy in policies.items()},
        "rules": bare.config,
        "rewards": None if reward is None else _reward(reward),
        "traces": traces,
    }
    return as_stored(described)


def as_stored(described: Mapping[str, Any]) -> dict[str, Any]:
    """A description as it will be read again: tuples become lists, and secrets are left out."""
    return _without_secrets(json.loads(json.dumps(described, default=lambda value: type(value).__name__)))


def fingerprint(tasks: Iterable[Task]) -> str:
    """A short hash of everything that tasks hold."""
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(plain_json(task))
    return digest.hexdigest()[:16]


class Manifest:
    """The manifest of one run, shared by the processes that play it.

    ``run`` says what was played with what, ``episodes`` how many and how they ended, ``sessions`` who played: one for
    each process and call, with versions, command, start, end and outcome. A session without an end was killed, or is
    still at work.

    Args:
        episodes: the run's file of episodes.
        locks: of the run.
        made: what was done to the episodes, for errors.
    """

    def __init__(self, episodes: Path, locks: ProcessLocks, made: str = "played") -> None:
        """Nothing is read yet."""
        self.made = made
        self.path = manifest_path(episodes)
        self.episodes = episodes
        self._locks = locks
        self._session: int | None = None

    @property
    def opened(self) -> bool:
        """Whether a session has begun: not, where the file belongs to another run."""
        return self._session is not None

    def check(self, run: Mapping[str, Any]) -> None:
        """Refuse another run than the one the manifest tells of, where there is a manifest.

        Args:
            run: from :func:`describe_run`.

        Raises:
            ValueError: the file belongs to another run; the error says what differs.
        """
        with self._locks.writing():
            self._checked(run)

    def open(self, run: Mapping[str, Any], num_episodes: int, command: Sequence[str] = ()) -> None:
        """Begin a session of a run.

        Args:
            run: from :func:`describe_run`.
            num_episodes: how many are asked for.
            command: what the user typed, where that is known.

        Raises:
            ValueError: the file belongs to another run; the error says what differs.
        """
        with self._locks.writing():
            manifest = self._checked(run)
            if manifest is None:
                manifest = {"format_version": FORMAT_VERSION, "run": run, "episodes": {"asked": 0}, "sessions": []}
            manifest["episodes"]["asked"] = max(num_episodes, manifest["episodes"].get("asked", 0))
            manifest["sessions"].append(
                {
                    "started": _now(),
                    "ended": None,
                    "outcome": None,
                    "played": None,
                    "command": redacted(shlex.join(command)) if command else None,
                    "versions": versions(),
                }
            )
            self._session = len(manifest["sessions"]) - 1
            self._write(manifest)

    def close(self, outcome: str, played: int, episodes: Iterable[Episode]) -> None:
        """End the session.

        Args:
            outcome: ``"complete"``, ``"interrupted"``, or what failed.
            played: how many episodes this session finished.
            episodes: all that the file holds.
        """
        episodes = list(episodes)
        with self._locks.writing():
            manifest = self._read()
            if self._session is None or manifest is None:
                return
            session = manifest["sessions"][self._session]
            session |= {"ended": _now(), "outcome": redacted(outcome), "played": played}
            manifest["episodes"] |= {
                "finished": len(episodes),
                "endings": dict(Counter(episode.ending.reason for episode in episodes if episode.ending).most_common()),
                "invalid_turns": sum(turn.invalid is not None for episode in episodes for turn in episode.turns),
            }
            self._write(manifest)

    def _checked(self, run: Mapping[str, Any]) -> dict[str, Any] | None:
        manifest = self._read()
        if manifest is None:
            return None
        different = [name for name in run if manifest["run"].get(name) != run[name]]
        if different:
            raise ValueError(self._refusal(different, manifest["run"], run))
        old = {session.get("versions", {}).get("sotopia-env") for session in manifest["sessions"]} - {None}
        new = versions()["sotopia-env"]
        if old - {new}:
            warnings.warn(
                f"{self.episodes} was begun with sotopia-env {', '.join(sorted(old - {new}))}, and this is {new}: "
                "policies, tasks and judges of another version may differ",
                DataWarning,
                stacklevel=4,
            )
        return manifest

    def _read(self) -> dict[str, Any] | None:
        try:
            manifest = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(f"{self.path} is no manifest ({error}); remove it, and the run goes on") from error
        parts = {"run": dict, "episodes": dict, "sessions": list}
        if (
            not isinstance(manifest, dict)
            or manifest.get("format_version") != FORMAT_VERSION
            or not all(isinstance(manifest.get(name), kind) for name, kind in parts.items())
        ):
            raise ValueError(f"{self.path} is no manifest of format {FORMAT_VERSION}; remove it, and the run goes on")
        return manifest

    def _write(self, manifest: Mapping[str, Any]) -> None:
        replace_file(self.path, [json.dumps(manifest, indent=1, ensure_ascii=False).encode(), b"\n"])

    def _refusal(self, different: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
        found = "; ".join(
            f"{where} is {_short(before)}, not {_short(now)}"
            for name in different
            for where, before, now in _differences(name, old.get(name), new[name])
        )
        what = " and ".join(different)
        return (
            f"{self.episodes} was {self.made} with other {what} ({found}); give another file, or remove this one and "
            f"{self.path.name}"
        )


def versions() -> dict[str, str]:
    """Versions of Python, of this package, and of the libraries in use."""
    from sotopia_env.version import __version__

    libraries = [*_LIBRARIES, *(name for name in _OPTIONAL_LIBRARIES if name in sys.modules)]
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "sotopia-env": __version__,
        **{name: importlib.metadata.version(name) for name in libraries},
    }


def redacted(text: str) -> str:
    """A text without keys, passwords and the path of the user's home."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text.replace(str(Path.home()), "~") if len(str(Path.home())) > 1 else text


def _policy(policy: Policy) -> dict[str, Any]:
    config = getattr(policy, "config", None)
    return {"name": policy.name, **({"config": dict(config)} if isinstance(config, Mapping) else {})}


def _reward(reward: Any) -> Any:
    try:
        return {"name": reward.name, "spec": reward.spec()}
    except ValueError:
        # A function of the user's own has a name alone.
        return {"name": reward.name}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {
            name: "***"
            if isinstance(item, str) and re.fullmatch(f"(?i){_SECRET_NAME}", name)
            else _without_secrets(item)
            for name, item in value.items()
        }
    return value


def _differences(where: str, old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = dict.fromkeys([*old, *new])
        return [
            difference for name in names for difference in _differences(f"{where}.{name}", old.get(name), new.get(name))
        ]
    return [] if old == new else [(where, old, new)]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
