"""Keys and seeds: everything that is drawn follows from numbers and names that are written down, by these rules alone.

What several numbers decide is drawn from their ``SeedSequence``, so that close ones give unrelated seeds; what a text
decides, from its hash, which is the same in every process and on every machine.
"""

from __future__ import annotations

import hashlib
import zlib

import numpy as np


def seeds_of(count: int, *numbers: int) -> list[int]:
    """Unrelated seeds (0 <= seed < 2^63) that follow from several numbers."""
    drawn = np.random.SeedSequence(numbers).generate_state(count, np.uint64)
    return [int(seed >> np.uint64(1)) for seed in drawn]


def seed_of(*numbers: int) -> int:
    """One seed (0 <= seed < 2^63) that follows from several numbers."""
    return seeds_of(1, *numbers)[0]


def generator_of(*numbers: int) -> np.random.Generator:
    """A generator that follows from several numbers."""
    return np.random.default_rng(numbers)


def episode_key(seed: int, index: int) -> str:
    """The key of one episode of a run."""
    return f"{seed}-{index}"


def episode_seed(seed: int, index: int) -> int:
    """The seed of one episode of a run: independent of how many are played and in which batch."""
    return seed_of(seed, index)


def turn_generator(seed: int, seat: int, turn: int) -> np.random.Generator:
    """The generator of one turn: it depends on nothing but the episode's seed, the seat and the own turn."""
    return generator_of(seed, seat, turn)


def seed_of_key(key: str) -> int:
    """The seed (0 <= seed < 2^63) of an episode that is named before it is played: the first bytes of its SHA-256."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest()[:8], "big") >> 1


def seed_of_name(name: str) -> int:
    """The seed (0 <= seed < 2^32) that a name decides, such as the partners' draws an episode's key: its CRC-32."""
    return zlib.crc32(name.encode("utf-8"))


def seed_of_text(text: str) -> int:
    """The seed (0 <= seed < 2^64) that what was said decides: its BLAKE2b. Lone surrogates are texts like any other."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def process_seed(seed: int, step: int, process: int) -> int:
    """The seed (0 <= seed < 2^32) of what one of several processes draws at one step of training."""
    return int(np.random.SeedSequence((seed, step, process)).generate_state(1)[0])
