"""C8: how far do cumulants propagate through a graph network whose nodes are taken as independent?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..axes import one_or_depends
from ..claim import Claim
from ..experiments import Experiments
from ..finding import Drawing, Effect, Finding
from ..graphs import compare_graph, counting_gap
from ..grids import panel_grid
from ..seed_statistics import Versions, judged_by_seed, mean_log, summary

ORDERS = (1, 2, 3, 4)
STATES = ("untrained", "trained")
SENDERS = {"complete": 4, "ring": 3}  # values that a node of the graphs with mean readout adds up
TRIED = "The paper's own graph and two larger ones, two activations, untrained and trained, two laws, closure 4 within nodes."
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

Gaps = dict[
    tuple[str, str, str], dict[str, dict[str, Versions]]
]  # (law, case, state) -> method -> layer -> (V, orders)


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """Compare predictions with measurements at every layer, and judge at the readout of the paper's own graph."""
    own, seeds = claim.settings, claim.settings["seeds"]
    found = run_cases(claim, experiments)
    answer, share = judge_laws(found, own["own_graph"], "independent", own["laws"], verdict, claim.thresholds, seeds)
    others = [case for case in own["cases"] if case not in own["own_graph"]]
    beside = judge_laws(found, others, "independent", own["laws"], verdict, claim.thresholds, seeds)
    pair = [gaps["independent"]["out"] for (_, case, _), gaps in found.items() if case in own["own_graph"]]
    largest = summary(np.max([10 ** gap[:, 1] for gap in pair], axis=0), seeds)
    effect = Effect.of(
        "relative error of k2 of the readout on the pair, largest over laws, untrained and trained", largest
    )
    numbers: dict[str, Any] = {
        "share_of_seeds": share,
        "verdict_by_law": verdict_by_law(
            found, own["own_graph"], "independent", own["laws"], verdict, claim.thresholds
        ),
        "verdict_on_the_other_graphs": beside[0],
        "share_of_seeds_on_the_other_graphs": beside[1],
        "gap_by_counting": {f"{graph}, k{n}": counting_gap(d, n) for graph, d in SENDERS.items() for n in ORDERS},
        "readout": readout_numbers(found, ["independent"], seeds),
    }
    remarks = [
        f"{share:.0%} of the seeds give the verdict by themselves. On the other graphs, which are this project's, it "
        f"is {beside[0]} "
        f"({beside[1]:.0%} of the seeds).",
        "Gap of k2 by counting alone, of linear networks with equal weights and a mean readout, 1 - 1/d^2: "
        + ", ".join(f"{graph} of four {counting_gap(d, 2):.3f}" for graph, d in SENDERS.items())
        + ". Measured: "
        + "; ".join(
            f"{case}, {state}: {10 ** gaps['independent']['out'][0, 1]:.2g}"
            for (law, case, state), gaps in found.items()
            if law == own["laws"][0]
        )
        + ". That nodes are not independent is the graph's doing, not learning's.",
    ]
    drawing = Drawing(
        "layers",
        "Gap between predicted and measured cumulants with nodes taken as independent, layer by layer, mean over "
        "members of the logarithm, first "
        "law; 1 (dotted) is the gap of a prediction of 0.",
        draw_layers(found, list(own["cases"]), own["laws"][0]),
    )
    return Finding(answer, effect, numbers, [drawing], "" if answer == "reproduced" else TRIED, remarks)


def run_cases(claim: Claim, experiments: Experiments) -> Gaps:
    """Mean log10 gaps at the start and at the end of training; the claims C8 and B2 share the networks."""
    own = claim.settings
    keys = [(law, case) for law in own["laws"] for case in own["cases"]]
    conditions = []
    for law, case in keys:
        network = dict(own["cases"][case])
        activation = network.pop("activation")
        exact = {"pair": ["quadrature"]}.get(network["graph"], ["exact"] if activation == "quadratic" else [])
        for number in range(own["seeds"]):
            seed = experiments.seed * own["seeds"] + number
            conditions.append(
                {
                    "model": f"gnn_graph_conv_{activation}_free",
                    "arguments": network | {"depth": 2, "replicas": own["members"], "seed": seed},
                    "data": {"train_laws": [law], "held_out_laws": [], "seed": seed},
                    "seed": seed,
                    "stops": own["stops"],
                    "samples": own["samples"],
                    "methods": ["independent", "joint2", "joint4", *exact],
                }
            )
    results = [one["stops"] for one in experiments.compute_many("graphs", conditions, compare_graph)]
    found: Gaps = {}
    for position, (law, case) in enumerate(keys):
        by_seed = results[position * own["seeds"] : (position + 1) * own["seeds"]]
        for state, stop in zip(STATES, (0, -1), strict=True):
            first = by_seed[0][stop]
            found[law, case, state] = {
                method: {
                    layer: mean_log(np.stack([one[stop][method][layer] for one in by_seed], axis=1), experiments.seed)
                    for layer in first[method]
                }
                for method in first
            }
    return found


