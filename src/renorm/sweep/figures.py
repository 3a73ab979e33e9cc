"""Phase diagrams: heat maps, lines with bootstrap bands, and what a transition looks like in small systems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..callbacks.figures import shorten, verbatim
from ..errors import InputError
from ..member_bootstrap import bootstrap
from ..zoo.symmetry.order_parameter import order_parameter

Table = dict[str, NDArray[Any]]
Numbers = NDArray[np.float64]

RESAMPLES = 1000


def draw_heat_map(table: Table, value: str, x: str, y: str | None, panels: str | None) -> Figure:
    """Median over members at every pair of values of two axes.

    Raises:
        ValueError: where the sweep varies one axis only.
    """
    if y is None:
        raise InputError("kind='heatmap' needs two axes", f"lines, for a sweep over {x} only")
    figure, grid, parts = _panels(table, panels)
    columns, rows = values_of(table, x), values_of(table, y)
    maps = [_medians(part, value, x, y, columns, rows) for _, part in parts]
    every = np.concatenate([values.ravel() for values in maps])
    shown = every[np.isfinite(every)]
    # errors range over decades; asymmetries and anything that may be 0 do not
    norm = (
        LogNorm(shown.min(), shown.max()) if len(shown) and shown.min() > 0 and shown.max() > 20 * shown.min() else None
    )
    for axes, (title, _), values in zip(grid, parts, maps, strict=True):
        image = axes.imshow(values, origin="lower", aspect="auto", norm=norm, cmap="viridis")
        if norm is None and len(shown):
            image.set_clim(shown.min(), shown.max())
        axes.set_xticks(range(len(columns)), [_label(v) for v in columns], rotation=45, ha="right", fontsize="small")
        axes.set_yticks(range(len(rows)), [_label(v) for v in rows], fontsize="small")
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel(_words(x))
    grid[0].set_ylabel(_words(y))
    figure.colorbar(image, ax=grid, label=f"{_words(value)}, median over members")
    return figure


def draw_lines(table: Table, value: str, x: str, y: str | None, panels: str | None) -> Figure:
    """Median over members, with the bootstrap interval of the median."""
    figure, grid, parts = _panels(table, panels)
    for axes, (title, part) in zip(grid, parts, strict=True):
        _draw_family(axes, part, value, x, y, np.nanmedian)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel(_words(x))
    if np.nanmin(table[value]) > 0:
        grid[0].set_yscale("log")
    grid[0].set_ylabel(f"{_words(value)}, median")
    if y is not None:
        grid[0].legend(title=_words(y), fontsize="small")
    return figure


def draw_transition(table: Table, value: str, x: str, y: str | None, panels: str | None) -> Figure:
    r"""An order parameter m over members: its mean, susceptibility :math:`N\,\mathrm{Var}(m)` and Binder cumulant.

    N is the number of hidden units where the sweep varies the width, else 1.
    """
    parts = _split(table, panels)
    figure = Figure(figsize=(12, 3.4 * len(parts) + 0.4), layout="constrained")
    grid = figure.subplots(len(parts), 3, sharex=True, squeeze=False)
    sizes = "width" if "width" in table and table["width"].dtype.kind == "f" else None
    for row, (title, part) in zip(grid, parts, strict=True):
        for axes, name, statistic in zip(row, ("mean", "susceptibility", "Binder cumulant"), _STATISTICS, strict=True):
            _draw_family(axes, part, value, x, y, statistic, sizes if name == "susceptibility" else None)
            axes.set_title(f"{title}: {name}" if title else name, fontsize="medium")
            axes.set_xlabel(_words(x))
        row[0].set_ylabel(_words(value))
    if y is not None:
        grid[0, 0].legend(title=_words(y), fontsize="small")
    return figure


def _statistic(which: int) -> Callable[[Numbers], float]:
    return lambda sample: order_parameter(torch.from_numpy(sample))[which]


_STATISTICS = [_statistic(which) for which in range(3)]


def band(
    sample: Numbers, statistic: Callable[[Numbers], float], resamples: int = RESAMPLES
) -> tuple[float, float, float]:
    """A statistic of members and its bootstrap interval; members that have diverged are left out.

    Example:
        >>> band(np.array([1.0, 1.0, np.inf]), np.mean)
        (1.0, 1.0, 1.0)
    """

    def of_each(draws: Numbers, axis: int) -> Numbers:
        return np.apply_along_axis(statistic, axis, draws)

    finite = sample[np.isfinite(sample)]
    return bootstrap(of_each, finite, resamples=resamples, ends="linear") if len(finite) else (np.nan, np.nan, np.nan)


def values_of(table: Table, axis: str) -> list[Any]:
    """The values of an axis: numbers in order, names as they come."""
    if table[axis].dtype.kind == "f":
        return [float(value) for value in np.unique(table[axis])]
    return list(dict.fromkeys(str(value) for value in table[axis]))


def _draw_family(
    axes: Axes,
    table: Table,
    value: str,
    x: str,
    y: str | None,
    statistic: Callable[[Numbers], float],
    scale: str | None = None,
) -> None:
    positions = values_of(table, x)
    numeric = table[x].dtype.kind == "f"
    abscissa = positions if numeric else list(range(len(positions)))
    for line, part in _split(table, y):
        factor = float(part[scale][0]) if scale else 1.0
        bands = np.array([band(part[value][part[x] == position], statistic) for position in positions]) * factor
        (drawn,) = axes.plot(abscissa, bands[:, 0], marker=".", label=line.rpartition("=")[2])
        axes.fill_between(abscissa, bands[:, 1], bands[:, 2], color=drawn.get_color(), alpha=0.2, linewidth=0)
    if not numeric:
        axes.set_xticks(
            abscissa, [_label(position) for position in positions], rotation=30, ha="right", fontsize="small"
        )
    axes.grid(alpha=0.3, linewidth=0.5)


def _medians(table: Table, value: str, x: str, y: str, columns: list[Any], rows: list[Any]) -> Numbers:
    medians = np.full((len(rows), len(columns)), np.nan)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            sample = table[value][(table[x] == column) & (table[y] == row)]
            if np.isfinite(sample).any():
                medians[i, j] = np.median(sample[np.isfinite(sample)])
    return medians


def _panels(table: Table, panels: str | None) -> tuple[Figure, list[Axes], list[tuple[str, Table]]]:
    parts = _split(table, panels)
    figure = Figure(figsize=(4.2 * len(parts) + 1.2, 3.8), layout="constrained")
    return figure, list(figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False)[0]), parts


def _split(table: Table, axis: str | None) -> list[tuple[str, Table]]:
    return [("", table)] if axis is None else list(_parts(table, axis))


def _parts(table: Table, axis: str) -> Iterator[tuple[str, Table]]:
    for value in values_of(table, axis):
        rows = table[axis] == value
        yield f"{_words(axis)}={_label(value)}", {name: column[rows] for name, column in table.items()}


def _label(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else verbatim(shorten(str(value), 24))


def _words(name: str) -> str:
    return verbatim(name.replace("_", " "))
