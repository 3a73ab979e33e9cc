"""Laws on the integers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ...expressions.fields import number, positive
from .base import Law, merge_atoms
from .exact import Number, cumulants_of


@dataclass(frozen=True)
class Rademacher(Law):
    """Fair signs: -1 and 1 with probability 1/2 each.

    Example:
        >>> Rademacher().cumulants(4)
        tensor([ 0.,  1.,  0., -2.], dtype=torch.float64)
    """

    name = "rademacher"

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Torch's random integers 0 and 1, moved."""
        return x.random_(0, 2, generator=generator).mul_(2).sub_(1)

    def exact_cumulants(self, order: int) -> list[Number]:
        """From the moments 1, 0, 1, 0 and so on."""
        return cumulants_of([Fraction(1 - n % 2) for n in range(order + 1)])

    def support(self) -> tuple[float, float]:
        """Both signs."""
        return -1.0, 1.0

    def atoms(self) -> list[tuple[Fraction | float, Fraction]]:
        """Both signs."""
        return [(Fraction(-1), Fraction(1, 2)), (Fraction(1), Fraction(1, 2))]


@dataclass(frozen=True)
class Bernoulli(Law):
    """1 with probability ``p``, else 0: every raw moment is ``p``.

    Args:
        p: probability of 1, 0 to 1.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Bernoulli(p=0.25).cumulants(3)
        tensor([0.2500, 0.1875, 0.0938], dtype=torch.float64)
        >>> Bernoulli(p=0.25).atoms()
        [(Fraction(0, 1), Fraction(3, 4)), (Fraction(1, 1), Fraction(1, 4))]
    """

    name = "bernoulli"
    p: float = number(0.5, 0, 1)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Torch's own Bernoulli variables."""
        return x.bernoulli_(self.p, generator=generator)

    def exact_cumulants(self, order: int) -> list[Number]:
        """From the moments, all ``p``."""
        return cumulants_of([Fraction(1), *[Fraction(self.p)] * order])

    def support(self) -> tuple[float, float]:
        """0 and 1, or the one of them that occurs."""
        return float(self.p == 1), float(self.p > 0)

    def atoms(self) -> list[tuple[Fraction | float, Fraction]]:
        """0 and 1, or the one of them that occurs."""
        p = Fraction(self.p)
        return merge_atoms([(Fraction(0), 1 - p), (Fraction(1), p)])

    def scipy(self) -> Any:
        """``scipy.stats.bernoulli``."""
        from scipy import stats

        return stats.bernoulli(self.p)


@dataclass(frozen=True)
class Poisson(Law):
    r"""Poisson law: every cumulant is ``rate``.

    The probability of :math:`k = 0, 1, \dots` is :math:`e^{-rate}\, rate^k / k!`.

    Args:
        rate: mean, above 0, up to 10^15 (beyond that doubles are too coarse to count with).

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Poisson(rate=3).cumulants(3)
        tensor([3., 3., 3.], dtype=torch.float64)
    """

    name = "poisson"
    rate: float = positive(1, 1e15)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Torch's own Poisson variables."""
        return torch.poisson(x.fill_(self.rate), generator=generator)

    def exact_cumulants(self, order: int) -> list[Number]:
        """All equal."""
        return [Fraction(self.rate)] * order

    def support(self) -> tuple[float, float]:
        """Counts."""
        return 0.0, math.inf

    def scipy(self) -> Any:
        """``scipy.stats.poisson``."""
        from scipy import stats

        return stats.poisson(self.rate)
