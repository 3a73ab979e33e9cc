"""Unbiased estimators of cumulants."""

from __future__ import annotations

import torch
from torch import Tensor


def kstat(x: Tensor, order: int = 4, dim: int = 0) -> Tensor:
    r"""The k-statistics :math:`k_1, \dots, k_4`, unbiased estimators of the cumulants.

    With :math:`S_p = \sum (x - \bar x)^p`: :math:`k_2 = S_2/(n-1)`, :math:`k_3 = n S_3/[(n-1)(n-2)]`,
    :math:`k_4 = n(n+1) S_4/[(n-1)(n-2)(n-3)] - 3 S_2^2/[(n-2)(n-3)]`.

    Args:
        x: sample.
        order: highest order, 1 to 4.
        dim: the axis of the sample.

    Returns:
        Shape ``(order, ...)``, float64; NaN for orders above the sample's size.

    Source:
        Fisher, Proceedings of the London Mathematical Society 30 (1930) 199.

    Example:
        >>> kstat(torch.tensor([1.0, 2.0, 3.0, 6.0]), order=2)
        tensor([3.0000, 4.6667], dtype=torch.float64)
    """
    n = x.shape[dim]
    mean = x.double().mean(dim, keepdim=True)
    centred = x.double() - mean
    square = centred * centred
    s2, s3, s4 = square.sum(dim), (square * centred).sum(dim), (square * square).sum(dim)
    k = [mean.squeeze(dim), s2 / (n - 1) if n > 1 else s2 * torch.nan]
    k.append(n * s3 / ((n - 1) * (n - 2)) if n > 2 else s3 * torch.nan)
    k.append((n * (n + 1) * s4 / (n - 1) - 3 * s2 * s2) / ((n - 2) * (n - 3)) if n > 3 else s4 * torch.nan)
    return torch.stack(k[:order])
