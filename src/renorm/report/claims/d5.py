"""D5: does what is learned on independent blocks hold on correlated ones, and the other way round?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..seed_statistics import Versions, judged_by_seed, mean_log, summary
from ..seeded import SHARED, train_seeds

TRIED = "Two pairs of sources in both directions on four maps, ReLU and linear networks, three learning rates."
JUDGED = "relu"

Key = tuple[str, str, str, str]  # activation, map, source of training, the other source


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/D5.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    cells = train_cells(claim, experiments)
    logs = {key: at_best_rate(found, key[2:], seed) for key, found in cells.items()}
    changes = {key: other - trained for key, (trained, other) in logs.items()}
    answer, share = judged_by_seed(verdict, lambda v: changes_at(changes, own["maps"], v), claim.thresholds, seeds)
    numbers: dict[str, Any] = {"share_of_seeds": share}
    for activation in own["activations"]:
        chosen = {key: one for key, one in changes.items() if key[0] == activation}
        numbers[f"change_{activation}"] = {named(key): summary(one, seeds) for key, one in chosen.items()}
        numbers[f"mean_log_error_{activation}"] = {
            named(key): {"source of training": float(logs[key][0][0]), "the other": float(logs[key][1][0])}
            for key in chosen
        }
    straight = [np.abs(one) for key, one in changes.items() if key[0] == JUDGED and own["maps"][key[1]]]
    found = summary(np.max(straight, axis=0), seeds)
    effect = Effect.of(
        "decades by which the error of ReLU networks changes on linear maps, largest over maps, sources and directions",
        found,
    )
    caption = (
        "Error on the other source over that on the source of training, in decades, with its 95% interval over seeds and "
        "members; the band is what the rule calls no change."
    )
    drawing = Drawing("changes", caption, draw(changes, own, claim.thresholds["changes"], seeds))
    remark = f"{share:.0%} of the seeds give the verdict by themselves."
    return Finding(answer, effect, numbers, [drawing], "" if answer == "yes" else TRIED, [remark])


def train_cells(claim: Claim, experiments: Experiments) -> dict[Key, dict[str, Any]]:
    """Errors by source of every network on every map, trained on each source of each pair."""
    own = claim.settings
    keys: list[Key] = [
        (activation, block_map, trained, other)
        for activation in own["activations"]
        for block_map in own["maps"]
        for pair in own["pairs"]
        for trained, other in (pair, pair[::-1])
    ]
    conditions = [
        {key: own[key] for key in (*SHARED, "block_size")}
        | {"model": f"mlp_{activation}_free", "arguments": {"width": own["width"]}, "map": block_map}
        | {"law": trained, "tests": [trained, other], "mirrored": True}
        for activation, block_map, trained, other in keys
    ]
    found = experiments.compute_many("seeded", conditions, train_seeds)
    return {key: one["errors"] for key, one in zip(keys, found, strict=True)}


def at_best_rate(errors: Mapping[str, Any], sources: tuple[str, str], seed: int) -> tuple[Versions, Versions]:
    """Mean log errors on the source of training and on the other, at the rate that is best on the first."""
    trained, other = (mean_log(np.array(errors[source], dtype=float)[-1, 0], seed) for source in sources)
    best = trained.argmin(axis=-1)[:, None]
    return np.take_along_axis(trained, best, -1)[:, 0], np.take_along_axis(other, best, -1)[:, 0]


def named(key: Key) -> str:
    """A condition in words, without its activation."""
    return f"{key[1]}: {key[2]} to {key[3]}"


def changes_at(changes: Mapping[Key, Versions], maps: Mapping[str, bool], version: int) -> dict[str, dict[str, Any]]:
    """For one version and each map: whether it is linear, and the changes of the networks that are judged."""
    return {
        name: {
            "linear": linear,
            "changes": [float(one[version]) for key, one in changes.items() if key[:2] == (JUDGED, name)],
        }
        for name, linear in maps.items()
    }


def verdict(numbers: Mapping[str, Mapping[str, Any]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: map -> ``linear``, whether it is, and ``changes`` in decades.
        thresholds: ``changes``.

    Example:
        >>> straight, bent = {"linear": True, "changes": [0.1, -0.2]}, {"linear": False, "changes": [0.1, 0.2]}
        >>> verdict({"sum": straight, "maximum": bent}, {"changes": 0.3})
        'partly'
    """
    large = {name: [abs(one) > thresholds["changes"] for one in each["changes"]] for name, each in numbers.items()}
    holds = all(not any(large[name]) for name, each in numbers.items() if each["linear"])
    fails = all(any(large[name]) for name, each in numbers.items() if not each["linear"])
    return ("no", "partly", "yes")[holds + fails]


def draw(changes: Mapping[Key, Versions], own: Mapping[str, Any], threshold: float, seeds: int) -> Figure:
    """A panel a map, a column a direction, a colour an activation."""
    figure, panels = panel_grid(1, len(own["maps"]), height=4.0, sharey=True)
    for axes, block_map in zip(panels[0], own["maps"], strict=True):
        axes.axhspan(-threshold, threshold, color="#808080", alpha=0.2, linewidth=0)
        for number, activation in enumerate(own["activations"]):
            chosen = {key: one for key, one in changes.items() if key[:2] == (activation, block_map)}
            values = np.array(list(chosen.values()))
            low, high = np.quantile(values[:, 1 + seeds :], [0.025, 0.975], axis=1)
            x = np.arange(len(values)) + 0.2 * number - 0.1
            axes.vlines(x, low, high, color=COLOURS[number], linewidth=1)
            axes.plot(x, values[:, 0], "o", color=COLOURS[number], label=activation)
            labels = [f"{key[2]}\nto {key[3]}" for key in chosen]
            axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize="xx-small")
        axes.set_title(block_map, fontsize="small")
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0, 0].set_ylabel("change of the error, decades")
    panels[0, 0].legend(fontsize="x-small")
    return figure
