"""Counter-based random numbers in plain NumPy.

All functions are vectorised over a batch and pure: there is no generator state, so that the batch
at any position can be recomputed on any machine.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def mix(words: Words) -> Words:
    """Scrambles 64-bit words with SplitMix64's finaliser, a bijection (any shape, uint64)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def random_words(seed: int, counters: NDArray[np.integer] | list[int], count: int) -> Words:
    """Draws random 64-bit words by position.

    Each counter starts its own SplitMix64 sequence (Steele, Lea and Flood: "Fast splittable
    pseudorandom number generators", OOPSLA 2014), read by random access: word j of a sequence
    that starts at s is `mix(s + (j + 1) * golden)`.

    Args:
        seed: any integer; taken modulo 2^64.
        counters: non-negative integers [B].
        count: number of words for each counter.

    Returns:
        uint64 [B, count]; row i depends only on (seed, counters[i]).
    """
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    # The seed is scrambled before the counters are added: otherwise (seed, counter + 1) and
    # (seed + golden, counter) would share a sequence.
    base = mix(np.asarray([seed & _MASK], np.uint64) + np.uint64(_GOLDEN))
    starts = mix(base + np.asarray(counters).astype(np.uint64) * np.uint64(_GOLDEN))
    return mix(starts[:, None] + steps)


def random_permutations(words: Words) -> NDArray[np.int64]:
    """Turns random words [..., n] into uniform permutations of 0..n-1, int64 [..., n]."""
    return np.argsort(words, axis=-1, kind="stable")


def derive_seed(seed: int, purpose: str) -> int:
    """Derives an independent seed for each purpose from the user's seed."""
    counter = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    return int(random_words(seed, np.asarray([counter], np.uint64), 1)[0, 0])
