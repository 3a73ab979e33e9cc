r"""Sums of powers about a centre: the mergeable summary of a sample, from which its k-statistics follow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..checks import check_tensor
from ..errors import InputError
from .partitions import monomials, unbiased_coefficients
from .units import ORDINARY, half_range, indices_of, times_power_of_two, unit_exponent

NanPolicy = Literal["propagate", "omit", "raise"]
NAN_POLICIES = ("propagate", "omit", "raise")
MAX_ORDER = 8
BLOCK_CELLS = 2**16  # values in a block, half a MiB of float64: its temporaries stay in the processor's cache
WIDEST_BLOCK = 2048  # features in a block of rows that lie one after another
FOLD = 64  # blocks that are kept before they are merged
SAMPLE = 64  # rows of a block whose mean is its centre
NO_UNIT = torch.zeros((), dtype=torch.int64)


class PowerSums(NamedTuple):
    r"""The summary :math:`(n, c, S_1, \dots, S_P)` with :math:`S_p = 2^{-pe} \sum_t (x_t - c)^p`, for each feature.

    The centre is any number near the mean; what it misses is kept in :math:`S_1`, so that no digit is lost when summaries are
    merged, whatever the offset of the data. The unit :math:`2^e` is 1 unless the data's spread is below 1e-30 or above 1e30:
    their powers would leave the range of float64.

    Attributes:
        n: number of values, shape ``(...features)``, float64.
        centre: :math:`c`, same shape.
        sums: :math:`S_1, \dots, S_P`, shape ``(P, ...features)``.
        exponent: :math:`e`, shape ``(...features)``, int64.

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
    exponent: Tensor = NO_UNIT

    @property
    def order(self) -> int:
        """Highest power."""
        return self.sums.shape[0]

    @property
    def mean(self) -> Tensor:
        """Mean of each feature."""
        return self.centre + times_power_of_two(self.sums[0] / self.n, self.unit)

    @property
    def unit(self) -> Tensor:
        """The exponent of each feature, on the device of the sums."""
        return self.exponent.to(self.n.device).expand_as(self.n)

    def in_unit(self, exponent: Tensor) -> PowerSums:
        r"""The same summary in another unit, :math:`2^{e'}`."""
        factors = _multiples(self.unit - exponent, self.order)
        return PowerSums(self.n, self.centre, times_power_of_two(self.sums, factors), exponent)

    def moved_to(self, centre: Tensor) -> PowerSums:
        r"""The same summary about another centre, :math:`S'_p = \sum_k \binom{p}{k} (c - c')^k S_{p-k}`, :math:`S_0 = n`."""
        exponent = unit_exponent(torch.maximum(self._spread(), (self.centre - centre).abs()))
        own, delta = self.in_unit(exponent), times_power_of_two(self.centre - centre, -exponent)
        return PowerSums(self.n, centre, own._moved_by(delta), exponent)

    def central(self) -> Tensor:
        r"""Sums about the mean, :math:`M_p = \sum_k \binom{p}{k} (-S_1/n)^k S_{p-k}`, shape ``(P, ...features)``, in the unit."""
        return self._moved_by(-self.sums[0] / self.n)

    def _spread(self) -> Tensor:
        """The root mean square of what was summed, about the centre; 0 for no values."""
        mean = self.sums[1].clamp(min=0).sqrt() / self.n.sqrt() if self.order > 1 else self.sums[0].abs() / self.n
        return times_power_of_two(torch.where(self.n > 0, mean.detach(), 0.0), self.unit)

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
        mean = torch.where(self.n > 0, self.mean, torch.nan)
        k = torch.stack([torch.zeros_like(mean), *(_estimate((r,), self.n, central) for r in range(2, order + 1))])
        return torch.cat([mean[None], times_power_of_two(k, _multiples(self.unit, order))[1:]])

    def kstat_variance(self, order: int) -> Tensor:
        """Unbiased estimates of their variances, which may come out negative; needs sums to twice the order."""
        return times_power_of_two(self._variance(order), 2 * _multiples(self.unit, order))

    def _variance(self, order: int) -> Tensor:
        """In the unit."""
        central = self.central()
        variances = []
        for r in range(1, order + 1):
            k = _estimate((r,), self.n, central) if r > 1 else torch.zeros_like(self.centre)  # about the mean
            variances.append(k * k - _estimate((r, r), self.n, central))
        return torch.stack(variances)

    def kstat_stderr(self, order: int) -> Tensor:
        """Their standard errors, see :func:`renorm.cumulants.kstat_stderr`; needs sums to twice the order."""
        scale = self.central()[1] / self.n
        errors = standard_error(self._variance(order), torch.stack([scale**r for r in range(1, order + 1)]))
        return times_power_of_two(errors, _multiples(self.unit, order))


