"""Errors of members, one number each, and how one is written."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Sample: TypeAlias = NDArray[np.float64]


def format_error(value: float | None) -> str:
    """An error as text.

    Example:
        >>> format_error(0.012345), format_error(None)
        ('1.2e-02', 'diverged')
    """
    return "diverged" if value is None or not np.isfinite(value) else f"{value:.1e}"
