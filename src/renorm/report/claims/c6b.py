"""C6b: do networks that learn splines and weights together become linear?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...member_bootstrap import bootstrap
from ..claim import Claim
from ..experiments import Experiments
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from .c6a import run_variants

TRIED = (
    "Tried: free, fully tied and odd weights, with weights trained and fixed, at every stop of the "
    "training; splines and whole networks, "
    "under the training law and beyond it."
)


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """Train all variants and follow the non-linearity of their splines."""
    results = run_variants(claim, experiments)
    numbers = {name: variant_numbers(result, experiments.seed) for name, result in results.items()}
    verdict_ = verdict({name: numbers[name] for name in claim.settings["judged"]}, claim.thresholds)
    first = claim.settings["judged"][0]
    effect = Effect(f"non-linearity index of the splines after training, {first}", *numbers[first]["index"])
    figures = [
        Drawing(
            "index",
            "Left: non-linearity index of the learned splines over training; middle: that of the whole "
            "network; right: worst held-out error. "
            "Median and 10% to 90% of members; all but the right under the training law.",
            draw_series(claim.settings["stops"], results),
        ),
        Drawing(
            "splines",
            "The splines of one member over training, one colour a unit, thick where the training law uses them.",
            draw_splines(claim.settings["stops"], {name: results[name] for name in claim.settings["judged"]}),
        ),
    ]
    tried = "" if verdict_ == "reproduced" else TRIED
    return Finding(verdict_, effect, numbers, figures, tried, remarks(numbers, claim.settings["judged"]))


def verdict(numbers: Mapping[str, Mapping[str, Any]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: variant -> ``index``, the median with its interval, and ``fall``, the factor by which it fell.
        thresholds: ``linear`` and ``fall``.

    Example:
        >>> bent, straight = {"index": [0.2, 0, 0], "fall": 1.5}, {"index": [0.01, 0, 0], "fall": 30}
        >>> verdict({"free": bent, "full": straight}, {"linear": 0.05, "fall": 2})
        'partly'
    """
    linear = [found["index"][0] <= thresholds["linear"] for found in numbers.values()]
    if all(linear):
        return "reproduced"
    falls = all(found["fall"] >= thresholds["fall"] for found in numbers.values())
    return "partly" if any(linear) or falls else "not reproduced"


def variant_numbers(result: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Medians over members, with intervals."""
    start, end = (float(np.median(result["index"][i])) for i in (0, -1))
    names = ("index", "index_wide", "network", "trained", "held_out")
    medians = {name: bootstrap(np.median, result[name][-1], seed=seed) for name in names}
    return medians | {"index_over_training": np.median(result["index"], axis=1), "fall": start / end}


def remarks(numbers: Mapping[str, Mapping[str, Any]], judged: list[str]) -> list[str]:
    """Compare splines with networks, inside and outside the support, and trained with fixed weights, in words."""

    def listed(key: str, names: list[str]) -> str:
        return ", ".join(f"{numbers[name][key][0]:.2g} ({name})" for name in names)

    fixed = [name for name in numbers if name.endswith("fixed_weights")]
    return [
        f"After training the splines' index is {listed('index', judged)}, that of the whole networks "
        f"{listed('network', judged)}.",
        f"Under the widest held-out law the splines' index is {listed('index_wide', judged)}.",
        f"With fixed weights the splines' index is {listed('index', fixed)}: the part of it that is not due to trained weights.",
    ]


def draw_series(stops: list[int], results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Index of the splines, index of the network, held-out error."""
    figure, grid = panel_grid(1, 3, 3.4)
    panels = grid[0]
    series = (
        ("index", "index of the splines"),
        ("network", "index of the network"),
        ("held_out", "worst held-out error"),
    )
    for axes, (key, label) in zip(panels, series, strict=True):
        for name, result in results.items():
            low, middle, high = np.quantile(np.array(result[key]), [0.1, 0.5, 0.9], axis=1)
            (line,) = axes.plot(stops, middle, marker=".", label=name)
            axes.fill_between(stops, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
        axes.set_xscale("symlog", linthresh=max(1, stops[1]))
        axes.set_yscale("log")
        axes.set_xlabel("steps")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3, linewidth=0.5)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="x-small")
    return figure


def draw_splines(stops: list[int], results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A row a variant, a column a stop, a line a unit."""
    figure, panels = panel_grid(len(results), len(stops), 1.8 * len(results) + 0.3, sharex=True, sharey="row")
    for axes, stop in zip(panels[0], stops, strict=True):
        axes.set_title(f"{stop} steps", fontsize="small")
    for row, (name, result) in zip(panels, results.items(), strict=True):
        for axes, shape in zip(row, result["shapes"], strict=True):
            z = np.array(shape["z"])
            for unit, phi in enumerate(np.array(shape["phi"][0])):
                used = (z >= shape["low"][0][unit]) & (z <= shape["high"][0][unit])
                (line,) = axes.plot(z, phi, linewidth=0.5, alpha=0.6)
                axes.plot(z[used], phi[used], linewidth=1.6, color=line.get_color())
            axes.grid(alpha=0.3, linewidth=0.5)
        row[0].set_ylabel(f"{name}\nspline", fontsize="x-small")
    for axes in panels[-1]:
        axes.set_xlabel("pre-activation", fontsize="x-small")
    return figure