def _multiples(exponent: Tensor, order: int) -> Tensor:
    """Once to ``order`` times the exponent, shape ``(order, ...features)``."""
    times = torch.arange(1, order + 1, device=exponent.device)
    return times.view(-1, *[1] * exponent.ndim) * exponent


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
        raise InputError(f"parts have shapes {shapes}", "one or more of the same shape")
    parts = tuple(part._replace(exponent=part.unit) for part in parts)
    return fold(PowerSums(*(torch.stack(field) for field in zip(*parts, strict=True))))


def fold(parts: PowerSums) -> PowerSums:
    """Merge summaries that are stacked on a leading axis: ``n`` of shape ``(K, ...)``, ``sums`` of ``(K, P, ...)``."""
    total, middle, delta = _middle(parts.n, parts.centre)
    stacked = parts._replace(sums=parts.sums.movedim(1, 0))
    exponent = unit_exponent(torch.maximum(stacked._spread(), delta.abs()).amax(0))
    moved = stacked.in_unit(exponent)._moved_by(times_power_of_two(delta, -exponent))
    return PowerSums(total, middle, moved.sum(1), exponent)


def _fold_in_one_unit(n: Tensor, centre: Tensor, sums: Tensor) -> PowerSums:
    total, middle, delta = _middle(n, centre)
    return PowerSums(total, middle, PowerSums(n, centre, sums.movedim(1, 0))._moved_by(delta).sum(1))


