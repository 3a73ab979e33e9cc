"""Counter-based streams of blocks: any batch can be drawn again, in any process, from its coordinates alone."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..seeds import ONE_WORD, seed_words
from .laws import Law

Split = Literal["train", "val", "test", "predict", "probe"]
SPLITS: tuple[Split, ...] = ("train", "val", "test", "predict", "probe")
TOGETHER = 256  # seeds that are worked out at once, in the time of some ten by themselves


@functools.lru_cache(maxsize=1024)
def _law_key(law: str) -> int:
    return int.from_bytes(hashlib.sha256(law.encode()).digest()[:8], "little")


def stream(seed: int, split: Split, law: str, epoch: int, step: int) -> torch.Generator:
    """The generator of one law's part of one batch; different coordinates give independent streams.

    Args:
        seed: seed of the data, 0 or more.
        split: which split.
        law: the law's string, so that adding a law changes no other law's draws.
        epoch: epoch, from 0.
        step: batch within the epoch, from 0.
    """
    group, place = divmod(step, TOGETHER)
    key = (seed, SPLITS.index(split), _law_key(law), epoch)
    if step >= ONE_WORD - TOGETHER:
        return torch.Generator().manual_seed(int(np.random.SeedSequence([*key, step]).generate_state(1, np.uint64)[0]))
    return torch.Generator().manual_seed(_seeds(*key, group)[place])


@functools.lru_cache(maxsize=256)
def _seeds(seed: int, split: int, law: int, epoch: int, group: int) -> list[int]:
    """What ``SeedSequence([seed, split, law, epoch, step])`` gives, for each step of a group."""
    steps = np.arange(group * TOGETHER, (group + 1) * TOGETHER)
    found: list[int] = seed_words([seed, split, law, epoch], steps)[:, 0].tolist()
    return found


def interleave(parts: list[Tensor], rows: int) -> Tensor:
    """Rows of several tensors by turns: row ``i`` is from part ``i % len(parts)``; one part is left as it is.

    Example:
        >>> interleave([torch.zeros(2), torch.ones(1)], rows=3)
        tensor([0., 1., 0.])
    """
    if len(parts) == 1:
        return parts[0]
    mixed = parts[0].new_empty(rows, *parts[0].shape[1:])
    for i, part in enumerate(parts):
        mixed[i :: len(parts)] = part
    return mixed


def draw_blocks(
    laws: Sequence[Law], rows: int, block_size: int, *, seed: int, split: Split, epoch: int, step: int
) -> Tensor:
    """Blocks of independent variables, shape ``(rows, block_size)``; row ``i`` comes from law ``i % len(laws)``."""
    drawn = [
        law.blocks(len(range(i, rows, len(laws))), block_size, stream(seed, split, str(law), epoch, step))
        for i, law in enumerate(laws)
    ]
    return interleave(drawn, rows)


def shard(rows: int, rank: int, world_size: int) -> slice:
    """The rows of a batch that belong to one process: contiguous, disjoint, none padded, none lost.

    Example:
        >>> [shard(10, rank, 4) for rank in range(4)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    """
    return slice(rows * rank // world_size, rows * (rank + 1) // world_size)


@dataclass
class BlockLoader:
    """An iterable of batches, with the state that Lightning asks a resumable loader for.

    Args:
        batch: from ``(epoch, step)`` to this process's part of a batch.
        steps: batches in an epoch.
        position: the epoch and the batch to start from, asked when the first batch is drawn.
    """

    batch: Callable[[int, int], Any]
    steps: int
    position: Callable[[], tuple[int, int]]

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        epoch, start = self.position()
        for step in range(start, self.steps):
            yield self.batch(epoch, step)

    def state_dict(self) -> dict[str, int]:
        """Nothing: a batch depends on its coordinates only, and Lightning's progress knows those."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Nothing to restore, see :meth:`state_dict`."""
