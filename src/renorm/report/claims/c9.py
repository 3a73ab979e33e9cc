"""C9: symmetry helps only where it matches the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...zoo.registry import create_model
from ..axes import Setting, places
from ..claim import Claim
from ..experiments import Experiments
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..seed_statistics import Versions, summary
from ..trained_networks import TrainedNetworks, judge_on_both_sets, one_hidden_layer, perceptrons, train_networks

MATCHING = "odd_input"
EQUAL, WRONG = "free, equal parameters", "wrong symmetry"
Cells = dict[str, dict[str, str]]  # activation and width -> symmetry or control -> name of the network


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C9.yaml``."""
    own = claim.settings
    cells, asked = cells_of(own)
    networks = train_networks(asked, own, experiments)
    judged = judge_on_both_sets(
        verdict, lambda over, place, v: at(networks, cells, place, over, v), claim.thresholds, own
    )
    reference = places(own)["reference"]
    numbers: dict[str, Any] = judged.numbers()
    for title, over in (("beyond", "extrapolation"), ("within", "interpolation")):
        numbers[f"decades over the matching symmetry, {title}"] = {
            f"{what}, {cell}": summary(gain, own["seeds"])
            for cell, group in cells.items()
            for what, gain in gains(networks, group, reference, over).items()
        }
        numbers[f"share_of_cells_{title}"] = {
            name: shares(at(networks, cells, place, over, 0), claim.thresholds["helps"])
            for name, place in places(own).items()
        }
    numbers["mean_log_error"] = {name: networks.described(name, reference, "extrapolation") for name in networks.names}
    numbers["law_by_law"] = {name: networks.by_law(name, reference) for name in networks.names}
    found = summary(np.median([gain(networks, group, reference) for group in cells.values()], axis=0), own["seeds"])
    effect = Effect.of(
        "decades that the matching symmetry gains over the best of fully tied weights and free ones beyond the "
        "training law, median over cells",
        found,
    )
    caption = (
        "Mean over members of log10 of the relative MSE, on the law beyond the training law (uniform) where it is the "
        "largest for the "
        "member. Best of each row in bold."
    )
    tried = (
        ""
        if judged.beyond.verdict == "reproduced"
        else "Four activations, three widths, two laws, two initial scales, three rates."
    )
    return Finding(
        judged.beyond.verdict,
        effect,
        numbers,
        [Drawing("table", caption, draw(networks, cells, reference))],
        tried,
        [
            *judged.sentences(),
            *remarks(networks, cells, reference, numbers),
        ],
    )


def cells_of(own: Mapping[str, Any]) -> tuple[Cells, dict[str, dict[str, Any]]]:
    """The cells, and the networks that they need."""
    cells: Cells = {}
    asked: dict[str, dict[str, Any]] = {}
    for activation, widths in own["widths"].items():
        if not widths:
            continue
        names = own["symmetries"][activation]
        asked |= perceptrons([activation], names, widths)
        wrong = f"{activation} {WRONG}, {own['wrong_width']}"
        asked[wrong] = one_hidden_layer(activation, MATCHING, own["wrong_width"], reflected=True)
        for width in widths:
            equal = f"{activation} free, {equal_width(activation, width)}"
            asked[equal] = one_hidden_layer(activation, "free", equal_width(activation, width))
            group = {name: f"{activation} {name}, {width}" for name in names}
            cells[f"{activation}, {width}"] = group | {EQUAL: equal, WRONG: wrong}
    return cells, asked


def equal_width(activation: str, width: int) -> int:
    """Width of the free network that has the parameters of the matching symmetry, or the next smaller number.

    Example:
        >>> equal_width("relu", 8)
        2
    """
    limit = count_parameters(activation, MATCHING, width)
    return max([size for size in range(1, width + 1) if count_parameters(activation, "free", size) <= limit], default=1)


def count_parameters(activation: str, symmetry: str, width: int) -> int:
    """How many numbers a network of one hidden layer can choose."""
    model = create_model(f"mlp_{activation}_{symmetry}", width=width)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def gains(networks: TrainedNetworks, group: Mapping[str, str], place: Setting, over: str) -> dict[str, Versions]:
    """Decades of rigid and of flexible weights over the matching symmetry, and of the wrong one over free weights."""
    logs = {name: networks.log_error(network, place, over) for name, network in group.items()}
    return {
        "rigid": logs["full"] - logs[MATCHING],
        "flexible": np.minimum(logs["free"], logs[EQUAL]) - logs[MATCHING],
        "wrong": logs[WRONG] - logs[EQUAL],
    }


