"""The base of all sources of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..source import Source


@dataclass(frozen=True)
class BlockSource(Source):
    """Whole blocks, whose variables may depend on each other; where a law is asked for, it is refused.

    A new source is one frozen dataclass with a ``name`` and :meth:`~renorm.datamodules.source.Source.blocks`; its fields are
    its parameters, and ``--data.train_laws`` knows it from then on. What is exact for some sources only is a method that
    returns None unless the source overrides it.

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

    def sum_cumulants(self, weights: Tensor, order: int) -> Tensor | None:
        r"""Exact cumulants of the weighted sum :math:`w_1 x_1 + \dots + w_b x_b` of a block; None where they are not known.

        Args:
            weights: of the variables, shape ``(b,)``.
            order: highest order, 1 to 8.

        Returns:
            Shape ``(order,)``, float64; NaN where a cumulant does not exist.
        """
        return None

    def states(self, block_size: int) -> tuple[Tensor, Tensor] | None:
        """All blocks, shape ``(N, b)``, and their probabilities, shape ``(N,)``, float64; None where they are not few."""
        return None
