"""Generators of random numbers for very many seeds at once: NumPy's, some ten times faster than made one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

Words = NDArray[np.uint32]

POOL = 4  # words that the entropy is mixed into
SEED_WORDS = 8  # words of 32 bits that PCG64 asks for
ONE_WORD = 2**32
MASK = ONE_WORD - 1


class _Seed(ISeedSequence):
    """Words that were worked out beforehand, for the one bit generator that takes as many."""

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """The words that :class:`numpy.random.PCG64` asks for."""
        return self._words


class _Hash:
    """The hash of ``SeedSequence``, whose multiplier moves on with each use."""

    def __init__(self, start: int, multiplier: int) -> None:
        self._constant, self._multiplier = start, multiplier

    def __call__(self, value: Words) -> Words:
        value = value ^ np.uint32(self._constant)
        self._constant = self._constant * self._multiplier & MASK
        return _folded(value * np.uint32(self._constant))


def _folded(value: Words) -> Words:
    return value ^ (value >> np.uint32(16))


def _mixed(x: Words, y: Words) -> Words:
    return _folded(np.uint32(0xCA01F9DD) * x - np.uint32(0x4973F715) * y)


def seed_words(seed: int | Sequence[int], numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """What ``SeedSequence([seed, number]).generate_state(4, np.uint64)`` gives, for all numbers at once.

    Args:
        seed: 0 or more; or several of these, for ``SeedSequence([*seed, number])``.
        numbers: each 0 or more and below :math:`2^{32}`, shape ``(N,)``.

    Returns:
        Shape ``(N, 4)``.

    Source:
        The algorithm of :class:`numpy.random.SeedSequence`, which NumPy promises to keep.

    Example:
        >>> int(seed_words(7, np.array([3]))[0, 0]) == int(np.random.SeedSequence([7, 3]).generate_state(1, np.uint64)[0])
        True
    """
    parts = [seed] if isinstance(seed, int) else seed
    of_seed = [part >> shift & MASK for part in parts for shift in range(0, max(part.bit_length(), 1), 32)]
    entropy = [np.full(len(numbers), word, dtype=np.uint32) for word in of_seed] + [numbers.astype(np.uint32)]
    entropy += [np.zeros(len(numbers), dtype=np.uint32)] * (POOL - len(entropy))
    hashed = _Hash(0x43B0D7E5, 0x931E8875)
    pool = [hashed(word) for word in entropy[:POOL]]
    for source in range(POOL):
        for target in range(POOL):
            if source != target:
                pool[target] = _mixed(pool[target], hashed(pool[source]))
    for word in entropy[POOL:]:
        pool = [_mixed(target, hashed(word)) for target in pool]
    hashed = _Hash(0x8B51F9DD, 0x58F38DED)
    words = np.stack([hashed(pool[i % POOL]) for i in range(SEED_WORDS)], axis=1).astype("<u4")
    return words.view("<u8").astype(np.uint64)


def generators(seed: int, numbers: NDArray[np.int64]) -> list[np.random.Generator]:
    """``numpy.random.default_rng([seed, number])`` for each number.

    Args:
        seed: 0 or more.
        numbers: each 0 or more, shape ``(N,)``.

    Example:
        >>> first, second = generators(0, np.array([0, 1]))
        >>> second.random() == np.random.default_rng([0, 1]).random()
        True
    """
    if len(numbers) and int(numbers.max()) >= ONE_WORD:
        return [np.random.default_rng([seed, number]) for number in numbers.tolist()]
    seeds = map(_Seed, seed_words(seed, numbers))
    # NumPy takes any ISeedSequence, which its annotations do not say
    return [np.random.Generator(np.random.PCG64(words)) for words in seeds]  # type: ignore[arg-type]
