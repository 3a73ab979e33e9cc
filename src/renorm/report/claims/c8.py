"""C8: how far do cumulants propagate through a graph network whose nodes are taken as independent?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...member_bootstrap import bootstrap
from ..claim import Claim
from ..experiments import Experiments
from ..finding import Drawing, Effect, Finding
from ..graphs import compare_graph
from ..grids import panel_grid

ORDERS = (1, 2, 3, 4)
Gaps = dict[str, dict[str, Any]]  # case -> method -> median gap of each order at the readout, with its interval
STYLES = {
    "independent": ("#d55e00", "o"),
    "joint2": ("#e69f00", "s"),
    "joint4": ("#0072b2", "^"),
    "exact": ("#009e73", "D"),
    "quadrature": ("#009e73", "D"),
}
NAMES = {
    "independent": "independent nodes",
    "joint2": "joint, K = 2",
    "joint4": "joint, K = 4",
    "exact": "nothing left out",
    "quadrature": "nothing left out",
}


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """Compare predictions with measurements at every layer, and judge at the readout."""
    results = run_cases(claim, experiments)
    found = readout_gaps(results, experiments.seed)
    numbers = {case: methods["independent"] for case, methods in found.items()}
    verdict_ = verdict(numbers, claim.thresholds)
    worst = max(numbers, key=lambda case: float(numbers[case][1][0]))
    effect = Effect(f"relative error of k2 of the readout, {worst}", *numbers[worst][1])
    figures = [
        Drawing(
            "layers",
            "Gap between predicted and measured cumulants with nodes taken as independent, layer by layer, "
            "median over members; 1 (dotted) is "
            "the gap of a prediction of 0.",
            draw_layers(results),
        )
    ]
    trained = {case: gaps for case, gaps in numbers.items() if case.endswith(", trained")}
    remarks = [
        "Gaps at the readout of trained networks, orders 1 to 4: "
        + "; ".join(f"{case}: " + ", ".join(f"{gap[0]:.2g}" for gap in gaps) for case, gaps in trained.items())
        + ".",
    ]
    tried = (
        ""
        if verdict_ == "reproduced"
        else "Tried: three graphs, two activations, untrained and trained, closure 4 within nodes."
    )
    return Finding(verdict_, effect, {"readout": numbers}, figures, tried, remarks)


def run_cases(claim: Claim, experiments: Experiments) -> dict[str, list[dict[str, Any]]]:
    """Results of :func:`renorm.report.graphs.compare_graph` by case, for each stop; the claims C8 and B2 share them."""
    own = claim.settings
    seed = experiments.seed
    settings = []
    for case in own["cases"].values():
        network = dict(case)
        activation = network.pop("activation")
        exact = {"pair": ["quadrature"]}.get(network["graph"], ["exact"] if activation == "quadratic" else [])
        settings.append(
            {
                "model": f"gnn_graph_conv_{activation}_free",
                "arguments": network | {"depth": 2, "replicas": own["replicas"], "seed": seed},
                "data": {"train_laws": [own["law"]], "held_out_laws": [], "seed": seed},
                "stops": own["stops"],
                "samples": own["samples"],
                "methods": ["independent", "joint2", "joint4", *exact],
            }
        )
    found = experiments.compute_many("graphs", settings, compare_graph)
    return {case: result["stops"] for case, result in zip(own["cases"], found, strict=True)}


def readout_gaps(results: Mapping[str, list[dict[str, Any]]], seed: int) -> Gaps:
    """Case and state -> method -> median gap of each order at the readout, with its interval over members."""
    found: Gaps = {}
    for case, stops in results.items():
        for state, methods in zip(("untrained", "trained"), (stops[0], stops[-1]), strict=True):
            found[f"{case}, {state}"] = {
                method: [bootstrap(np.nanmedian, gaps, seed=seed) for gaps in layers["out"]]
                for method, layers in methods.items()
            }
    return found


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: case -> for each order the median gap, with its interval.
        thresholds: ``tracks`` and ``fails``.

    Example:
        >>> verdict({"ring": [[0.01], [0.05], [0.4], [0.9]]}, {"tracks": 0.1, "fails": 0.5})
        'reproduced'
    """
    gaps = [[order[0] for order in case] for case in numbers.values()]
    if all(max(case[:2]) <= thresholds["tracks"] and case[3] >= thresholds["fails"] for case in gaps):
        return "reproduced"
    grows = all(case[0] <= thresholds["tracks"] and case[3] > case[0] for case in gaps)
    return "partly" if grows else "not reproduced"


def draw_layers(results: Mapping[str, list[dict[str, Any]]]) -> Figure:
    """A column a case, a row a state, a line an order."""
    figure, panels = panel_grid(2, len(results), 4.6, sharey=True)
    for column, (case, stops) in zip(panels.T, results.items(), strict=True):
        for axes, state, methods in zip(column, ("untrained", "trained"), (stops[0], stops[-1]), strict=True):
            layers = methods["independent"]
            for n in ORDERS:
                values = [np.nanmedian(layers[layer][n - 1]) for layer in layers]
                axes.plot(list(layers), values, marker=".", label=f"k{n}")
            axes.axhline(1, color="black", linestyle=":", linewidth=0.7)
            axes.set_yscale("log")
            axes.grid(alpha=0.3, linewidth=0.5)
            axes.set_title(f"{case},\n{state}", fontsize="x-small")
            axes.tick_params(axis="x", labelsize="xx-small")
    for axes in panels[:, 0]:
        axes.set_ylabel("gap")
    panels[0, 0].legend(fontsize="small")
    return figure


def draw_methods(found: Gaps) -> Figure:
    """A panel a case and state: gap at the readout against the order, a line a method."""
    columns = -(-len(found) // 2)
    figure, panels = panel_grid(2, columns, 4.8, sharey=True, sharex=True)
    cases = list(found)
    for place, case in enumerate(cases):
        axes = panels[place % 2, place // 2]
        for method, gaps in found[case].items():
            bands = np.array(gaps, dtype=float)
            color, marker = STYLES[method]
            axes.errorbar(
                ORDERS,
                bands[:, 0],
                np.abs(bands[:, 1:].T - bands[:, 0]),
                color=color,
                marker=marker,
                markersize=4,
                label=NAMES[method],
            )
        axes.axhline(1, color="black", linestyle=":", linewidth=0.7)
        axes.set_yscale("log")
        axes.set_xticks(ORDERS)
        axes.set_title(case.replace(", ", ",\n"), fontsize="x-small")
        axes.grid(alpha=0.3, linewidth=0.5)
    for axes in panels[-1]:
        axes.set_xlabel("order")
    for axes in panels[:, 0]:
        axes.set_ylabel("gap at the readout")
    last = panels[(len(cases) - 1) % 2, (len(cases) - 1) // 2]  # has all methods
    figure.legend(*last.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="x-small")
    return figure
