"""Figures of C5: loss curves, times to learn, and gradient alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..axes import Setting
from ..figures import COLOURS, FLOOR, panels, set_log
from ..training_curves import TrainingCurves

SHOWN = 8  # curves of a slope in a panel
LARGEST = 1e6  # what has diverged


def draw_curves(curves: TrainingCurves, names: Sequence[str], slopes: Sequence[float], place: Setting) -> Figure:
    """A panel a network, a colour a slope, some members of each."""
    figure, grid = panels(len(names))
    for axes, name in zip(grid, names, strict=True):
        for position, (colour, slope) in enumerate(zip(COLOURS, slopes, strict=False)):
            found = np.clip(curves.members(name, place, position), FLOOR, LARGEST)
            for row in found[:: max(1, len(found) // SHOWN)]:
                axes.plot(curves.steps, row, color=colour, linewidth=0.5, alpha=0.5)
            bold = 10 ** np.log10(found).mean(axis=0)
            axes.plot(curves.steps, bold, color=colour, linewidth=1.8, label=f"{slope:g}")
        set_log(axes)
        axes.set_xscale("log")
        axes.set_xlabel("training steps")
        axes.set_title(name, fontsize="medium")
    grid[0].set_ylabel("relative MSE, training law")
    grid[0].legend(title="slope", fontsize="small")
    return figure


def draw_waiting(curves: TrainingCurves, slopes: Sequence[float], place: Setting) -> Figure:
    """Share of members above the threshold against time, a panel a slope, a line a network."""
    figure, grid = panels(len(slopes))
    for position, (axes, slope) in enumerate(zip(grid, slopes, strict=True)):
        for colour, name in zip(COLOURS, curves.names, strict=False):
            axes.plot(curves.steps, curves.waiting(name, place, position), color=colour, label=name)
        axes.set_xscale("log")
        axes.set_xlabel("training steps")
        axes.set_title(f"slope {slope:g}", fontsize="medium")
        axes.grid(alpha=0.3, linewidth=0.5)
    grid[0].set_ylabel("share that has not learned")
    grid[0].legend(fontsize="x-small")
    return figure


def draw_alignment(alignment: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Agreement and frustration against time, a line a symmetry."""
    figure, grid = panels(2, sharey=False)
    for axes, name, meaning in zip(
        grid, ("agreement", "frustration"), ("mean cosine of descents", "share of pulls that cancel"), strict=True
    ):
        for colour, (symmetry, one) in zip(COLOURS, alignment.items(), strict=False):
            axes.plot(one["steps"], one[name], marker=".", color=colour, label=symmetry)
        axes.set_xscale("log")
        axes.set_xlabel("training steps")
        axes.grid(alpha=0.3, linewidth=0.5)
        axes.set_title(name, fontsize="medium")
        axes.set_ylabel(meaning, fontsize="small")
    grid[0].legend(fontsize="small")
    return figure
