"""B3: is the learned map a renormalisation-group step?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..axes import Setting, judge_along_axes, places
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..renormalise import CURVES, train_flows
from ..seed_statistics import summary
from ..trained_networks import KEYS, MAP, TrainedNetworks

JUDGED = ("eigenvalue", "variance", "distance")
TRIED = "Tried: two training laws, two initial scales, three learning rates, the same budget for all variants."
MARKERS = ("o", "^", "s")  # where colours come round again
Results = Mapping[tuple[str, str], Mapping[str, Any]]  # (training law, variant) -> what was found


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/B3.yaml``."""
    own, names = claim.settings, claim.settings["models"]
    results = train_all(claim, experiments)
    networks = TrainedNetworks({key: one["errors"] for key, one in results.items()}, own, experiments.seed)

    def at(place: Setting, version: int) -> dict[str, dict[str, float]]:
        return {
            name: {key: 10 ** float(networks.log_error(name, place, key)[version]) for key in JUDGED} for name in names
        }

    judged = judge_along_axes(verdict, at, claim.thresholds, own)
    everywhere = places(own)
    reference = everywhere["reference"]
    numbers: dict[str, Any] = judged.numbers()
    numbers["steps_of_the_renormalisation_group"] = {
        place: [name for name, each in at(setting, 0).items() if is_step(each, claim.thresholds)]
        for place, setting in everywhere.items()
    }
    for place in laws_of(everywhere):
        for key in ("trained", *JUDGED):
            numbers[f"mean_log_{key}, {place}"] = {
                name: networks.described(name, everywhere[place], key) for name in names
            }
    worst = max(names, key=lambda name: float(networks.log_error(name, reference, "eigenvalue")[0]))
    found = summary(networks.log_error(worst, reference, "eigenvalue"), own["seeds"])
    effect = Effect.of(
        f"mean log10 of the largest relative error of an eigenvalue, orders 0 to {own['order']}, {worst}", found
    )
    figures = [
        Drawing(
            "spectrum",
            "Relative error of each eigenvalue at the Gaussian, ten to the mean log over members, with the 95% interval over "
            "seeds and members, by training law; the exact ones are $2^{1 - n/2}$.",
            draw_spectrum(networks, claim),
        ),
        Drawing(
            "flow",
            "Flow from a standardised exponential law of networks trained on the uniform law: cumulants and the distance to "
            "the Gaussian, median over members; black: the exact map on the same draws.",
            draw_flow(results, networks, reference, own),
        ),
    ]
    remarks = [judged.sentence(), *by_place(numbers["steps_of_the_renormalisation_group"])]
    return Finding(judged.verdict, effect, numbers, figures, "" if judged.verdict == "yes" else TRIED, remarks)


def train_all(claim: Claim, experiments: Experiments) -> dict[tuple[str, str], dict[str, Any]]:
    """Every variant under every training law."""
    own = claim.settings
    shared = MAP | {key: own[key] for key in (*KEYS, "start", "steps", "samples", "order", "nodes")}
    keys = [(law, name) for law in own["laws"] for name in own["models"]]
    conditions = [
        # splines cost ten times as much
        shared | {"law": law, "tests": [law], "model": name, "arguments": {}, "cost": 10 if "spline" in name else 1}
        for law, name in keys
    ]
    return dict(zip(keys, experiments.compute_many("flows", conditions, train_flows), strict=True))


def laws_of(everywhere: Mapping[str, Setting]) -> list[str]:
    """The places that differ in the training law only."""
    return [name for name in everywhere if name == "reference" or name.startswith("training law")]


def is_step(numbers: Mapping[str, float], thresholds: Mapping[str, float]) -> bool:
    """Whether the typical member of a variant is a renormalisation-group step, by the rule."""
    return all(numbers[name] <= thresholds[name] for name in JUDGED)