def _middle(n: Tensor, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number of values, common centre, and the way to it of each part on the leading axis."""
    total = n.sum(0)
    # the differences of centres, and not the centres, are averaged: equal centres stay as they are to the last bit
    first = centre.gather(0, (n > 0).int().argmax(0, keepdim=True))[0]
    shift = torch.where(n > 0, n * (centre - first), 0.0).sum(0) / total.clamp(min=1)
    middle = (first + shift).detach()
    return total, middle, torch.where(n > 0, centre - middle, 0.0)


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
        raise InputError("x is a single number", "tensors with an axis of samples")
    rows = x.movedim(dim, 0)
    features = rows.shape[1:]
    rows = rows.reshape(len(rows), math.prod(features))
    if torch.compiler.is_compiling() and nan_policy == "propagate":
        return _with_shape(_in_own_unit(rows, order, nan_policy), features)
    sums = _flat_sums(rows, order, nan_policy)
    strange = indices_of(_out_of_range(sums))
    if strange is None:
        sums = _in_own_unit(rows, order, nan_policy)
    elif len(strange):
        again = _in_own_unit(rows[:, strange], order, nan_policy)
        fields = zip((*sums[:3], torch.zeros_like(sums.unit)), again._replace(exponent=again.unit), strict=True)
        sums = PowerSums(*(field.index_copy(-1, strange, part) for field, part in fields))
    return _with_shape(sums, features)


def _flat_sums(rows: Tensor, order: int, nan_policy: NanPolicy) -> PowerSums:
    """In the unit 1."""
    if torch.compiler.is_compiling() and nan_policy == "propagate":
        return _all_blocks_at_once(rows, order)
    columns = [_power_sums_of_columns(block, order, nan_policy) for block in _column_blocks(rows)]
    return PowerSums(
        *(columns[0][i] if len(columns) == 1 else torch.cat([c[i] for c in columns], -1) for i in range(3))
    )


def _out_of_range(sums: PowerSums) -> Tensor:
    """Features whose sums are not finite, or whose spread is not ordinary: in a unit of their own they may be."""
    if sums.order == 1:
        return ~sums.sums[0].detach().isfinite()
    variance = sums.sums[1].detach() / sums.n
    return (sums.n > 0) & ~((variance > 4.0**-ORDINARY) & (variance < 4.0**ORDINARY))


def _in_own_unit(rows: Tensor, order: int, nan_policy: NanPolicy) -> PowerSums:
    if not len(rows):
        return _flat_sums(rows, order, nan_policy)
    exponent = unit_exponent(half_range(*extremes(rows, nan_policy)))
    sums = _flat_sums(times_power_of_two(rows.double(), -exponent), order, nan_policy)
    return PowerSums(sums.n, times_power_of_two(sums.centre, exponent), sums.sums, exponent)


def extremes(rows: Tensor, nan_policy: str) -> tuple[Tensor, Tensor]:
    """Lowest and highest value of each column, without those that are omitted; float64.

    Args:
        rows: shape ``(N, F)``, with a row at least.
        nan_policy: see :func:`power_sums`.
    """
    rows = rows.detach()
    if nan_policy == "omit" and rows.is_floating_point():
        missing = ~rows.isfinite()
        low, high = rows.masked_fill(missing, torch.inf).amin(0), rows.masked_fill(missing, -torch.inf).amax(0)
        return low.double(), high.double()
    return rows.amin(0).double(), rows.amax(0).double()


def _with_shape(flat: PowerSums, features: torch.Size) -> PowerSums:
    n, centre, unit = (field.reshape(features) for field in (flat.n, flat.centre, flat.unit))
    return PowerSums(n, centre, flat.sums.view(flat.order, *features), unit)


def check_sample(x: Tensor, nan_policy: str) -> None:
    """Refuse unknown policies and samples that are not tensors of real numbers.

    Raises:
        ValueError: naming the argument.
    """
    check_tensor("x", x)
    if nan_policy not in NAN_POLICIES:
        raise InputError(f"nan_policy={nan_policy!r} is unknown", ", ".join(NAN_POLICIES))
    if x.is_complex():
        raise InputError(f"x has type {x.dtype}", "real numbers")


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
            parts = [_joined(parts)]
    return _joined(parts)


def _joined(parts: list[PowerSums]) -> PowerSums:
    return _fold_in_one_unit(*(torch.stack([part[i] for part in parts]) for i in range(3)))


def _all_finite(finite: Tensor, nan_policy: NanPolicy) -> bool:
    """Whether all flags are set; refuses to look at values where none may decide what is computed."""
    if indices_of(finite.flatten()[:0]) is None:
        raise InputError(
            f"nan_policy={nan_policy!r} depends on the values, as torch.func.vmap lets nothing do",
            "nan_policy='propagate', or all samples at once, side by side, without vmap",
        )
    return bool(finite.all())


def _power_sums_of_block(block: Tensor, order: int, nan_policy: NanPolicy) -> PowerSums:
    x = block.double()
    finite = None if nan_policy == "propagate" else x.isfinite()
    if finite is not None and _all_finite(finite, nan_policy):
        finite = None
    if finite is None:
        # not made from x: in torch.func.vmap the number of values is no batch of numbers, and coefficients follow from it
        centre, count = _centre(x.detach()), torch.full(x.shape[1:], float(len(x)), dtype=x.dtype, device=x.device)
        return PowerSums(count, centre, torch.stack(list(_sums(x - centre, order))))
    if nan_policy == "raise":
        raise InputError(f"x has {int((~finite).sum())} values that are NaN or infinite", "finite numbers")
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
        count = torch.full(centre.shape, float(part.shape[1]), dtype=centre.dtype, device=centre.device)
        parts.append((count, centre, torch.stack(list(_sums(x - centre.unsqueeze(-2), order)), dim=1)))
    return _fold_in_one_unit(*(torch.cat(field) for field in zip(*parts, strict=True)))
