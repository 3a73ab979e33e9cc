"""Decimation: one variable of a block is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..expressions.fields import number
from .basis import Hermite
from .block_map import BlockMap

LONGEST = 2**20  # variables of a block, which is more than fit into memory with a batch of them

STRONG = 100.0  # couplings of which exp(-4K) changes no digit


@dataclass(frozen=True)
class Decimation(BlockMap):
    r"""One variable of a block, :math:`y = x_{keep}`, counted from 0.

    It is linear and odd, and not permutation symmetric. Every law of independent variables is a fixed point, and
    cumulants stay what they are. It is a step for variables that depend on each other: on the Ising chain it changes the
    coupling, see :meth:`coupling`.

    Args:
        keep: which variable, from 0 to ``b - 1``.

    Raises:
        InputError: for a position out of range, also when a block is too short.

    Source:
        Nelson and Fisher, Annals of Physics 91 (1975) 226.

    Example:
        >>> Decimation(keep=1)(torch.tensor([[3.0, 5.0]]))
        tensor([5.])
    """

    name, parity = "decimation", "odd"
    basis = Hermite()  # at the Gaussian, one of its fixed points
    keep: int = number(0, 0, LONGEST)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep != int(self.keep):
            raise InputError(f"decimation: keep={self.keep!r} is not a whole number", "0 to block_size - 1")
        object.__setattr__(self, "keep", int(self.keep))

    def __call__(self, x: Tensor) -> Tensor:
        """The variable that is kept."""
        self.check_block_size(x.shape[-1])
        return x[..., self.keep]

    def check_block_size(self, block_size: int) -> None:
        """Refuse blocks without the variable that is kept."""
        super().check_block_size(block_size)
        if self.keep >= block_size:
            raise InputError(
                f"decimation: keep={self.keep} is not in a block of block_size={block_size}", f"0 to {block_size - 1}"
            )

    def cumulants(self, kappa: Tensor, block_size: int) -> Tensor:
        """Those of one variable, as they are."""
        return kappa.double()

    def weights(self, block_size: int) -> Tensor:
        """1 for the variable that is kept, else 0."""
        self.check_block_size(block_size)
        return torch.eye(block_size, dtype=torch.float64)[self.keep]

    def spectrum(self, order: int, block_size: int) -> Tensor:
        r""":math:`b, 1, 1, \dots`, at any law of independent variables.

        A deviation :math:`g` with :math:`E g = 0` of the density becomes :math:`E[\sum_i g(x_i) \mid x_{keep}] = g(x_{keep})`:
        all stay what they are. The constant is counted b times, as by the other maps.
        """
        return torch.tensor([block_size, *[1.0] * order], dtype=torch.float64)

    def coupling(self, coupling: float, block_size: int) -> float:
        r"""Coupling of the Ising chain after a step, :math:`\tanh K' = (\tanh K)^b`.

        With :math:`D(K) = -\frac12 \ln \tanh K`, its own inverse, it is :math:`K' = D(b D(K))` for positive couplings, which
        keeps all digits of strong ones.

        Args:
            coupling: K before the step.
            block_size: number of variables ``b``.

        Example:
            >>> print(f"{Decimation().coupling(0.5, block_size=2):.6f} {math.atanh(math.tanh(0.5) ** 2):.6f}")
            0.216890 0.216890
        """
        sign, strength = math.copysign(1.0, coupling) ** block_size, abs(coupling)
        if strength > STRONG:  # D(K) is exp(-2K), which would underflow
            return sign * (strength - math.log(block_size) / 2)
        return sign * _dual(block_size * _dual(strength))

    def formula(self, block_size: int) -> str:
        """One variable, counted from 1 as in the other formulas."""
        return rf"$x_{{{self.keep + 1}}}$"


def _dual(coupling: float) -> float:
    r""":math:`-\frac12 \ln\tanh K`, the coupling of the dual Ising model, for K >= 0."""
    if coupling == 0:
        return math.inf
    if coupling < 0.5:
        return -math.log(math.tanh(coupling)) / 2
    small = math.exp(-2 * coupling)
    return math.log1p(2 * small / (1 - small)) / 2
