"""Losses between the outputs of all members and the target: each returns one number a member."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from ..cumulants import kstat
from ..maps import CentralLimit

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def clt_map(x: Tensor) -> Tensor:
    r"""One step of the central-limit map, :class:`renorm.maps.CentralLimit`.

    .. math:: y = (x_1 + \dots + x_b) / \sqrt b

    Args:
        x: blocks, shape ``(N, b)``.

    Returns:
        Shape ``(N,)``.

    Example:
        >>> clt_map(torch.ones(1, 4))
        tensor([2.])
    """
    return CentralLimit()(x)


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Mean squared error of each member, :math:`\frac1N \sum_i (f_m(x_i) - y_i)^2`.

    Args:
        prediction: shape ``(M, N)``.
        target: shape ``(N,)``.

    Returns:
        Shape ``(M,)``.
    """
    return (prediction - target).square().mean(dim=-1)


def pair_sum(ordered: Tensor) -> Tensor:
    r"""Sum of :math:`|x_i - x_j|` over unordered pairs of an ordered sample, in O(N).

    .. math:: \sum_{i<j} |x_i - x_j| = \sum_i (2i - N - 1)\, x_{(i)}

    Args:
        ordered: shape ``(..., N)``, increasing along the last axis.

    Returns:
        Shape ``(...)``.

    Example:
        >>> pair_sum(torch.tensor([0.0, 1.0, 3.0]))
        tensor(6.)
    """
    n = ordered.shape[-1]
    weights = torch.arange(1 - n, n, 2, dtype=ordered.dtype, device=ordered.device)
    return ordered @ weights


def energy(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Squared energy distance between the distributions of output and target; no sample is paired with its own target.

    .. math:: 2 E|X - Y| - E|X - X'| - E|Y - Y'|

    Unbiased: an output meets only the targets of other blocks, so that the estimate can be slightly negative.

    Args:
        prediction: shape ``(M, N)``.
        target: shape ``(N,)``.

    Returns:
        Shape ``(M,)``.

    Source:
        Szekely and Rizzo, Journal of Statistical Planning and Inference 143 (2013) 1249, eq. 5.
    """
    target = target.to(prediction.dtype).expand_as(prediction)
    # the pairs of the pooled sample are those within x, those within y, and those across
    pooled = torch.cat([prediction, target], dim=-1)
    within_x, within_y, all_pairs = (pair_sum(sample.sort(dim=-1).values) for sample in (prediction, target, pooled))
    paired = (prediction - target).abs().sum(dim=-1)
    across = all_pairs - within_x - within_y - paired
    n = prediction.shape[-1]
    return 2 * (across - within_x - within_y) / (n * (n - 1))


def cumulant(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Mismatch of the first four cumulants of output and target, in units of the target's standard deviation.

    .. math:: \sum_{n=1}^{4} \left( \frac{k_n(f) - k_n(y)}{\sigma_y^n} \right)^2

    Args:
        prediction: shape ``(M, N)``, N >= 4.
        target: shape ``(N,)``.

    Returns:
        Shape ``(M,)``.
    """
    k = kstat(prediction, order=4, dim=-1)
    wanted = kstat(target, order=4, dim=-1)
    scale = wanted[1].sqrt() ** torch.arange(1, 5, device=wanted.device)
    mismatch: Tensor = ((k - wanted[:, None]) / scale[:, None]).square().sum(dim=0)
    return mismatch.to(prediction.dtype)


LOSSES: dict[str, Loss] = {"mse": mse, "energy": energy, "cumulant": cumulant}
