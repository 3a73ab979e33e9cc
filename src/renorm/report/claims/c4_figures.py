"""Figures of C4: errors over slopes and budgets, their collapse, the peak's path, and the order parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..collapse import Numbers
from ..finding import Drawing
from ..grids import panel_grid

Results = Mapping[str, Mapping[str, Any]]


def draw_all(u: Numbers, t: Numbers, trained: Results, numbers: Mapping[str, Any], descended: Results) -> list[Drawing]:
    """All figures of the claim.

    Args:
        u: distances from slope 1.
        t: budgets.
        trained: label -> result of :func:`renorm.report.slopes.train_slopes`.
        numbers: ``fits`` and ``descent``, what was made of the results.
        descended: label -> result of :func:`renorm.report.slopes.descend`.
    """
    fits = numbers["fits"]
    return [
        Drawing(
            "errors",
            "Median error over members against the distance of the slope from 1 (left: nearly linear), one "
            "line a budget. A transition would have a peak that stays where it is.",
            draw_errors(u, t, fits),
        ),
        Drawing(
            "collapse",
            "The same errors over (1 - slope)^2, against (1 - slope) steps^x with the x of the best "
            "collapse, for budgets at which the "
            "linear network is solved to rounding. Gradient descent must have x = 1/2.",
            draw_collapse(u, t, fits),
        ),
        Drawing(
            "peaks",
            "Where the peak on the training law is, against the budget.",
            draw_peaks(t, fits),
        ),
        Drawing(
            "descent",
            "Full-batch descent: loss over eps^2 K, with eps = (1 - slope)/2, at all slopes and budgets against the scaled time "
            "eps^2 x learning rate x steps, median and 10% to 90% of members. Line: derived from each "
            "member's linear solution alone; "
            "nothing is fitted.",
            draw_descent(u, t, numbers["descent"], descended),
        ),
        Drawing(
            "order",
            "Asymmetry of the readout to permutations of the hidden units: mean, width x variance, and "
            "Binder cumulant over members, "
            "at the largest budget.",
            draw_order(u, fits),
        ),
    ]


def draw_errors(u: Numbers, t: Numbers, fits: Results) -> Figure:
    """A column a fit of the two first kinds of optimiser, training law above, worst held-out law below."""
    labels = _one_of_each(fits)
    figure, panels = panel_grid(2, len(labels), 5.4, sharex=True)
    for column, label in enumerate(labels):
        for axes, name in zip(panels[:, column], ("trained", "held_out"), strict=True):
            for budget, row in zip(t, fits[label][f"median_{name}"], strict=True):
                axes.plot(u, row, marker=".", label=f"{budget:g}")
            _logarithmic(axes)
        panels[0, column].set_title(label, fontsize="medium")
        panels[1, column].set_xlabel("1 - slope")
    panels[0, 0].set_ylabel("error, training law")
    panels[1, 0].set_ylabel("error, worst held-out law")
    panels[0, 0].legend(title="steps", fontsize="x-small")
    return figure


def draw_collapse(u: Numbers, t: Numbers, fits: Results) -> Figure:
    """A panel a fit."""
    labels = [label for label, fit in fits.items() if fit["exponent"][0] is not None]
    columns = min(3, max(1, len(labels)))
    rows = max(1, -(-len(labels) // columns))
    figure, grid = panel_grid(rows, columns, 2.4 * rows + 0.3, sharey=True)
    panels = grid.ravel()
    for axes, label in zip(panels, labels, strict=False):
        fit = fits[label]
        x, low, high = fit["exponent"]
        for budget, row in zip(t, fit["median_trained"], strict=True):
            if budget in fit["budgets_that_count"]:
                axes.plot(u * budget**x, row / u**2, marker=".", linewidth=0.8, label=f"{budget:g}")
        axes.set_title(f"{label}\nx = {x:.2f} [{low:.2f}, {high:.2f}]", fontsize="x-small")
        axes.set_xlabel(f"(1 - slope) steps^{x:.2f}")
        _logarithmic(axes)
    for axes in panels[len(labels) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel("error / (1 - slope)²")
    if labels:
        panels[0].legend(title="steps", fontsize="x-small")
    return figure


def draw_peaks(t: Numbers, fits: Results) -> Figure:
    """A line a fit, with the power laws t^(-1/2) and t^(-1) for the eye."""
    figure, panels = panel_grid(1, 1, 4.2)
    axes = panels[0, 0]
    for label, fit in fits.items():
        style = "-" if fit["optimizer"] == "Adam" else "--"
        axes.plot(t, fit["peak_distance"], style, marker=".", label=label)
    for power, style in ((0.5, ":"), (1.0, "-.")):
        axes.plot(t, 0.5 * (t / t[0]) ** -power, style, color="black", linewidth=0.8, label=f"steps^-{power:g}")
    _logarithmic(axes)
    axes.set_xlabel("steps")
    axes.set_ylabel("1 - slope at the peak, training law")
    axes.legend(fontsize="x-small", ncols=2)
    return figure


def draw_descent(u: Numbers, t: Numbers, numbers: Results, descended: Results) -> Figure:
    """A panel a width."""
    figure, grid = panel_grid(1, len(descended), 3.4, sharey=True)
    panels = grid[0]
    for axes, (label, result) in zip(panels, descended.items(), strict=True):
        scaled = numbers[label]["lr"] * t[:, None] * (u / 2) ** 2
        start = np.array(result["start"])
        low, middle, high = np.quantile(np.array(result["energy"]) / start, [0.1, 0.5, 0.9], axis=-1)
        theory = np.median(np.array(result["predicted"]) / start, axis=-1)
        order = np.argsort(scaled, axis=None)
        axes.plot(scaled.ravel()[order], theory.ravel()[order], color="black", linewidth=1, label="derived")
        for i, budget in enumerate(t):
            spread = np.abs(np.stack([low[i], high[i]]) - middle[i])
            axes.errorbar(scaled[i], middle[i], spread, fmt=".", linewidth=0.6, label=f"{budget:g} steps")
        axes.axvline(numbers[label]["decay_time"][0], color="gray", linestyle=":", linewidth=0.8)
        axes.set_title(label, fontsize="x-small")
        axes.set_xlabel("eps² x learning rate x steps")
        _logarithmic(axes)
    panels[0].set_ylabel("loss / (eps² K at the start)")
    panels[0].legend(fontsize="x-small")
    return figure


def draw_order(u: Numbers, fits: Results) -> Figure:
    """Mean, susceptibility and Binder cumulant, a line a width, for the optimiser that has most widths."""
    kinds = [(fit["optimizer"], fit["lr"]) for fit in fits.values()]
    kind = max(dict.fromkeys(kinds), key=kinds.count)
    figure, grid = panel_grid(1, 3, 2.9, sharex=True)
    panels = grid[0]
    for fit in sorted(fits.values(), key=lambda fit: float(fit["width"])):
        if (fit["optimizer"], fit["lr"]) != kind:
            continue
        rows = (fit["order_mean"][-1], fit["width"] * np.array(fit["order_variance"][-1]), fit["order_binder"][-1])
        for axes, row in zip(panels, rows, strict=True):
            axes.plot(u, row, marker=".", label=f"{fit['width']}")
    names = ("mean asymmetry", "width x variance", "Binder cumulant")
    for axes, name in zip(panels, names, strict=True):
        axes.set_xscale("log")
        axes.set_xlabel("1 - slope")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0].legend(title="width", fontsize="small")
    figure.suptitle(f"{kind[0]}, learning rate {kind[1]:g}", fontsize="medium")
    return figure


def _one_of_each(fits: Results) -> list[str]:
    """For each optimiser, the label of the fit whose width is nearest to 8."""
    found: dict[str, str] = {}
    for label, fit in sorted(fits.items(), key=lambda item: abs(item[1]["width"] - 8)):
        found.setdefault(fit["optimizer"], label)
    return list(found.values())


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(alpha=0.3, linewidth=0.5)
