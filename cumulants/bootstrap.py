"""Confidence intervals of cumulants from resampled data, which lean to the side where the estimates scatter."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from .kstatistics import check_order, kstat
from .summaries import MAX_ORDER, PowerSums, check_sample, power_sums
from .units import times_power_of_two

COUNTS_IN_MEMORY = 2**22


class Interval(NamedTuple):
    """A confidence interval.

    Attributes:
        low: lower end, shape ``(order, ...features)``.
        high: upper end, same shape.
    """

    low: Tensor
    high: Tensor


def kstat_bootstrap(
    x: Tensor,
    order: int = 4,
    resamples: int = 1999,
    level: float = 0.95,
    generator: torch.Generator | None = None,
) -> Interval:
    r"""Bootstrap intervals of the cumulants, bias-corrected and accelerated (BCa).

    Rows are drawn with replacement, the same for all features, and :math:`k_r` of each draw follows from sums of powers. The
    ends are the quantiles :math:`\Phi(z_0 + (z_0 + z) / (1 - a (z_0 + z)))` of these, with the bias :math:`z_0` and the
    acceleration :math:`a`, from the jackknife.

    A bootstrap knows no value beyond the largest of the sample: of heavy-tailed laws its intervals are too short too. Measured
    for ``gamma(shape=2)`` at 4000 values and level 0.95 (800 samples, 999 resamples): 95% cover k2, 93% k3 and 89% k4.

    Args:
        x: sample, shape ``(N, ...features)``, finite.
        order: highest order, 1 to 8.
        resamples: number of draws; 999 or more for ends that do not wander.
        level: probability that an interval is meant to cover the cumulant.
        generator: source of the draws, on the device of the sample.

    Returns:
        Both ends, shape ``(order, ...features)``, float64; NaN where there are fewer values than the order, plus one.

    Raises:
        ValueError: for a value out of range, or a sample with NaN or infinity.

    Source:
        Efron, Journal of the American Statistical Association 82 (1987) 171.

    Example:
        >>> x = torch.arange(100.0)
        >>> low, high = kstat_bootstrap(x, order=1, generator=torch.Generator().manual_seed(0))
        >>> bool(low < x.mean() < high)
        True
    """
    check_order(order, MAX_ORDER)
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 2:
        raise InputError(f"resamples={resamples!r} is out of range", "whole numbers >= 2")
    if not 0 < level < 1:
        raise InputError(f"level={level!r} is out of range", "between 0 and 1")
    check_sample(x, "raise")
    whole = power_sums(x, max(order, 2), nan_policy="raise")
    x = x.detach()
    deviation = times_power_of_two(x.double() - whole.mean.detach(), -whole.unit)
    if not len(x):
        return Interval(*2 * [torch.full((order, *x.shape[1:]), torch.nan, dtype=torch.float64, device=x.device)])
    powers = torch.stack([deviation**p for p in range(1, order + 1)])  # (P, N, ...features)
    summary = PowerSums(whole.n, whole.mean.detach(), powers.sum(1), whole.unit)
    drawn = _estimates(summary, _resampled(powers, resamples, generator), whole.n, order)
    left_out = _estimates(summary, summary.sums.unsqueeze(1) - powers, whole.n - 1, order)
    return _accelerated(drawn, kstat(x, order), left_out, level)


def _resampled(powers: Tensor, resamples: int, generator: torch.Generator | None) -> Tensor:
    """Sums of powers of each draw, shape ``(P, resamples, ...features)``."""
    n = powers.shape[1]
    table = powers.transpose(0, 1).reshape(n, -1)
    sums = []
    most = max(1, COUNTS_IN_MEMORY // n)
    for done in range(0, resamples, most):
        height = min(most, resamples - done)
        drawn = torch.randint(n, (height, n), generator=generator, device=powers.device)
        counts = torch.zeros(height, n, dtype=powers.dtype, device=powers.device)
        sums.append(counts.scatter_add_(1, drawn, torch.ones_like(counts)) @ table)
    return torch.cat(sums).view(resamples, len(powers), *powers.shape[2:]).transpose(0, 1)


def _estimates(summary: PowerSums, sums: Tensor, n: Tensor, order: int) -> Tensor:
    """k-statistics of several samples with these sums about one centre, shape ``(order, samples, ...features)``."""
    shape = sums.shape[1:]
    return PowerSums(n.expand(shape), summary.centre.expand(shape), sums, summary.unit.expand(shape)).kstat(order)


def _accelerated(drawn: Tensor, estimate: Tensor, left_out: Tensor, level: float) -> Interval:
    estimate = estimate.detach()
    below = (drawn < estimate.unsqueeze(1)).double() + 0.5 * (drawn == estimate.unsqueeze(1)).double()
    count = drawn.shape[1]
    bias = torch.special.ndtri(below.mean(1).clamp(0.5 / count, 1 - 0.5 / count))
    pull = left_out.mean(1, keepdim=True) - left_out
    pull = pull / pull.abs().amax(1, keepdim=True)  # cubes of it stay in range
    acceleration = (pull.pow(3).sum(1) / (6 * pull.square().sum(1) ** 1.5)).nan_to_num(0.0)
    z = torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)).item()
    ordered = drawn.sort(dim=1).values
    ends = []
    for side in (bias - z, bias + z):
        place = torch.special.ndtr(bias + side / (1 - acceleration * side)) * (count - 1)
        lower = place.floor()
        value, above = (
            ordered.gather(1, i.long().clamp(0, count - 1).unsqueeze(1)).squeeze(1) for i in (lower, lower + 1)
        )
        ends.append(torch.where(left_out.isnan().any(1), math.nan, value + (place - lower) * (above - value)))
    return Interval(*ends)
