"""Families that hold every shifted and stretched copy of their members."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ...expressions.fields import number, positive
from .base import Law, LawError
from .draws import open_uniform
from .exact import Number, cumulants_of, euler_gamma, product, shifted, to_float, total, zeta


@dataclass(frozen=True)
class Gaussian(Law):
    r"""Normal law, the fixed point of the CLT map: :math:`\kappa_1 = mean`, :math:`\kappa_2 = std^2`, all others 0.

    Its density is :math:`e^{-(x - mean)^2 / (2 std^2)} / (\sqrt{2\pi}\, std)`.

    Args:
        mean: mean.
        std: standard deviation, above 0.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Gaussian(mean=1, std=3).cumulants(4)
        tensor([1., 9., 0., 0.], dtype=torch.float64)
    """

    name = "gaussian"
    mean: float = number(0)
    std: float = positive(1)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Torch's own normal variables."""
        return x.normal_(self.mean, self.std, generator=generator)

    def exact_cumulants(self, order: int) -> list[Number]:
        """Two, then zeros."""
        return [Fraction(self.mean), Fraction(self.std) ** 2, *[Fraction(0)] * (order - 2)][:order]

    def affine(self, shift: Number, scale: Number) -> Law:
        """A Gaussian again."""
        return Gaussian(*moved(self.mean, self.std, shift, scale))

    def scipy(self) -> Any:
        """``scipy.stats.norm``."""
        from scipy import stats

        return stats.norm(self.mean, self.std)


