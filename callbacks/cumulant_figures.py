"""Figures of the cumulant diagnostics: the flow through the layers, and its history over training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .grid_key import MOST_LABELS, add_grid_key, grid_colours, key_width

ORDINALS = ("first", "second", "third", "fourth")

USUAL = 5  # characters of the name of a stack's layer, at most
CHARACTER = 0.085  # inches
SLANT = 0.75  # of a label that is turned by 45 degrees


def extra_room(names: Iterable[str]) -> float:
    """Inches that the longest name of a layer takes beyond those of a stack.

    Example:
        >>> extra_room(["pre0", "out"]), round(extra_room(["encoder.0"]), 2)
        (0.0, 0.34)
    """
    return CHARACTER * max(0, max(map(len, names)) - USUAL)


def draw_flow(
    flow: Mapping[str, Mapping[str, NDArray[np.float64]]],
    exact: NDArray[np.float64] | None,
    probe: NDArray[np.float64] | None,
    law: str,
) -> Figure:
    """Draw cumulants from layer to layer: a line for each group of members, with the exact recursion on top.

    Args:
        flow: group -> layer -> median over its members and units of each order, shape ``(4,)``.
        exact: exact cumulants of the law and of its image under the map, shape ``(2, 4)``; None if they
            are not known.
        probe: those of the probe batch, which differ from the exact ones by noise; None if nothing was sampled.
        law: for the title.
    """
    more = extra_room(next(iter(flow.values()))) * SLANT
    key = key_width(list(flow))
    height, width = 5.2 + more, 7.2 + key
    figure = Figure(figsize=(width, height))
    low, high = (0.55 + more) / height, 1 - 0.85 / height
    # a layout engine would take longer than all the drawing
    figure.subplots_adjust(0.6 / width, low, 1 - (0.11 + key) / width, high, wspace=0.25, hspace=0.25)
    known = probe if probe is not None else exact
    start = np.full(len(ORDINALS), np.nan) if known is None else known[0]
    for n, axes in enumerate(figure.subplots(2, 2, sharex=True).flat):
        for (group, layers), colour in zip(flow.items(), grid_colours(len(flow)), strict=True):
            path = [start[n], *(values[n] for values in layers.values())]
            axes.plot(["in", *layers], path, marker=".", color=colour, label=group, linewidth=1)
        ends = ["in", list(next(iter(flow.values())))[-1]]
        if exact is not None:
            axes.plot(ends, exact[:, n], "k*--", linewidth=0.7, label="exact recursion")
        if probe is not None:
            label = "target of this sample" if exact is None else "exact map, this sample"
            axes.plot(ends, probe[:, n], "*", color="tab:red", markerfacecolor="none", label=label)
        axes.set_title(f"{ORDINALS[n]} cumulant", fontsize="medium")
        axes.tick_params(axis="x", rotation=45)
        axes.grid(alpha=0.3, linewidth=0.5)
    add_grid_key(figure, axes, list(flow), low, high - 0.06)
    if len(flow) > MOST_LABELS:
        axes.legend(handles=axes.lines[len(flow) :], fontsize="x-small")
    figure.suptitle(f"cumulants through the layers: {law}\nmedian over members and units", fontsize="medium")
    return figure


def draw_history(epochs: list[int], history: NDArray[np.float64], layers: list[str], law: str) -> Figure:
    """Draw cumulants of every layer over training: a panel for each order, a row for each layer, a column for each epoch.

    Args:
        epochs: the epochs measured.
        history: medians over members and units, shape ``(epochs, layers, 4)``.
        layers: names of the layers.
        law: for the title.
    """
    panel = 0.5 + 0.23 * len(layers)
    height = 2 * panel + 1.95
    more = extra_room(layers)
    width = 7.2 + more
    figure = Figure(figsize=(width, height))
    margins = (0.55 + more) / width, 0.5 / height, 1 - 0.3 / width, 1 - 0.85 / height
    figure.subplots_adjust(*margins, wspace=0.15, hspace=0.6 / panel)
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for n, axes in enumerate(panels.flat):
        values = history[:, :, n].T
        largest = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-12)
        norm = SymLogNorm(linthresh=largest / 100, vmin=-largest, vmax=largest)
        edges = (epochs[0] - 0.5, epochs[-1] + 0.5, len(layers) - 0.5, -0.5)
        image = axes.imshow(values, aspect="auto", norm=norm, cmap="RdBu_r", extent=edges, interpolation="nearest")
        axes.set_title(f"{ORDINALS[n]} cumulant", fontsize="medium")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_yticks(range(len(layers)), layers)
        bar = figure.colorbar(image, ax=axes, ticks=[-largest, 0, largest])
        bar.ax.set_yticklabels([f"{-largest:.2g}", "0", f"{largest:.2g}"])
        bar.ax.minorticks_off()
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    figure.suptitle(f"cumulants over training: {law}\nmedian over members and units", fontsize="medium")
    return figure
