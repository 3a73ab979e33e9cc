r"""Moments to cumulants and back, of one variable and of several."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import overload

import torch
from torch import Tensor

from ..checks import check_tensor, check_tensors
from ..errors import InputError
from .partitions import set_partitions


def block_product(tensors: Mapping[int, Tensor], blocks: Sequence[Sequence[int]]) -> Tensor:
    r"""Outer product of symmetric tensors, one for each block of a set partition, with the axes in their places.

    .. math:: P_{i_1 \dots i_r} = \prod_B T^{(|B|)}_{i_B}

    Args:
        tensors: :math:`T^{(p)}` of shape ``(..., d, ..., d)`` with ``p`` axes of size ``d``, by ``p``.
        blocks: the partition of ``{0, ..., r-1}``.

    Example:
        >>> block_product({1: torch.tensor([1.0, 2.0])}, ((0,), (1,)))
        tensor([[1., 2.],
                [2., 4.]])
    """
    letters = string.ascii_lowercase
    terms = ["..." + "".join(letters[i] for i in block) for block in blocks]
    axes = letters[: sum(map(len, blocks))]
    product: Tensor = torch.einsum(f"{','.join(terms)}->...{axes}", *(tensors[len(block)] for block in blocks))
    return product


@overload
def moments_to_cumulants(moments: Tensor) -> Tensor: ...
@overload
def moments_to_cumulants(moments: Sequence[Tensor]) -> list[Tensor]: ...
def moments_to_cumulants(moments: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
    r"""Cumulants from moments about the origin.

    .. math:: \kappa(I) = \sum_{\pi \in P(I)} (-1)^{|\pi|-1} (|\pi|-1)! \prod_{B \in \pi} m(B)

    Args:
        moments: of one variable, a tensor of shape ``(order, ...)``; of several, a sequence of symmetric tensors of shapes
            ``(..., d)``, ``(..., d, d)``, and so on.

    Returns:
        The cumulants, arranged as the moments are.

    Raises:
        ValueError: for shapes that are neither.

    Source:
        Leonov and Shiryaev, Theory of Probability and its Applications 4 (1959) 319.

    Example:
        >>> moments_to_cumulants(torch.tensor([1.0, 2.0, 5.0]))
        tensor([1., 1., 1.])
        >>> moments_to_cumulants([torch.tensor([1.0, 0.0]), torch.tensor([[2.0, 0.5], [0.5, 1.0]])])[1]
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]])
    """
    if isinstance(moments, Tensor):
        check_tensor("moments", moments, axes=1)
        return _univariate_cumulants(moments)
    given = _by_order("moments", moments)
    cumulants: dict[int, Tensor] = {}
    for n, moment in given.items():
        # the partition into one block is the cumulant itself: subtract all others, which are of lower orders
        others = [block_product(cumulants, blocks) for blocks in set_partitions(n) if len(blocks) > 1]
        cumulants[n] = moment - sum(others) if others else moment
    return list(cumulants.values())


@overload
def cumulants_to_moments(cumulants: Tensor) -> Tensor: ...
@overload
def cumulants_to_moments(cumulants: Sequence[Tensor]) -> list[Tensor]: ...
def cumulants_to_moments(cumulants: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
    r"""Moments about the origin from cumulants, :math:`m(I) = \sum_{\pi \in P(I)} \prod_{B \in \pi} \kappa(B)`.

    Args:
        cumulants: of one variable, a tensor of shape ``(order, ...)``; of several, a sequence of symmetric tensors of shapes
            ``(..., d)``, ``(..., d, d)``, and so on.

    Returns:
        The moments, arranged as the cumulants are.

    Raises:
        ValueError: for shapes that are neither.

    Source:
        Leonov and Shiryaev, Theory of Probability and its Applications 4 (1959) 319.

    Example:
        The standard normal law:

        >>> cumulants_to_moments(torch.tensor([0.0, 1.0, 0.0, 0.0]))
        tensor([0., 1., 0., 3.])
    """
    if isinstance(cumulants, Tensor):
        check_tensor("cumulants", cumulants, axes=1)
        return _univariate_moments(cumulants)
    given = _by_order("cumulants", cumulants)
    return [torch.stack([block_product(given, blocks) for blocks in set_partitions(n)]).sum(0) for n in given]


def _univariate_cumulants(moments: Tensor) -> Tensor:
    cumulants: list[Tensor] = []
    for n in range(1, len(moments) + 1):
        lower = (math.comb(n - 1, k - 1) * cumulants[k - 1] * moments[n - k - 1] for k in range(1, n))
        cumulants.append(moments[n - 1] - sum(lower))
    return torch.stack(cumulants)


def _univariate_moments(cumulants: Tensor) -> Tensor:
    moments: list[Tensor] = []
    for n in range(1, len(cumulants) + 1):
        lower = (math.comb(n - 1, k - 1) * cumulants[k - 1] * moments[n - k - 1] for k in range(1, n))
        moments.append(cumulants[n - 1] + sum(lower))
    return torch.stack(moments)


def _by_order(name: str, tensors: Sequence[Tensor]) -> dict[int, Tensor]:
    check_tensors(name, tensors, "Tensor, or a list of tensors")
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if not shapes or not shapes[0] or any(s != (*shapes[0], *[shapes[0][-1]] * p) for p, s in enumerate(shapes)):
        raise InputError(f"{name} have shapes {shapes}", "(..., d), (..., d, d), ..., with the same d")
    return dict(enumerate(tensors, start=1))
