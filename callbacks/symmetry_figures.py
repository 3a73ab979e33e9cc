"""Figures of symmetry breaking: over training, and by grid point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..zoo.symmetry.order_parameter import OrderParameter

MOST_LABELS = 8


def draw_asymmetry_history(
    history: Mapping[int, Mapping[str, Mapping[str, Sequence[float]]]], groups: Sequence[str]
) -> Figure:
    """Draw the mean asymmetry over epochs: a row for each layer, a panel for each symmetry, a line for each grid point.

    Args:
        history: epoch -> layer -> symmetry -> mean over the members of each grid point.
        groups: labels of the grid points.
    """
    unknown = [np.nan] * len(groups)
    layers = list(history.values())[-1]  # before a resumption there may have been other layers and symmetries
    columns = max(len(symmetries) for symmetries in layers.values())
    width, height = 1.5 + 2.3 * columns, 0.8 + 2.0 * len(layers)
    figure = Figure(figsize=(width, height))
    # in inches; a layout engine takes longer than all the drawing
    margins = 0.8 / width, 0.55 / height, 1 - 0.1 / width, 1 - (0.5 if len(groups) > MOST_LABELS else 0.3) / height
    figure.subplots_adjust(*margins, wspace=0.08, hspace=0.35)
    grid = figure.subplots(len(layers), columns, sharex=True, sharey=True, squeeze=False)
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(groups)))
    for row, (layer, symmetries) in zip(grid, layers.items(), strict=True):
        for axes in row[len(symmetries) :]:
            axes.set_axis_off()
        for axes, name in zip(row, symmetries, strict=False):
            lines = np.array([measured.get(layer, {}).get(name, unknown) for measured in history.values()])
            for line, colour, group in zip(lines.T, colours, groups, strict=True):
                axes.plot(list(history), line, color=colour, marker=".", markersize=3, linewidth=1, label=group)
            axes.set_title(f"{layer}: distance to {name}", fontsize="small")
            axes.set_ylim(-0.03, 1.03)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.tick_params(labelbottom=True)
            axes.grid(alpha=0.3, linewidth=0.5)
    figure.supxlabel("epoch", fontsize="small")
    figure.supylabel("asymmetry |W − PW| / |W|", x=0.1 / width, fontsize="small")
    if 1 < len(groups) <= MOST_LABELS:
        grid[0, 0].legend(fontsize="xx-small")
    elif len(groups) > MOST_LABELS:
        figure.suptitle(f"dark to bright: {groups[0]} to {groups[-1]}", fontsize="small")
    return figure


def draw_order_parameter(
    abscissa: Sequence[float], by_point: Mapping[str, Mapping[str, Sequence[OrderParameter]]], axis: str
) -> Figure:
    """Draw mean, variance and Binder cumulant of the asymmetry against the grid's first parameter.

    Args:
        abscissa: value of the parameter at each grid point.
        by_point: layer -> symmetry -> statistics at each grid point.
        axis: name of the parameter.
    """
    figure = Figure(figsize=(12, 3.4))
    figure.subplots_adjust(0.05, 0.15, 0.86, 0.91, wspace=0.2)
    panels = figure.subplots(1, 3, sharex=True)
    titles = ("mean asymmetry", "variance over members", "Binder cumulant")
    order = np.argsort(abscissa, kind="stable")
    for layer, symmetries in by_point.items():
        for name, points in symmetries.items():
            table = np.array(points)[order]
            for axes, column in zip(panels, table.T, strict=True):
                axes.plot(np.array(abscissa)[order], column, marker=".", linewidth=1, label=f"{layer}, {name}")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel(axis.replace("_", " "))
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[2].legend(fontsize="xx-small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
