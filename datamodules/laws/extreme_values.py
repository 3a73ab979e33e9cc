"""Laws of maxima, and the power tails that lead to them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ...expressions.fields import number, positive
from .base import Law
from .draws import open_uniform
from .exact import Number, context, cumulants_of, product, shifted, to_mpf
from .location_scale import Gumbel, moved

NEGLIGIBLE = 1e-30  # indices that change no digit, and of which a product may not be a normal number
# Cancellation costs the eighth cumulant 8 log2(1 / NEGLIGIBLE) = 797 of them; at 4096, the gamma function takes 15 seconds.
GAMMA_BITS = 1280


@dataclass(frozen=True)
class GEV(Law):
    r"""Generalised extreme-value law, the fixed points of the maximum: Gumbel's, Fréchet's and Weibull's in one.

    Its distribution function is :math:`\exp(-u)` with :math:`u = (1 + \xi (x - loc) / scale)^{-1/\xi}`, and
    :math:`u = e^{-(x - loc)/scale}` for ξ = 0. With :math:`x = loc + scale\, (u^{-\xi} - 1)/\xi` the moments are those of
    :math:`E\, u^{-n\xi} = \Gamma(1 - n \xi)`, which exist for :math:`n \xi < 1`.

    Args:
        xi: index, -10 to 10: 0 for Gumbel's law, above 0 for Fréchet's with a tail :math:`x^{-1/\xi}`, below 0 for Weibull's,
            which ends at ``loc - scale / xi``. ``scipy.stats.genextreme`` calls its negative ``c``.
        loc: value that a share 1/e of all samples is below.
        scale: scale, above 0.

    Raises:
        LawError: for a parameter out of range.

    Source:
        Jenkinson, Quarterly Journal of the Royal Meteorological Society 81 (1955) 158.

    Example:
        >>> GEV(xi=-1).cumulants(3)
        tensor([ 0.,  1., -2.], dtype=torch.float64)
        >>> GEV(xi=0.4).cumulants(3)
        tensor([ 1.2230, 14.8322,     nan], dtype=torch.float64)
    """

    name = "gev"
    xi: float = number(0, -10, 10)
    loc: float = number(0)
    scale: float = positive(1)

    @property
    def _is_gumbel(self) -> bool:
        return abs(self.xi) < NEGLIGIBLE

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Inverse of the distribution function, in doubles."""
        log_u = open_uniform(x, generator).log_().neg_().log_()
        # expm1: the power minus 1 loses all its digits where xi is small
        reduced = log_u.neg_() if self._is_gumbel else log_u.mul_(-self.xi).expm1_().div_(self.xi)
        return x.copy_(reduced.mul_(self.scale).add_(self.loc))

    def exact_cumulants(self, order: int) -> list[Number]:
        """From values of the gamma function, precise enough that nothing is lost by cancellation for small indices."""
        if self._is_gumbel:
            return Gumbel(self.loc, self.scale).exact_cumulants(order)
        xi = Fraction(self.xi)
        known = [n for n in range(order + 1) if n * xi < 1]
        with context().workprec(GAMMA_BITS):
            moments = [context().gamma(to_mpf(1 - n * xi)) if n else Fraction(1) for n in known]
        powers = cumulants_of(moments)
        stretch = Fraction(self.scale) / xi
        scaled = [product(kappa, stretch**n) for n, kappa in enumerate(powers, 1)]
        return shifted(scaled, Fraction(self.loc) - stretch)

    def affine(self, shift: Number, scale: Number) -> Law:
        """A law of the same index."""
        return GEV(self.xi, *moved(self.loc, self.scale, shift, scale))

    def support(self) -> tuple[float, float]:
        """One end for ξ other than 0."""
        if self._is_gumbel:
            return -math.inf, math.inf
        end = -1 / self.xi * self.scale + self.loc  # rounded as draw rounds
        return (end, math.inf) if self.xi > 0 else (-math.inf, end)

    def breakpoints(self) -> tuple[float, ...]:
        """The end, and ``loc``, near which the law is where the end is far away."""
        return () if self._is_gumbel else tuple(sorted({*super().breakpoints(), self.loc}))

    def scipy(self) -> Any:
        """``scipy.stats.genextreme``."""
        from scipy import stats

        return (
            Gumbel(self.loc, self.scale).scipy()
            if self._is_gumbel
            else stats.genextreme(-self.xi, self.loc, self.scale)
        )


@dataclass(frozen=True)
class Pareto(Law):
    r"""Pareto law, :math:`P(X > x) = (scale / x)^{shape}` for x above ``scale``: the simplest power tail.

    Moments are :math:`m_n = scale^n\, shape / (shape - n)`, and exist for n < ``shape``. Normalised maxima flow to the
    extreme-value law of index ``1 / shape``.

    Args:
        shape: exponent of the tail, above 0.
        scale: lower end, above 0.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Pareto(shape=3).cumulants(3)
        tensor([1.5000, 0.7500,    nan], dtype=torch.float64)
    """

    name = "pareto"
    shape: float = positive(3)
    scale: float = positive(1)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Inverse of the distribution function, in doubles."""
        return x.copy_(open_uniform(x, generator).log_().div_(-self.shape).exp_().mul_(self.scale))

    def exact_cumulants(self, order: int) -> list[Number]:
        """From the moments below order ``shape``, all rational."""
        shape, scale = Fraction(self.shape), Fraction(self.scale)
        return cumulants_of([scale**n * shape / (shape - n) for n in range(order + 1) if n < shape])

    def support(self) -> tuple[float, float]:
        """From ``scale`` on."""
        return self.scale, math.inf

    def scipy(self) -> Any:
        """``scipy.stats.pareto``."""
        from scipy import stats

        return stats.pareto(self.shape, scale=self.scale)
