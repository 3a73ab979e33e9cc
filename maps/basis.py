"""Polynomials in which deviations from a fixed point are measured, and quadrature over blocks drawn from it."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..checks import check_at_least
from ..errors import InputError

Rule = Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]]

MOST_POINTS = 2**17
MEASURED_NODES, FEWEST_NODES = 32, 8  # of a learned map, in small blocks and in larger ones


class Basis(ABC):
    r"""Polynomials :math:`g_0 = 1, g_1, g_2, \dots`, orthogonal under a fixed point :math:`p^*` of a map.

    Near it a law is :math:`p^*(x) (1 + \sum_n c_n g_n(x))`, and the linearised map acts on the coefficients c. See
    :func:`renorm.cumulants.rg_spectrum`.

    Attributes:
        name: how figures call it.
        most_of_rule: how many nodes there may be.
        highest: the last order that there is, where the fixed point has few values; None without end.
    """

    name: ClassVar[str]
    highest: ClassVar[int | None] = None
    most_of_rule: ClassVar[int] = 400  # nodes for which numpy's rules are finite

    @abstractmethod
    def polynomials(self, x: Tensor, order: int) -> Tensor:
        """The polynomials of orders 0 to ``order`` at ``x``, shape ``(order + 1, ...)``."""

    def norms(self, order: int) -> Tensor:
        """Means of their squares under the fixed point, shape ``(order + 1,)``, float64; 1 for orthonormal polynomials."""
        return torch.ones(order + 1, dtype=torch.float64)

    @abstractmethod
    def rule(self, nodes: int) -> tuple[Tensor, Tensor]:
        """Nodes and weights of Gauss quadrature, each of shape ``(nodes,)``, float64; the weights sum to 1."""

    def quadrature(self, block_size: int, nodes: int) -> tuple[Tensor, Tensor]:
        """Blocks of independent draws from the fixed point and their weights, shapes ``(K, b)`` and ``(K,)``, float64.

        Raises:
            InputError: for more than 131072 blocks.
        """
        check_at_least("block_size", block_size, 2)
        most = self.most_nodes(block_size)
        if not 1 <= nodes <= most:
            raise InputError(f"nodes={nodes} is out of range; allowed for block_size={block_size}: 1 to {most}")
        return self._blocks(block_size, nodes)

    def _blocks(self, block_size: int, nodes: int) -> tuple[Tensor, Tensor]:
        return _product(*self.rule(nodes), block_size)

    def points(self, block_size: int, nodes: int) -> int:
        """How many blocks :meth:`quadrature` has."""
        return int(nodes**block_size)

    def nodes_for(self, block_size: int) -> int | None:
        """How many nodes a learned map is measured with; None where the blocks would be too many."""
        nodes = self.most_nodes(block_size)
        return None if nodes < FEWEST_NODES else min(nodes, MEASURED_NODES if block_size < 4 else FEWEST_NODES)

    def most_nodes(self, block_size: int) -> int:
        """The largest number of nodes for at most 131072 blocks; 0 where one node is too many."""
        most = 0
        while most < self.most_of_rule and self.points(block_size, most + 1) <= MOST_POINTS:
            most += 1
        return most


def _gauss(rule: Rule, nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of one of numpy's rules, of which the weights are made to sum to 1."""
    x, weight = map(torch.from_numpy, rule(nodes))
    return x, weight / weight.sum()


def _product(x: Tensor, weight: Tensor, block_size: int) -> tuple[Tensor, Tensor]:
    return torch.cartesian_prod(*[x] * block_size), torch.cartesian_prod(*[weight] * block_size).prod(dim=1)


@dataclass(frozen=True)
class Hermite(Basis):
    r"""Probabilists' Hermite polynomials, for the Gaussian: :math:`He_{n+1} = x He_n - n He_{n-1}`, :math:`E He_n^2 = n!`.

    Example:
        >>> Hermite().polynomials(torch.tensor(2.0), 3)
        tensor([1., 2., 3., 2.])
    """

    name = "hermite"

    def polynomials(self, x: Tensor, order: int) -> Tensor:
        """By recursion."""
        values = [torch.ones_like(x), x]
        for n in range(1, order):
            values.append(x * values[-1] - n * values[-2])
        return torch.stack(values[: order + 1])

    def norms(self, order: int) -> Tensor:
        """The factorials."""
        return torch.tensor([math.factorial(n) for n in range(order + 1)], dtype=torch.float64)

    def rule(self, nodes: int) -> tuple[Tensor, Tensor]:
        """Gauss and Hermite's."""
        return _gauss(np.polynomial.hermite_e.hermegauss, nodes)


