r"""Joint cumulant tensors of small random vectors: from a law, from points, from tensors, and through affine maps.

A vector of :math:`d` variables has at order :math:`n` a symmetric tensor of shape ``(M, d, ..., d)``, one for each member of
a stack. Whoever holds the law of a vector is a :class:`VectorLaw`, and computes a tensor only when it is asked for.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...checks import described
from ...errors import InputError
from ..joint import check_entries, multisets
from ..kstatistics import check_order
from ..moments import block_product, moments_to_cumulants
from ..partitions import moebius, set_partitions

CHUNK_CELLS = 2**22  # of products of points that are held at a time


class VectorLaw(ABC):
    """The joint law of the variables of one layer, as far as its cumulants are known.

    Attributes:
        members: number of members ``M``.
        units: number of variables ``d``.
        order: highest order that is known.
    """

    members: int
    units: int
    order: int

    @abstractmethod
    def cumulants(self, n: int) -> Tensor:
        """Joint cumulants of order ``n``, shape ``(M, d, ..., d)``, float64; NaN where they do not exist.

        Raises:
            ValueError: for an order out of range, or a tensor that would not fit into memory.
        """

    def marginal(self, n: int) -> Tensor:
        """Cumulant of order ``n`` of every variable by itself, the tensor's diagonal, shape ``(M, d)``."""
        return diagonal(self.cumulants(n))

    def image(self, weight: Tensor, n: int) -> Tensor:
        r"""Joint cumulants of :math:`W x`, :math:`\kappa_n(x) \times_1 W \cdots \times_n W`.

        May be overridden where they are had without the tensor of :math:`x`, which may be much larger.

        Args:
            weight: shape ``(M, out, d)``.
            n: order.

        Returns:
            Shape ``(M, out, ..., out)``.
        """
        return contract(self.cumulants(n), weight)

    def affine(self, weight: Tensor, bias: Tensor) -> VectorLaw:
        """The law of :math:`W x + b`, with ``weight (M, out, d)`` and ``bias (M, out)``."""
        return AffineLaw(self, weight, bias)


class AffineLaw(VectorLaw):
    """The law of :math:`W x + b`; a tensor is computed when it is asked for, and kept.

    Args:
        source: law of ``x``.
        weight: shape ``(M, out, d)``.
        bias: shape ``(M, out)``, which moves the mean only.

    Example:
        >>> pair = TensorLaw([torch.zeros(1, 2), torch.eye(2)[None]])
        >>> AffineLaw(pair, torch.ones(1, 1, 2), torch.zeros(1, 1)).cumulants(2)
        tensor([[[2.]]])
    """

    def __init__(self, source: VectorLaw, weight: Tensor, bias: Tensor) -> None:
        self.members, self.units = bias.shape
        self.order = source.order
        self._source, self._weight, self._bias = source, weight, bias
        self._tensors: dict[int, Tensor] = {}

    def cumulants(self, n: int) -> Tensor:
        """The image of the source's tensor."""
        check_order(n, self.order)
        if n not in self._tensors:
            check_entries(self.units, n)
            image = self._source.image(self._weight, n)
            self._tensors[n] = image + self._bias if n == 1 else image
        return self._tensors[n]


