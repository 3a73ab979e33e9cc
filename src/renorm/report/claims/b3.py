"""B3: is the learned map a renormalisation-group step?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...member_bootstrap import bootstrap
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..renormalise import flow_and_spectrum

BLOCK_SIZE = 2
TRIED = "Tried: the same budget for all. What fails has not learned the map beyond the support of the law that it was trained on."
BLOWN_UP = 1e100
MARKERS = ("o", "^", "s")  # where colours come round again
Numbers = NDArray[np.float64]


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """Train the variants, and compare flow and spectrum with the exact map's."""
    own, seed = claim.settings, experiments.seed
    shared = {name: own[name] for name in ("law", "stops", "steps", "samples", "order")}
    settings = [
        shared | {"model": name, "arguments": {"replicas": own["replicas"], "seed": seed}, "data": {"seed": seed}}
        for name in own["models"]
    ]
    found = experiments.compute_many("flows", settings, flow_and_spectrum)
    results = dict(zip(own["models"], found, strict=True))
    numbers = {name: variant_numbers(result, seed) for name, result in results.items()}
    verdict_ = verdict(numbers, claim.thresholds)
    worst = max(numbers, key=lambda name: float(numbers[name]["eigenvalue"][0]))
    effect = Effect(
        f"largest relative error of an eigenvalue, orders 0 to {own['order']}, {worst}", *numbers[worst]["eigenvalue"]
    )
    right = [name for name, each in numbers.items() if is_step(each, claim.thresholds)]
    wrong = [name for name in numbers if name not in right]
    remarks = [
        f"Steps of the renormalisation group by the rule: {', '.join(right) or 'none'}. Not: {', '.join(wrong) or 'none'}.",
        "Largest relative error of an eigenvalue against worst held-out error, median member: "
        + "; ".join(
            f"{name}: {each['eigenvalue'][0]:.1e} / {each['held_out'][0]:.1e}" for name, each in numbers.items()
        )
        + ".",
    ]
    figures = [
        Drawing(
            "spectrum",
            "Relative error of each eigenvalue at the Gaussian, median and 10% to 90% of members; the exact "
            "ones are 2^(1 - n/2).",
            draw_spectrum(results),
        ),
        Drawing(
            "flow",
            "Flow from a standardised exponential law: cumulants and the distance to the Gaussian, median "
            "over members; black: the exact map "
            "on the same draws.",
            draw_flow(results),
        ),
    ]
    return Finding(verdict_, effect, numbers, figures, "" if verdict_ == "yes" else TRIED, remarks)


def exact_eigenvalues(order: int) -> Numbers:
    """Eigenvalues of the exact map on Hermite coefficients of orders 0 to ``order``, b^(1 - n/2)."""
    return float(BLOCK_SIZE) ** (1 - np.arange(order + 1) / 2)


def variant_numbers(result: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """For the members of one variant: errors of eigenvalues and flow, medians with intervals."""
    found = np.array(result["eigenvalues"], dtype=float)
    relative = np.abs(found / exact_eigenvalues(found.shape[1] - 1) - 1)
    variance = np.array(result["k"], dtype=float)[-1, 1] / result["exact_k"][-1][1]
    distance = np.array(result["distance"], dtype=float)[-1] / result["exact_distance"][-1]

    def median(values: Any) -> tuple[float, float, float]:
        # a flow that blows up is infinitely wrong, and sums of what it has become must not overflow
        values = np.nan_to_num(np.asarray(values, dtype=float), nan=np.inf)
        values = np.where(values > BLOWN_UP, np.inf, values)
        return bootstrap(np.median, values, seed=seed)

    return {
        "eigenvalue": median(relative.max(axis=1)),
        "eigenvalues": [median(column) for column in found.T],
        "variance": median(np.abs(variance - 1)),
        "variance_ratio": median(variance),
        "distance": median(distance),
        "trained": median(result["trained"]),
        "held_out": median(result["held_out"]),
    }


def is_step(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> bool:
    """Whether the median member of a variant is a renormalisation-group step, by the rule."""
    return all(numbers[name][0] <= thresholds[name] for name in ("eigenvalue", "variance", "distance"))


def verdict(numbers: Mapping[str, Mapping[str, Any]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: variant -> ``eigenvalue``, ``variance`` and ``distance``, each a median with its interval.
        thresholds: of the same names.

    Example:
        >>> exact, broken = ({"eigenvalue": [e], "variance": [0.0], "distance": [1.0]} for e in (0.0, 0.2))
        >>> verdict({"linear": exact, "full": broken}, {"eigenvalue": 0.05, "variance": 0.1, "distance": 2})
        'partly'
    """
    holds = [is_step(each, thresholds) for each in numbers.values()]
    return "yes" if all(holds) else "partly" if any(holds) else "no"


def draw_spectrum(results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Relative errors of eigenvalues by order, a colour a variant."""
    figure, panels = panel_grid(1, 1, 4.2)
    axes = panels[0, 0]
    for i, (name, result) in enumerate(results.items()):
        found = np.array(result["eigenvalues"], dtype=float)
        relative = np.abs(found / exact_eigenvalues(found.shape[1] - 1) - 1)
        # order 0 is the normalisation, right for every map
        low, middle, high = np.quantile(relative[:, 1:], [0.1, 0.5, 0.9], axis=0)
        place = 1 + np.arange(len(middle)) + 0.08 * (i - (len(results) - 1) / 2)
        axes.errorbar(
            place,
            middle,
            np.stack([middle - low, high - middle]),
            fmt=MARKERS[i // len(COLOURS)],
            markersize=3,
            linewidth=0.8,
            label=name,
        )
    axes.set_yscale("log")
    axes.set_xlabel("order n")
    axes.set_ylabel("relative error of the eigenvalue")
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.legend(fontsize="x-small", ncols=3)
    return figure


def draw_flow(results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Variance, third and fourth cumulant, and distance, over the flow."""
    figure, grid = panel_grid(2, 2, 5.6)
    panels = grid.ravel()
    for i, (name, result) in enumerate(results.items()):
        k = np.array(result["k"], dtype=float)
        rows = [np.nanmedian(k[:, n], axis=1) for n in (1, 2, 3)] + [
            np.nanmedian(np.array(result["distance"], dtype=float), axis=1)
        ]
        for axes, row in zip(panels, rows, strict=True):
            axes.plot(row, marker=MARKERS[i // len(COLOURS)], markersize=3, linewidth=0.9, label=name)
    first = next(iter(results.values()))
    exact_k = np.array(first["exact_k"], dtype=float)
    exact = [exact_k[:, 1], exact_k[:, 2], exact_k[:, 3], np.array(first["exact_distance"], dtype=float)]
    for axes, row, label in zip(panels, exact, ("k2", "k3", "k4", "Wasserstein distance"), strict=True):
        axes.plot(row, "--", color="black", linewidth=1, label="exact map")
        axes.set_xlabel("step of the flow")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3, linewidth=0.5)
    # a variant that blows up must not hide the others
    for axes, row in zip(panels[:3], exact, strict=False):
        reach = max(1.0, float(np.abs(row).max()))
        axes.set_ylim(-0.3 * reach, 1.5 * reach)
    panels[3].set_yscale("log")
    figure.legend(*panels[3].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="x-small")
    return figure
