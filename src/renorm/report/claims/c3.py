"""C3: strictly symmetric ReLU networks do even worse than quadratic ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS, draw_members, mark_threshold, panels
from ..finding import Drawing, Effect, Finding
from ..samples import TRAINED, Sample, compared, described, format_error, least, sample, values_of

DEAD = 0.5  # relative MSE on the trained law from which a network does no better than half a constant


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C3.yaml``."""
    table = experiments.table(claim.sweeps["table"])
    seed, names = experiments.seed, values_of(table, "symmetry")
    errors = {
        width: {
            f"{activation} {name}": sample(table, activation=activation, symmetry=name, width=width)
            for activation in ("relu", "quadratic")
            for name in names
        }
        for width in values_of(table, "width")
    }
    to_quadratic = {width: compared(own["relu full"], own["quadratic full"], seed) for width, own in errors.items()}
    to_free = {width: compared(own["relu full"], own["relu free"], seed) for width, own in errors.items()}
    dead = {
        f"{name}, width {width}": float(
            np.mean(sample(table, TRAINED, activation="relu", symmetry=name, width=width) > DEAD)
        )
        for width in errors
        for name in names
    }
    numbers: dict[str, Any] = {
        "over_tied_quadratic": {str(width): ratio for width, ratio in to_quadratic.items()},
        "over_free_relu": {str(width): ratio for width, ratio in to_free.items()},
        "errors": {
            f"{name}, width {width}": described(own, seed)
            for width, group in errors.items()
            for name, own in group.items()
        },
        "share_of_relu_networks_that_learned_nothing": dead,
        "share_of_tied_relu_networks_worse_than_a_constant": {
            str(width): float(np.mean(own["relu full"] > 1)) for width, own in errors.items()
        },
    }
    answer = verdict(numbers, claim.thresholds)
    effect = Effect(
        "median error, tied ReLU over tied quadratic, in decades, least over widths", *least(to_quadratic).values()
    )
    caption = "Each point is a network; bars are medians with their 95% intervals."
    tried = "" if answer == "reproduced" else tried_laws(table, errors)
    return Finding(answer, effect, numbers, [Drawing("errors", caption, draw(claim, errors))], tried, remarks(numbers))


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim."""
    worse = all(one["low"] > np.log10(thresholds["even_worse"]) for one in numbers["over_tied_quadratic"].values())
    broken = all(one["decades"] >= np.log10(thresholds["broken"]) for one in numbers["over_free_relu"].values())
    return ("not reproduced", "partly", "reproduced")[worse + broken]


def remarks(numbers: Mapping[str, Any]) -> list[str]:
    """The summary for a physicist."""
    dead = numbers["share_of_relu_networks_that_learned_nothing"]
    most = max((share, name) for name, share in dead.items() if name.startswith(("full", "hidden")))
    free = [one["median"] for name, one in numbers["errors"].items() if name.startswith("relu free")]
    lost = ", ".join(
        f"{share:.0%} at width {width}"
        for width, share in numbers["share_of_tied_relu_networks_worse_than_a_constant"].items()
    )
    return [
        "A fully tied ReLU network is one kink; its only way to the map is to push the kink out of the training "
        "law's support, which "
        "works on that law and fails as soon as a law reaches beyond it. Free units can cancel their kinks in pairs.",
        "The kink can leave on either side, and the errors have two modes: on the side where the worst law has "
        "most of its weight "
        f"beyond the kink the network is worse than a constant ({lost}).",
        f"Up to {most[0]:.0%} of tied ReLU networks ({most[1]}) learn nothing: all units are off on the whole law. "
        f"With free weights the median error is {format_error(min(free))} to {format_error(max(free))}.",
    ]


def tried_laws(table: Any, errors: Mapping[Any, Mapping[str, Sample]]) -> str:
    """The comparison with quadratic networks, law by law, at the middle width."""
    width = list(errors)[len(errors) // 2]
    laws = [name.removesuffix("/relative_mse") for name in table.column_names if name.endswith(")/relative_mse")]
    worse = [
        law
        for law in laws
        if np.median(sample(table, f"{law}/relative_mse", activation="relu", symmetry="full", width=width))
        > np.median(sample(table, f"{law}/relative_mse", activation="quadratic", symmetry="full", width=width))
    ]
    return (
        f"Three widths, and every law by itself: at width {width} tied ReLU networks have a larger median error "
        "than tied quadratic "
        f"ones under {len(worse)} of {len(laws)} laws" + (f" ({', '.join(worse)})." if worse else ".")
    )


def draw(claim: Claim, errors: Mapping[Any, Mapping[str, Sample]]) -> Figure:
    """A panel a width, a column an activation and symmetry."""
    figure, grid = panels(len(errors), height=3.4)
    for axes, (width, group) in zip(grid, errors.items(), strict=True):
        colours = [COLOURS[1] if name.startswith("relu") else COLOURS[0] for name in group]
        draw_members(axes, group, colours)
        axes.set_title(f"width {width}", fontsize="medium")
    grid[0].set_ylabel("relative MSE, worst held-out law")
    mark_threshold(grid[0], 1.0, "a constant")
    return figure
