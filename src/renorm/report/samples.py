"""Errors of members from the table of a sweep, by condition, and their summaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..member_bootstrap import bootstrap, log_ratio

if TYPE_CHECKING:
    import pyarrow as pa

Sample: TypeAlias = NDArray[np.float64]

WORST = "held_out/relative_mse"  # MSE over the variance of the target, under the held-out law where it is largest
TRAINED = "trained/relative_mse"


def sample(table: pa.Table, column: str = WORST, **where: Any) -> Sample:
    """One number a member at some values of the axes; an error that is not a number, of a member that diverged, is infinite.

    Args:
        table: rows of a sweep.
        column: which number.
        **where: axis = value.

    Raises:
        ValueError: where there is no such member.
    """
    import pyarrow.compute as pc

    for axis, value in where.items():
        table = table.filter(pc.equal(table.column(axis), value))
    if not len(table):
        raise InputError(f"no member has {where}", "values of the sweep's axes")
    values = table.column(column).to_numpy().astype(float)
    return np.where(np.isnan(values), np.inf, values)


def values_of(table: pa.Table, axis: str) -> list[Any]:
    """The values of an axis in the order of the sweep."""
    return list(dict.fromkeys(table.column(axis).to_pylist()))


def described(values: Sample, seed: int) -> dict[str, Any]:
    """Median over members with its interval, their number, spread, and how many diverged."""
    median, low, high = bootstrap(np.median, values, seed=seed)
    return {
        "median": median,
        "low": low,
        "high": high,
        "q10": float(np.quantile(values, 0.1, method="lower")),
        "q90": float(np.quantile(values, 0.9, method="higher")),
        "members": len(values),
        "diverged": int(np.isinf(values).sum()),
    }


def compared(first: Sample, second: Sample, seed: int) -> dict[str, float]:
    """Ratio of the medians of two samples in decades, with its interval over members of both."""
    value, low, high = bootstrap(log_ratio, first, second, seed=seed)
    return {"decades": value, "low": low, "high": high}


def least(comparisons: Mapping[Any, Mapping[str, float]]) -> Mapping[str, float]:
    """The comparison with the smallest ratio: a lower bound that holds for it holds for all."""
    return min(comparisons.values(), key=lambda one: one["decades"])


def format_error(value: float | None) -> str:
    """An error as text.

    Example:
        >>> format_error(0.012345), format_error(None)
        ('1.2e-02', 'diverged')
    """
    return "diverged" if value is None or not np.isfinite(value) else f"{value:.1e}"
