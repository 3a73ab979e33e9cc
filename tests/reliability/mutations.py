"""Damaged copies of a file: truncated, bit-flipped, swapped; all from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def truncated(whole: bytes, most: int = 400) -> Iterator[bytes]:
    """The beginnings of a file: all of them for a small one, and else those near both ends and an even choice between."""
    lengths = range(len(whole))
    if len(whole) > most:
        ends = [*range(60), *range(len(whole) - 60, len(whole))]
        step = max(1, len(whole) // (most - len(ends)))
        lengths = sorted({*ends, *range(0, len(whole), step)})  # type: ignore[assignment]
    for length in lengths:
        yield whole[:length]


def flipped(whole: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies with one flipped bit, every fourth with several."""
    dice = random.Random(seed)
    for i in range(count):
        content = bytearray(whole)
        for _ in range(1 if i % 4 else dice.randint(2, 20)):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        if content != whole:
            yield bytes(content)


def swapped(whole: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies in which two pieces of equal length have changed places, or one was cut out, repeated or overwritten."""
    dice = random.Random(seed)
    for i in range(count):
        size = dice.randint(1, max(1, len(whole) // 8))
        a, b = (dice.randrange(len(whole) - size + 1) for _ in range(2))
        content = bytearray(whole)
        if i % 4 == 0:
            content[a : a + size], content[b : b + size] = whole[b : b + size], whole[a : a + size]
        elif i % 4 == 1:
            del content[a : a + size]
        elif i % 4 == 2:
            content[a:a] = whole[b : b + size]
        else:
            content[a : a + size] = dice.choice((b"\xff", b"\x00")) * size
        if content != whole:
            yield bytes(content)


def all_mutations(whole: bytes, flips: int, seed: int = 0) -> Iterator[bytes]:
    """Everything above."""
    yield from truncated(whole)
    yield from flipped(whole, flips, seed)
    yield from swapped(whole, flips // 4, seed + 1)


def loaded_or_none(load: Callable[[], Any], name: str = "") -> Any:
    """What is loaded, None where it is refused in one short line that has the name in it; anything else fails the test."""
    try:
        return load()
    except ValueError as error:
        refusal = str(error)
    except Exception as error:
        pytest.fail(f"escapes as {type(error).__name__}: {error}")
    assert name in refusal
    assert len(refusal) < 2000
    return None


def check_loader(
    file: Path, load: Callable[[Path], Any], mutations: Iterator[bytes], same: Callable[[Any, Any], bool] | None
) -> int:
    """Load every mutation: either a ValueError of one line that names the file, or exactly what the whole file holds.

    Args:
        file: the whole file; mutations are written beside it, under its suffix.
        load: reads a file.
        mutations: contents to try.
        same: whether two loaded values are equal; None for text without a checksum, where a changed digit is a new file.

    Returns:
        How many were refused.
    """
    original = load(file)
    place = file.with_name(f"mutated{file.suffix}")
    refused = 0
    for number, content in enumerate(mutations):
        place.write_bytes(content)
        loaded = loaded_or_none(lambda: load(place), place.name)
        refused += loaded is None
        assert loaded is None or same is None or same(loaded, original), (
            f"mutation {number} was loaded as something else"
        )
    return refused