def verdict(numbers: Mapping[str, Mapping[str, float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: variant -> ``eigenvalue``, ``variance`` and ``distance``.
        thresholds: of the same names.

    Example:
        >>> exact, broken = ({"eigenvalue": e, "variance": 0.0, "distance": 1.0} for e in (0.0, 0.2))
        >>> verdict({"linear": exact, "full": broken}, {"eigenvalue": 0.05, "variance": 0.1, "distance": 2})
        'partly'
    """
    holds = [is_step(each, thresholds) for each in numbers.values()]
    return "yes" if all(holds) else "partly" if any(holds) else "no"


def by_place(steps: Mapping[str, list[str]]) -> list[str]:
    """Which variants are steps, for the page."""
    named = "; ".join(f"{place}: {', '.join(names) or 'none'}" for place, names in steps.items())
    return [
        f"Steps of the renormalisation group by the rule, {named}.",
        "The fixed point lies outside the support of the uniform law: a network that was trained on it has not seen the blocks "
        "which the eigenvalues ask about. The Gaussian law is the control.",
    ]


def draw_spectrum(networks: TrainedNetworks, claim: Claim) -> Figure:
    """A panel a training law: relative errors of eigenvalues by order, a colour a variant."""
    own = claim.settings
    chosen = {name: place for name, place in places(own).items() if name in laws_of(places(own))}
    figure, panels = panel_grid(1, len(chosen), 4.4, sharey=True)
    for axes, place in zip(panels[0], chosen.values(), strict=True):
        for i, name in enumerate(networks.names):
            # order 0 is the normalisation, right for every map
            orders = range(1, own["order"] + 1)
            found = [summary(networks.log_error(name, place, f"eigenvalue {n}"), own["seeds"]) for n in orders]
            middle, low, high = (10 ** np.array([one[key] for one in found]) for key in ("value", "low", "high"))
            x = np.array(orders) + 0.08 * (i - (len(networks.names) - 1) / 2)
            style = {"fmt": MARKERS[i // len(COLOURS)], "color": COLOURS[i % len(COLOURS)]}
            axes.errorbar(x, middle, [middle - low, high - middle], markersize=3, linewidth=0.8, label=name, **style)
        axes.axhline(claim.thresholds["eigenvalue"], color="black", linestyle=":", linewidth=0.8)
        axes.set_yscale("log")
        axes.set_title(f"trained on {place.law}", fontsize="small")
        axes.set_xlabel("order n")
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0, 0].set_ylabel("relative error of the eigenvalue")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="x-small")
    return figure


def draw_flow(results: Results, networks: TrainedNetworks, place: Setting, own: Mapping[str, Any]) -> Figure:
    """Variance, third and fourth cumulant, and distance, over the flow; each variant at its best learning rate."""
    figure, grid = panel_grid(2, 2, 5.6)
    panels = grid.ravel()
    scale = own["scales"].index(place.scale)
    for i, name in enumerate(networks.names):
        rate = networks.best_rate(name, place)
        for axes, key in zip(panels, CURVES, strict=True):
            curves = np.array(results[place.law, name]["curves"][key], dtype=float)[scale, rate]
            style = {"marker": MARKERS[i // len(COLOURS)], "color": COLOURS[i % len(COLOURS)]}
            axes.plot(np.median(curves, axis=0), markersize=3, linewidth=0.9, label=name, **style)
    exact = results[place.law, networks.names[0]]["exact"]
    for axes, key in zip(panels, CURVES, strict=True):
        axes.plot(exact[key], "--", color="black", linewidth=1, label="exact map")
        axes.set_xlabel("step of the flow")
        axes.set_ylabel(key if key != "distance" else "Wasserstein distance")
        axes.grid(alpha=0.3, linewidth=0.5)
        # a variant that blows up must not hide the others
        reach = max(1.0, float(np.abs(exact[key]).max()))
        axes.set_ylim(-0.3 * reach, 1.5 * reach)
    panels[3].set(yscale="log", ylim=(0.3 * min(exact["distance"]), None))
    figure.legend(*panels[3].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="x-small")
    return figure
