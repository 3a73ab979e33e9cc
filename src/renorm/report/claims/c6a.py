"""C6a: do networks with learned splines and fixed weights overfit?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...callbacks.figures import shorten
from ...member_bootstrap import bootstrap, log_ratio
from ..claim import Claim
from ..experiments import Experiments
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..splines import train_splines


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """Train all variants, compare errors, and locate where held-out errors come from."""
    results = run_variants(claim, experiments)
    numbers = {name: variant_numbers(result, experiments.seed) for name, result in results.items()}
    verdict_ = verdict({name: numbers[name] for name in claim.settings["judged"]}, claim.thresholds)
    first = results[claim.settings["judged"][0]]
    effect = Effect(
        "log10 of worst held-out error over training-law error, free fixed weights",
        *bootstrap(log_ratio, first["held_out"][-1], first["trained"][-1], seed=experiments.seed),
    )
    outside = min(numbers[name]["share_outside"] for name in claim.settings["judged"])
    remarks = [
        f"Of the worst held-out error with fixed weights, at least {outside:.1%} (median member) comes "
        "from blocks outside the support of the "
        "training law, where nothing was seen: it is extrapolation. On a law within that support, rademacher, the median errors "
        "are "
        + ", ".join(f"{numbers[name]['laws']['rademacher()']:.1e} ({name})" for name in claim.settings["judged"])
        + ".",
        "With weights trained as well the worst held-out errors are "
        + ", ".join(
            f"{found['held_out'][0]:.2g} ({name})"
            for name, found in numbers.items()
            if not name.endswith("fixed_weights")
        )
        + ".",
    ]
    figures = [
        Drawing(
            "errors",
            "Median error under each law after training, with the 10% to 90% range of members; blocks outside the training law's "
            "support are rarest to the left.",
            draw_laws(results),
        ),
        Drawing(
            "training",
            "Error on the training law (full) and on the worst held-out law (dashed).",
            draw_training(claim, results),
        ),
    ]
    tried = (
        "" if verdict_ == "reproduced" else "Tried: free, fully tied and odd weights, fixed and trained, at all stops."
    )
    return Finding(verdict_, effect, numbers, figures, tried, remarks)


def run_variants(claim: Claim, experiments: Experiments) -> dict[str, dict[str, Any]]:
    """Results of :func:`renorm.report.splines.train_splines` by variant; the claims C6a and C6b share them."""
    own = claim.settings
    settings = [
        {"model": name, "arguments": {"replicas": own["replicas"]}, "stops": own["stops"], "drawn": own["drawn"]}
        for name in own["models"]
    ]
    seeded = [each | {"arguments": each["arguments"] | {"seed": experiments.seed}} for each in settings]
    found = experiments.compute_many(
        "splines", [each | {"data": {"seed": experiments.seed}} for each in seeded], train_splines
    )
    return dict(zip(own["models"], found, strict=True))


def verdict(numbers: Mapping[str, Mapping[str, Any]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: variant -> ``trained`` and ``held_out``, each a median with its interval.
        thresholds: ``learned`` and ``fails``.

    Example:
        >>> overfit = {"trained": [1e-5, 0, 0], "held_out": [0.5, 0, 0]}
        >>> verdict({"free": overfit, "full": overfit}, {"learned": 1e-3, "fails": 0.1})
        'reproduced'
    """
    holds = [
        found["trained"][0] <= thresholds["learned"] and found["held_out"][0] >= thresholds["fails"]
        for found in numbers.values()
    ]
    return "reproduced" if all(holds) else "partly" if any(holds) else "not reproduced"


def variant_numbers(result: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Medians over members after training, with intervals, and the share of the worst held-out error from outside the support."""
    laws = {law: float(np.median(errors)) for law, errors in result["laws"].items()}
    worst = max(result["outside"], key=lambda law: laws[law])
    inside, outside, blocks = result["outside"][worst]
    share = np.array(outside) / (np.array(inside) + np.array(outside))
    return {
        "trained": bootstrap(np.median, result["trained"][-1], seed=seed),
        "held_out": bootstrap(np.median, result["held_out"][-1], seed=seed),
        "laws": laws,
        "worst_law": worst,
        "share_outside": float(np.median(share)),
        "blocks_outside": blocks,
    }


def draw_laws(results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Errors by law, those with most blocks outside the training support to the right."""
    figure, panels = panel_grid(1, 1, 4.6)
    axes = panels[0, 0]
    first = next(iter(results.values()))
    held_out = sorted(first["outside"], key=lambda law: first["outside"][law][2])
    order = [law for law in first["laws"] if law not in held_out] + held_out
    for i, (name, result) in enumerate(results.items()):
        bands = np.array([np.quantile(result["laws"][law], [0.1, 0.5, 0.9]) for law in order])
        place = np.arange(len(order)) + 0.12 * (i - (len(results) - 1) / 2)
        axes.errorbar(place, bands[:, 1], np.abs(bands[:, [0, 2]].T - bands[:, 1]), fmt="o", markersize=4, label=name)
    shares = [first["outside"][law][2] if law in first["outside"] else 0.0 for law in order]
    labels = [f"{shorten(law, 26)}\n{share:.0%} outside" for law, share in zip(order, shares, strict=True)]
    axes.set_xticks(range(len(order)), labels, rotation=35, ha="right", fontsize="x-small")
    axes.set_yscale("log")
    axes.set_ylabel("error")
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.legend(fontsize="x-small")
    return figure


def draw_training(claim: Claim, results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Median errors over training."""
    figure, panels = panel_grid(1, 1, 4.0)
    axes = panels[0, 0]
    stops = claim.settings["stops"]
    for name, result in results.items():
        (line,) = axes.plot(stops, np.median(result["trained"], axis=1), marker=".", label=name)
        axes.plot(stops, np.median(result["held_out"], axis=1), "--", marker=".", color=line.get_color())
    axes.set_xscale("symlog", linthresh=max(1, stops[1]))
    axes.set_yscale("log")
    axes.set_xlabel("steps")
    axes.set_ylabel("error, median over members")
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.legend(fontsize="x-small")
    return figure
