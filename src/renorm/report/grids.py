"""Panels in rows and columns, of the page's width and in its colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .figures import COLOURS, WIDTH

SMALL = {"labelsize": "x-small"}


def panel_grid(rows: int, columns: int, height: float, **shared: Any) -> tuple[Figure, NDArray[Any]]:
    """A figure with panels in rows and columns.

    Args:
        rows: how many.
        columns: how many.
        height: of the whole, in inches.
        **shared: ``sharex`` and ``sharey``, see ``Figure.subplots``.

    Example:
        >>> figure, panels = panel_grid(2, 3, height=4.0, sharex=True)
        >>> panels.shape
        (2, 3)
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = np.asarray(figure.subplots(rows, columns, squeeze=False, **shared))
    for axes in panels.ravel():
        axes.set_prop_cycle(color=COLOURS)
        axes.tick_params(**SMALL)
        axes.xaxis.label.set_size("small")
        axes.yaxis.label.set_size("small")
    return figure, panels
