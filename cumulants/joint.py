r"""Joint cumulants of several variables: a mergeable summary of a sample, and the unbiased estimators from it."""

from __future__ import annotations

import functools
import itertools
import math
import string
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from .kstatistics import check_order
from .moments import block_product
from .partitions import partition_counts, set_partitions, squared_coefficients, unbiased_coefficients
from .summaries import NO_UNIT, NanPolicy, check_sample, extremes, power_sums, standard_error
from .units import ORDINARY, half_range, indices_of, times_power_of_two, unit_exponent

MAX_JOINT_ORDER = 6
MAX_ENTRIES = 2**27  # of one tensor, 1 GiB
BLOCK_CELLS = 2**20  # products of variables that are held at a time, 8 MiB
GRAM_BANDS = 4


class JointSums(NamedTuple):
    r"""The summary :math:`(n, c, T_1, \dots, T_P)` of a sample, :math:`T_p = \sum_t [(x_t - c) / 2^e]^{\otimes p}`.

    The unit :math:`2^e` of a variable is 1 unless its spread is below 1e-30 or above 1e30, see :class:`PowerSums`.

    Attributes:
        n: number of values, shape ``()``, float64.
        centre: :math:`c`, shape ``(d,)``, any point near the mean; what it misses is kept in :math:`T_1`.
        sums: :math:`T_1, T_2, \dots` of shapes ``(d,)``, ``(d, d)``, and so on.
        exponent: :math:`e`, shape ``(d,)``, int64.
    """

    n: Tensor
    centre: Tensor
    sums: tuple[Tensor, ...]
    exponent: Tensor = NO_UNIT

    @property
    def unit(self) -> Tensor:
        """The exponent of each variable, on the device of the sums."""
        return self.exponent.to(self.centre.device).expand_as(self.centre)

    def in_unit(self, exponent: Tensor) -> JointSums:
        r"""The same summary in other units, :math:`2^{e'}`."""
        change = self.unit - exponent
        sums = (times_power_of_two(total, _sums_over(change, p)) for p, total in enumerate(self.sums, start=1))
        return JointSums(self.n, self.centre, tuple(sums), exponent)

    def moved_to(self, centre: Tensor) -> JointSums:
        r"""About another centre, :math:`T'_I = \sum_{J \subseteq I} T_J \prod_{i \in I \setminus J} (c - c')_i`."""
        exponent = unit_exponent(torch.maximum(self._spread(), (self.centre - centre).abs()))
        moved = self.in_unit(exponent)._moved_by(times_power_of_two(self.centre - centre, -exponent))
        return JointSums(self.n, centre, moved, exponent)

    def _spread(self) -> Tensor:
        """The root mean square of what was summed, about the centre; 0 for no values."""
        first = self.sums[0].abs() / self.n
        mean = self.sums[1].diagonal().clamp(min=0).sqrt() / self.n.sqrt() if len(self.sums) > 1 else first
        return times_power_of_two(torch.where(self.n > 0, mean.detach(), 0.0), self.unit)

    def central(self) -> tuple[Tensor, ...]:
        """Sums about the mean, in the units."""
        return self._moved_by(-self.sums[0] / self.n)

    def _moved_by(self, delta: Tensor) -> tuple[Tensor, ...]:
        powers = [torch.ones_like(self.n)]  # tensor powers of delta
        for _ in self.sums:
            powers.append(torch.tensordot(powers[-1], delta, dims=0))
        moved = []
        for p in range(1, len(self.sums) + 1):
            total = self.sums[p - 1] + self.n * powers[p]
            for k in range(1, p):
                for chosen in itertools.combinations(range(p), k):
                    rest = [i for i in range(p) if i not in chosen]
                    product = torch.tensordot(self.sums[k - 1], powers[p - k], dims=0)
                    total = total + product.permute(_inverse([*chosen, *rest]))
            moved.append(total)
        return tuple(moved)

    def kstat(self, order: int) -> Tensor:
        """The joint k-statistic, see :func:`renorm.cumulants.joint_kstat`."""
        k = times_power_of_two(self._estimate(order), _sums_over(self.unit, order))
        return self.centre + k if order == 1 else k

    def _estimate(self, order: int) -> Tensor:
        """The k-statistic in the units, and about the centre."""
        n = int(self.n)
        if n < order:
            return torch.full_like(self.sums[order - 1], torch.nan)
        if order == 1:
            return self.sums[0] / self.n
        central = dict(enumerate(self.central(), start=1))
        exact, counts = unbiased_coefficients((order,), n), partition_counts(order)
        total = torch.zeros_like(central[order])
        for blocks in set_partitions(order, smallest=2):
            sizes = tuple(sorted(map(len, blocks), reverse=True))
            total = total + float(exact[sizes] / counts[sizes]) * block_product(central, blocks)
        return total

    def kstat_variance(self, order: int) -> Tensor:
        r"""Unbiased estimates of its variances, :math:`k_I^2 - k_{I,I}`; needs sums to twice the order."""
        return times_power_of_two(self._variance(order), 2 * _sums_over(self.unit, order))

    def _variance(self, order: int) -> Tensor:
        """In the units."""
        n = int(self.n)
        if n < 2 * order:
            return torch.full_like(self.sums[order - 1], torch.nan)
        central = self.central()
        letters = string.ascii_lowercase[:order] * 2  # both copies of a variable have one letter
        k = self._estimate(order) if order > 1 else torch.zeros_like(self.centre)  # about the mean
        variance = k * k
        for blocks, coefficient in squared_coefficients(order, n).items():
            terms = ["".join(letters[i] for i in block) for block in blocks]
            sums = [central[len(block) - 1] for block in blocks]
            variance = variance - float(coefficient) * torch.einsum(f"{','.join(terms)}->{letters[:order]}", *sums)
        return variance

    def kstat_stderr(self, order: int) -> Tensor:
        """Its standard errors; NaN below twice as many values as the order, and where the variance's estimate is negative."""
        scale = block_product({1: self.central()[1].diagonal() / self.n}, [(i,) for i in range(order)])
        return times_power_of_two(standard_error(self._variance(order), scale), _sums_over(self.unit, order))


