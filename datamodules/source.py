"""What a data module draws from: a law of one variable, or a source of whole blocks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..expressions.expression import Expression


@dataclass(frozen=True)
class Source(Expression):
    """Base of laws, whose blocks are independent draws, and of sources whose blocks come as they are."""

    def blocks(self, rows: int, block_size: int, generator: torch.Generator) -> Tensor | tuple[Tensor, Tensor]:
        """Blocks, shape ``(rows, b)``, in torch's default precision; or these and their own targets, shape ``(rows,)``."""
        raise NotImplementedError

    def overlaps(self, other: Source) -> bool:
        """Whether both give the same blocks, of which one cannot be held out from the other."""
        return self == other

    def check(self, block_size: int, dtype: torch.dtype) -> None:
        """Refuse blocks that cannot be drawn.

        Raises:
            InputError: for a block size or a precision that the source does not have.
        """