def gain(networks: TrainedNetworks, group: Mapping[str, str], place: Setting) -> Versions:
    """Decades of the best of rigid and flexible weights over the matching symmetry, beyond the training law."""
    found = gains(networks, group, place, "extrapolation")
    smaller: Versions = np.minimum(found["rigid"], found["flexible"])
    return smaller


def at(networks: TrainedNetworks, cells: Cells, place: Setting, over: str, version: int) -> dict[str, list[float]]:
    """What the rule speaks of, a number a cell, for one version."""
    found = [gains(networks, group, place, over) for group in cells.values()]
    return {name: [float(one[name][version]) for one in found] for name in ("rigid", "flexible", "wrong")}


def shares(numbers: Mapping[str, list[float]], helps: float) -> dict[str, float]:
    """In what share of the cells each difference is that large (the wrong one: 0), all are, and all but the flexible one."""
    held = {name: np.array(values) >= (0 if name == "wrong" else helps) for name, values in numbers.items()}
    found = {name: float(own.mean()) for name, own in held.items()}
    rigid = held["rigid"] & held["wrong"]
    return found | {"all": float((rigid & held["flexible"]).mean()), "rigid_and_wrong": float(rigid.mean())}


def verdict(numbers: Mapping[str, list[float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Example:
        >>> thresholds = {"most": 0.75, "some": 0.25, "helps": 1.0}
        >>> verdict({"rigid": [2.0, 2.0], "flexible": [2.0, 0.0], "wrong": [5.0, 5.0]}, thresholds)
        'partly'
    """
    found = shares(numbers, thresholds["helps"])
    if found["all"] >= thresholds["most"]:
        return "reproduced"
    partly = found["all"] >= thresholds["some"] or found["rigid_and_wrong"] >= thresholds["most"]
    return "partly" if partly else "not reproduced"


def remarks(networks: TrainedNetworks, cells: Cells, reference: Setting, numbers: Mapping[str, Any]) -> list[str]:
    """The summary for a physicist."""
    own = numbers["share_of_cells_beyond"]["reference"]
    best: dict[str, int] = {}
    for group in cells.values():
        logs = {name: networks.log_error(network, reference, "extrapolation")[0] for name, network in group.items()}
        first = min(logs, key=lambda name: logs[name])
        best[first] = best.get(first, 0) + 1
    counts = ", ".join(f"{name} in {count}" for name, count in sorted(best.items(), key=lambda one: -one[1]))
    return [
        f"In {own['rigid']:.0%} of the cells the matching symmetry is ten times better than fully tied weights, in "
        f"{own['flexible']:.0%} "
        f"than free ones, in {own['wrong']:.0%} the wrong symmetry is no help over free weights of equal parameters. "
        f"The best of a row is {counts} "
        f"of {len(cells)} cells.",
        "Fully tied weights are one unit whatever their width, and free weights have more parameters as well as less "
        "symmetry: free "
        "networks of equal parameters keep the two apart. The wrong symmetry allows functions of a difference only, which are "
        "uncorrelated with the sum of independent variables: its error is that of a constant or more, by symmetry and "
        "not by learning.",
    ]


def draw(networks: TrainedNetworks, cells: Cells, reference: Setting) -> Figure:
    """A table of mean log errors, a row a cell, a column a symmetry or control."""
    names = list(dict.fromkeys(name for group in cells.values() for name in group))
    values = np.array(
        [
            [
                networks.log_error(group[name], reference, "extrapolation")[0] if name in group else np.nan
                for name in names
            ]
            for group in cells.values()
        ]
    )
    figure, panels = panel_grid(1, 1, height=0.34 * len(values) + 1.6)
    axes = panels[0, 0]
    image = axes.imshow(values, aspect="auto", cmap="viridis", vmin=-14, vmax=1)
    axes.set_xticks(range(len(names)), [name.replace("_", "\n").replace(" ", "\n") for name in names])
    axes.set_yticks(range(len(cells)), list(cells))
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            weight = "bold" if value == np.nanmin(values[row]) else "normal"
            shade = "#101010" if value > -6 else "#f8f8f8"
            axes.text(
                column, row, f"{value:.1f}", ha="center", va="center", fontsize="small", color=shade, fontweight=weight
            )
    figure.colorbar(image, ax=axes, label="mean log10 relative MSE")
    axes.set_xlabel("symmetry or control")
    return figure
