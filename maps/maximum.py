"""The maximum of a block, normalised so that an extreme-value law is the fixed point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..datamodules.laws import GEV, Gumbel, Law
from ..datamodules.laws.extreme_values import NEGLIGIBLE
from ..expressions.fields import number
from .basis import Laguerre
from .block_map import TAIL_METRICS, BlockMap


@dataclass(frozen=True)
class Maximum(BlockMap):
    r"""The largest of a block, :math:`y = (\max_i x_i - (b^\xi - 1)/\xi) / b^\xi`, or :math:`\max_i x_i - \ln b` for ξ = 0.

    It is permutation symmetric, and neither linear nor odd; there is no recursion of cumulants. The generalised extreme-value
    law of index ξ is fixed: Gumbel's for 0, Fréchet's above, Weibull's below. In the variable :math:`u = (1 + \xi x)^{-1/\xi}`
    the map is :math:`u' = b \min_i u_i` and the fixed point the exponential law; a perturbation :math:`u^n` of the logarithm of
    :math:`P(U > u)` is multiplied by :math:`b^{1-n}`.

    Args:
        xi: index of the extreme-value law, -10 to 10.

    Raises:
        InputError: for an index out of range.

    Source:
        Györgyi, Moloney, Ozogány, Rácz and Droz, Physical Review E 81 (2010) 041135.

    Example:
        >>> Maximum()(torch.tensor([[0.0, 1.0]]))
        tensor([0.3069])
        >>> Maximum().spectrum(3, block_size=2)
        tensor([2.0000, 1.0000, 0.5000, 0.2500], dtype=torch.float64)
    """

    name, permutation_symmetric = "maximum", True
    metrics = TAIL_METRICS
    xi: float = number(0, -10, 10)

    @property
    def basis(self) -> Laguerre:  # type: ignore[override]
        """Laguerre polynomials in u."""
        return Laguerre(self.xi)

    def __call__(self, x: Tensor) -> Tensor:
        """The normalised maximum."""
        log_b = math.log(x.shape[-1])
        if abs(self.xi) < NEGLIGIBLE:
            return x.amax(dim=-1) - log_b
        # expm1: (b^xi - 1) / xi loses all its digits where xi is small
        return (x.amax(dim=-1) - math.expm1(self.xi * log_b) / self.xi) * math.exp(-self.xi * log_b)

    def spectrum(self, order: int, block_size: int) -> Tensor:
        r""":math:`b^{1 - n}`, for perturbations :math:`u^n` of the logarithm of the survival function of ``u``."""
        exponents = 1 - torch.arange(order + 1, dtype=torch.float64)
        return torch.tensor(block_size, dtype=torch.float64) ** exponents

    def fixed_point(self, block_size: int) -> Law:
        """The generalised extreme-value law of the same index; Gumbel's for ξ = 0."""
        return Gumbel() if self.xi == 0 else GEV(xi=self.xi)

    def formula(self, block_size: int) -> str:
        """The maximum, shifted."""
        return rf"$\max_i x_i - \ln {block_size}$" if self.xi == 0 else str(self)
