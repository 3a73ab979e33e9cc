"""The base of all sources of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..source import Source


@dataclass(frozen=True)
class BlockSource(Source):
    """Whole blocks, whose variables may depend on each other; where a law is asked for, it is refused.

    A new source is one frozen dataclass with a ``name`` and :meth:`~renorm.datamodules.source.Source.blocks`; its fields are
    its parameters, and ``--data.train_laws`` knows it from then on.

    Example:
        >>> import torch
        >>> from renorm.datamodules.block_sources import parse_source
        >>> @dataclass(frozen=True)
        ... class Copies(BlockSource):
        ...     '''One Gaussian number, b times.'''
        ...     name = "copies_example"
        ...     def blocks(self, rows, block_size, generator):
        ...         return torch.randn(rows, 1, generator=generator).expand(-1, block_size)
        >>> parse_source("copies_example").blocks(5, 2, torch.Generator().manual_seed(0)).shape
        torch.Size([5, 2])
        >>> del BlockSource.registry["copies_example"]
    """

    what, example = "source", "blocks(path=spins.npy)"
    registry: ClassVar[dict[str, type[BlockSource]]] = {}  # type: ignore[assignment]
