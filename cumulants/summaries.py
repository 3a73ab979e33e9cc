r"""Sums of powers about a centre: the mergeable summary of a sample, from which its k-statistics follow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .partitions import monomials, unbiased_coefficients

NanPolicy = Literal["propagate", "omit", "raise"]
NAN_POLICIES = ("propagate", "omit", "raise")
MAX_ORDER = 8
BLOCK_CELLS = 2**16  # values in a block, half a MiB of float64: its temporaries stay in the processor's cache
WIDEST_BLOCK = 2048  # features in a block of rows that lie one after another
FOLD = 64  # blocks that are kept before they are merged
SAMPLE = 64  # rows of a block whose mean is its centre


class PowerSums(NamedTuple):
    r"""The summary :math:`(n, c, S_1, \dots, S_P)` with :math:`S_p = \sum_t (x_t - c)^p`, for each feature.

    The centre is any number near the mean; what it misses is kept in :math:`S_1`, so that no digit is lost when summaries are
    merged, whatever the offset of the data.

    Attributes:
        n: number of values, shape ``(...features)``, float64.
        centre: :math:`c`, same shape.
        sums: :math:`S_1, \dots, S_P`, shape ``(P, ...features)``.

    Source:
        The origin is moved by the binomial theorem, as in Pébay, Sandia report SAND2008-6212.

    Example:
        >>> halves = [power_sums(half, order=2) for half in torch.tensor([1.0, 2.0, 3.0, 6.0]).split(2)]
        >>> merge(*halves).kstat(2)
        tensor([3.0000, 4.6667], dtype=torch.float64)
    """

    n: Tensor
    centre: Tensor
    sums: Tensor

    @property
    def order(self) -> int:
        """Highest power."""
        return self.sums.shape[0]

    @property
    def mean(self) -> Tensor:
        """Mean of each feature."""
        return self.centre + self.sums[0] / self.n

    def moved_to(self, centre: Tensor) -> PowerSums:
        r"""The same summary about another centre, :math:`S'_p = \sum_k \binom{p}{k} (c - c')^k S_{p-k}`, :math:`S_0 = n`."""
        return PowerSums(self.n, centre, self._moved_by(self.centre - centre))

    def central(self) -> Tensor:
        r"""Sums about the mean, :math:`M_p = \sum_k \binom{p}{k} (-S_1/n)^k S_{p-k}`, shape ``(P, ...features)``."""
        return self._moved_by(-self.sums[0] / self.n)

    def _moved_by(self, delta: Tensor) -> Tensor:
        known = [self.n, *self.sums]
        moved = []
        for p in range(1, len(known)):
            total = known[p]
            power = torch.ones_like(delta)
            for k in range(1, p + 1):
                power = power * delta
                total = total + math.comb(p, k) * power * known[p - k]
            moved.append(total)
        return torch.stack(moved)

    def kstat(self, order: int) -> Tensor:
        """The k-statistics to ``order``, see :func:`renorm.cumulants.kstat`."""
        central = self.central()
        higher = [_estimate((r,), self.n, central) for r in range(2, order + 1)]
        mean = torch.where(self.n > 0, self.mean, torch.nan)
        return torch.stack([mean, *higher])

    def kstat_variance(self, order: int) -> Tensor:
        """Unbiased estimates of their variances, which may come out negative; needs sums to twice the order."""
        central = self.central()
        variances = []
        for r in range(1, order + 1):
            k = _estimate((r,), self.n, central) if r > 1 else torch.zeros_like(self.centre)  # about the mean
            variances.append(k * k - _estimate((r, r), self.n, central))
        return torch.stack(variances)

    def kstat_stderr(self, order: int) -> Tensor:
        """Their standard errors, see :func:`renorm.cumulants.kstat_stderr`; needs sums to twice the order."""
        scale = self.central()[1] / self.n
        return standard_error(self.kstat_variance(order), torch.stack([scale**r for r in range(1, order + 1)]))


def standard_error(variance: Tensor, scale: Tensor) -> Tensor:
    """Root of an estimated variance: 0 for what is below 0 by rounding, NaN for an estimate that is really negative."""
    return torch.where(variance < -1e-12 * scale, torch.nan, variance.clamp(min=0)).sqrt()


def _estimate(orders: tuple[int, ...], n: Tensor, central: Tensor) -> Tensor:
    """An unbiased estimate from central sums, NaN for features with too few values."""
    counts, which = torch.unique(n, return_inverse=True)
    table = torch.tensor([_coefficients(orders, int(count)) for count in counts.tolist()], dtype=torch.float64)
    by_feature = table.view(len(counts), len(monomials(orders))).to(n.device)[which]
    total = torch.zeros_like(central[0])
    for coefficient, sums in zip(by_feature.unbind(-1), monomials(orders), strict=True):
        product = coefficient
        for p in sums:
            product = product * central[p - 1]
        total = total + product
    return total


def _coefficients(orders: tuple[int, ...], n: int) -> list[float]:
    if n < sum(orders):
        return [math.nan] * len(monomials(orders))
    return [float(value) for value in unbiased_coefficients(orders, n).values()]


def merge(*parts: PowerSums) -> PowerSums:
    """The summary of several samples together, from their summaries; those of no values change nothing.

    Args:
        *parts: one or more summaries of the same features to the same order.

    Raises:
        ValueError: for no summaries, or summaries of other shapes.
    """
    if not parts or len({part.sums.shape for part in parts}) > 1:
        shapes = [tuple(part.sums.shape) for part in parts]
        raise ValueError(f"parts have shapes {shapes}; allowed: one or more of the same shape")
    return fold(*(torch.stack(field) for field in zip(*parts, strict=True)))


def fold(n: Tensor, centre: Tensor, sums: Tensor) -> PowerSums:
    """Merge summaries that are stacked on a leading axis: ``n`` and ``centre`` ``(K, ...)``, ``sums`` ``(K, P, ...)``."""
    total = n.sum(0)
    # the differences of centres, and not the centres, are averaged: equal centres stay as they are to the last bit
    first = centre.gather(0, (n > 0).int().argmax(0, keepdim=True))[0]
    shift = torch.where(n > 0, n * (centre - first), 0.0).sum(0) / total.clamp(min=1)
    middle = (first + shift).detach()
    delta = torch.where(n > 0, centre - middle, 0.0)
    moved = PowerSums(n, centre, sums.movedim(1, 0))._moved_by(delta)
    return PowerSums(total, middle, moved.sum(1))


def power_sums(x: Tensor, order: int = 4, dim: int = 0, nan_policy: NanPolicy = "propagate") -> PowerSums:
    r"""Sums of powers of a sample about a centre near its mean, in float64 and in one pass over the data.

    Args:
        x: sample of real numbers, of any type.
        order: highest power.
        dim: the axis of the sample; all others are features.
        nan_policy: ``propagate`` NaN and infinity, ``omit`` such values, or ``raise``.

    Raises:
        ValueError: for an unknown policy, a complex sample, or, with ``raise``, one with NaN or infinity.

    Example:
        >>> power_sums(torch.tensor([1.0, 2.0, 6.0]), order=2).mean
        tensor(3., dtype=torch.float64)
    """
    check_sample(x, nan_policy)
    if x.ndim == 0:
        raise ValueError("x is a single number; allowed: tensors with an axis of samples")
    rows = x.movedim(dim, 0)
    features = rows.shape[1:]
    rows = rows.reshape(len(rows), math.prod(features))
    if torch.compiler.is_compiling() and nan_policy == "propagate":
        return _with_shape(_all_blocks_at_once(rows, order), features)
    columns = [_power_sums_of_columns(block, order, nan_policy) for block in _column_blocks(rows)]
    joined = (
        columns[0]
        if len(columns) == 1
        else PowerSums(*(torch.cat(field, dim=-1) for field in zip(*columns, strict=True)))
    )
    return _with_shape(joined, features)


def _with_shape(flat: PowerSums, features: torch.Size) -> PowerSums:
    return PowerSums(flat.n.view(features), flat.centre.view(features), flat.sums.view(flat.order, *features))


def check_sample(x: Tensor, nan_policy: str) -> None:
    """Refuse unknown policies and samples that are not of real numbers.

    Raises:
        ValueError: naming the argument.
    """
    if nan_policy not in NAN_POLICIES:
        raise ValueError(f"nan_policy={nan_policy!r} is unknown; allowed: {', '.join(NAN_POLICIES)}")
    if x.is_complex():
        raise ValueError(f"x has type {x.dtype}; allowed: real numbers")


def _block_rows(rows: Tensor) -> int:
    """How many rows make a block; few where features lie side by side, all where the rows of one feature do."""
    if rows.stride(0) == 1:
        return BLOCK_CELLS
    return max(SAMPLE, BLOCK_CELLS // max(1, min(rows.shape[1], WIDEST_BLOCK)))


def _column_blocks(rows: Tensor) -> tuple[Tensor, ...]:
    height = max(1, min(len(rows), _block_rows(rows)))
    return torch.split(rows, max(1, BLOCK_CELLS // height), dim=1)


def _power_sums_of_columns(rows: Tensor, order: int, nan_policy: NanPolicy) -> PowerSums:
    parts: list[PowerSums] = []
    for block in torch.split(rows, _block_rows(rows)):
        parts.append(_power_sums_of_block(block, order, nan_policy))
        if len(parts) == FOLD:
            parts = [merge(*parts)]
    return merge(*parts)


def _power_sums_of_block(block: Tensor, order: int, nan_policy: NanPolicy) -> PowerSums:
    x = block.double()
    finite = None if nan_policy == "propagate" else x.isfinite()
    if finite is not None and bool(finite.all()):
        finite = None
    if finite is None:
        centre, count = _centre(x.detach()), torch.full_like(x[:1].sum(0).detach(), len(x))
        return PowerSums(count, centre, torch.stack(list(_sums(x - centre, order))))
    if nan_policy == "raise":
        raise ValueError(f"x has {int((~finite).sum())} values that are NaN or infinite; allowed: finite numbers")
    count = finite.sum(0).double()
    low = x.detach().masked_fill(~finite, torch.inf).amin(0).nan_to_num(posinf=0.0)
    centre = low + torch.where(finite, x.detach() - low, 0.0).sum(0) / count.clamp(min=1)
    return PowerSums(count, centre, torch.stack(list(_sums(torch.where(finite, x - centre, 0.0), order))))


def _centre(x: Tensor) -> Tensor:
    """Mean of some rows all over a block ``(..., rows, features)``: near the mean, and equal to the data if all are equal."""
    if x.shape[-2] == 0:
        return x.new_zeros(*x.shape[:-2], x.shape[-1])
    some = x[..., :: max(1, x.shape[-2] // SAMPLE), :]
    first = some[..., :1, :]
    return (first + (some - first).mean(-2, keepdim=True)).squeeze(-2)


def _sums(deviation: Tensor, order: int) -> Iterator[Tensor]:
    yield deviation.sum(-2)
    power = deviation
    for p in range(2, order + 1):
        # in place where nobody needs the lower power any more: new memory would cost as much as the product
        keep = p == 2 or deviation.requires_grad or torch.compiler.is_compiling()
        power = power * deviation if keep else power.mul_(deviation)
        yield power.sum(-2)


def _all_blocks_at_once(rows: Tensor, order: int) -> PowerSums:
    """For a compiler, which fuses this into one pass; a loop over blocks it would unroll."""
    height = _block_rows(rows)
    whole = len(rows) // height * height
    parts = []
    for part in (rows[:whole].view(-1, height, rows.shape[1]), rows[whole:].unsqueeze(0)):
        x = part.double()
        centre = _centre(x.detach())
        count = torch.full_like(centre, part.shape[1])
        parts.append((count, centre, torch.stack(list(_sums(x - centre.unsqueeze(-2), order)), dim=1)))
    return fold(*(torch.cat(field) for field in zip(*parts, strict=True)))
