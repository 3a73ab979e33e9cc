"""The majority of a block of spins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..datamodules.laws import Rademacher
from ..errors import InputError
from .basis import Signs
from .block_map import BlockMap

ON_SIGNS = 1e-12  # how close E x^2 and E x^4 are to 1 for a law on -1 and 1, whose cumulants were rounded


@dataclass(frozen=True)
class Majority(BlockMap):
    r"""The majority of spins, :math:`y = \operatorname{sign}(x_1 + \dots + x_b)`, for odd ``b``.

    It is meant for :math:`x_i = \pm 1`, of which an odd number has a majority. For other variables it is what the formula says,
    the sign of their sum, and 0 where that is 0. It is odd and permutation symmetric, a function of the sum, and not linear.

    On laws of :math:`\pm 1` it acts on the probability of 1, see :meth:`probability`, with the fixed points 0 and 1 (stable)
    and 1/2 (unstable).

    Source:
        Reynolds, Klein and Stanley, Journal of Physics C 10 (1977) L167, for blocks of three.

    Example:
        >>> Majority()(torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]]))
        tensor([ 1., -1.])
        >>> Majority().spectrum(2, block_size=3)
        tensor([3.0000, 1.5000, 0.0000], dtype=torch.float64)
    """

    name, parity, permutation_symmetric = "majority", "odd", True
    basis, values = Signs(), (-1.0, 1.0)

    def __call__(self, x: Tensor) -> Tensor:
        """The sign of the sum."""
        return x.sum(dim=-1).sign()

    def check_block_size(self, block_size: int) -> None:
        """Refuse even blocks, which may have no majority."""
        super().check_block_size(block_size)
        if block_size % 2 == 0:
            raise InputError(f"block_size={block_size} is even, and majority() may have a tie", "odd numbers from 3 on")

    def probability(self, p: float, block_size: int) -> float:
        r"""Probability of 1 after a step, :math:`p' = \sum_{k > b/2} \binom{b}{k} p^k (1 - p)^{b - k}`.

        Args:
            p: probability of 1 before it, 0 to 1; any number that has these operations, such as a fraction.
            block_size: number of variables ``b``.

        Example:
            >>> Majority().probability(0.75, block_size=3)
            0.84375
        """
        self.check_block_size(block_size)
        majorities = range(block_size // 2 + 1, block_size + 1)
        return sum(math.comb(block_size, k) * p**k * (1 - p) ** (block_size - k) for k in majorities)

    def cumulants(self, kappa: Tensor, block_size: int) -> Tensor | None:
        r"""Those of a law on :math:`\pm 1` from those of another; None where the variables take other values.

        A law is on :math:`\pm 1` where :math:`E x^2 = E x^4 = 1`, as the variance of :math:`x^2` is then 0.
        """
        kappa = kappa.double()
        if len(kappa) != 4 or not is_on_signs(kappa):
            return None
        flat = [
            cumulants_on_signs(2 * self.probability((1 + m) / 2, block_size) - 1) for m in kappa[0].flatten().tolist()
        ]
        return torch.tensor(flat, dtype=torch.float64, device=kappa.device).T.reshape(kappa.shape)

    def spectrum(self, order: int, block_size: int) -> Tensor:
        r""":math:`b`, :math:`b \binom{b-1}{(b-1)/2} 2^{1-b}`, then 0: in the orthogonal polynomials of :math:`\pm 1`.

        These are 1 and x, and those above vanish on two points. The second is :math:`E[y \sum_i x_i] = E|x_1 + \dots + x_b|`, the
        slope of :meth:`probability` at 1/2.
        """
        self.check_block_size(block_size)
        slope = block_size * math.comb(block_size - 1, block_size // 2) / 2 ** (block_size - 1)
        return torch.tensor([block_size, slope, *[0.0] * order][: order + 1], dtype=torch.float64)

    def fixed_point(self, block_size: int) -> Rademacher:
        """Fair signs: the magnetisation 0, from which every other flows away."""
        return Rademacher()

    def formula(self, block_size: int) -> str:
        """The sign of a sum."""
        return r"$\mathrm{sign}\,\sum_i x_i$"


def is_on_signs(kappa: Tensor) -> bool:
    """Whether four cumulants, shape ``(4, ...)``, are those of laws on -1 and 1."""
    k1, k2, k3, k4 = kappa
    second = k2 + k1**2
    fourth = k4 + 4 * k3 * k1 + 3 * k2**2 + 6 * k2 * k1**2 + k1**4
    return bool(((second - 1).abs() < ON_SIGNS).all() and ((fourth - 1).abs() < ON_SIGNS).all())


def cumulants_on_signs(m: float) -> list[float]:
    r"""Cumulants of a law on :math:`\pm 1` with the mean m: derivatives of :math:`\ln(\cosh h + m \sinh h)` at 0.

    Example:
        >>> cumulants_on_signs(0.0)
        [0.0, 1.0, 0.0, -2.0]
    """
    variance = (1 - m) * (1 + m)
    return [m, variance, -2 * m * variance + 0.0, variance * (6 * m**2 - 2)]
