"""B4: what networks learn when only distributions are supervised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..axes import one_or_depends
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..held_out import held_out
from ..seed_statistics import Versions, judged_by_seed, mean, summary, worst
from ..seeded import SHARED, train_seeds
from ..trained_networks import MAP

MAPS = {"sum": 0.0, "difference": 2.0, "minus_sum": 4.0}  # relative MSE on the training law of centred blocks of two
NEAR = 0.2
TRIED = "Symmetric and skewed training laws, two losses, three activations, free weights and the map's own symmetry, three rates."
WHY = (
    "Under a symmetric law sum, difference and their negatives have the same distribution (under the Gaussian every "
    "rotation of them has): no loss of "
    "distributions tells them apart, and the initial weights decide. A share of 1 is excluded by symmetry, not by "
    "learning. A skewed law breaks the "
    "sign; the symmetry odd_input excludes the difference. All this holds where outputs are compared with the "
    "targets of other blocks. The cumulants of a "
    "batch vary together with those of its own targets, which favours the sum over minus the sum: such a loss tells "
    "more than the distribution."
)

Runs = Mapping[tuple[str, str, str, str], Mapping[str, Any]]  # (loss, law, activation, symmetry) -> errors by test law


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/B4.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    runs = run_cells(claim, experiments)
    shares = {key: mean(learned(errors, claim.thresholds["generalises"]), seed) for key, errors in runs.items()}
    reached = {cell: mean_share(shares, cell) / ceiling(own, cell[1]) for cell in cells_of(own)}
    losses = [cell for cell in reached if cell[0] in own["judged"]]
    answer, share = judged_by_seed(
        lambda found, _: found,
        lambda v: everywhere({cell: reached[cell] for cell in losses}, v, claim.thresholds),
        claim.thresholds,
        seeds,
    )
    best = summary(np.mean([reached[cell].max(axis=-1) for cell in losses], axis=0), seeds)
    effect = Effect.of(
        "share of networks that learn the map from distributions alone, over its ceiling by symmetry, mean over "
        "losses and laws, best rate of each",
        best,
    )
    numbers: dict[str, Any] = {
        "share_of_seeds": share,
        "verdict_by_rate": {
            f"rate {rate:g}": verdict({cell: float(reached[cell][0, i]) for cell in losses}, claim.thresholds)
            for i, rate in enumerate(own["rates"])
        },
        "ceiling": {law: ceiling(own, law) for law in own["laws"]},
        "share_over_ceiling": {
            f"{loss}, {law}, rate {rate:g}": summary(values[:, i], seeds)
            for (loss, law), values in reached.items()
            for i, rate in enumerate(own["rates"])
        },
        "share": {
            ", ".join(key) + f", rate {rate:g}": float(values[0, i])
            for key, values in shares.items()
            for i, rate in enumerate(own["rates"])
        },
        "maps": {", ".join(key): which_map(errors[key[1]]) for key, errors in runs.items()},
    }
    drawings = [
        Drawing(
            "shares",
            "Share of the networks that learn the map and generalise, by loss and training law, mean over three "
            "activations, at the best learning rate, with "
            "its 95% interval; lines: ceilings by symmetry.",
            draw_shares(own, shares, seeds),
        ),
        Drawing(
            "maps",
            "Relative MSE under the training law, all networks and rates: 0 for the sum, 2 for the difference, 4 for "
            "minus the sum.",
            draw_maps(own, runs),
        ),
    ]
    remarks = [f"{share:.0%} of the seeds give the verdict by themselves.", WHY, *maps_in_words(own, numbers["maps"])]
    return Finding(answer, effect, numbers, drawings, "" if answer == "yes" else TRIED, remarks)


def cells_of(own: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Losses and training laws."""
    return [(loss, law) for loss in own["losses"] for law in own["laws"]]


def run_cells(claim: Claim, experiments: Experiments) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """Errors by test law, each rate x seed x member, of every loss, training law and architecture."""
    own = claim.settings
    keys = [
        (loss, law, activation, symmetry)
        for loss, law in cells_of(own)
        for activation in own["activations"]
        for symmetry in own["symmetries"]
    ]
    shared = MAP | {key: own[key] for key in SHARED}
    tests = held_out("uniform()").laws
    conditions = [
        shared
        | {
            "model": f"mlp_{activation}_{symmetry}",
            "arguments": {"width": own["width"], "loss": own["losses"][loss]["loss"]},
        }
        | {"unpaired": own["losses"][loss]["unpaired"]}
        | {"law": law, "tests": list(dict.fromkeys([law, *tests]))}
        for loss, law, activation, symmetry in keys
    ]
    found = experiments.compute_many("seeded", conditions, train_seeds)
    return {
        key: {law: np.asarray(errors)[-1, 0] for law, errors in one["errors"].items()}
        for key, one in zip(keys, found, strict=True)
    }


def learned(errors: Mapping[str, ArrayLike], limit: float) -> NDArray[np.float64]:
    """1 for every member whose error is below a limit under every held-out law, 0 for the others."""
    return (worst(errors, held_out("uniform()").laws) < limit).astype(float)


