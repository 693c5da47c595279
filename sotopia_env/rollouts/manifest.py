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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env import version
from sotopia_env.describe import arguments, describe, differences, told, typed
from sotopia_env.episodes import Episode, plain_json
from sotopia_env.errors import DataWarning
from sotopia_env.policies import Policy
from sotopia_env.storage.journal import replace_file
from sotopia_env.storage.locks import ProcessLocks
from sotopia_env.tasks import Task

FORMAT_VERSION = 2
"""Format 1 knew policies and rewards by their names: its runs cannot be told apart, and are not gone on with."""

_LIBRARIES = ("gymnasium", "pettingzoo", "numpy", "pydantic")
_OPTIONAL_LIBRARIES = ("torch", "transformers", "trl", "peft", "openai", "pyarrow")

_FINGERPRINTED = 8
"""So many drawn tasks tell a family with its settings from another."""

_SECRET_NAME = r"(?!(?:bos|eos|pad|unk|sep|cls|mask)_token\b)[\w-]*(?:key|token|secret|password)"
_SECRETS = (
    (re.compile(r"(?<=://)[^/\s@]+(?=@)"), "***"),  # user:password@host
    (re.compile(r"\b(?:sk|hf|gsk|ghp|xai)[-_][\w-]{12,}"), "***"),  # keys as providers write them
    (re.compile(rf"(?i)(--{_SECRET_NAME}[= ]|\b{_SECRET_NAME}=)\S+"), r"\1***"),  # --api-key X, ?key=X
)


def manifest_path(episodes: str | Path) -> Path:
    """Where the manifest of a file of episodes stands: ``e.manifest.json`` beside ``e.jsonl``."""
    return Path(episodes).with_suffix(".manifest.json")


def describe_run(env: Any, policies: Mapping[str, Policy], *, seed: int, traces: bool) -> dict[str, Any]:
    """What has to be the same for two calls to be one run, as plain data (:mod:`sotopia_env.describe`).

    Args:
        env: the environment, wrapped or bare.
        policies: of every agent.
        seed: of the run.
        traces: whether token traces are stored.
    """
    return as_stored({"seed": seed, **describe_world(env), "policies": policies, "traces": traces})


def describe_world(env: Any) -> dict[str, Any]:
    """What an environment is: family, tasks, rules, reward and the wrappers around it.

    Args:
        env: wrapped or bare.
    """
    bare = env.unwrapped
    drawn = (bare.family.generate(np.random.default_rng(i), bare.split) for i in range(_FINGERPRINTED))
    wrappers = []
    while env is not bare:
        wrappers.append(env)
        env = env.env
    paying = next((wrapper for wrapper in wrappers if "reward" in vars(wrapper)), None)
    return as_stored(
        {
            "family": bare.family,
            "tasks": {
                "split": "" if bare.tasks else bare.split,
                "number": len(bare.tasks) if bare.tasks else None,
                "fingerprint": fingerprint(bare.tasks or drawn),
            },
            "rules": bare.config,
            "reward": None if paying is None else paying.reward,
            "wrappers": [typed(wrapper, **arguments(wrapper)) for wrapper in wrappers if wrapper is not paying],
        }
    )


def as_stored(described: Mapping[str, Any]) -> dict[str, Any]:
    """A description as it will be read again: plain JSON data without secrets."""
    return _without_secrets(json.loads(json.dumps(describe(described))))


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
                if self.episodes.exists() and self.episodes.stat().st_size:
                    warnings.warn(
                        f"{self.episodes} has no {self.path.name} beside it: that the same weights, sampling and "
                        "settings made its episodes is taken on trust",
                        DataWarning,
                        stacklevel=4,
                    )
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

    @contextmanager
    def session(self, run: Mapping[str, Any], num_episodes: int, command: Sequence[str] = ()) -> Iterator[None]:
        """Within, a session of a run that :meth:`close` ends; what fails is noted in it.

        Args:
            run: what the run is.
            num_episodes: how many are asked for.
            command: what the user typed, where that is known.
        """
        self.open(run, num_episodes, command)
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            outcome = "interrupted" if interrupted else f"failed: {type(error).__name__}: {error}"
            with self._locks.writing():
                manifest = self._read()
                if manifest is not None and self._session is not None:
                    manifest["sessions"][self._session] |= {"ended": _now(), "outcome": redacted(outcome)}
                    self._write(manifest)
            raise

    def _checked(self, run: Mapping[str, Any]) -> dict[str, Any] | None:
        manifest = self._read()
        if manifest is None:
            return None
        if found := differences(manifest["run"], run):
            # The sessions are those of the other run.
            self._session = None
            raise ValueError(
                f"{self.episodes} was {self.made} with other {told(found)}; give another file, or remove this one and "
                f"{self.path.name}"
            )
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
        if isinstance(manifest, dict) and manifest.get("format_version") == 1:
            raise ValueError(
                f"{self.episodes} was {self.made} by an earlier version, and {self.path.name} does not say with which "
                f"weights, sampling and settings: it cannot be gone on with; give another file, or remove this one and "
                f"{self.path.name}"
            )
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


def versions() -> dict[str, str]:
    """Versions of Python, of this package, and of the libraries in use."""
    libraries = [*_LIBRARIES, *(name for name in _OPTIONAL_LIBRARIES if name in sys.modules)]
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "sotopia-env": version.__version__,
        **{name: importlib.metadata.version(name) for name in libraries},
    }


def redacted(text: str) -> str:
    """A text without keys, passwords and the path of the user's home."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text.replace(str(Path.home()), "~") if len(str(Path.home())) > 1 else text


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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
