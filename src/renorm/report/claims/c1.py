"""C1: linear networks generalise under every symmetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...member_bootstrap import bootstrap
from ..claim import Claim
from ..experiments import Experiments
from ..figures import draw_members, mark_threshold, panels
from ..finding import Drawing, Effect, Finding
from ..samples import Sample, described, format_error, sample, values_of


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C1.yaml``."""
    table = experiments.table(claim.sweeps["table"])
    errors = {
        width: {name: sample(table, symmetry=name, width=width) for name in values_of(table, "symmetry")}
        for width in values_of(table, "width")
    }
    value, low, high = bootstrap(largest_difference, *_flat(errors), seed=experiments.seed)
    medians = {
        f"{name}, width {width}": described(own, experiments.seed)
        for width, group in errors.items()
        for name, own in group.items()
    }
    numbers: dict[str, Any] = {
        "largest_median": max(one["median"] for one in medians.values()),
        "largest_difference": value,
        "errors": medians,
    }
    remark = (
        f"The largest median error of all symmetries and widths is {format_error(numbers['largest_median'])}: "
        "rounding in float32, "
        "where differences between symmetries mean nothing."
        if numbers["largest_median"] < 1e-10
        else ""
    )
    answer = verdict(numbers, claim.thresholds)
    tried = "" if answer == "reproduced" else f"Six symmetries at widths {', '.join(map(str, errors))}."
    return Finding(
        answer,
        Effect("largest difference from free weights, relative MSE on the worst held-out law", value, low, high),
        numbers,
        [Drawing("errors", "Each point is a network; bars are medians with their 95% intervals.", draw(claim, errors))],
        tried,
        [remark] if remark else [],
    )


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim."""
    generalise = numbers["largest_median"] < thresholds["generalises"]
    alike = numbers["largest_difference"] < thresholds["matters"]
    return ("not reproduced", "partly", "reproduced")[generalise + alike]


def largest_difference(*samples: Sample, axis: int = -1) -> Any:
    """Largest difference of medians between free weights and a symmetry; samples are pairs (free, symmetry)."""
    medians = [np.median(values, axis=axis) for values in samples]
    return np.max([np.abs(tied - free) for free, tied in zip(medians[::2], medians[1::2], strict=True)], axis=0)


def _flat(errors: Mapping[Any, Mapping[str, Sample]]) -> list[Sample]:
    return [
        values
        for group in errors.values()
        for name, own in group.items()
        if name != "free"
        for values in (group["free"], own)
    ]


def draw(claim: Claim, errors: Mapping[Any, Mapping[str, Sample]]) -> Figure:
    """A panel a width, a column a symmetry."""
    figure, grid = panels(len(errors))
    for axes, (width, group) in zip(grid, errors.items(), strict=True):
        draw_members(axes, group)
        axes.set_title(f"width {width}", fontsize="medium")
        mark_threshold(axes, claim.thresholds["generalises"], "generalises")
    grid[0].set_ylabel("relative MSE, worst held-out law")
    return figure
