"""Whether a part says the same in every process: Python's own ``hash`` of texts differs from one to the next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from typing import Any

import numpy as np

from sotopia_env.families.resolve import as_family
from sotopia_env.rewards.judges.base import as_judge
from sotopia_env.rewards.resolve import get_reward
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.testing.comparing import fingerprint
from sotopia_env.testing.material import dialogues
from sotopia_env.testing.reports import NotApplicable, Violation

_HASH_SEEDS = ("1", "2")


def check_processes(kind: str, part: Any, tasks: Any, seed: int, deterministic: bool = True) -> str:
    """Ask a part in two processes whose ``hash`` of texts differ, and compare what it says.

    Args:
        kind: of the part.
        part: its name, or ``module:attribute``.
        tasks: their name.
        seed: of everything.
        deterministic: whether the part can repeat itself.

    Raises:
        NotApplicable: part or tasks are objects, which another process cannot be told of.
        Violation: the two differ.
    """
    if not deterministic:
        raise NotApplicable("it is said not to repeat itself")
    if not (isinstance(part, str) and isinstance(tasks, str)):
        raise NotApplicable("another process knows it by its name alone; give names or module:attribute")
    question = json.dumps([kind, part, tasks, seed])
    asked = [_start(question, hash_seed) for hash_seed in _HASH_SEEDS]
    said = [_answer(process, hash_seed) for process, hash_seed in zip(asked, _HASH_SEEDS, strict=True)]
    if said[0] != said[1]:
        raise Violation(
            f"two processes disagree: {said[0]} and {said[1]}",
            where=" and ".join(f"PYTHONHASHSEED={hash_seed}" for hash_seed in _HASH_SEEDS),
            remedy="Use no hash() of texts, order of a set, clock or global generator; zlib.crc32 and sorted() do",
        )
    return f"{len(said)} processes"


def summary(kind: str, part: str, tasks: str, seed: int) -> str:
    """A checksum of what a part says."""
    said: Any
    if kind == "policy":
        said = [episode.turns for episode in rollout(tasks, part, num_episodes=2, seed=seed)]
    elif kind == "family":
        family = as_family(part)
        said = [family.generate(np.random.default_rng(seed), split) for split in family.splits]
        said += [family.score(episode) for episode in dialogues(family, 2, seed)]
    elif kind == "reward":
        said = get_reward(part)(dialogues(tasks, 2, seed))
    else:
        said = as_judge(part).judge(dialogues(tasks, 2, seed))
    return f"{zlib.crc32(fingerprint(said).encode()):08x}"


def _start(question: str, hash_seed: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "sotopia_env.testing.processes", question]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _answer(process: subprocess.Popen[str], hash_seed: str) -> str:
    out, errors = process.communicate()
    if process.returncode:
        raise Violation(
            f"another process fails: {errors.strip().rpartition(chr(10))[2]}"[:400],
            where=f"PYTHONHASHSEED={hash_seed}",
            remedy="Import and build it without anything this process alone knows",
        )
    # What a part prints while it is imported comes before the last line.
    return out.split()[-1]


if __name__ == "__main__":
    print(summary(*json.loads(sys.argv[1])))