def _sums_over(exponent: Tensor, order: int) -> Tensor:
    r""":math:`e_{i_1} + \dots + e_{i_r}`, shape ``(d,) * order``."""
    axes = (exponent.view(-1, *[1] * axis) for axis in range(order))
    return functools.reduce(torch.add, axes)


def _inverse(permutation: list[int]) -> list[int]:
    return sorted(range(len(permutation)), key=permutation.__getitem__)


def merge_joint(*parts: JointSums) -> JointSums:
    """The summary of several samples together, from their summaries; those of no values change nothing.

    Raises:
        ValueError: for no summaries, or summaries of other shapes.
    """
    shapes = [tuple(part.sums[-1].shape) for part in parts]
    if len(set(shapes)) != 1:
        raise InputError(f"parts have shapes {shapes}", "one or more of the same shape")
    filled = [part for part in parts if part.n > 0] or [parts[0]]
    n = torch.stack([part.n for part in filled]).sum(0)
    first = filled[0].centre
    shift = sum((part.n * (part.centre - first) for part in filled), torch.zeros_like(first)) / n.clamp(min=1)
    centre = (first + shift).detach()
    spreads = [torch.maximum(part._spread(), (part.centre - centre).abs()) for part in filled]
    exponent = unit_exponent(torch.stack(spreads).amax(0))
    deltas = [times_power_of_two(part.centre - centre, -exponent) for part in filled]
    moved = [part.in_unit(exponent)._moved_by(delta) for part, delta in zip(filled, deltas, strict=True)]
    return JointSums(n, centre, tuple(torch.stack(sums).sum(0) for sums in zip(*moved, strict=True)), exponent)


def joint_sums(x: Tensor, order: int, nan_policy: NanPolicy = "propagate") -> JointSums:
    r"""Sums of tensor powers about the mean, in float64, as matrix products of products of variables.

    Args:
        x: sample of shape ``(N, d)``.
        order: highest power, 1 to 6.
        nan_policy: ``propagate`` NaN and infinity, ``omit`` rows that have one, or ``raise``.

    Raises:
        ValueError: for another shape, an order out of range, or a tensor that would not fit into memory.
    """
    check_order(order, MAX_JOINT_ORDER)
    check_sample(x, nan_policy)
    if x.ndim != 2:
        raise InputError(f"x has shape {tuple(x.shape)}", "(N, d), one vector a row")
    check_entries(x.shape[1], order)
    if nan_policy != "propagate":
        finite = x.isfinite().all(dim=1)
        if nan_policy == "raise" and not finite.all():
            raise InputError(f"x has {int((~finite).sum())} rows with NaN or infinity", "finite numbers")
        x = x[finite]
    sums = _sums_in_unit_1(x, order)
    strange = indices_of(_out_of_range(sums))
    if not len(x) or (strange is not None and not len(strange)):
        return sums._replace(exponent=sums.unit)
    exponent = unit_exponent(half_range(*extremes(x, "propagate")))
    sums = _sums_in_unit_1(times_power_of_two(x.double(), -exponent), order)
    return sums._replace(centre=times_power_of_two(sums.centre, exponent), exponent=exponent)


def _out_of_range(sums: JointSums) -> Tensor:
    """Variables whose sums are not finite, or whose spread is not ordinary."""
    if len(sums.sums) == 1:
        return ~sums.sums[0].detach().isfinite()
    variance = sums.sums[1].detach().diagonal() / sums.n
    return ~((variance > 4.0**-ORDINARY) & (variance < 4.0**ORDINARY))


