"""The central-limit map: a sum, normalised so that it keeps the variance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..datamodules.laws import Gaussian
from .basis import Hermite
from .block_map import BlockMap


@dataclass(frozen=True)
class CentralLimit(BlockMap):
    r"""The central-limit map, :math:`y = (x_1 + \dots + x_b) / \sqrt b`.

    It is linear, odd and permutation symmetric; it multiplies the n-th cumulant by :math:`b^{1 - n/2}`, and every
    Gaussian of mean 0 is a fixed point.

    Source:
        Jona-Lasinio, Il Nuovo Cimento B 26 (1975) 99.

    Example:
        >>> CentralLimit()(torch.ones(1, 4))
        tensor([2.])
        >>> CentralLimit().cumulants(torch.tensor([0.0, 1.0, 2.0, 6.0]), block_size=2)
        tensor([0.0000, 1.0000, 1.4142, 3.0000], dtype=torch.float64)
    """

    name, parity, permutation_symmetric, basis = "central_limit", "odd", True, Hermite()

    def __call__(self, x: Tensor) -> Tensor:
        """The normalised sum."""
        return x.sum(dim=-1) / math.sqrt(x.shape[-1])

    def cumulants(self, kappa: Tensor, block_size: int) -> Tensor:
        r""":math:`\kappa_n \to b^{1 - n/2} \kappa_n`, float64."""
        return self.flow(kappa, 1, block_size)[1]

    def flow(self, kappa: Tensor, steps: int, block_size: int) -> Tensor:
        r""":math:`\kappa_n(t) = b^{t (1 - n/2)} \kappa_n`."""
        eigenvalues = self.spectrum(len(kappa), block_size)[1:].to(kappa.device)
        factors = eigenvalues ** torch.arange(steps + 1, dtype=torch.float64, device=kappa.device)[:, None]
        return factors.view(steps + 1, -1, *[1] * (kappa.ndim - 1)) * kappa.double()

    def weights(self, block_size: int) -> Tensor:
        r""":math:`b^{-1/2}` for every variable."""
        return torch.full((block_size,), 1 / math.sqrt(block_size), dtype=torch.float64)

    def spectrum(self, order: int, block_size: int) -> Tensor:
        r""":math:`b^{1 - n/2}`, with the Hermite polynomials as eigenfunctions."""
        size = torch.tensor(block_size, dtype=torch.float64)
        # orders from 1 on by themselves: the last bits of a vector of powers depend on its length
        return torch.cat([size.view(1), size ** (1 - torch.arange(1, order + 1, dtype=torch.float64) / 2)])

    def fixed_point(self, block_size: int) -> Gaussian:
        """The standard Gaussian; every other of mean 0 is one too."""
        return Gaussian()

    def formula(self, block_size: int) -> str:
        """A sum over a root."""
        terms = "(x_1 + x_2)" if block_size == 2 else r"\sum_i x_i"
        return rf"${terms}/\sqrt{{{block_size}}}$"
