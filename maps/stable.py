"""Sums normalised so that a stable law is the fixed point: central limits without a variance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..datamodules import laws
from ..expressions.fields import number
from .basis import Hermite
from .block_map import TAIL_METRICS, BlockMap

LEAST_INDEX = 0.1  # below it, b^(-1/alpha) is lost in single precision for blocks that are not small


@dataclass(frozen=True)
class Stable(BlockMap):
    r"""A sum normalised for index :math:`\alpha`, :math:`y = b^{-1/\alpha} (x_1 + \dots + x_b)`.

    It is linear, odd and permutation symmetric. On the logarithm of a characteristic function it is
    :math:`\ln\varphi(k) \to b \ln\varphi(b^{-1/\alpha} k)`: the symmetric stable law of index :math:`\alpha` is fixed, and a
    perturbation :math:`|k|^s` of :math:`\ln\varphi` is multiplied by :math:`b^{1 - s/\alpha}`.

    Args:
        alpha: index of stability, 0.1 to 2; 2 is the central-limit map, 1 the mean, whose fixed point is Cauchy's law.

    Raises:
        InputError: for an index out of range.

    Source:
        Gnedenko and Kolmogorov, Limit Distributions for Sums of Independent Random Variables (1954), section 34. As a
        renormalisation-group step, with fixed points and eigenvalues: Calvo, Cuchi, Esteve and Falceto, arXiv 1009.2899.

    Example:
        >>> Stable(alpha=1)(torch.tensor([[1.0, 2.0, 6.0]]))
        tensor([3.])
        >>> Stable(alpha=1).spectrum(3, block_size=2)
        tensor([2.0000, 1.0000, 0.5000, 0.2500], dtype=torch.float64)
    """

    name, parity, permutation_symmetric = "stable", "odd", True

    @property
    def basis(self) -> Hermite | None:  # type: ignore[override]
        """Hermite polynomials for index 2, where this is the central-limit map."""
        return Hermite() if self.alpha == 2 else None

    @property
    def metrics(self) -> tuple[str, ...]:  # type: ignore[override]
        """Distances that do not need a variance, for indices below 2."""
        return TAIL_METRICS if self.alpha < 2 else ()

    alpha: float = number(1.5, LEAST_INDEX, 2)

    def __call__(self, x: Tensor) -> Tensor:
        """The normalised sum."""
        return x.sum(dim=-1) * math.pow(x.shape[-1], -1 / self.alpha)

    def cumulants(self, kappa: Tensor, block_size: int) -> Tensor:
        r""":math:`\kappa_n \to b^{1 - n/\alpha} \kappa_n`, float64; NaN where the law has no such cumulant."""
        factors = self.spectrum(len(kappa), block_size)[1:].to(kappa.device)
        return factors.view(-1, *[1] * (kappa.ndim - 1)) * kappa.double()

    def weights(self, block_size: int) -> Tensor:
        r""":math:`b^{-1/\alpha}` for every variable."""
        return torch.full((block_size,), math.pow(block_size, -1 / self.alpha), dtype=torch.float64)

    def spectrum(self, order: int, block_size: int) -> Tensor:
        r""":math:`b^{1 - n/\alpha}`, for the perturbations :math:`|k|^n` of :math:`\ln\varphi`."""
        exponents = 1 - torch.arange(order + 1, dtype=torch.float64) / self.alpha
        return torch.tensor(block_size, dtype=torch.float64) ** exponents

    def fixed_point(self, block_size: int) -> laws.Law:
        """The symmetric stable law of the same index; the Gaussian for index 2."""
        return laws.Gaussian() if self.alpha == 2 else laws.Stable(alpha=self.alpha)

    def formula(self, block_size: int) -> str:
        """A sum over a power."""
        return rf"${block_size}^{{-1/{self.alpha:g}}} \sum_i x_i$"