class TensorLaw(VectorLaw):
    """Joint cumulants that are held as tensors.

    Args:
        tensors: the tensors of order 1, 2, ..., of shapes ``(M, d)``, ``(M, d, d)``, ...

    Example:
        >>> pair = TensorLaw([torch.zeros(1, 2), torch.eye(2)[None]])
        >>> pair.marginal(2)
        tensor([[1., 1.]])
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = list(tensors)
        self.members, self.units = tensors[0].shape
        self.order = len(self.tensors)

    def cumulants(self, n: int) -> Tensor:
        """The tensor that is held."""
        check_order(n, self.order)
        return self.tensors[n - 1]


class BlockLaw(VectorLaw):
    """An affine image of ``b`` i.i.d. variables: cheap at every order, because its tensors are sums of powers.

    Args:
        kappas: cumulants of one variable, shape ``(order,)``.
        weight: the map, shape ``(M, d, b)``.
        bias: shape ``(M, d)``.

    Example:
        >>> block = BlockLaw(torch.tensor([0.0, 1.0, 2.0]), torch.ones(1, 1, 2), torch.zeros(1, 1))
        >>> [block.cumulants(n).item() for n in (1, 2, 3)]
        [0.0, 2.0, 4.0]
    """

    def __init__(self, kappas: Tensor, weight: Tensor, bias: Tensor) -> None:
        self.kappas, self.weight, self.bias = kappas, weight, bias
        self.members, self.units, self.block_size = weight.shape
        self.order = len(kappas)

    def cumulants(self, n: int) -> Tensor:
        r""":math:`\kappa_n \sum_j W_{i_1 j} \cdots W_{i_n j}`, plus the bias for n = 1."""
        check_order(n, self.order)
        check_entries(self.units, n)
        if n == 1:
            return self.marginal(1)
        # a matrix product of products of half of the rows each: those of all of them would be b times the result
        left, right = (self._products(size) for size in (n - n // 2, n // 2))
        return self.kappas[n - 1] * (left @ right.mT).view(self.members, *[self.units] * n)

    def _products(self, size: int) -> Tensor:
        """Products of ``size`` rows of the map, shape ``(M, d^size, b)``."""
        power = self.weight
        for _ in range(size - 1):
            power = (power.unsqueeze(2) * self.weight.unsqueeze(1)).flatten(1, 2)
        return power

    def marginal(self, n: int) -> Tensor:
        r""":math:`\kappa_n \sum_j W_{ij}^n`."""
        check_order(n, self.order)
        total = self.kappas[n - 1] * self.weight.pow(n).sum(dim=-1)
        return total + self.bias if n == 1 else total


class PointLaw(VectorLaw):
    r"""The law of a vector as weighted points: a quadrature rule, the atoms of a discrete law, or data.

    Args:
        values: shape ``(M, d, P)``.
        weights: shape ``(P,)`` or ``(M, P)``, with sum 1; they may be negative.
        order: highest order that may be asked for.
        exists: highest order that exists; cumulants above it are NaN. All of them by default.

    Example:
        >>> signs = PointLaw(torch.tensor([[[-1.0, 1.0]]]).double(), torch.tensor([0.5, 0.5]).double(), order=4)
        >>> [signs.marginal(n).item() for n in (1, 2, 3, 4)]
        [0.0, 1.0, 0.0, -2.0]
    """

    def __init__(self, values: Tensor, weights: Tensor, order: int = 8, exists: int | None = None) -> None:
        self.values, self.weights, self.order = values, weights, order
        self.exists = order if exists is None else exists
        self.members, self.units = values.shape[:2]
        self._marginals: Tensor | None = None

    def cumulants(self, n: int) -> Tensor:
        """From central joint moments."""
        check_order(n, self.order)
        if n == 1 or self.units == 1:
            return self.marginal(n).view(self.members, *[self.units] * n)
        check_entries(self.units, n)
        if n > self.exists:
            return self.values.new_full((self.members, *[self.units] * n), math.nan)
        centred = self.values - self.marginal(1).unsqueeze(-1)
        sizes = {len(block) for blocks in set_partitions(n, 2) for block in blocks}
        return cumulants_from_central({p: joint_moment(centred, self.weights, p) for p in sizes}, n)

    def marginal(self, n: int) -> Tensor:
        """From central moments of every variable."""
        check_order(n, self.order)
        if self._marginals is None:
            self._marginals = marginal_cumulants(self.values, self.weights, self.exists)
        if n > self.exists:
            return self.values.new_full((self.members, self.units), math.nan)
        return self._marginals[n - 1]


class WithinNodes(VectorLaw):
    """The same cumulants within every node of a graph, and none between nodes.

    Args:
        source: a law whose units are ``(feature, node)`` pairs.
        nodes: number of nodes.
    """

    def __init__(self, source: VectorLaw, nodes: int) -> None:
        self.members, self.units, self.order = source.members, source.units, source.order
        self._source, self._nodes = source, nodes

    def cumulants(self, n: int) -> Tensor:
        """Those of the source where all indices are of one node, and 0 elsewhere."""
        tensor = self._source.cumulants(n)
        node = torch.arange(self.units, device=tensor.device) % self._nodes
        same = torch.ones([1] * n, dtype=torch.bool, device=tensor.device)
        for axis in range(1, n):
            one, other = (node.view([-1 if a == at else 1 for a in range(n)]) for at in (0, axis))
            same = same & (one == other)
        return torch.where(same, tensor, 0.0)


def diagonal(tensor: Tensor) -> Tensor:
    """The entries of equal indices of ``(M, d, ..., d)``, shape ``(M, d)``."""
    while tensor.ndim > 2:
        tensor = tensor.diagonal(dim1=-2, dim2=-1)
    return tensor


def contract(tensor: Tensor, weight: Tensor) -> Tensor:
    """Apply ``weight (M, out, d)`` to every axis but the first of ``tensor (M, d, ..., d)``."""
    for _ in range(tensor.ndim - 1):
        # each product takes the first variable's axis and appends its image at the end
        tensor = torch.einsum("mi...,moi->m...o", tensor, weight)
    return tensor


def marginal_cumulants(values: Tensor, weights: Tensor, order: int) -> Tensor:
    """Cumulants of every variable from weighted points, ``(M, d, P)`` and ``(P,)`` or ``(M, P)`` -> ``(order, M, d)``."""
    weights = weights.expand(len(values), -1).unsqueeze(-1)
    mean = (values @ weights).squeeze(-1)
    centred = values - mean.unsqueeze(-1)
    power, central = centred, [torch.zeros_like(mean)]
    for _ in range(order - 1):
        power = power * centred
        central.append((power @ weights).squeeze(-1))
    return with_mean(moments_to_cumulants(torch.stack(central)), mean)


def with_mean(kappas: Tensor, mean: Tensor) -> Tensor:
    """Cumulants about the mean, shape ``(order, ...)``, with the mean put in."""
    return torch.cat([mean.unsqueeze(0), kappas[1:]])


def joint_moment(values: Tensor, weights: Tensor, n: int) -> Tensor:
    r"""Joint moments :math:`\sum_t w_t\, x_{i_1 t} \cdots x_{i_n t}`, as a matrix product of products of about n/2 variables.

    Args:
        values: shape ``(M, d, P)``.
        weights: shape ``(P,)`` or ``(M, P)``.
        n: order, 2 or more.

    Returns:
        Shape ``(M, d, ..., d)``.
    """
    members, units, count = values.shape
    (left, rows), (right, columns) = (
        [table.to(values.device) for table in multisets(units, size)] for size in (n - n // 2, n // 2)
    )
    weights = weights.expand(members, count)
    total = values.new_zeros(members, len(left), len(right))
    size = max(1, CHUNK_CELLS // (members * len(left)))
    for x, w in zip(torch.split(values, size, -1), torch.split(weights, size, -1), strict=True):
        products = x[:, left].prod(dim=2) * w.unsqueeze(1)
        total = total + products @ x[:, right].prod(dim=2).mT
    return total[:, rows.flatten()][:, :, columns.flatten()].view(members, *[units] * n)


def cumulants_from_central(moments: Mapping[int, Tensor], n: int) -> Tensor:
    r"""Joint cumulants from central joint moments, :math:`\sum_\pi (-1)^{|\pi| - 1} (|\pi| - 1)! \prod_{B \in \pi} m(B)`.

    Partitions with singletons are left out because central moments of order 1 vanish.

    Args:
        moments: the moment tensor ``(M, d, ..., d)`` of every order that a block may have.
        n: order, 2 or more.
    """
    terms = [moebius(len(blocks)) * block_product(moments, blocks) for blocks in set_partitions(n, 2)]
    return torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]


def law_of_block(law: Any, block_size: int, order: int = 8) -> BlockLaw:
    """The joint cumulants of a block of i.i.d. variables.

    Args:
        law: anything with ``cumulants(order) -> Tensor``, such as :class:`renorm.datamodules.laws.Law`.
        block_size: number of variables ``b``.
        order: highest order, 1 to 8.

    Example:
        >>> from renorm.datamodules import laws
        >>> law_of_block(laws.parse("gamma(shape=2)"), block_size=2).cumulants(3)[0, 1]
        tensor([[0., 0.],
                [0., 4.]], dtype=torch.float64)
    """
    weight = torch.eye(block_size, dtype=torch.float64).unsqueeze(0)
    return BlockLaw(law.cumulants(order), weight, torch.zeros(1, block_size, dtype=torch.float64))


def as_double(name: str, value: Any) -> Tensor:
    """A tensor of float64 from a tensor, an array or a list.

    Raises:
        InputError: for what is not made of real, finite numbers.

    Example:
        >>> as_double("x", [[1, 2]])
        tensor([[1., 2.]], dtype=torch.float64)
    """
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} is {described(value)} that is not made of numbers", "a tensor of numbers") from error
    if tensor.is_complex():
        raise InputError(f"{name} is complex", "real numbers")
    tensor = tensor.to_dense().double()
    if not bool(tensor.isfinite().all()):
        raise InputError(f"{name} has numbers that are not finite", "finite numbers")
    return tensor


def law_of_data(values: Any, order: int = 4) -> PointLaw:
    """The joint cumulants of the empirical law of data; for unbiased estimates see :func:`renorm.cumulants.joint_kstat`.

    Args:
        values: a tensor, an array or a list of shape ``(N, d)``, or ``(M, N, d)`` for several members.
        order: highest order, 1 to 8.

    Raises:
        InputError: for other shapes, no rows, and what is not made of finite numbers.

    Example:
        >>> law_of_data(torch.tensor([[0.0], [1.0], [2.0]])).marginal(2)
        tensor([[0.6667]], dtype=torch.float64)
    """
    check_order(order, 8)
    x = as_double("values", values)
    if x.ndim not in (2, 3) or not x.numel():
        raise InputError(f"values={described(x)} is not data", "shape (N, d), or (M, N, d) for several members")
    by_member = x if x.ndim == 3 else x.unsqueeze(0)
    count = by_member.shape[1]
    return PointLaw(by_member.mT, by_member.new_full((count,), 1 / count), order)
