"""The contract of a law."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..cumulants import kstat
from ..datamodules.laws import Law, parse
from ..datamodules.laws.contract import checked

ROWS = 100_000
SIGMAS = 6.0


def check_law(law: Law) -> None:
    """Hold a law to what it says of itself: text, samples, support, cumulants and density.

    Cumulants are compared with those of a sample where the law has twice as many, so that the sample's have an error.

    Raises:
        AssertionError: naming what does not hold.

    Example:
        >>> check_law(parse("gamma(shape=2)"))
    """
    assert parse(str(law)) == law, f"{law} is not read back from its text"
    checked(law)
    first, again = (law.sample(ROWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64) for _ in range(2))
    assert torch.equal(first, again), f"{law}.draw does not follow its generator"
    assert bool(first.isfinite().all()), f"{law}.draw gives numbers that are not finite"
    low, high = law.support()
    assert low <= float(first.min()) <= float(first.max()) <= high, (
        f"{law} has samples outside its support [{low}, {high}]"
    )
    known = law.cumulants(8)
    order = next((n for n in range(4, 0, -1) if bool(known[: 2 * n].isfinite().all())), 0)
    if order:
        measured = kstat(first, order=order)
        for n in range(order):
            gap, error = abs(float(measured[n] - known[n])), _stderr(n + 1, known.tolist())
            # where the error of order 1/sqrt(N) vanishes, that of order 1/N is left
            assert gap <= SIGMAS * error + 10 * float(known[1]) ** ((n + 1) / 2) / ROWS, (
                f"{law}: k{n + 1} is {float(known[n]):.5g}, a sample has {float(measured[n]):.5g} "
                f"with an error of {error:.2g}"
            )
    if hasattr(law.scipy(), "pdf") and not law.slow_density:
        _check_density(law, first.numpy())


def _stderr(order: int, kappa: list[float]) -> float:
    """Standard error of a k-statistic of a large sample, from the exact cumulants.

    Source: Stuart and Ord, Kendall's Advanced Theory of Statistics I, 6th edition (1994), section 12.16.
    """
    _, k2, k3, k4, k5, k6, _, k8 = kappa
    variance = (
        k2,
        k4 + 2 * k2**2,
        k6 + 9 * k2 * k4 + 9 * k3**2 + 6 * k2**3,
        k8 + 16 * k2 * k6 + 48 * k3 * k5 + 34 * k4**2 + 72 * k2**2 * k4 + 144 * k2 * k3**2 + 24 * k2**4,
    )[order - 1]
    return math.sqrt(max(variance, 0.0) / ROWS)


def _check_density(law: Law, sample: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    """Kolmogorov-Smirnov distance of a sample to the distribution function."""
    levels = law.scipy().cdf(np.sort(sample))
    steps = np.arange(len(sample) + 1) / len(sample)
    distance = float(max(np.abs(levels - steps[1:]).max(), np.abs(levels - steps[:-1]).max()))
    # exceeded with a probability of 1e-9
    assert distance < 3.27 / math.sqrt(len(sample)), (
        f"{law}: samples are not those of its density (distance {distance:.3g})"
    )
