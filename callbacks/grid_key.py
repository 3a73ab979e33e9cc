"""Colours of grid points in figures, and the key to them: a legend for a few, a colour bar for many."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

MOST_LABELS = 8  # of a legend
SHOWN = 5  # labels beside a colour bar
BAR = 1.15  # inches that a colour bar takes with its labels


def grid_colours(number: int) -> NDArray[np.float64]:
    """A colour for each grid point, from dark to bright, shape ``(number, 4)``."""
    return np.asarray(mpl.colormaps["viridis"](np.linspace(0, 0.9, number)), dtype=np.float64)


def key_width(labels: Sequence[str]) -> float:
    """Inches that the key takes on the right of a figure: none for a legend, which lies in a panel.

    Example:
        >>> key_width(["all"]), key_width([str(number) for number in range(22)])
        (0.0, 1.15)
    """
    return BAR if len(labels) > MOST_LABELS else 0.0


def add_grid_key(
    figure: Figure, panel: Axes, labels: Sequence[str], lowest: float = 0.2, highest: float = 0.75
) -> None:
    """Add the key to the colours of grid points: a legend of the panel's lines, or a colour bar on the right.

    Args:
        figure: with :func:`key_width` inches left free on its right.
        panel: whose lines have the labels.
        labels: of the grid points, such as ``negative_slope=0.1``.
        lowest: end of the colour bar, as a share of the figure's height.
        highest: its other end.

    Example:
        >>> figure = Figure()
        >>> add_grid_key(figure, figure.add_subplot(), [f"slope={number}" for number in range(22)])
        >>> [text.get_text() for text in figure.axes[-1].get_yticklabels()], figure.axes[-1].get_title("left")
        (['0', '5', '10', '16', '21'], 'slope')
    """
    if len(labels) <= MOST_LABELS:
        panel.legend(fontsize="x-small")
        return
    width = figure.get_size_inches()[0]
    bar = figure.add_axes((1 - (BAR - 0.2) / width, lowest, 0.12 / width, highest - lowest))
    scale = ScalarMappable(Normalize(-0.5, len(labels) - 0.5), ListedColormap(grid_colours(len(labels))))
    shown = np.linspace(0, len(labels) - 1, SHOWN).round().astype(int)
    names = {label.partition("=")[0] for label in labels}
    of_one = len(names) == 1 and all("=" in label and "," not in label for label in labels)
    figure.colorbar(scale, cax=bar, ticks=shown)
    bar.set_yticklabels([labels[i].partition("=")[2] if of_one else labels[i] for i in shown], fontsize="x-small")
    bar.minorticks_off()
    if of_one:
        bar.set_title(names.pop().replace("_", " "), fontsize="x-small", loc="left")
