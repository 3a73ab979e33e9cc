"""Figures of C4: errors, falls law by law, the peak's way, the collapse, descent against theory, and the order parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..axes import REFERENCE
from ..collapse import Numbers
from ..figures import COLOURS, WIDTH
from ..finding import Drawing
from ..grids import panel_grid
from ..held_out import held_out, short_name
from ..reduced_flow import LEFT, Descent
from ..slope_curves import SlopeCurves

Places = Mapping[str, SlopeCurves]
DISTANCE = "1 - slope"
ROWS = {"trained": "training law", "interpolation": "worst law within", "extrapolation": "worst law beyond"}
MOST_PANELS = 9


def draw_all(
    places: Places, widths: Places, numbers: Mapping[str, Any], descents: Mapping[int, Descent], times: Numbers
) -> list[Drawing]:
    """All figures of the claim.

    Args:
        places: the curves at every place on the axes.
        widths: those of the reference and of the other widths.
        numbers: of the finding.
        descents: by width.
        times: of the descents, learning rate times steps.
    """
    u = places[REFERENCE].u
    return [
        Drawing(
            "errors",
            "Ten to the mean log error over members against the distance of the slope from 1 (left: nearly linear), one "
            "line a budget; band: 5% to 95% of members at the last one. A transition would have a peak that stays where it is.",
            draw_errors(places),
        ),
        Drawing(
            "laws",
            "Law by law, decades by which the error falls from its peak towards smaller slopes, at the best budget; 0: no peak. "
            "Lines part the law of training, those within it, and those beyond.",
            draw_laws(places, numbers["largest_fall_law_by_law"]),
        ),
        Drawing(
            "peaks",
            "Where the peak on the training law is, against the budget.",
            draw_peaks(places, numbers["peak_on_the_training_law"]),
        ),
        Drawing(
            "collapse",
            "Errors on the training law over (1 - slope)^2, against (1 - slope) steps^x with the x of the best collapse, for "
            "budgets at which the linear network is solved to rounding. Gradient descent must have x = 1/2.",
            draw_collapse(places, numbers["collapse"]),
        ),
        Drawing(
            "descent",
            "Full-batch descent, eps = (1 - slope)/2. Above: what is left of the loss at all slopes and budgets against the "
            "scaled time eps^2 x learning rate x steps, geometric mean and 5% to 95% of members, a colour a budget; line: "
            "derived from each member's linear solution alone, nothing is fitted. Below: measured over derived loss where the "
            "kinks have moved, by what is left: thick, the mean with its interval; thin, 5% to 95% of cells.",
            draw_descent(u, times, descents, numbers["descent"]),
        ),
        Drawing(
            "order",
            "Asymmetry of the readout to permutations of the hidden units at the last budget: mean, width x variance, and "
            "Binder cumulant over members, with 95% intervals over seeds and members.",
            draw_order(u, widths),
        ),
    ]


def draw_errors(places: Places) -> Figure:
    """A column for the reference and for gradient descent, a row a set of laws."""
    shown = {name: curves for name, curves in places.items() if name == REFERENCE or curves.place["optimizer"] == "SGD"}
    figure, panels = panel_grid(len(ROWS), len(shown), 2.5 * len(ROWS), sharex=True, sharey="row")
    for column, (name, curves) in enumerate(shown.items()):
        for axes, (over, text) in zip(panels[:, column], ROWS.items(), strict=True):
            for colour, budget, row in zip(COLOURS, curves.t, curves.logs(over)[0], strict=False):
                axes.plot(curves.u, 10**row, marker=".", color=colour, label=f"{budget:g}")
            low, high = (level[-1] for level in curves.quantiles(over, (0.05, 0.95)))
            axes.fill_between(curves.u, low, high, color=COLOURS[len(curves.t) - 1], alpha=0.15, linewidth=0)
            _logarithmic(axes)
            if column == 0:
                axes.set_ylabel(f"error, {text}")
        panels[0, column].set_title(_described(name, curves), fontsize="medium")
        panels[-1, column].set_xlabel(DISTANCE)
    panels[0, -1].legend(title="steps", fontsize="small", title_fontsize="small")
    return figure


def draw_laws(places: Places, falls: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """A row a law, a column a place that was trained under the reference's law."""
    law = places[REFERENCE].place["law"]
    chosen = [name for name, curves in places.items() if curves.place["law"] == law]
    laws = list(falls[REFERENCE])
    values = np.array([[falls[name][one]["value"] for name in chosen] for one in laws])
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(values, aspect="auto", cmap="viridis", vmin=0)
    middle = values.max() / 2
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value < middle else "black"
        axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize="small", color=colour)
    axes.set_xticks(range(len(chosen)), [_wrapped(name) for name in chosen], fontsize="small")
    axes.set_yticks(range(len(laws)), [short_name(one) for one in laws], fontsize="small")
    axes.set_xlabel("reference, and what is changed in it")
    axes.set_ylabel("law of the test")
    for line in (0.5, 0.5 + len(held_out(law).interpolation)):
        axes.axhline(line, color="white", linewidth=2.5)
    figure.colorbar(image, ax=axes, label="decades", fraction=0.04)
    return figure


