"""Figures of predicted against measured cumulants."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ..cumulants.propagation import Gap

ORDINALS = ("first", "second", "third", "fourth")


def draw_gap(gaps: Mapping[str, Gap], title: str) -> Figure:
    """Draw predicted against measured cumulants: a panel for each order, a colour for each layer, bars of one standard error.

    Bars of the third and fourth order are too short in typical samples of heavy-tailed laws; a note in the figure says so.

    Args:
        gaps: layer -> prediction and measurement.
        title: names the law and the method.
    """
    figure = Figure(figsize=(7.2, 6.2))
    figure.subplots_adjust(0.11, 0.12, 0.985, 0.86, wspace=0.25, hspace=0.28)
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(gaps)))
    panels = figure.subplots(2, 2)
    for n, axes in enumerate(panels.flat):
        for (layer, gap), colour in zip(gaps.items(), colours, strict=True):
            measured, predicted, error = (
                t[n].detach().flatten().cpu().numpy() for t in (gap.measured, gap.predicted, gap.stderr)
            )
            axes.errorbar(
                measured, predicted, xerr=error, fmt=".", color=colour, label=layer, markersize=3, elinewidth=0.5
            )
        ends = np.array([*axes.get_xlim(), *axes.get_ylim()])
        axes.plot([ends.min(), ends.max()], [ends.min(), ends.max()], "k--", linewidth=0.7, zorder=0)
        axes.set_title(f"{ORDINALS[n]} cumulant", fontsize="medium")
        axes.grid(alpha=0.3, linewidth=0.5)
    for left, below in zip(panels[:, 0], panels[-1], strict=True):
        left.set_ylabel("predicted")
        below.set_xlabel("measured")
    panels[0, 0].legend(fontsize="x-small")
    note = "bars: one standard error of the sample, too short at orders 3 and 4 under heavy tails"
    figure.text(0.99, 0.015, note, ha="right", va="bottom", fontsize="x-small")
    figure.suptitle(f"predicted against measured cumulants:\n{title}", fontsize="medium")
    return figure
