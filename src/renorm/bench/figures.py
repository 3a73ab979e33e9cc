"""Figures of ``renorm bench``: scaling with size, and shares of the time."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .measure import EPOCHS, shares_of

MIB = 2**20


def draw_growth(rows: list[dict[str, Any]], slopes: dict[str, float]) -> Figure:
    """Time a step and memory against each size, both axes logarithmic."""
    axes_names = list(slopes)
    figure = Figure(figsize=(3.3 * len(axes_names), 5.6), layout="constrained")
    grid = figure.subplots(2, len(axes_names), sharex="col", sharey="row", squeeze=False)
    for column, axis in enumerate(axes_names):
        points = [row for row in rows if row["axis"] == axis]
        values = [row["value"] for row in points]
        grid[0, column].loglog(values, [row["seconds"] * 1e3 for row in points], marker="o")
        grid[0, column].set_title(f"time ~ {axis}$^{{{slopes[axis]:.2f}}}$", fontsize="medium")
        grid[1, column].loglog(values, [row["bytes"] / MIB for row in points], marker="o", color="C1")
        grid[1, column].set_xlabel(axis)
        for panel in grid[:, column]:
            panel.set_xticks(values, [str(value) for value in values], rotation=45)
            panel.xaxis.minorticks_off()
            panel.grid(alpha=0.3, linewidth=0.5, which="both")
    grid[0, 0].set_ylabel("milliseconds a step")
    grid[1, 0].set_ylabel("MiB that a step holds")
    return figure


def draw_parts(parts: dict[str, float], members: int) -> Figure:
    """Stacked bars: how the time of a fit is spent, for several numbers of steps between two validations."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = figure.add_subplot()
    shares = [shares_of(parts, epoch) for epoch in EPOCHS]
    rows = np.arange(len(EPOCHS))
    left = np.zeros(len(EPOCHS))
    for name in parts:
        widths = np.array([100 * share[name] for share in shares])
        axes.barh(rows, widths, left=left, label=name)
        left += widths
    axes.set_yticks(rows, ["never" if epoch is None else f"{epoch} steps" for epoch in EPOCHS])
    axes.invert_yaxis()
    axes.set_ylabel("validation every")
    axes.set_xlim(0, 100)
    axes.set_xlabel(f"percent of the time of a fit of {members} members")
    axes.legend(ncols=len(parts), fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return figure