def draw_peaks(places: Places, peaks: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A line a place, with powers of the steps for the eye."""
    figure, panels = panel_grid(1, 1, 4.4)
    axes = panels[0, 0]
    for number, (name, curves) in enumerate(places.items()):
        style = "--" if number >= len(COLOURS) else "-"
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(curves.t, peaks[name]["distance"], style, color=colour, marker="o", markersize=4, label=name)
    t = places[REFERENCE].t
    for power, style in ((0.5, ":"), (1.0, "-.")):
        axes.plot(t, 0.6 * (t / t[0]) ** -power, style, color="black", linewidth=0.9, label=f"steps^-{power:g}")
    _logarithmic(axes)
    axes.set_xticks(t, [f"{budget:g}" for budget in t])
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("steps")
    axes.set_ylabel(f"{DISTANCE} at the peak, training law")
    figure.legend(*axes.get_legend_handles_labels(), fontsize="small", loc="outside right upper")
    return figure


def draw_collapse(places: Places, collapses: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A panel a place that has an exponent."""
    names = [name for name in places if "exponent" in collapses[name]][:MOST_PANELS]
    columns = min(3, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    figure, grid = panel_grid(rows, columns, 2.4 * rows + 0.4, sharey=True)
    panels = grid.ravel()
    for axes, name in zip(panels, names, strict=False):
        curves, found = places[name], collapses[name]
        x = found["exponent"]
        for colour, budget, row in zip(COLOURS, curves.t, curves.logs("trained")[0], strict=False):
            if budget in found["budgets"]:
                line = 10**row / curves.u**2
                axes.plot(
                    curves.u * budget ** x["value"], line, marker=".", linewidth=0.8, color=colour, label=f"{budget:g}"
                )
        title = f"{name}\nx = {x['value']:.2f} [{x['low']:.2f}, {x['high']:.2f}]"
        axes.set_title(title, fontsize="small")
        axes.set_xlabel(f"({DISTANCE}) steps^x")
        _logarithmic(axes)
        axes.legend(title="steps", fontsize="x-small", title_fontsize="x-small")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel("error / (1 - slope)²")
    return figure


def draw_descent(
    u: Numbers, times: Numbers, descents: Mapping[int, Descent], numbers: Mapping[str, Mapping[str, Any]]
) -> Figure:
    """A column a width: losses above, ratios by what is left below."""
    figure, grid = panel_grid(2, len(descents), 5.6, sharey="row")
    scaled = times[:, None] * (u / 2) ** 2
    order = np.argsort(scaled, axis=None)
    for column, (width, descent) in enumerate(descents.items()):
        axes, found = grid[0, column], numbers[f"width {width}"]
        measured, derived = (np.log10(one.reshape(*one.shape[:2], -1)) for one in descent[:2])
        theory, middle = (10 ** one.mean(axis=-1) for one in (derived, measured))  # NaN where some are not derived
        spread = np.abs(10 ** np.quantile(measured, [0.05, 0.95], axis=-1) - middle)
        for colour, place, centre, bars in zip(COLOURS, scaled, middle, np.moveaxis(spread, 1, 0), strict=False):
            axes.errorbar(place, centre, bars, fmt=".", linewidth=0.6, color=colour)
        axes.plot(scaled.ravel()[order], theory.ravel()[order], color="black", linewidth=1.2, zorder=3, label="derived")
        axes.axvline(
            found["decay_time"]["value"], color="gray", linestyle=":", linewidth=1, label="derived time to 1/e"
        )
        axes.set_title(f"width {width}", fontsize="medium")
        axes.set_xlabel("eps² x rate x steps")
        _logarithmic(axes)
        _draw_ratios(grid[1, column], found["ratio_by_loss_left"])
    grid[0, 0].set_ylabel("share of the loss left")
    grid[1, 0].set_ylabel("measured / derived")
    grid[0, 0].legend(fontsize="x-small")
    return figure


def _draw_ratios(axes: Axes, ratios: Mapping[str, Mapping[str, float]]) -> None:
    """Ratios by the share of the loss left, where something has moved."""
    names = [f"{low:g} to {high:g}" for low, high in LEFT[1:]]
    for position, name in enumerate(names):
        if name not in ratios:
            continue
        one = ratios[name]
        axes.plot([position] * 2, [one["cells_q05"], one["cells_q95"]], color=COLOURS[0], linewidth=1)
        axes.plot([position] * 2, [one["low"], one["high"]], color=COLOURS[0], linewidth=5)
        axes.plot(position, one["value"], "o", color="black", markersize=4)
    axes.axhline(1, color="gray", linestyle=":", linewidth=1)
    axes.set_xticks(range(len(names)), names, fontsize="small")
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xlabel("share of the loss left")
    axes.grid(alpha=0.3, linewidth=0.5)


def draw_order(u: Numbers, widths: Places) -> Figure:
    """Mean, width x variance and Binder cumulant, a line a width."""
    figure, grid = panel_grid(1, 3, 3.0, sharex=True)
    names = {"mean": "mean asymmetry", "variance": "width x variance", "binder": "Binder cumulant"}
    for colour, (label, curves) in zip(COLOURS, widths.items(), strict=False):
        order = curves.order()
        for axes, name in zip(grid[0], names, strict=True):
            versions = order[name] * (curves.place["width"] if name == "variance" else 1)
            low, high = np.quantile(versions, [0.025, 0.975], axis=0)
            axes.plot(u, versions[0], marker=".", color=colour, label=label)
            axes.fill_between(u, low, high, color=colour, alpha=0.15, linewidth=0)
    for axes, text in zip(grid[0], names.values(), strict=True):
        axes.set_xscale("log")
        axes.set_xlabel(DISTANCE)
        axes.set_ylabel(text)
        axes.grid(alpha=0.3, linewidth=0.5)
    grid[0, 0].legend(fontsize="small")
    return figure


def _described(name: str, curves: SlopeCurves) -> str:
    place = curves.place
    return f"{name}: {place['optimizer']} {place['lr']:g}, width {place['width']}" if name == REFERENCE else name


def _wrapped(name: str) -> str:
    head, _, tail = name.rpartition(" ")
    return f"{head}\n{tail}".replace("learning rate", "learning\nrate").replace("initial scale", "initial\nscale")


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3, linewidth=0.5)