def _sums_in_unit_1(x: Tensor, order: int) -> JointSums:
    rows, d = x.shape
    if d == 0:
        nothing = (x.new_zeros((0,) * p, dtype=torch.float64) for p in range(1, order + 1))
        return JointSums(
            torch.full((), float(rows), dtype=torch.float64), x.new_zeros(0, dtype=torch.float64), tuple(nothing)
        )
    centre = power_sums(x.detach(), order=1).mean if rows else torch.zeros(d, dtype=torch.float64, device=x.device)
    height = max(1, BLOCK_CELLS // math.comb(d + (order + 1) // 2 - 1, (order + 1) // 2))
    totals: list[Tensor] | None = None
    for block in torch.split(x, height):
        products = list(_products_of_powers(block.double() - centre, order))
        totals = products if totals is None else [a + b for a, b in zip(totals, products, strict=True)]
    assert totals is not None
    sums = (_unpack(total, d, p) for p, total in enumerate(totals, start=1))
    return JointSums(torch.full((), float(rows), dtype=torch.float64, device=x.device), centre, tuple(sums))


def check_entries(d: int, order: int) -> None:
    """Raise a ValueError where a tensor of ``d`` variables would not fit into memory."""
    if d**order > MAX_ENTRIES:
        raise InputError(f"order={order} of d={d} variables has {d**order} entries", f"at most {MAX_ENTRIES}")


@functools.lru_cache(maxsize=64)
def multisets(d: int, size: int) -> tuple[Tensor, Tensor]:
    """Increasing index tuples ``(count, size)``, and where each tuple of indices stands among them, ``(d,) * size``."""
    tuples = torch.tensor(list(itertools.combinations_with_replacement(range(d), size)), dtype=torch.long)
    tuples = tuples.reshape(-1, size)
    where = torch.empty((d,) * size, dtype=torch.long)
    for order in itertools.permutations(range(size)):
        where[tuple(tuples[:, i] for i in order)] = torch.arange(len(tuples))
    return tuples, where


def _products_of_powers(deviation: Tensor, order: int) -> Iterator[Tensor]:
    """For each p, the matrix of sums of products: about half of the factors along its rows, the rest along its columns."""
    # variables first: their products are then taken of rows that lie whole in memory
    factors = {1: deviation.T.contiguous()}
    d = len(factors[1])
    for size in range(2, (order + 1) // 2 + 1):
        tuples = multisets(d, size)[0].to(deviation.device)
        shorter = multisets(d, size - 1)[1].to(deviation.device)[tuple(tuples[:, :-1].T)]
        factors[size] = factors[size - 1][shorter] * factors[1][tuples[:, -1]]
    yield factors[1].sum(1)
    for p in range(2, order + 1):
        yield factors[p // 2 + 1] @ factors[p // 2].mT if p % 2 else _upper_gram(factors[p // 2])


def _upper_gram(rows: Tensor) -> Tensor:
    """``rows @ rows.T``, of which what lies well below the diagonal is not computed: it would say the same again."""
    gram = rows.new_zeros(len(rows), len(rows))
    height = -(-len(rows) // GRAM_BANDS)
    for start in range(0, len(rows), height):
        gram[start : start + height, start:] = rows[start : start + height] @ rows[start:].mT
    return gram


def _unpack(compact: Tensor, d: int, p: int) -> Tensor:
    """The symmetric tensor of shape ``(d,) * p`` from its matrix of sums of products."""
    if p == 1:
        return compact
    rows = multisets(d, p - p // 2)[1].to(compact.device).flatten()[:, None]
    columns = multisets(d, p // 2)[1].to(compact.device).flatten()
    if p % 2 == 0:
        rows, columns = torch.minimum(rows, columns), torch.maximum(rows, columns)
    return compact[rows, columns].view((d,) * p)


def joint_kstat(x: Tensor, order: int, nan_policy: NanPolicy = "propagate") -> Tensor:
    r"""The joint k-statistics of one order, unbiased estimators of the joint cumulants.

    .. math:: k(i_1, \dots, i_r) = \sum_\pi c_\pi \prod_{C \in \pi} \sum_t \prod_{j \in C} (x_{t, i_j} - \bar x_{i_j})

    over the set partitions without singletons; :math:`c_\pi` depends on the sizes of the blocks and on the number of values.

    Args:
        x: sample of shape ``(N, d)``.
        order: which order, 1 to 6.
        nan_policy: ``propagate`` NaN and infinity, ``omit`` rows that have one, or ``raise``.

    Returns:
        The symmetric tensor, shape ``(d,) * order``, float64; NaN for fewer values than the order.

    Raises:
        ValueError: for another shape, an order out of range, or a tensor that would not fit into memory.

    Source:
        McCullagh, Tensor Methods in Statistics (1987), chapter 4.

    Example:
        >>> joint_kstat(torch.tensor([[1.0, 0.0], [2.0, 2.0], [3.0, 1.0]]), order=2)
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]], dtype=torch.float64)
    """
    return joint_sums(x, order, nan_policy).kstat(order)