@dataclass(frozen=True)
class Uniform(Law):
    r"""Uniform law: :math:`\kappa_n = (high - low)^n B_n / n` for n >= 2, with Bernoulli numbers :math:`B_n`.

    Its density is :math:`1 / (high - low)` from ``low`` to ``high``.

    Args:
        low: lower end, by default -√3: then the variance is 1.
        high: upper end, above ``low``; by default √3.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Uniform(low=0, high=1).cumulants(2)
        tensor([0.5000, 0.0833], dtype=torch.float64)
    """

    name = "uniform"
    low: float = number(-math.sqrt(3))
    high: float = number(math.sqrt(3))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise LawError(f"uniform: low={self.low!r} is not below high={self.high!r}", "low < high")

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Torch's own uniform variables."""
        return x.uniform_(self.low, self.high, generator=generator)

    def exact_cumulants(self, order: int) -> list[Number]:
        """From the moments about the middle."""
        low, high = Fraction(self.low), Fraction(self.high)
        half = (high - low) / 2
        moments = [half**n / (n + 1) if n % 2 == 0 else Fraction(0) for n in range(order + 1)]
        return shifted(cumulants_of(moments), low + half)

    def affine(self, shift: Number, scale: Number) -> Law:
        """A uniform law again."""
        return Uniform(_moved_point(self.low, shift, scale), _moved_point(self.high, shift, scale))

    def support(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def scipy(self) -> Any:
        """``scipy.stats.uniform``."""
        from scipy import stats

        return stats.uniform(self.low, self.high - self.low)


@dataclass(frozen=True)
class Laplace(Law):
    r"""Laplace law, density :math:`e^{-|x - loc|/scale} / (2 scale)`: :math:`\kappa_n = 2 (n-1)!\, scale^n` for even n.

    Args:
        loc: centre.
        scale: scale, above 0; the standard deviation is √2 times as much.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Laplace().cumulants(4)
        tensor([ 0.,  2.,  0., 12.], dtype=torch.float64)
    """

    name = "laplace"
    loc: float = number(0)
    scale: float = positive(1)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Inverse of the distribution function, in doubles."""
        v = open_uniform(x, generator).mul_(2).sub_(1)
        return x.copy_(v.abs().neg_().log1p_().mul_(-self.scale).copysign_(v).add_(self.loc))

    def exact_cumulants(self, order: int) -> list[Number]:
        """Factorials."""
        scale = Fraction(self.scale)
        even = [2 * math.factorial(n - 1) * scale**n * (n % 2 == 0) for n in range(1, order + 1)]
        return shifted(even, Fraction(self.loc))

    def affine(self, shift: Number, scale: Number) -> Law:
        """A Laplace law again."""
        return Laplace(*moved(self.loc, self.scale, shift, scale))

    def breakpoints(self) -> tuple[float, ...]:
        """The cusp."""
        return (self.loc,)

    def scipy(self) -> Any:
        """``scipy.stats.laplace``."""
        from scipy import stats

        return stats.laplace(self.loc, self.scale)


@dataclass(frozen=True)
class Logistic(Law):
    r"""Logistic law: :math:`\kappa_n = 2 (n-1)!\, \zeta(n)\, scale^n` for even n, with Riemann's :math:`\zeta`.

    Its density is :math:`e^{-z} / (scale\, (1 + e^{-z})^2)` with :math:`z = (x - loc)/scale`.

    Args:
        loc: centre.
        scale: scale, above 0; the standard deviation is π/√3 times as much.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Logistic().cumulants(2)
        tensor([0.0000, 3.2899], dtype=torch.float64)
    """

    name = "logistic"
    loc: float = number(0)
    scale: float = positive(1)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Inverse of the distribution function, in doubles."""
        return x.copy_(open_uniform(x, generator).logit_().mul_(self.scale).add_(self.loc))

    def exact_cumulants(self, order: int) -> list[Number]:
        """Those of the difference of two Gumbel variables."""
        scale = Fraction(self.scale)
        even = [
            product(2 * math.factorial(n - 1), scale**n, zeta(n)) if n % 2 == 0 else Fraction(0)
            for n in range(1, order + 1)
        ]
        return shifted(even, Fraction(self.loc))

    def affine(self, shift: Number, scale: Number) -> Law:
        """A logistic law again."""
        return Logistic(*moved(self.loc, self.scale, shift, scale))

    def scipy(self) -> Any:
        """``scipy.stats.logistic``."""
        from scipy import stats

        return stats.logistic(self.loc, self.scale)


@dataclass(frozen=True)
class Gumbel(Law):
    r"""Gumbel law of maxima: :math:`\kappa_n = (n-1)!\, \zeta(n)\, scale^n` for n >= 2, with Riemann's :math:`\zeta`.

    Its distribution function is :math:`\exp(-e^{-(x - loc)/scale})`.

    Its density is :math:`e^{-z - e^{-z}} / scale` with :math:`z = (x - loc)/scale`.

    Args:
        loc: mode; the mean is ``loc + γ scale`` with Euler's constant γ.
        scale: scale, above 0; the standard deviation is π/√6 times as much.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Gumbel().cumulants(3)
        tensor([0.5772, 1.6449, 2.4041], dtype=torch.float64)
    """

    name = "gumbel"
    loc: float = number(0)
    scale: float = positive(1)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Inverse of the distribution function, in doubles."""
        return x.copy_(open_uniform(x, generator).log_().neg_().log_().mul_(-self.scale).add_(self.loc))

    def exact_cumulants(self, order: int) -> list[Number]:
        """Values of ζ."""
        scale = Fraction(self.scale)
        high = [product(math.factorial(n - 1), scale**n, zeta(n)) for n in range(2, order + 1)]
        return [total([Fraction(self.loc), product(scale, euler_gamma())]), *high]

    def affine(self, shift: Number, scale: Number) -> Law:
        """A Gumbel law again."""
        return Gumbel(*moved(self.loc, self.scale, shift, scale))

    def scipy(self) -> Any:
        """``scipy.stats.gumbel_r``."""
        from scipy import stats

        return stats.gumbel_r(self.loc, self.scale)


@dataclass(frozen=True)
class Triangular(Law):
    r"""Triangular law: :math:`m_n = 2 h_n(low, mode, high) / ((n+1)(n+2))`.

    Its density rises in a line from 0 at ``low`` to :math:`2 / (high - low)` at ``mode``, and falls in a line to 0 at ``high``.

    :math:`h_n` is the complete homogeneous polynomial, the sum of all products of n of the three. It is the law of a
    uniformly random weighted mean of ``low``, ``mode`` and ``high`` (Hermite-Genocchi).

    Args:
        low: lower end.
        mode: peak, between the ends or at one of them.
        high: upper end, above ``low``.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Triangular().cumulants(2)
        tensor([0.0000, 0.1667], dtype=torch.float64)
    """

    name = "triangular"
    low: float = number(-1)
    mode: float = number(0)
    high: float = number(1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise LawError(f"triangular: low={self.low!r} is not below high={self.high!r}", "low < high")
        if not self.low <= self.mode <= self.high:
            raise LawError(f"triangular: mode={self.mode!r} is out of range", f"{self.low:g} to {self.high:g}")

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Weighted mean of the smaller and the larger of two uniform variables."""
        u, v = torch.rand((2, *x.shape), dtype=x.dtype, device=x.device, generator=generator)
        small, large = torch.minimum(u, v), torch.maximum(u, v)
        return small.mul_(self.high - self.mode).add_(large, alpha=self.mode - self.low).add_(self.low)

    def exact_cumulants(self, order: int) -> list[Number]:
        """From the moments about the mode, all rational."""
        low, high = Fraction(self.low) - Fraction(self.mode), Fraction(self.high) - Fraction(self.mode)
        moments = [
            2 * sum(low**k * high ** (n - k) for k in range(n + 1)) / ((n + 1) * (n + 2)) for n in range(order + 1)
        ]
        return shifted(cumulants_of(moments), Fraction(self.mode))

    def affine(self, shift: Number, scale: Number) -> Law:
        """A triangular law again."""
        return Triangular(*(_moved_point(point, shift, scale) for point in (self.low, self.mode, self.high)))

    def support(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def breakpoints(self) -> tuple[float, ...]:
        """Ends and peak."""
        return tuple(sorted({self.low, self.mode, self.high}))

    def scipy(self) -> Any:
        """``scipy.stats.triang``."""
        from scipy import stats

        width = self.high - self.low
        return stats.triang((self.mode - self.low) / width, self.low, width)


def moved(loc: float, scale: float, shift: Number, factor: Number) -> tuple[float, float]:
    """Location and scale of ``shift + factor * X``, rounded."""
    return _moved_point(loc, shift, factor), to_float(product(Fraction(scale), factor))


def _moved_point(point: float, shift: Number, factor: Number) -> float:
    return to_float(total([shift, product(Fraction(point), factor)]))
