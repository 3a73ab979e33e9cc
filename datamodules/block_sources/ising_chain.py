"""Successive spins of the Ising chain."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from ...expressions.fields import number
from ..laws.exact import Number, context, cumulants_of, to_float, to_mpf
from .base import BlockSource

MOST_SPINS = 16  # of blocks that are all enumerated


@dataclass(frozen=True)
class IsingChain(BlockSource):
    r"""Successive spins :math:`\pm 1` of the infinite Ising chain without a field, of energy :math:`-K \sum_i s_i s_{i+1}`.

    A spin is equal to the one before it with probability :math:`1 / (1 + e^{-2K})`, which makes the correlations
    :math:`E[s_i s_j] = (\tanh K)^{|i - j|}` and the susceptibility, the limit of :math:`E[(\sum_i s_i)^2] / b`,
    :math:`e^{2K}`. Decimation leads to the coupling :meth:`renorm.maps.Decimation.coupling`.

    Args:
        coupling: K; below 0 for spins that prefer to differ.

    Raises:
        InputError: for a coupling that is not finite.

    Source:
        Baxter, Exactly Solved Models in Statistical Mechanics (1982), chapter 2.

    Example:
        >>> IsingChain(coupling=0.0).sum_cumulants(torch.ones(2), order=4)
        tensor([ 0.,  2.,  0., -4.], dtype=torch.float64)
        >>> print(f"{IsingChain(coupling=0.7).sum_cumulants(torch.ones(500), order=2)[1] / 500:.2f} {math.exp(1.4):.2f}")
        4.04 4.06
    """

    name = "ising_chain"
    coupling: float = number(0.5)

    def blocks(self, rows: int, block_size: int, generator: torch.Generator) -> Tensor:
        """A fair spin, and products of independent bonds."""
        # in doubles: single precision has no probabilities within 2^-24 of 1
        levels = torch.full((block_size,), _equal(self.coupling), dtype=torch.float64)
        levels[0] = 0.5
        bonds = torch.rand((rows, block_size), dtype=torch.float64, generator=generator).lt(levels)
        return bonds.to(torch.get_default_dtype()).mul_(2).sub_(1).cumprod(dim=1)

    def sum_cumulants(self, weights: Tensor, order: int) -> Tensor:
        """By the transfer matrix, at 4096 bits and rounded once."""
        known = _sum_cumulants(self.coupling, tuple(weights.tolist()), order)
        return torch.tensor(known, dtype=torch.float64)

    def states(self, block_size: int) -> tuple[Tensor, Tensor] | None:
        """All blocks of up to 16 spins."""
        if block_size > MOST_SPINS:
            return None
        spins = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * block_size).view(
            -1, block_size
        )
        equal = torch.tensor([_equal(-self.coupling), _equal(self.coupling)], dtype=torch.float64)
        bonds = (spins[:, 1:] == spins[:, :-1]).long()
        return spins, equal[bonds].prod(dim=1) / 2


def _equal(coupling: float) -> float:
    """Probability that neighbours are equal; that of the opposite coupling is the probability that they differ."""
    return 1 / (1 + math.exp(-2 * coupling)) if coupling > -350 else 0.0


@functools.lru_cache(maxsize=256)
def _sum_cumulants(coupling: float, weights: tuple[float, ...], order: int) -> list[float]:
    r"""Cumulants of :math:`S_b = \sum_i w_i s_i` from the moments :math:`m_k(i) = E[S_i^k 1(s_i = 1)]`.

    The next spin is 1 after a 1 with probability q, and after a -1, whose moments are :math:`(-1)^k m_k` by symmetry, with 1 - q:

    .. math:: m_k(i + 1) = \sum_j \binom{k}{j} w_{i+1}^{k-j} (q + (1 - q) (-1)^j) m_j(i)
    """
    mp = context()
    tilt = mp.tanh(to_mpf(Fraction(coupling)))  # 2q - 1
    exact: list[Number] = [mp.mpf(weight) for weight in weights]
    moments = [exact[0] ** k / 2 for k in range(order + 1)]
    for weight in exact[1:]:
        powers = [weight**k for k in range(order + 1)]
        before = [moment * tilt if j % 2 else moment for j, moment in enumerate(moments)]
        moments = [mp.fsum(math.comb(k, j) * powers[k - j] * before[j] for j in range(k + 1)) for k in range(order + 1)]
    both = [Fraction(0) if k % 2 else 2 * moment for k, moment in enumerate(moments)]
    return [to_float(kappa) for kappa in cumulants_of([Fraction(1), *both[1:]])]
