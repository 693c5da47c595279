"""Keys and seeds: everything drawn in a run follows from its seed, the number of the episode, the seat and the turn."""

from __future__ import annotations

import numpy as np


def turn_generator(seed: int, seat: int, turn: int) -> np.random.Generator:
    """The generator of one turn: it depends on nothing but the episode's seed, the seat and the own turn."""
    return np.random.default_rng((seed, seat, turn))


def episode_seed(seed: int, index: int) -> int:
    """The seed of one episode of a run: independent of how many are played and in which batch."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def episode_key(seed: int, index: int) -> str:
    """The key of one episode of a run."""
    return f"{seed}-{index}"
