"""Laws whose high cumulants, or all, do not exist."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...expressions.fields import number, positive
from .base import Law
from .draws import log_gamma, open_uniform, standard_gamma
from .exact import Number, cumulants_of

LEAST_TAIL = 1e-13  # below it, a difference to 1/2 has no digits


@dataclass(frozen=True)
class Cauchy(Law):
    r"""Cauchy law: no cumulant exists, and the CLT map widens it.

    Its density is :math:`1 / (\pi\, scale\, (1 + z^2))` with :math:`z = (x - loc)/scale`.

    Args:
        loc: median.
        scale: half width at half maximum, above 0.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Cauchy().cumulants(2)
        tensor([nan, nan], dtype=torch.float64)
    """

    name = "cauchy"
    loc: float = number(0)
    scale: float = positive(1)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Torch's own Cauchy variables."""
        return x.cauchy_(self.loc, self.scale, generator=generator)

    def exact_cumulants(self, order: int) -> list[Number]:
        """None."""
        return []

    def scipy(self) -> Any:
        """``scipy.stats.cauchy``."""
        from scipy import stats

        return stats.cauchy(self.loc, self.scale)


@dataclass(frozen=True)
class StudentT(Law):
    r"""Student's t: :math:`m_n = df^{n/2} \prod_{k=1}^{n/2} (2k-1)/(df-2k)` for even n; none exists for n >= ``df``.

    Its density is :math:`\frac{\Gamma((df + 1)/2)}{\sqrt{\pi\, df}\; \Gamma(df/2)} (1 + x^2/df)^{-(df + 1)/2}`.

    Args:
        df: degrees of freedom, above 0.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> StudentT(df=4).cumulants(4)
        tensor([0., 2., 0., nan], dtype=torch.float64)
    """

    name = "student_t"
    df: float = positive(10)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """A normal variable over the root of a gamma variable."""
        normal = torch.empty_like(x).normal_(generator=generator)
        if self.df >= 2:
            return normal.mul_(standard_gamma(self.df / 2, x, generator).mul_(2 / self.df).rsqrt_())
        log = log_gamma(self.df / 2, x, generator).neg_().add_(math.log(self.df / 2)).mul_(0.5)
        # beyond e^700 a zero would turn infinity into NaN
        return x.copy_(log.clamp_(max=700).exp_().mul_(normal))

    def exact_cumulants(self, order: int) -> list[Number]:
        """From the moments below order ``df``, all rational."""
        df = Fraction(self.df)
        moments = [Fraction(1)]
        for n in range(1, order + 1):
            if n < df:
                moments.append(df * (n - 1) / (df - n) * moments[n - 2] if n % 2 == 0 else Fraction(0))
        return cumulants_of(moments)

    def scipy(self) -> Any:
        """``scipy.stats.t``."""
        from scipy import stats

        return stats.t(self.df)