def verdict_by_law(
    found: Gaps,
    cases: Sequence[str],
    method: str,
    laws: Sequence[str],
    rule: Callable[[Any, Mapping[str, float]], str],
    thresholds: Mapping[str, float],
    version: int = 0,
) -> dict[str, str]:
    """The verdict on some graphs under each law by itself, of one version, by default over all seeds."""
    return {law: rule(at(found, cases, method, law, version), thresholds) for law in laws}


def judge_laws(
    found: Gaps,
    cases: Sequence[str],
    method: str,
    laws: Sequence[str],
    rule: Callable[[Any, Mapping[str, float]], str],
    thresholds: Mapping[str, float],
    seeds: int,
) -> tuple[str, float]:
    """The verdict on some graphs by one method, ``depends`` where laws differ, and the share of the seeds that give it."""

    def everywhere(version: int) -> str:
        return one_or_depends([*verdict_by_law(found, cases, method, laws, rule, thresholds, version).values()])

    return judged_by_seed(lambda answer, _: answer, everywhere, thresholds, seeds)


def at(found: Gaps, cases: Sequence[str], method: str, law: str, version: int) -> dict[str, list[float]]:
    """Gaps at the readout of each order, by case and state, of one version."""
    return {
        f"{case}, {state}": (10 ** gaps[method]["out"][version]).tolist()
        for (under, case, state), gaps in found.items()
        if under == law and case in cases
    }


def readout_numbers(found: Gaps, methods: Sequence[str] | None, seeds: int) -> dict[str, Any]:
    """Log10 of the gaps at the readout with their intervals, by law, case, state, method and order."""
    return {
        ", ".join(key): {
            method: {f"log10 gap of k{n}": summary(layers["out"][:, n - 1], seeds) for n in ORDERS}
            for method, layers in gaps.items()
            if methods is None or method in methods
        }
        for key, gaps in found.items()
    }


def verdict(numbers: Mapping[str, Sequence[float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: case -> for each order the gap.
        thresholds: ``tracks`` and ``fails``.

    Example:
        >>> verdict({"pair, trained": [0.01, 0.05, 0.4, 0.9]}, {"tracks": 0.1, "fails": 0.5})
        'reproduced'
    """
    gaps = list(numbers.values())
    if all(max(case[:2]) <= thresholds["tracks"] and case[3] >= thresholds["fails"] for case in gaps):
        return "reproduced"
    grows = all(case[0] <= thresholds["tracks"] and case[3] > case[0] for case in gaps)
    return "partly" if grows else "not reproduced"


def draw_layers(found: Gaps, cases: Sequence[str], law: str) -> Figure:
    """A column a case, a row a state, a line an order."""
    figure, panels = panel_grid(2, len(cases), 4.6, sharey=True)
    for column, case in zip(panels.T, cases, strict=True):
        for axes, state in zip(column, STATES, strict=True):
            layers = found[law, case, state]["independent"]
            for n in ORDERS:
                values = [10 ** layers[layer][0, n - 1] for layer in layers]
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


def draw_methods(found: Gaps, cases: Sequence[str], law: str, seeds: int) -> Figure:
    """A panel a case and state: gap at the readout against the order, a line a method."""
    figure, panels = panel_grid(2, len(cases), 4.8, sharey=True, sharex=True)
    shown: dict[str, Any] = {}
    for column, case in zip(panels.T, cases, strict=True):
        for axes, state in zip(column, STATES, strict=True):
            for method, layers in found[law, case, state].items():
                logs = layers["out"]
                low, high = np.quantile(logs[1 + seeds :], [0.025, 0.975], axis=0)
                value = 10 ** logs[0]
                bars = [np.maximum(value - 10**low, 0), np.maximum(10**high - value, 0)]
                color, marker = STYLES[method]
                shown[NAMES[method]] = axes.errorbar(ORDERS, value, bars, color=color, marker=marker, markersize=4)
            axes.axhline(1, color="black", linestyle=":", linewidth=0.7)
            axes.set_yscale("log")
            axes.set_xticks(ORDERS)
            axes.set_title(f"{case},\n{state}", fontsize="x-small")
            axes.grid(alpha=0.3, linewidth=0.5)
    for axes in panels[-1]:
        axes.set_xlabel("order")
    for axes in panels[:, 0]:
        axes.set_ylabel("gap at the readout")
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4, fontsize="x-small")
    return figure