@dataclass(frozen=True)
class Laguerre(Basis):
    r"""Laguerre polynomials :math:`L_n(u)` for the extreme-value law of index ξ.

    In the variable :math:`u = (1 + \xi x)^{-1/\xi}`, or :math:`e^{-x}` for ξ = 0, that law is Exp(1), and
    :math:`(n + 1) L_{n+1} = (2n + 1 - u) L_n - n L_{n-1}`, :math:`E L_n^2 = 1`.

    A maximum has a kink wherever two variables are equal, which a product of nodes would miss. Here each order of the
    variables is integrated by itself, through the gaps of ordered exponential variables,
    :math:`u_{(k)} - u_{(k-1)} = E_k / (b - k + 1)`, which are independent: exact for polynomials of the ordered u.

    Args:
        xi: index of the extreme-value law.

    Source:
        Rényi, Acta Mathematica Academiae Scientiarum Hungaricae 4 (1953) 191, for the gaps; Calvo, Cuchí, Esteve and Falceto,
        arXiv 1109.5841, for the spectrum of the maximum.

    Example:
        >>> Laguerre().polynomials(torch.tensor(0.0), 2)  # at u = 1
        tensor([ 1.0000,  0.0000, -0.5000])
    """

    name, most_of_rule = "laguerre", 180
    xi: float = 0.0

    def to_u(self, x: Tensor) -> Tensor:
        """Minus the logarithm of the distribution function; infinite and 0 beyond the ends of the support."""
        if self.xi == 0:
            return torch.exp(-x)
        return torch.exp(-torch.log1p((self.xi * x).clamp(min=-1)) / self.xi)

    def from_u(self, u: Tensor) -> Tensor:
        """The inverse of :meth:`to_u`."""
        return -u.log() if self.xi == 0 else torch.expm1(-self.xi * u.log()) / self.xi

    def polynomials(self, x: Tensor, order: int) -> Tensor:
        """By recursion in u."""
        u = self.to_u(x)
        values = [torch.ones_like(u), 1 - u]
        for n in range(1, order):
            values.append(((2 * n + 1 - u) * values[-1] - n * values[-2]) / (n + 1))
        return torch.stack(values[: order + 1])

    def rule(self, nodes: int) -> tuple[Tensor, Tensor]:
        """Gauss and Laguerre's, in x."""
        u, weight = _gauss(np.polynomial.laguerre.laggauss, nodes)
        return self.from_u(u), weight

    def _blocks(self, block_size: int, nodes: int) -> tuple[Tensor, Tensor]:
        exponentials, weights = _product(*_gauss(np.polynomial.laguerre.laggauss, nodes), block_size)
        ordered = self.from_u((exponentials / torch.arange(block_size, 0, -1)).cumsum(dim=1))
        orders = list(itertools.permutations(range(block_size)))
        return torch.cat([ordered[:, order] for order in orders]), weights.repeat(len(orders)) / len(orders)

    def points(self, block_size: int, nodes: int) -> int:
        """A product for each order of the variables."""
        return int(math.factorial(block_size) * nodes**block_size)


@dataclass(frozen=True)
class Signs(Basis):
    r"""Functions of a fair sign: :math:`g_0 = 1` and :math:`g_1 = x`, the magnetisation.

    Example:
        >>> Signs().quadrature(2, 2)[0]
        tensor([[-1., -1.],
                [-1.,  1.],
                [ 1., -1.],
                [ 1.,  1.]], dtype=torch.float64)
    """

    name, highest = "signs", 1

    def polynomials(self, x: Tensor, order: int) -> Tensor:
        """The powers 0 and 1."""
        return torch.stack([torch.ones_like(x), x][: order + 1])

    def norms(self, order: int) -> Tensor:
        """Both 1."""
        return torch.ones(order + 1, dtype=torch.float64)

    def rule(self, nodes: int) -> tuple[Tensor, Tensor]:
        """Both signs, whatever the number of nodes: there are no others."""
        return torch.tensor([-1.0, 1.0], dtype=torch.float64), torch.tensor([0.5, 0.5], dtype=torch.float64)

    def nodes_for(self, block_size: int) -> int | None:
        """Both signs, as long as the blocks are not too many."""
        return 2 if self.points(block_size, 2) <= MOST_POINTS else None

    def points(self, block_size: int, nodes: int) -> int:
        """All blocks of signs."""
        return int(2**block_size)