@dataclass(frozen=True)
class Stable(Law):
    r"""Stable law, location 0 and scale 1 in Nolan's S1 parametrisation; the CLT map fixes it only for ``alpha=2``.

    Its characteristic function is :math:`\exp(-|t|^\alpha (1 - i \beta \operatorname{sign}(t) \tan(\pi\alpha/2)))`, and
    :math:`\exp(-|t| (1 + i \beta (2/\pi) \operatorname{sign}(t) \log|t|))` for ``alpha=1``. With ``alpha=2`` it is
    the Gaussian of variance 2; below that the variance is infinite, and the mean is 0 for ``alpha`` > 1 and does not
    exist otherwise.

    Args:
        alpha: index of stability, above 0, up to 2.
        beta: skewness, -1 to 1; without effect for ``alpha=2``.

    Raises:
        LawError: for a parameter out of range.

    Example:
        >>> Stable(alpha=1.5).cumulants(2)
        tensor([0., nan], dtype=torch.float64)

    Reference: Chambers, Mallows and Stuck, Journal of the American Statistical Association 71 (1976) 340, for the
        samples.
    """

    name = "stable"
    alpha: float = positive(1.5, 2)
    beta: float = number(0, -1, 1)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Chambers, Mallows and Stuck's transform of an angle and an exponential variable, in doubles."""
        angle = open_uniform(x, generator).sub_(0.5).mul_(math.pi)
        log_e = open_uniform(x, generator).log_().neg_().log_()
        a, b = self.alpha, self.beta
        if a == 1:
            tilt = math.pi / 2 + b * angle
            skewed = (math.pi / 2 * angle.cos() / tilt).log() + log_e
            return x.copy_((tilt * angle.tan() - b * skewed) * (2 / math.pi))
        skew = b * math.tan(math.pi * a / 2) if a < 2 else 0.0
        shifted_angle = a * angle + math.atan(skew)
        sine = shifted_angle.sin()
        log = math.log1p(skew**2) / (2 * a) + sine.abs().log_() - angle.cos().log_() / a
        # rounding can make the cosine a small negative number where beta is ±1
        log += ((angle - shifted_angle).cos().clamp_(min=1e-300).log_() - log_e) * ((1 - a) / a)
        return x.copy_(log.clamp_(max=700).exp_().copysign_(sine))

    def exact_cumulants(self, order: int) -> list[Number]:
        """Those of a Gaussian, the mean alone, or none."""
        if self.alpha == 2:
            return [Fraction(0), Fraction(2), *[Fraction(0)] * 6][:order]
        return [Fraction(0)] if self.alpha > 1 else []

    def support(self) -> tuple[float, float]:
        """One side only for ``alpha`` < 1 and ``beta`` = ±1."""
        one_sided = self.alpha < 1
        return 0.0 if one_sided and self.beta == 1 else -math.inf, 0.0 if one_sided and self.beta == -1 else math.inf

    @property
    def slow_density(self) -> bool:
        """Whether each value of the density is an integral of its own: all but the Gaussian and Cauchy's."""
        return self.alpha < 2 and (self.alpha, self.beta) != (1, 0)

    def scipy(self) -> Any:
        """``scipy.stats.levy_stable``, in its default parametrisation S1; ``norm`` or ``cauchy`` where it is that."""
        from scipy import stats

        if not self.slow_density:
            return stats.norm(0, math.sqrt(2)) if self.alpha == 2 else stats.cauchy()
        return stats.levy_stable(self.alpha, self.beta)

    def quantiles(self, levels: ArrayLike) -> NDArray[np.float64] | None:
        """Those of the symmetric law, to 1e-6 of the tail; None for a skewed one, or for ``alpha`` within 0.03 of 1."""
        if not self.slow_density:
            return super().quantiles(levels)
        if self.beta != 0 or abs(self.alpha - 1) < 0.03:  # there the integral's step is too steep
            return None
        return symmetric_stable_quantiles(self.alpha, np.asarray(levels, dtype=np.float64))


def symmetric_stable_quantiles(alpha: float, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles of the symmetric stable law of scale 1, by interpolation of its distribution function."""
    from scipy.interpolate import PchipInterpolator

    # tails fall as x^-alpha: up to there lie all but 1e-7
    log_x = np.linspace(-16.0, 17.0 / min(alpha, 1.0), 4000)
    above = symmetric_stable_tail(alpha, np.exp(log_x))
    falling = np.flatnonzero((np.diff(above, prepend=0.5) < 0) & (above > LEAST_TAIL))
    inverse = PchipInterpolator(-np.log(above[falling]), log_x[falling], extrapolate=True)
    tail = np.minimum(levels, 1 - levels)
    with np.errstate(divide="ignore", over="ignore"):
        size = np.where(tail < 0.5, np.exp(inverse(-np.log(tail))), 0.0)
    quantiles: NDArray[np.float64] = np.copysign(np.nan_to_num(size), levels - 0.5)
    return quantiles


def symmetric_stable_tail(alpha: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Probability that the symmetric stable law of scale 1 is above a positive ``x``, for ``alpha`` other than 1.

    .. math:: P(X > x) = c + \frac{\operatorname{sign}(\alpha - 1)}{\pi} \int_0^{\pi/2}
        \exp\Big(-\Big(\frac{x \cos\theta}{\sin\alpha\theta}\Big)^{\frac{\alpha}{\alpha - 1}}
        \frac{\cos((\alpha - 1)\theta)}{\cos\theta}\Big) d\theta

    with c = 0 for ``alpha`` above 1, and 1/2 below.

    Source:
        Nolan, Stochastic Models 13 (1997) 759, theorem 1.
    """
    # the double exponential rule: the integrand may be a step anywhere in the interval
    t = np.linspace(-3.2, 3.2, 1601)
    angle = math.pi / 4 * (1 + np.tanh(math.pi / 2 * np.sinh(t)))
    weight = (t[1] - t[0]) * math.pi**2 / 8 * np.cosh(t) / np.cosh(math.pi / 2 * np.sinh(t)) ** 2
    inside = (angle > 0) & (angle < math.pi / 2)
    angle, weight = angle[inside], weight[inside]
    log_ratio = np.log(np.cos(angle)) - np.log(np.sin(alpha * angle))
    constant = np.log(np.cos((alpha - 1) * angle)) - np.log(np.cos(angle))
    with np.errstate(over="ignore"):
        exponent = np.exp(alpha / (alpha - 1) * (np.log(x)[..., None] + log_ratio) + constant)
    integral = np.exp(-exponent) @ weight / math.pi
    result: NDArray[np.float64] = integral if alpha > 1 else 0.5 - integral
    return result
