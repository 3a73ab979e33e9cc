"""Laws of positive variables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ...expressions.fields import number, positive
from .base import Law
from .draws import log_gamma, standard_gamma
from .exact import Number, context, cumulants_of, to_mpf


@dataclass(frozen=True)
class Exponential(Law):
    r"""Exponential law: :math:`\kappa_n = (n-1)! / rate^n`.

    Its density is :math:`rate\, e^{-rate\, x}` for x above 0.

    Args:
        rate: one over the mean, above 0.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Exponential(rate=0.5).cumulants(3)
        tensor([ 2.,  4., 16.], dtype=torch.float64)
    """

    name = "exponential"
    rate: float = positive(1)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Torch's own exponential variables."""
        return x.exponential_(self.rate, generator=generator)

    def exact_cumulants(self, order: int) -> list[Number]:
        """Factorials."""
        return [math.factorial(n - 1) / Fraction(self.rate) ** n for n in range(1, order + 1)]

    def support(self) -> tuple[float, float]:
        """Positive numbers."""
        return 0.0, math.inf

    def scipy(self) -> Any:
        """``scipy.stats.expon``."""
        from scipy import stats

        return stats.expon(scale=1 / self.rate)


@dataclass(frozen=True)
class Gamma(Law):
    r"""Gamma law: :math:`\kappa_n = (n-1)!\, shape\, scale^n`.

    Its density is :math:`x^{shape - 1} e^{-x/scale} / (\Gamma(shape)\, scale^{shape})` for x above 0.

    Args:
        shape: shape, above 0.
        scale: scale, above 0.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Gamma(shape=2).cumulants(4)
        tensor([ 2.,  2.,  4., 12.], dtype=torch.float64)
    """

    name = "gamma"
    shape: float = positive(2)
    scale: float = positive(1)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Torch's own gamma variables."""
        return standard_gamma(self.shape, x, generator).mul_(self.scale)

    def exact_cumulants(self, order: int) -> list[Number]:
        """Factorials."""
        shape, scale = Fraction(self.shape), Fraction(self.scale)
        return [math.factorial(n - 1) * shape * scale**n for n in range(1, order + 1)]

    def support(self) -> tuple[float, float]:
        """Positive numbers."""
        return 0.0, math.inf

    def scipy(self) -> Any:
        """``scipy.stats.gamma``."""
        from scipy import stats

        return stats.gamma(self.shape, scale=self.scale)


@dataclass(frozen=True)
class Beta(Law):
    r"""Beta law on [0, 1]: moments :math:`m_n = \prod_{r<n} (a + r) / (a + b + r)`.

    Its density is :math:`x^{a-1} (1 - x)^{b-1}\, \Gamma(a + b) / (\Gamma(a) \Gamma(b))`.

    Args:
        a: exponent at 0 plus one, above 0.
        b: exponent at 1 plus one, above 0.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Beta(a=2, b=2).cumulants(4)
        tensor([ 0.5000,  0.0500,  0.0000, -0.0021], dtype=torch.float64)
    """

    name = "beta"
    a: float = positive(2)
    b: float = positive(2)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Share of one gamma variable in the sum of two."""
        if min(self.a, self.b) >= 1:
            first = standard_gamma(self.a, x, generator)
            return first.div_(first + standard_gamma(self.b, x, generator))
        return x.copy_(log_gamma(self.a, x, generator).sub_(log_gamma(self.b, x, generator)).sigmoid_())

    def exact_cumulants(self, order: int) -> list[Number]:
        """From the moments, all rational."""
        a, b = Fraction(self.a), Fraction(self.b)
        moments = [Fraction(1)]
        for r in range(order):
            moments.append(moments[-1] * (a + r) / (a + b + r))
        return cumulants_of(moments)

    def support(self) -> tuple[float, float]:
        """Shares."""
        return 0.0, 1.0

    def scipy(self) -> Any:
        """``scipy.stats.beta``."""
        from scipy import stats

        return stats.beta(self.a, self.b)


@lru_cache(maxsize=16)
def _connected_graphs(order: int) -> list[list[int]]:
    """Row n - 1: the coefficients of r^k, the number of connected graphs on n labelled vertices with k edges."""
    cumulants: list[list[int]] = []
    graphs = [[math.comb(math.comb(n, 2), k) for k in range(math.comb(n, 2) + 1)] for n in range(order + 1)]
    for n in range(1, order + 1):
        connected = list(graphs[n])
        for k in range(1, n):
            for i, c in enumerate(cumulants[k - 1]):
                for j, m in enumerate(graphs[n - k]):
                    connected[i + j] -= math.comb(n - 1, k - 1) * c * m
        cumulants.append(connected)
    return cumulants


@dataclass(frozen=True)
class Lognormal(Law):
    r"""Law of :math:`e^Z`, Z normal: :math:`\kappa_n = e^{n (mean + std^2/2)} \sum_G (e^{std^2} - 1)^{|G|}`.

    Its density is :math:`e^{-(\ln x - mean)^2 / (2 std^2)} / (\sqrt{2\pi}\, std\, x)` for x above 0.

    The sum runs over the connected graphs on n labelled vertices, ``|G|`` counts edges: all terms are positive,
    nothing cancels.

    Args:
        mean: mean of Z (not of the law), -60 to 60.
        std: standard deviation of Z, above 0, up to 10. By default 0.5 (skewness 1.75, excess kurtosis 5.9): with 1 the
            eighth standardised cumulant would be above 10^13, out of reach of any sample.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Lognormal(mean=0, std=0.5).cumulants(2)
        tensor([1.1331, 0.3647], dtype=torch.float64)
    """

    name = "lognormal"
    mean: float = number(0, -60, 60)
    std: float = positive(0.5, 10)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Exponential of torch's normal variables."""
        return x.normal_(self.mean, self.std, generator=generator).exp_()

    def exact_cumulants(self, order: int) -> list[Number]:
        """At 4096 bits, from the numbers of connected graphs."""
        variance = Fraction(self.std) ** 2
        r = context().expm1(to_mpf(variance))
        first = context().exp(to_mpf(Fraction(self.mean) + variance / 2))
        rows = _connected_graphs(order)
        return [first**n * sum(c * r**k for k, c in enumerate(row) if c) for n, row in enumerate(rows, 1)]

    def support(self) -> tuple[float, float]:
        """Positive numbers."""
        return 0.0, math.inf

    def scipy(self) -> Any:
        """``scipy.stats.lognorm``."""
        from scipy import stats

        return stats.lognorm(self.std, scale=math.exp(self.mean))
