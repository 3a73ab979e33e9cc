r"""One nonlinear layer under a closure: what is kept of the law of its pre-activations, and what follows for its output.

Pre-activations are taken to have no cumulants above the closure order K. K = 2 is a Gaussian. Above it, expectations are those
of Edgeworth's second-order density, which takes :math:`\kappa_4` and :math:`\kappa_3^2` together,

.. math:: E[f] = E_G\Big[f\,\Big(1 + \frac{\lambda_3}{6} He_3 + \frac{\lambda_4}{24} He_4 + \frac{\lambda_3^2}{72} He_6\Big)\Big],

and its analogue for several units. Polynomials need no such series: for them all terms are summed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ...errors import InputError
from ..joint import check_entries
from ..kstatistics import check_order
from ..moments import moments_to_cumulants
from ..partitions import set_partitions
from .diagrams import Limits, sum_diagrams
from .gaussian import TINY, affine_pieces_covariance, leaky_cumulants, piecewise_cumulants
from .grid import FINER, NODES, TOLERANCE, edgeworth_points
from .hermite import hermite_coefficients
from .mehler import hermite_series, longer_series
from .network import Nonlinearity
from .tensors import BlockLaw, PointLaw, VectorLaw, with_mean

MAX_ORDER = 4
HERMITE_DEGREE = 40  # of the covariance's series where there is no closed form
UNLIMITED = 99
CHUNK_CELLS = 2**16  # values at a time: few enough to stay in a core's cache
# for functions that are not polynomials: enough terms that the closure itself, and not the series, limits the accuracy
LIMITS = {
    1: Limits(legs=6, size=MAX_ORDER, excess=2, pairs=(0,)),
    2: Limits(legs=16, size=MAX_ORDER, excess=2, pairs=(10, 8, 6)),
    3: Limits(legs=10, size=MAX_ORDER, excess=2, pairs=(5, 3, 2)),
    4: Limits(legs=8, size=MAX_ORDER, excess=2, pairs=(4, 3, 2)),
}


class ActivatedLaw(VectorLaw):
    """The output of a nonlinearity, given the cumulants of its input up to the closure order.

    Cumulants of single units are exact under the closure, and so are those of a network's first layer where the block is
    small. Between units of other layers diagrams are summed, for polynomials all of them.

    Args:
        pre: law of the pre-activations.
        nonlinearity: what acts on each of them.
        closure: highest order of ``pre`` that is used, 2 to 4.
    """

    def __init__(self, pre: VectorLaw, nonlinearity: Nonlinearity, closure: int) -> None:
        self.members, self.units, self.order = pre.members, pre.units, MAX_ORDER
        self._pre, self._closure = pre, closure
        self._mean = pre.marginal(1)
        variance = pre.marginal(2)
        self._std = variance.clamp(min=TINY**2).sqrt()
        nonlinearity = nonlinearity.under(self._mean.detach(), self._std.detach())
        self._nonlinearity = nonlinearity
        # a truncated series may leave a variance that is not positive: such a unit is taken to be constant
        self._inverse_std = torch.where(variance > 0, 1 / self._std, 0.0)
        polynomial = nonlinearity.polynomial()
        self._degree = None if polynomial is None else polynomial.shape[-1] - 1
        self._has_grid = self._degree is None and isinstance(pre, BlockLaw) and pre.block_size in NODES
        self._tensors: dict[int, Tensor] = {}

    # ---- single units --------------------------------------------------------------------------------------------

    def marginal(self, n: int) -> Tensor:
        """Exact under the closure."""
        check_order(n, self.order)
        return self._marginals[n - 1]

    @functools.cached_property
    def _marginals(self) -> Tensor:
        if self._closure == 2 and self._nonlinearity.pieces is not None:
            return self._closed_forms()
        # every unit by itself is a vector of one variable
        single = [self._pre.marginal(n) * self._inverse_std**n for n in range(2, self._closure + 1)]
        joint = [self._mean.view(-1, 1), *(k.view(-1, *[1] * n) for n, k in enumerate(single, start=2))]
        moments = [
            self._diagrams((power,), joint, self._functions.flatten(2).unsqueeze(-1)).view_as(self._mean)
            for power in range(1, MAX_ORDER + 1)
        ]
        # all powers but the first are about the Gaussian's mean
        shift = moments[0] - self._functions[0, 0]
        return with_mean(moments_to_cumulants(torch.stack([shift, *moments[1:]])), moments[0])

    def _closed_forms(self) -> Tensor:
        pieces = self._nonlinearity.pieces
        if self._nonlinearity.is_leaky:
            return leaky_cumulants(self._mean, self._std, pieces.coefficients[:, :, 0, 1], MAX_ORDER)
        return piecewise_cumulants(self._nonlinearity.pieces_by_unit(), self._mean, self._std, MAX_ORDER)

    @functools.cached_property
    def _functions(self) -> Tensor:
        """Averages of the centred powers with Hermite polynomials, shape ``(powers, degree + 1, M, d)``."""
        roots = [math.sqrt(math.factorial(k)) for k in range(self._normalised.shape[1])]
        return self._normalised * self._normalised.new_tensor(roots)[:, None, None]

    @functools.cached_property
    def _normalised(self) -> Tensor:
        on_grid = self._has_grid and self._closure > 2
        degree = MAX_ORDER * self._degree if self._degree is not None else LIMITS[1].legs if on_grid else HERMITE_DEGREE
        return self._hermite(degree, MAX_ORDER)

    def _hermite(self, degree: int, powers: int) -> Tensor:
        nonlinear = self._nonlinearity
        return hermite_coefficients(
            nonlinear, self._mean, self._std, nonlinear.ends, degree, powers=powers, name=nonlinear.named
        )

    # ---- several units -------------------------------------------------------------------------------------------

    def cumulants(self, n: int) -> Tensor:
        """Joint cumulants, see the class."""
        check_order(n, self.order)
        if n not in self._tensors:
            check_entries(self.units, n)
            self._tensors[n] = self._joint_cumulants(n)
        return self._tensors[n]

    def _joint_cumulants(self, n: int) -> Tensor:
        if n == 1 or self.units == 1:
            return self.marginal(n).view(self.members, *[self.units] * n)
        if self._degree is not None:
            return self._diagrams((1,) * n)
        exact: dict[tuple[int, ...], Tensor] = {(n,): self.marginal(n)}
        if n == 2:
            return place_coincident(self._covariance(), exact)
        if self._has_grid:
            return place_coincident(self._on_grid().cumulants(n), exact)
        distinct = self._diagrams((1,) * n)
        return place_coincident(distinct, exact | (self._threefold() if n == 3 else self._fourfold()))

    @functools.cached_property
    def _joint(self) -> list[Tensor]:
        """Standardised joint cumulants of the input."""
        higher = [scaled(self._pre.cumulants(n), self._inverse_std) for n in range(2, self._closure + 1)]
        return [self._mean, *higher]

    def _diagrams(
        self, powers: tuple[int, ...], joint: list[Tensor] | None = None, functions: Tensor | None = None
    ) -> Tensor:
        """Joint cumulants of powers of the function at as many units."""
        joint = self._joint if joint is None else joint
        functions = self._functions if functions is None else functions
        if self._degree is None:
            limits = LIMITS[len(powers)]._replace(size=self._closure)
        else:
            legs = max(powers) * self._degree
            limits = Limits(legs, self._closure, UNLIMITED, (legs * len(powers) // 2,))
        return sum_diagrams([functions[power - 1] for power in powers], powers, joint, limits)

    def _covariance(self) -> Tensor:
        """The Gaussian's in closed form or as a long series, and what the closure adds to it."""
        gaussian = self._gaussian_covariance()
        if self._closure == 2:
            return gaussian
        if self._has_grid:
            return gaussian + self._beyond_gaussian()
        lines = LIMITS[2]._replace(size=2)
        functions = [self._functions[0]] * 2
        return gaussian + self._diagrams((1, 1)) - sum_diagrams(functions, (1, 1), self._joint, lines)

    def _gaussian_covariance(self) -> Tensor:
        nonlinearity = self._nonlinearity
        if nonlinearity.is_piecewise_affine and nonlinearity.is_continuous:
            return affine_pieces_covariance(nonlinearity.pieces_by_unit(), self._mean, self._pre.cumulants(2))
        series = hermite_series(self._functions[0], self._joint[1])
        longer = functools.partial(self._hermite, powers=1)
        return longer_series(series, self._normalised, self._joint[1], longer, nonlinearity.named)

    def _threefold(self) -> dict[tuple[int, ...], Tensor]:
        r"""Third cumulants with two equal indices, through the square of the function there."""
        shift, pair = self._shift.unsqueeze(2), self.cumulants(2)
        return {(2, 1): self._diagrams((2, 1)) - 2 * shift * pair}

    def _fourfold(self) -> dict[tuple[int, ...], Tensor]:
        """Fourth cumulants with equal indices, through powers of the function there."""
        pair, triple = self.cumulants(2), self.cumulants(3)
        a, b = self._shift.unsqueeze(2), self._shift.unsqueeze(1)
        twice = triple.diagonal(dim1=1, dim2=2).mT  # (i, i, j) at [i, j]
        wedge = torch.einsum("mij,mik->mijk", pair, pair)
        variance = self.marginal(2).unsqueeze(2)
        return {
            (2, 1, 1): self._diagrams((2, 1, 1)) - 2 * a.unsqueeze(3) * triple - 2 * wedge,
            (2, 2): self._diagrams((2, 2)) - 2 * a * twice.mT - 2 * b * twice - 2 * pair**2 - 4 * a * b * pair,
            (3, 1): self._diagrams((3, 1)) - 3 * a * twice - 3 * variance * pair - 3 * a**2 * pair,
        }

    @property
    def _shift(self) -> Tensor:
        """The mean less the Gaussian's, about which powers are taken."""
        return self.marginal(1) - self._functions[0, 0]

    # ---- through the next affine map -----------------------------------------------------------------------------

    def image(self, weight: Tensor, n: int) -> Tensor:
        """Third and fourth cumulants of many units would not fit where those of a few outputs do: the grid has both."""
        if n > 2 and self._has_grid:
            return self._on_grid(weight).cumulants(n)
        return super().image(weight, n)

    def _on_grid(self, weight: Tensor | None = None) -> PointLaw:
        """The function's values on the grid of blocks, or their image under a linear map."""
        rows = [value if weight is None else weight @ value for value, _, _ in self._grid_values()]
        assert isinstance(self._pre, BlockLaw)
        weights = edgeworth_points(self._pre, self._closure, self._grid_nodes)[1]
        return PointLaw(torch.cat(rows, dim=-1), weights, MAX_ORDER)

    def _beyond_gaussian(self) -> Tensor:
        """Covariances on the grid, less those of the Gaussian there: the grid's error is nearly the same for both."""
        assert isinstance(self._pre, BlockLaw)
        if not bool(self._pre.kappas[2 : self._closure].any()):  # the law of the block is a Gaussian
            return torch.zeros_like(self._pre.cumulants(2))
        second = torch.zeros_like(self._pre.cumulants(2))
        mean, gaussian_mean = torch.zeros_like(self._mean), torch.zeros_like(self._mean)
        centre = self._functions[0, 0].unsqueeze(-1)
        for value, weights, gaussian in self._grid_values():
            deviation = value - centre
            second = second + (deviation * (weights - gaussian)) @ deviation.mT
            mean, gaussian_mean = mean + deviation @ weights, gaussian_mean + deviation @ gaussian
        return second - mean.unsqueeze(2) * mean.unsqueeze(1) + gaussian_mean.unsqueeze(2) * gaussian_mean.unsqueeze(1)

    def _grid_values(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The function's values ``(M, d, P)`` at some of the points, their weights, and those of the Gaussian."""
        assert isinstance(self._pre, BlockLaw)
        yield from self._on_nodes(self._grid_nodes)

    def _on_nodes(self, nodes: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        assert isinstance(self._pre, BlockLaw)
        (x, weights), (_, gaussian) = (edgeworth_points(self._pre, closure, nodes) for closure in (self._closure, 2))
        size = max(1, CHUNK_CELLS // (self.members * self.units))
        for points, w, g in zip(*(torch.split(table, size, -1) for table in (x, weights, gaussian)), strict=True):
            yield self._nonlinearity(self._pre.weight @ points + self._pre.bias.unsqueeze(-1)), w, g

    @functools.cached_property
    def _grid_nodes(self) -> int:
        """A grid's size with which it has the moments of single units under a Gaussian, which are known.

        Raises:
            InputError: where the function changes too fast for the finest grid.
        """
        assert isinstance(self._pre, BlockLaw)
        size = self._pre.block_size
        if self._nonlinearity.is_leaky:  # a kink alone, whose error is known
            return NODES[size]
        miss = self._mean
        with torch.no_grad():
            for nodes in (NODES[size], *FINER[size]):
                miss = self._miss_of_grid(nodes)
                if not bool((miss > TOLERANCE).any()):
                    return nodes
        unit = int(miss.amax(dim=0).argmax())
        raise InputError(
            f"{self._nonlinearity.named(unit)} changes too fast for a grid of {nodes} points a variable",
            "order=2 with method='gaussian', method='quadrature', or smoother functions",
        )

    def _miss_of_grid(self, nodes: int) -> Tensor:
        """By how much a grid misses the moments of units, in standard deviations of the widest, shape ``(M, d)``."""
        if self._nonlinearity.pieces is not None:
            mean, second, third, excess = self._closed_forms()
            exact = torch.stack([second, third, excess + 3 * second**2])
        else:
            mean, exact = self._functions[0, 0], self._functions[1:, 0]
        found = torch.zeros_like(exact)
        for value, _, gaussian in self._on_nodes(nodes):
            deviation = value - mean.unsqueeze(-1)
            found += torch.stack([deviation**p @ gaussian for p in (2, 3, 4)])
        widest = exact[0].amax(dim=-1, keepdim=True).sqrt()
        return torch.stack([(found[p - 2] - exact[p - 2]).abs() / widest**p for p in (2, 3, 4)]).amax(dim=0)


def scaled(tensor: Tensor, factor: Tensor) -> Tensor:
    """Multiply every axis but the first of ``tensor (M, d, ..., d)`` by ``factor (M, d)``."""
    for axis in range(1, tensor.ndim):
        tensor = tensor * factor.view(len(factor), *[-1 if axis == at else 1 for at in range(1, tensor.ndim)])
    return tensor


def place_coincident(tensor: Tensor, values: Mapping[tuple[int, ...], Tensor]) -> Tensor:
    """Replace the entries of a symmetric tensor that have equal indices.

    Args:
        tensor: shape ``(M, d, ..., d)``.
        values: for each pattern of equal indices, such as ``(2, 1)`` for ``(i, i, j)``, one axis for each distinct index.

    Example:
        >>> place_coincident(torch.zeros(1, 2, 2), {(2,): torch.ones(1, 2)})
        tensor([[[1., 0.],
                 [0., 1.]]])
    """
    n, units = tensor.ndim - 1, tensor.shape[1]
    eye = torch.eye(units, dtype=torch.bool, device=tensor.device)
    # entries with more equal indices come later, and stay
    for blocks in sorted(set_partitions(n), key=len, reverse=True):
        ordered = sorted(blocks, key=len, reverse=True)
        value = values.get(tuple(map(len, ordered)))
        if value is None:
            continue
        first = [block[0] for block in ordered]
        axes = sorted(range(len(first)), key=first.__getitem__)
        shape = [len(tensor)] + [units if axis in first else 1 for axis in range(n)]
        aligned = value.permute(0, *(1 + axis for axis in axes)).reshape(shape)
        mask = torch.ones([1] * (n + 1), dtype=torch.bool, device=tensor.device)
        for block in ordered:
            for other in block[1:]:
                mask = mask & eye.view([1] + [units if axis in (block[0], other) else 1 for axis in range(n)])
        tensor = torch.where(mask, aligned, tensor)
    return tensor