def ceiling(own: Mapping[str, Any], law: str) -> float:
    """Largest expected share, mean over architectures: one of the maps that have the same distribution of outputs."""
    return float(np.mean(list(own["ceilings"][law].values())))


def mean_share(shares: Mapping[tuple[str, str, str, str], Versions], cell: tuple[str, str]) -> Versions:
    """Mean over architectures of the share at a loss and law, in versions, shape ``(V, rates)``."""
    found: Versions = np.mean([values for key, values in shares.items() if key[:2] == cell], axis=0)
    return found


def everywhere(reached: Mapping[tuple[str, str], Versions], version: int, thresholds: Mapping[str, float]) -> str:
    """The verdict of one version at every learning rate, or ``depends``."""
    judged = {cell: values[version] for cell, values in reached.items()}
    rates = len(next(iter(judged.values())))
    return one_or_depends(
        [verdict({cell: float(values[i]) for cell, values in judged.items()}, thresholds) for i in range(rates)]
    )


def verdict(numbers: Mapping[tuple[str, str], float], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: loss of distributions and law -> share over its ceiling.
        thresholds: ``reaches``.

    Example:
        >>> verdict({("energy", "uniform()"): 0.9, ("energy", "exponential()"): 0.5}, {"reaches": 0.8})
        'partly'
    """
    reaches = [share >= thresholds["reaches"] for share in numbers.values()]
    return "yes" if all(reaches) else "partly" if any(reaches) else "no"


def which_map(relative: ArrayLike) -> dict[str, float]:
    """Share of members whose error under the training law is that of the sum, the difference, minus the sum, or none.

    Example:
        >>> which_map(np.array([0.001, 1.95, 4.1, 1.0]))
        {'sum': 0.25, 'difference': 0.25, 'minus_sum': 0.25, 'neither': 0.25}
    """
    values = np.asarray(relative, dtype=float)
    found = {name: float(np.mean(np.abs(values - value) < NEAR)) for name, value in MAPS.items()}
    return found | {"neither": 1 - sum(found.values())}


def maps_in_words(own: Mapping[str, Any], maps: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Which maps were learned, by loss of distributions and law, a sentence each."""
    lines = []
    for loss, law in cells_of(own):
        group = [found for key, found in maps.items() if key.startswith(f"{loss}, {law}, ")]
        text = ", ".join(
            f"{name.replace('_', ' ')} {np.mean([one[name] for one in group]):.0%}" for name in (*MAPS, "neither")
        )
        lines += (
            []
            if own["losses"][loss]["loss"] == "mse"
            else [f"{loss}, {law}: {text} (mean over architectures and rates)."]
        )
    return lines


def draw_shares(own: Mapping[str, Any], shares: Mapping[tuple[str, str, str, str], Versions], seeds: int) -> Figure:
    """A panel a symmetry, a group a training law, a mark a loss."""
    figure, panels = panel_grid(1, len(own["symmetries"]), height=3.4, sharey=True)
    for axes, symmetry in zip(panels[0], own["symmetries"], strict=True):
        for i, (loss, colour) in enumerate(zip(own["losses"], COLOURS, strict=False)):
            for x, law in enumerate(own["laws"]):
                group = [values for key, values in shares.items() if key[:2] == (loss, law) and key[3] == symmetry]
                values = np.mean(group, axis=0).max(axis=-1)
                low, high = np.quantile(values[1 + seeds :], [0.025, 0.975])
                bars = [[max(values[0] - low, 0)], [max(high - values[0], 0)]]
                label = loss if x == 0 else None
                axes.errorbar([x + 0.15 * (i - 1)], values[:1], bars, fmt="o", color=colour, markersize=5, label=label)
        for x, law in enumerate(own["laws"]):
            top = own["ceilings"][law][symmetry]
            axes.plot([x - 0.35, x + 0.35], [top, top], "--", color="#808080", linewidth=1)
        axes.set_xticks(range(len(own["laws"])), own["laws"], fontsize="small")
        axes.set_title(symmetry, fontsize="small")
        axes.set_ylim(-0.03, 1.08)
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0, 0].set_ylabel("share of networks")
    panels[0, 0].legend(fontsize="x-small")
    return figure


def draw_maps(own: Mapping[str, Any], runs: Runs) -> Figure:
    """Histogram of relative MSE under the training law, a panel a law, a line a loss."""
    figure, panels = panel_grid(1, len(own["laws"]), height=3.0, sharey=True)
    edges = np.linspace(0, 5, 51)
    for axes, law in zip(panels[0], own["laws"], strict=True):
        for loss, colour in zip(own["losses"], COLOURS, strict=False):
            values = np.concatenate([np.ravel(errors[law]) for key, errors in runs.items() if key[:2] == (loss, law)])
            counts, _ = np.histogram(np.clip(values, 0, 4.99), edges)
            axes.stairs(counts / len(values), edges, color=colour, label=loss)
        axes.set_title(law, fontsize="small")
        axes.set_xlabel("relative MSE, training law")
    panels[0, 0].set_ylabel("share of networks")
    panels[0, 0].legend(fontsize="x-small")
    return figure
