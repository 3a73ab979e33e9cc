"""The mirror image of a law, so that a set of laws can be made symmetric."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .base import Law, LawError
from .exact import Number, product


@dataclass(frozen=True)
class Mirrored(Law):
    r"""The law of :math:`-X`, whose cumulants are :math:`(-1)^n \kappa_n`.

    An odd map such as the central limit treats a law and its mirror image alike; a network that has learned the map on one
    side only does not. A set of held-out laws that holds each skewed law with its mirror image favours neither side.

    Args:
        law: law of X.

    Raises:
        LawError: for something that is not a law.

    Example:
        >>> from renorm.datamodules import laws
        >>> laws.parse("mirrored(exponential())").cumulants(4)
        tensor([-1.,  1., -2.,  6.], dtype=torch.float64)
    """

    name = "mirrored"
    law: Law = field(metadata={"kind": "law"})

    def __post_init__(self) -> None:
        if not isinstance(self.law, Law):
            raise LawError(f"mirrored: law={self.law!r} is not a law", "a law")

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Samples of X, negated."""
        return self.law.draw(x, generator).neg()

    def exact_cumulants(self, order: int) -> list[Number]:
        """Those of X, odd ones negated."""
        return [product((-1) ** n, kappa) for n, kappa in enumerate(self.law.exact_cumulants(order), 1)]

    def check_resolved(self, dtype: torch.dtype) -> None:
        """As for X."""
        self.law.check_resolved(dtype)

    def affine(self, shift: Number, scale: Number) -> Law | None:
        """A mirror image again, if X stays in its family."""
        moved = self.law.affine(product(-1, shift), scale)
        return None if moved is None else Mirrored(moved)

    def support(self) -> tuple[float, float]:
        """That of X, with its ends exchanged."""
        low, high = self.law.support()
        return -high, -low

    def breakpoints(self) -> tuple[float, ...]:
        """Those of X, in reverse."""
        return tuple(-point for point in reversed(self.law.breakpoints()))

    def atoms(self) -> list[tuple[Fraction | float, Fraction]] | None:
        """Those of X, in reverse."""
        found = self.law.atoms()
        return None if found is None else [(-value, p) for value, p in reversed(found)]

    @property
    def slow_density(self) -> bool:
        """Whether that of X is."""
        return self.law.slow_density

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density of X at the mirrored points."""
        return self.law.pdf(-np.asarray(x, dtype=np.float64))

    def quantiles(self, levels: ArrayLike) -> NDArray[np.float64] | None:
        """Those of X at the other end."""
        if self.atoms() is not None:  # at a level that ends an atom, the next one would be named
            return super().quantiles(levels)
        found = self.law.quantiles(1 - np.asarray(levels, dtype=np.float64))
        return None if found is None else -found

    def scipy(self) -> Any:
        """None: scipy has no mirror images."""
        return
