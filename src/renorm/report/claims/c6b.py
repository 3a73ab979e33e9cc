"""C6b: do networks that learn splines and weights together become linear, and better?"""

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
from ..seed_statistics import summary
from ..splines import INDEX, NETWORK
from ..trained_networks import TrainedNetworks
from .c6a import SETS, named, run_variants

TRIED = "Free and fully tied weights, fixed and trained, bent and straight splines, two laws, two scales, three rates."


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C6b.yaml``."""
    own, seeds = claim.settings, claim.settings["seeds"]
    networks, shapes = run_variants(claim, experiments)
    judged = judge_along_axes(
        verdict, lambda place, v: at(networks, own["symmetries"], place, v), claim.thresholds, own
    )
    reference = next(iter(places(own).values()))
    first = named(own["symmetries"][0], "trained", "bent")
    found = {name: 10**value for name, value in summary(networks.log_error(first, reference, INDEX), seeds).items()}
    effect = Effect.of(f"non-linearity index of the splines after training, {first}", found)
    numbers: dict[str, Any] = judged.numbers() | {
        where: {
            f"log10 {what}, {name}, {when}": summary(networks.log_error(name, place, what, step), seeds)
            for name in networks.names
            for what in (INDEX, NETWORK)
            for when, step in (("start", 0), ("end", -1))
        }
        for where, place in places(own).items()
    }
    numbers["judged"] = at(networks, own["symmetries"], reference, 0)
    drawings = [
        Drawing(
            "index",
            "Non-linearity index of the splines (left) and of the whole network (middle), and error on the worst law "
            "beyond the training law "
            "(right) over training: means over members of the logarithm; full: bent splines, dashed: straight ones; reference.",
            draw_series(own, networks, reference),
        ),
        Drawing(
            "splines",
            "The splines of one member over training at the first of the learning rates, one colour a unit, thick "
            "where the training law uses them.",
            draw_splines(
                own, {name: shapes[reference.law, name] for name in networks.names if "trained weights" in name}
            ),
        ),
    ]
    tried = "" if judged.verdict == "reproduced" else TRIED
    return Finding(judged.verdict, effect, numbers, drawings, tried, [judged.sentence(), *remarks(networks, reference)])


def at(networks: TrainedNetworks, symmetries: list[str], place: Setting, version: int) -> dict[str, dict[str, float]]:
    """What the rule speaks of, at one place and in one version, by symmetry; splines that start bent."""
    found = {}
    for symmetry in symmetries:
        fixed, trained = (named(symmetry, weights, "bent") for weights in ("fixed", "trained"))
        index = [networks.log_error(trained, place, INDEX, step)[version] for step in (0, -1)]
        gains = [
            networks.log_error(fixed, place, over)[version] - networks.log_error(trained, place, over)[version]
            for over in ("trained", *SETS)
        ]
        found[symmetry] = {
            "index": float(10 ** index[1]),
            "fall": float(10 ** (index[0] - index[1])),
            "better": float(min(gains)),
        }
    return found


def verdict(numbers: Mapping[str, Mapping[str, float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: symmetry -> ``index`` after training, ``fall``, the factor by which it fell, and ``better``, in decades.
        thresholds: ``linear``, ``fall`` and ``better``.

    Example:
        >>> bent, straight = ({"index": index, "fall": 3, "better": 1.0} for index in (0.2, 0.01))
        >>> verdict({"free": bent, "full": straight}, {"linear": 0.05, "fall": 2, "better": 0.5})
        'partly'
    """
    linear = [one["index"] <= thresholds["linear"] for one in numbers.values()]
    better = [one["better"] >= thresholds["better"] for one in numbers.values()]
    falls = all(one["fall"] >= thresholds["fall"] for one in numbers.values())
    if all(linear) and all(better):
        return "reproduced"
    both = any(a and b for a, b in zip(linear, better, strict=True))
    return "partly" if all(linear) or all(better) or both or falls else "not reproduced"


def remarks(networks: TrainedNetworks, place: Setting) -> list[str]:
    """Compare splines with networks, starts, and fixed with trained weights, in words."""

    def listed(what: str, start: str, step: int) -> str:
        return ", ".join(
            f"{10 ** networks.log_error(name, place, what, step)[0]:.2g} ({name.removesuffix(f', {start} splines')})"
            for name in networks.names
            if name.endswith(f"{start} splines")
        )

    return [
        f"Index of the splines, bent: at the start {listed(INDEX, 'bent', 0)}; at the end "
        f"{listed(INDEX, 'bent', -1)}. Straight, at the end: "
        f"{listed(INDEX, 'straight', -1)}.",
        f"Index of the whole networks at the end, bent: {listed(NETWORK, 'bent', -1)}: a network can be linear where "
        "its splines are not.",
    ]


def draw_series(own: Mapping[str, Any], networks: TrainedNetworks, place: Setting) -> Figure:
    """Index of the splines, index of the network, held-out error."""
    figure, grid = panel_grid(1, 3, 3.6)
    series = ((INDEX, "index of the splines"), (NETWORK, NETWORK), ("extrapolation", "error beyond the training law"))
    for axes, (what, label) in zip(grid[0], series, strict=True):
        for i, name in enumerate(networks.names):
            values = [networks.log_error(name, place, what, step)[0] for step in range(len(own["stops"]))]
            style = "-" if name.endswith("bent splines") else "--"
            axes.plot(own["stops"], 10 ** np.array(values), style, marker=".", color=COLOURS[i // 2], label=name)
        axes.set_xscale("symlog", linthresh=max(1, own["stops"][1]))
        axes.set_yscale("log")
        axes.set_xlabel("steps")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3, linewidth=0.5)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="x-small")
    return figure


def draw_splines(own: Mapping[str, Any], drawn: Mapping[str, list[dict[str, Any]]]) -> Figure:
    """A row a variant, a column a stop, a line a unit."""
    stops = own["stops"]
    figure, panels = panel_grid(len(drawn), len(stops), 1.7 * len(drawn) + 0.3, sharex=True, sharey="row")
    for axes, stop in zip(panels[0], stops, strict=True):
        axes.set_title(f"{stop} steps", fontsize="small")
    for row, (name, shapes) in zip(panels, drawn.items(), strict=True):
        for axes, shape in zip(row, shapes, strict=True):
            z = np.array(shape["z"])
            for phi, low, high in zip(np.array(shape["phi"]), shape["low"], shape["high"], strict=True):
                used = (z >= low) & (z <= high)
                (line,) = axes.plot(z, phi, linewidth=0.5, alpha=0.6)
                axes.plot(z[used], phi[used], linewidth=1.6, color=line.get_color())
            axes.grid(alpha=0.3, linewidth=0.5)
        row[0].set_ylabel(name.replace(", ", ",\n"), fontsize="xx-small")
    for axes in panels[-1]:
        axes.set_xlabel("pre-activation", fontsize="x-small")
    return figure
