"""D2: does non-linearity help exactly where the map is not linear?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..seed_statistics import Versions, best_rate, judged_by_seed, stability, summary, worst
from ..seeded import SHARED, train_seeds

TRIED = "Six slopes on four maps under two training laws, three learning rates, on the training law and beyond it."

Curves = dict[tuple[str, str], Versions]  # (map, training law) -> mean log errors by slope, shape (V, slopes)


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/D2.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    cells = train_cells(claim, experiments)
    on = {cell: best_rate(found[cell[1]], seed)[:, -1] for cell, found in cells.items()}
    beyond = {cell: best_rate(worst(found, own["beyond"]), seed)[:, -1] for cell, found in cells.items()}
    answer, share = judged_by_seed(verdict, lambda v: numbers_at(on, own["maps"], v), claim.thresholds, seeds)
    beyond_too = judged_by_seed(verdict, lambda v: numbers_at(beyond, own["maps"], v), claim.thresholds, seeds)
    numbers: dict[str, Any] = {
        "share_of_seeds": share,
        "verdict_beyond_the_training_law": beyond_too[0],
        "share_of_seeds_beyond": beyond_too[1],
    }
    for title, curves in (("help_on_the_training_law", on), ("help_beyond_it", beyond)):
        numbers[title] = {", ".join(cell): summary(helped(curve), seeds) for cell, curve in curves.items()}
    numbers["mean_log_error_by_slope"] = {
        ", ".join(cell): {
            f"slope {slope:g}": float(value) for slope, value in zip(own["slopes"], curve[0], strict=True)
        }
        for cell, curve in on.items()
    }
    bent = [helped(curve) for (block_map, _), curve in on.items() if not own["maps"][block_map]["linear"]]
    found = summary(np.min(bent, axis=0), seeds)
    effect = Effect.of(
        "decades by which slope 0 helps over slope 1 on maps that are not linear, least over maps and laws", found
    )
    caption = (
        "Mean over members of log10 of the relative MSE, at the best of the learning rates, with its 95% interval over seeds and "
        "members; solid: on the training law, dashed: on the worst law beyond it."
    )
    drawing = Drawing("slopes", caption, draw(own["slopes"], list(own["maps"]), on, beyond, seeds))
    return Finding(answer, effect, numbers, [drawing], "" if answer == "yes" else TRIED, [stability(share, beyond_too)])


def train_cells(claim: Claim, experiments: Experiments) -> dict[tuple[str, str], dict[str, Any]]:
    """Errors by test law, of all slopes, on every map under every training law."""
    own = claim.settings
    keys = [(block_map, law) for block_map in own["maps"] for law in own["laws"]]
    conditions = [
        {key: own[key] for key in SHARED}
        | {"model": "mlp_leaky_relu_free", "arguments": {"width": own["width"], "negative_slope": own["slopes"]}}
        | {"map": block_map, "law": law, "block_size": own["maps"][block_map]["block_size"]}
        | {"tests": [law, *own["beyond"]], "mirrored": True}
        for block_map, law in keys
    ]
    found = experiments.compute_many("seeded", conditions, train_seeds)
    return {key: one["errors"] for key, one in zip(keys, found, strict=True)}


def helped(curve: Versions) -> Versions:
    """Decades by which the last slope is better than the first one, shape ``(V,)``."""
    gain: Versions = curve[:, 0] - curve[:, -1]
    return gain


def numbers_at(curves: Curves, maps: Mapping[str, Mapping[str, Any]], version: int) -> dict[str, dict[str, Any]]:
    """What the rule speaks of, for one version: the training law that is worse for it counts."""
    found = {}
    for name, about in maps.items():
        own = [curve[version] for (block_map, _), curve in curves.items() if block_map == name]
        choose = max if about["linear"] else min
        found[name] = {
            "linear": about["linear"],
            "help": choose(float(curve[0] - curve[-1]) for curve in own),
            "falls": choose(float((np.diff(curve) < 0).mean()) for curve in own),
        }
    return found


def verdict(numbers: Mapping[str, Mapping[str, Any]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: map -> ``linear``, whether it is; ``help`` of slope 0 in decades; ``falls``, in what share of the steps.
        thresholds: ``helps`` and ``most``.

    Example:
        >>> bent, straight = {"linear": False, "help": 1.0, "falls": 1.0}, {"linear": True, "help": -1.0, "falls": 0.0}
        >>> verdict({"maximum": bent, "sum": straight}, {"helps": 0.3, "most": 0.75})
        'yes'
    """
    helps, most = thresholds["helps"], thresholds["most"]
    bent = [one for one in numbers.values() if not one["linear"]]
    straight = [one for one in numbers.values() if one["linear"]]
    if all(one["help"] >= helps and one["falls"] >= most for one in bent) and all(
        one["help"] <= -helps and one["falls"] <= 1 - most for one in straight
    ):
        return "yes"
    apart = all(one["help"] >= helps for one in bent) and all(one["help"] < helps for one in straight)
    return "partly" if apart else "no"


def draw(slopes: Sequence[float], maps: Sequence[str], on: Curves, beyond: Curves, seeds: int) -> Figure:
    """A panel a map, a colour a training law."""
    figure, panels = panel_grid(1, len(maps), height=3.4)
    for axes, name in zip(panels[0], maps, strict=True):
        laws = [law for block_map, law in on if block_map == name]
        for law, colour in zip(laws, COLOURS, strict=False):
            for curves, style in ((on, "-"), (beyond, "--")):
                curve = curves[name, law]
                low, high = np.quantile(curve[1 + seeds :], [0.025, 0.975], axis=0)
                axes.plot(slopes, curve[0], style, marker=".", color=colour, label=law if style == "-" else None)
                axes.fill_between(slopes, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.set_title(name, fontsize="small")
        axes.set_xlabel("slope")
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0, 0].set_ylabel("mean log10 relative MSE")
    panels[0, 0].legend(fontsize="x-small")
    return figure
