"""Shared parts of the claims' figures: colours for light and dark pages, and members drawn as points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

if TYPE_CHECKING:
    from .axes import Setting
    from .trained_networks import TrainedNetworks

# Okabe and Ito's, for all kinds of colour vision, without black and the yellow that vanishes on white
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#808080")
WIDTH = 7.2  # inches, of the page's column
FLOOR = 1e-16  # errors below this are rounding


def panels(count: int, height: float = 3.0, sharey: bool = True, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure with some panels side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, count, sharey=sharey, squeeze=False)[0])


def draw_networks(
    axes: Axes,
    networks: TrainedNetworks,
    names: Sequence[str],
    place: Setting,
    over: str,
    colours: Sequence[str] = COLOURS,
) -> None:
    """Each member a point, each network a column; a bar at ten to the mean log error, with its interval."""
    spread = np.random.default_rng(0)
    for position, (name, colour) in enumerate(zip(names, _cycled(colours, len(names)), strict=True)):
        values = networks.members(name, place, over)
        finite = np.clip(values[np.isfinite(values)], FLOOR, None)
        offsets = spread.uniform(-0.28, 0.28, len(finite))
        axes.plot(position + offsets, finite, ".", color=colour, alpha=0.25, markersize=3, markeredgewidth=0)
        found = networks.described(name, place, over)
        axes.plot([position - 0.36, position + 0.36], [10 ** found["value"]] * 2, color=colour, linewidth=2)
        axes.plot([position] * 2, [10 ** found["low"], 10 ** found["high"]], color=colour, linewidth=2)
    axes.set_xticks(range(len(names)), list(names), rotation=90, fontsize="x-small")
    axes.set_xlim(-0.6, len(names) - 0.4)
    set_log(axes)


def set_log(axes: Axes) -> None:
    """A logarithmic ordinate with few ticks and a light grid."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=9))
    axes.grid(alpha=0.3, linewidth=0.5)


def mark_threshold(axes: Axes, value: float, text: str) -> None:
    """A dashed line at a threshold of the rule."""
    axes.axhline(value, color="#808080", linestyle="--", linewidth=0.8)
    axes.annotate(text, (0.995, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize="x-small")


def _cycled(colours: Sequence[str], count: int) -> list[str]:
    return [colours[i % len(colours)] for i in range(count)]
