"""C9: symmetry helps only where it matches the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ...member_bootstrap import bootstrap
from ..claim import Claim
from ..experiments import Experiments
from ..figures import FLOOR, WIDTH
from ..finding import Drawing, Effect, Finding
from ..samples import Sample, compared, described, sample, values_of

MATCHING = "odd_input"
Cells = dict[tuple[str, int], dict[str, Sample]]  # (activation, width) -> symmetry -> errors


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C9.yaml``."""
    cells = read_cells(claim, experiments)
    judged = {cell: group for cell, group in cells.items() if cell[0] in claim.settings["activations"]}
    seed = experiments.seed
    gains = {
        f"{activation}, width {width}": {
            name: compared(group[name], group[MATCHING], seed) for name in ("free", "full")
        }
        for (activation, width), group in judged.items()
    }
    helps = claim.thresholds["helps"]
    numbers: dict[str, Any] = {"gains": gains} | shares(gains, helps)
    numbers["errors"] = {
        f"{activation} {name}, width {width}": described(own, seed)
        for (activation, width), group in cells.items()
        for name, own in group.items()
    }
    flat = [group[name] for group in judged.values() for name in ("free", "full", MATCHING)]
    effect = Effect(
        "decades that the matching symmetry gains over the better of free and full, median over cells",
        *bootstrap(median_gain, *flat, seed=seed),
    )
    answer = verdict(numbers, claim.thresholds)
    tried = "" if answer == "reproduced" else tried_symmetries(cells, judged)
    caption = "Median relative MSE under the worst held-out law, over members."
    return Finding(answer, effect, numbers, [Drawing("table", caption, draw(cells))], tried, [remark(numbers, judged)])


def read_cells(claim: Claim, experiments: Experiments) -> Cells:
    """Errors of every cell."""
    cells: Cells = {}
    for name in ("table", "splines"):
        table = experiments.table(claim.sweeps[name])
        settings = claim.sweeps[name]["settings"]
        varied = "activation" in table.column_names
        for activation in values_of(table, "activation") if varied else [settings["activation"]]:
            for width in values_of(table, "width") if varied else [settings["width"]]:
                where = {"activation": activation, "width": width} if varied else {}
                cells[activation, int(width)] = {
                    symmetry: sample(table, symmetry=symmetry, **where) for symmetry in values_of(table, "symmetry")
                }
    return cells


def shares(gains: Mapping[str, Mapping[str, Mapping[str, float]]], helps: float) -> dict[str, float]:
    """In what share of the cells the matching symmetry is better by so many decades: than free, than full, than both."""
    better = {name: np.array([own[name]["decades"] >= helps for own in gains.values()]) for name in ("free", "full")}
    found = {f"better_than_{name}": float(own.mean()) for name, own in better.items()}
    return found | {"better_than_both": float((better["free"] & better["full"]).mean())}


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim."""
    both, one = numbers["better_than_both"], max(numbers["better_than_free"], numbers["better_than_full"])
    if both >= thresholds["most"]:
        return "reproduced"
    return "partly" if both >= thresholds["some"] or one >= thresholds["most"] else "not reproduced"


def median_gain(*samples: Sample, axis: int = -1) -> Any:
    """Median over cells of log10(min(free, full) / matching); samples are triples (free, full, matching)."""
    medians = np.log10([np.median(values, axis=axis) for values in samples])
    return np.median(np.minimum(medians[::3], medians[1::3]) - medians[2::3], axis=0)


def remark(numbers: Mapping[str, Any], judged: Cells) -> str:
    """Describe the cells where free weights are the best."""
    free = [f"{name} (width {width})" for (name, width), own in judged.items() if best(own) in ("free", "input")]
    return (
        f"The matching symmetry is ten times better than fully tied weights in {numbers['better_than_full']:.0%} "
        "of the cells, and than "
        f"free ones in {numbers['better_than_free']:.0%}. "
        + (
            f"Cells where free weights, or those tied over inputs only, are the best: {', '.join(free)}."
            if free
            else ""
        )
    )


def tried_symmetries(cells: Cells, judged: Cells) -> str:
    """Which symmetry is the best in how many cells."""
    counts: dict[str, int] = {}
    for own in judged.values():
        counts[best(own)] = counts.get(best(own), 0) + 1
    found = ", ".join(f"{name} in {count}" for name, count in sorted(counts.items(), key=lambda one: -one[1]))
    cells_of = f"{len(judged)} cells of {len(cells)} (linear networks are no test of the claim)"
    return f"Six symmetries in {cells_of}: the best is {found}."


def best(group: Mapping[str, Sample]) -> str:
    """The symmetry with the smallest median error."""
    return min(group, key=lambda name: float(np.median(group[name])))


def draw(cells: Cells) -> Figure:
    """Median errors as a heat map, a row a cell, a column a symmetry."""
    names = list(next(iter(cells.values())))
    values = np.array([[np.clip(np.median(group[name]), FLOOR, 1e3) for name in names] for group in cells.values()])
    figure = Figure(figsize=(WIDTH, 0.32 * len(cells) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    norm = LogNorm(1e-15, 10)
    image = axes.imshow(values, aspect="auto", norm=norm, cmap="viridis")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(cells)), [f"{activation}, {width}" for activation, width in cells], fontsize="small")
    for (row, column), value in np.ndenumerate(values):
        shade = "#101010" if norm(value) > 0.6 else "#f8f8f8"
        axes.text(column, row, f"{value:.0e}", ha="center", va="center", fontsize="x-small", color=shade)
    figure.colorbar(image, ax=axes, label="relative MSE")
    return figure
