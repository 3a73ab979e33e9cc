"""Training batches drawn many at once: a batch of a small stack costs calls, and hardly any arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .blocks import Blocks
from .laws import Law
from .sampling import stream

if TYPE_CHECKING:
    from .clt import CLTDataModule

MOST_BATCHES = 64
MOST_NUMBERS = 2**17  # half a megabyte of float32, which stays in a processor's cache
LINE = 64  # bytes; a tensor by itself begins at a multiple of these, on which the last bits of a library's function may depend


class DrawnAhead:
    """The training batches of a data module, each bit for bit what :meth:`CLTDataModule.batch` gives.

    Only renorm's own laws and maps are drawn ahead of time: one of a user may change from step to step.

    Args:
        data: the data module; where its laws, its map or its sizes change, batches are drawn anew.
    """

    def __init__(self, data: CLTDataModule) -> None:
        self._data = data
        self._drawn: dict[int, Blocks] = {}  # by step
        self._of: tuple[Any, ...] = ()  # what they were drawn of
        self._alive: tuple[Any, ...] = ()  # the map and the laws, so that no others get their identities

    def __call__(self, epoch: int, step: int) -> Blocks:
        """The batch of one step, for a single process."""
        data = self._data
        of = (epoch, data.seed, data.batch_size, data.steps_per_epoch, id(data.map), *map(id, data.train_laws))
        if of != self._of:
            self._drawn, self._of, self._alive = {}, of, (data.map, *data.train_laws)
        if step not in self._drawn:
            together = self._together()
            if together == 1:
                return data.batch("train", epoch, step)
            first = step - step % together
            steps = range(first, max(min(first + together, data.steps_per_epoch), step + 1))
            self._drawn = dict(zip(steps, self._draw(epoch, steps), strict=True))
        return self._drawn.pop(step)

    def _together(self) -> int:
        """How many batches are drawn at once."""
        data, laws = self._data, self._data.train_laws
        if not all(map(is_ours, (data.map, *laws))) or not data.independent:
            return 1
        # numbers of a batch's targets, and of each law's part of its blocks
        sizes = [
            data.batch_size,
            *(data.block_size * len(range(i, data.batch_size, len(laws))) for i in range(len(laws))),
        ]
        if any(size * torch.get_default_dtype().itemsize % LINE for size in sizes):
            return 1
        return max(1, min(MOST_BATCHES, MOST_NUMBERS // (data.batch_size * data.block_size)))

    def _draw(self, epoch: int, steps: range) -> list[Blocks]:
        data, laws = self._data, self._data.train_laws
        texts = [data.text(law) for law in laws]
        x = torch.empty(len(steps), data.batch_size, data.block_size)
        for i, (law, text) in enumerate(zip(laws, texts, strict=True)):
            part = x if len(laws) == 1 else torch.empty_like(x[:, i :: len(laws)])
            law.fill(part, (stream(data.seed, "train", text, epoch, step) for step in steps))
            if part is not x:
                x[:, i :: len(laws)] = part
        y = data.map(x.flatten(0, 1)).view(x.shape[:2])
        return [Blocks(*pair, " | ".join(texts)) for pair in zip(x.unbind(), y.unbind(), strict=True)]


def is_ours(source: Any) -> bool:
    """Whether a law or a map is renorm's, and so are the laws that it is made of.

    Example:
        >>> from renorm.datamodules import laws
        >>> is_ours(laws.parse("mirrored(exponential())"))
        True
    """
    parts = [part for value in vars(source).values() for part in _laws_in(value)]
    return type(source).__module__.partition(".")[0] == "renorm" and all(map(is_ours, parts))


def _laws_in(value: Any) -> list[Law]:
    if isinstance(value, list | tuple):
        return [law for each in value for law in _laws_in(each)]
    return [value] if isinstance(value, Law) else []
