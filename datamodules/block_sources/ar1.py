"""Successive values of an autoregressive process of order one."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from ...expressions.fields import number
from ..laws import Gaussian, Law, parse
from ..laws.base import check_width
from ..laws.contract import checked
from ..laws.exact import Number, context, product, to_float, to_mpf
from .base import BlockSource

FORGOTTEN = 1e-16  # weight of the innovations before those that a block starts from
LARGEST_RHO = 0.999  # for innovations that are not Gaussian, of which a block takes 36825 there
MOST_NUMBERS = 2**22  # drawn at a time


@dataclass(frozen=True)
class AR1(BlockSource):
    r"""Successive values of :math:`x_t = \rho x_{t-1} + \sqrt{1 - \rho^2}\, \epsilon_t` in its stationary state.

    The variance is that of the innovations :math:`\epsilon`, and correlations are :math:`\rho^r`. With the gaussian law every
    variable has the law itself; otherwise its cumulants are :math:`(1 - \rho^2)^{n/2} \kappa_n / (1 - \rho^n)`. The variance of
    the normalised sum of a block tends to that of one variable times :math:`(1 + \rho)/(1 - \rho)`.

    The first variable of a block is exact for Gaussian innovations. For others it is the sum of the latest innovations, so many
    that the weight :math:`|\rho|^m` of those left out is below 1e-16: 53 for 0.5, 350 for 0.9, 36825 for 0.999, for every block.

    Args:
        rho: correlation of neighbours, above -1 and below 1; up to 0.999 in size for innovations that are not Gaussian.
        law: of the innovations; its mean is multiplied by :math:`\sqrt{(1 + \rho)/(1 - \rho)}`.

    Raises:
        InputError: for a correlation out of range, or an unknown law.

    Source:
        Brockwell and Davis, Time Series: Theory and Methods, 2nd edition (1991), section 3.1.

    Example:
        >>> str(AR1(rho=0.5, law="gamma(shape=2)"))
        'ar1(rho=0.5, law=gamma(shape=2, scale=1))'
        >>> AR1(rho=0.5).sum_cumulants(torch.ones(2), order=4)
        tensor([0., 3., 0., 0.], dtype=torch.float64)
    """

    name = "ar1"
    rho: float = number(0.5, -1, 1)
    law: Law = field(default=Gaussian(), metadata={"kind": "law", "family": (Law, checked)})

    def __post_init__(self) -> None:
        super().__post_init__()
        law: Any = parse(self.law) if isinstance(self.law, str) else self.law
        if not isinstance(law, Law):
            raise InputError(f"ar1: law={law!r} is not a law", "a law, such as gaussian()")
        object.__setattr__(self, "law", law)
        if abs(self.rho) == 1:
            raise InputError(f"ar1: rho={self.rho!r} is out of range", "above -1, below 1")
        if abs(self.rho) > LARGEST_RHO and not isinstance(law, Gaussian):
            raise InputError(
                f"ar1: rho={self.rho!r} remembers too much with law={str(law)!r}",
                f"-{LARGEST_RHO} to {LARGEST_RHO}, or a gaussian law",
            )

    @property
    def _innovation(self) -> float:
        r""":math:`\sqrt{1 - \rho^2}`, without cancellation."""
        return math.sqrt((1 - self.rho) * (1 + self.rho))

    def check(self, block_size: int, dtype: torch.dtype) -> None:
        """Refuse a precision that does not resolve the innovations, or the variables about their mean."""
        self.law.check_resolved(dtype)
        mean, variance = self.sum_cumulants(torch.ones(1), 2).tolist()
        if math.isfinite(variance) and variance > 0:
            check_width(self, mean, math.sqrt(variance), dtype)

    def blocks(self, rows: int, block_size: int, generator: torch.Generator) -> Tensor:
        """The stationary start, then one variable after the other."""
        x = self.law.sample((rows, block_size), generator=generator)
        x[:, 0] = self._start(x[:, 0], generator)
        for i in range(1, block_size):
            x[:, i].mul_(self._innovation).add_(x[:, i - 1], alpha=self.rho)
        largest = torch.finfo(x.dtype).max
        return x.clamp_(-largest, largest)

    def _start(self, latest: Tensor, generator: torch.Generator) -> Tensor:
        """The first variable, from an innovation and those before it."""
        if isinstance(self.law, Gaussian):
            return latest + self.law.mean * (math.sqrt((1 + self.rho) / (1 - self.rho)) - 1)
        count = math.ceil(math.log(FORGOTTEN) / math.log(abs(self.rho))) if self.rho else 1
        start, step = latest.clone(), max(MOST_NUMBERS // max(len(latest), 1), 1)
        for first in range(1, count, step):
            ages = torch.arange(first, min(first + step, count), dtype=torch.float64)
            weights = (self.rho**ages).to(latest.dtype)
            start += self.law.sample((len(latest), len(ages)), generator=generator) @ weights
        return start.mul_(self._innovation)

    def sum_cumulants(self, weights: Tensor, order: int) -> Tensor:
        """From the weights that the innovations have in the sum, at 4096 bits and rounded once."""
        known = _sum_cumulants(self.rho, self.law, tuple(weights.tolist()), order)
        return torch.tensor(known + [math.nan] * (order - len(known)), dtype=torch.float64)


@functools.lru_cache(maxsize=256)
def _sum_cumulants(rho: float, law: Law, weights: tuple[float, ...], order: int) -> list[float]:
    r"""Cumulants of :math:`\sum_i w_i x_i`, a sum of independent innovations, as far as the law has them.

    The innovation of step i has the weight :math:`\sqrt{1 - \rho^2} A_i` with :math:`A_i = \sum_{k \ge i} w_k \rho^{k - i}`, and
    those before the block :math:`A_1` times powers of :math:`\rho`, which are a geometric series:

    .. math:: \kappa_n = (1 - \rho^2)^{n/2} \kappa_n(\epsilon) \left(\frac{A_1^n}{1 - \rho^n} + \sum_{i > 1} A_i^n\right)
    """
    mp = context()
    r, reach = to_mpf(Fraction(rho)), [mp.mpf(0)]
    for weight in reversed(weights):
        reach.append(weight + r * reach[-1])
    *later, first = reach[1:]
    innovation = mp.sqrt((1 - r) * (1 + r))

    def share(n: int) -> Number:
        return innovation**n * (first**n / (1 - r**n) + mp.fsum(a**n for a in later))

    return [to_float(product(share(n), kappa)) for n, kappa in enumerate(law.exact_cumulants(order), 1)]
