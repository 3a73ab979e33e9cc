"""Figures of C5: loss curves, times to learn, and gradient alignment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..figures import COLOURS, FLOOR, mark_threshold, panels, set_log
from ..samples import Sample

SHOWN = 24  # curves in a panel


def draw_curves(curves: Mapping[tuple[str, int], Mapping[str, Any]], depth: int, floor: float) -> Figure:
    """A panel a symmetry, a colour a slope, some members of each."""
    chosen = {name: result for (name, layers), result in curves.items() if layers == depth}
    figure, grid = panels(len(chosen))
    for axes, (name, result) in zip(grid, chosen.items(), strict=True):
        slopes = np.array(result["negative_slope"])
        loss = np.array(result["loss"], dtype=float)
        for colour, slope in zip(COLOURS, np.unique(slopes), strict=False):
            rows = loss[slopes == slope]
            for row in rows[: SHOWN // len(np.unique(slopes))]:
                axes.plot(result["steps"], np.maximum(row, FLOOR), color=colour, linewidth=0.5, alpha=0.5)
            axes.plot(result["steps"], np.median(rows, axis=0), color=colour, linewidth=1.8, label=f"{slope:g}")
        set_log(axes)
        axes.set_xscale("log")
        axes.set_xlabel("training steps")
        axes.set_title(name, fontsize="medium")
        mark_threshold(axes, floor, "learned")
    grid[0].set_ylabel("relative loss")
    grid[0].legend(title="slope", fontsize="small")
    return figure


def draw_times(
    curves: Mapping[tuple[str, int], Mapping[str, Any]], found: Mapping[tuple[str, int], Mapping[str, Sample]]
) -> Figure:
    """Share of members above the threshold against time, a panel a depth, a line a symmetry; all slopes together."""
    depths = list(dict.fromkeys(depth for _, depth in curves))
    figure, grid = panels(len(depths), width=3.4 * len(depths) + 0.4)
    for axes, depth in zip(grid, depths, strict=True):
        for colour, (name, layers) in zip(COLOURS, [key for key in curves if key[1] == depth], strict=False):
            steps = np.array(curves[name, layers]["steps"])
            waiting = (found[name, layers]["time"] > steps[:, None]).mean(axis=1)
            axes.plot(steps, waiting, color=colour, label=name)
        axes.set_xscale("log")
        axes.set_xlabel("training steps")
        axes.set_title(f"{depth} hidden layer{'s' if depth > 1 else ''}", fontsize="medium")
        axes.grid(alpha=0.3, linewidth=0.5)
    grid[0].set_ylabel("share that has not learned")
    grid[0].legend(fontsize="small")
    return figure


def draw_alignment(alignment: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Agreement and frustration against time, a line a symmetry."""
    figure, grid = panels(2, sharey=False)
    for axes, name in zip(grid, ("agreement", "frustration"), strict=True):
        for colour, (symmetry, one) in zip(COLOURS, alignment.items(), strict=False):
            axes.plot(one["steps"], one[name], marker=".", color=colour, label=symmetry)
        axes.set_xscale("log")
        axes.set_xlabel("training steps")
        axes.grid(alpha=0.3, linewidth=0.5)
    grid[0].set_ylabel("agreement: mean cosine of descents")
    grid[1].set_ylabel("frustration: pulls that cancel")
    grid[0].legend(fontsize="small")
    return figure
