"""Figures of symmetry breaking: over training, and by grid point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..zoo.symmetry.order_parameter import OrderParameter
from .grid_key import add_grid_key, grid_colours, key_width

Layers = Mapping[str, Mapping[str, Sequence[float]]]  # layer -> symmetry -> a number for each grid point
History = Mapping[int, Layers]  # by epoch


def draw_asymmetry_history(history: History, groups: Sequence[str]) -> Figure:
    """Draw the mean asymmetry over epochs: a panel for each layer, or, on a grid, for each layer and symmetry.

    Without a grid a panel has a line for each symmetry; on a grid one for each grid point.

    Args:
        history: epoch -> layer -> symmetry -> mean over the members of each grid point.
        groups: labels of the grid points.
    """
    layers = list(history.values())[-1]  # before a resumption there may have been other layers and symmetries
    rows, columns = (1, len(layers)) if len(groups) == 1 else (len(layers), max(map(len, layers.values())))
    width, height = (
        1.0 + (3.6 if rows == 1 else 2.8) * columns + key_width(groups),
        0.8 + (2.8 if rows == 1 else 2.3) * rows,
    )
    figure = Figure(figsize=(width, height))
    # in inches; a layout engine takes longer than all the drawing
    margins = 0.8 / width, 0.55 / height, 1 - (0.1 + key_width(groups)) / width, 1 - 0.3 / height
    figure.subplots_adjust(*margins, wspace=0.08, hspace=0.35)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    if len(groups) == 1:
        _draw_by_layer(grid[0], history, layers)
    else:
        _draw_by_symmetry(grid, history, layers, groups)
        add_grid_key(figure, grid[0, 0], groups)
    figure.supxlabel("epoch", fontsize="small")
    figure.supylabel("asymmetry |W − PW| / |W|", x=0.1 / width, fontsize="small")
    return figure


def _draw_by_layer(row: NDArray[np.object_], history: History, layers: Layers) -> None:
    for axes, (layer, symmetries) in zip(row, layers.items(), strict=True):
        for name in symmetries:
            (line,) = _curves(history, layer, name, 1)
            axes.plot(list(history), line, marker=".", markersize=3, linewidth=1, label=name)
        _dress(axes, f"{layer}: distance to each symmetry")
        axes.legend(fontsize="x-small")


def _draw_by_symmetry(grid: NDArray[np.object_], history: History, layers: Layers, groups: Sequence[str]) -> None:
    colours = grid_colours(len(groups))
    for row, (layer, symmetries) in zip(grid, layers.items(), strict=True):
        for axes, name in zip(row, symmetries, strict=False):
            for line, colour, group in zip(_curves(history, layer, name, len(groups)), colours, groups, strict=True):
                axes.plot(list(history), line, color=colour, marker=".", markersize=3, linewidth=1, label=group)
            _dress(axes, f"{layer}: distance to {name}")


def _curves(history: History, layer: str, name: str, points: int) -> NDArray[np.float64]:
    """Asymmetry over epochs, shape ``(points, epochs)``; NaN where it was not measured."""
    unknown = [np.nan] * points
    return np.array([measured.get(layer, {}).get(name, unknown) for measured in history.values()], dtype=np.float64).T


def _dress(axes: Axes, title: str) -> None:
    axes.set_axis_on()
    axes.set_title(title, fontsize="small")
    axes.set_ylim(-0.03, 1.03)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelbottom=True)
    axes.grid(alpha=0.3, linewidth=0.5)


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
