"""D4: is the learned map's spectrum the exact one where training saw the fixed point?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ... import maps
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..seed_statistics import Versions, best_rate, judged_by_seed, summary
from ..seeded import SHARED, train_spectra

TRIED = (
    "Free networks and those of the matching symmetry on four maps, two or three training laws, three learning rates."
)

Logs = dict[tuple[str, str], dict[str, Versions]]  # (map, training law) -> network -> mean log error of the spectrum


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/D4.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    cells = train_cells(claim, experiments)
    logs: Logs = {
        cell: {name: best_rate(found["spectrum"], seed)[:, -1, 0] for name, found in group.items()}
        for cell, group in cells.items()
    }
    answer, share = judged_by_seed(verdict, lambda v: errors_at(logs, own["maps"], v), claim.thresholds, seeds)
    numbers: dict[str, Any] = {"share_of_seeds": share}
    numbers["mean_log_error_of_the_spectrum"] = {
        f"{block_map}, {law}, {name}": summary(values, seeds)
        for (block_map, law), group in logs.items()
        for name, values in group.items()
    }
    numbers["median_eigenvalues"] = {
        f"{block_map}, {law}, {name}": medians(found).tolist()
        for (block_map, law), group in cells.items()
        for name, found in group.items()
    } | {f"{name}, exact": exact_eigenvalues(name, about, own["order"]).tolist() for name, about in own["maps"].items()}
    fixed = [logs[name, about["laws"][-1]]["matching"] for name, about in own["maps"].items()]
    found = summary(np.max(fixed, axis=0), seeds)
    effect = Effect.of(
        "mean log10 of the largest relative error of an eigenvalue, matching networks on the fixed point's law, worst map",
        found,
    )
    caption = (
        "Mean over members of log10 of the largest relative error of an eigenvalue, orders 0 to 4, at the best of the learning "
        "rates, with its 95% interval over seeds and members; dashed: 5%."
    )
    drawing = Drawing("spectrum", caption, draw(logs, own["maps"], claim.thresholds["eigenvalue"], seeds))
    remarks = [f"{share:.0%} of the seeds give the verdict by themselves.", by_map(logs, own["maps"])]
    return Finding(answer, effect, numbers, [drawing], "" if answer == "yes" else TRIED, remarks)


def train_cells(claim: Claim, experiments: Experiments) -> dict[tuple[str, str], dict[str, Any]]:
    """What was found of free and matching networks on every map under every training law."""
    own = claim.settings
    keys, conditions = [], []
    for block_map, about in own["maps"].items():
        for law in about["laws"]:
            shared = {key: own[key] for key in (*SHARED, "order", "nodes")} | {"map": block_map, "law": law}
            shared |= {"block_size": about["block_size"], "tests": [law], "mirrored": False}
            for name, symmetry in (("free", "free"), ("matching", about["matching"])):
                keys.append((block_map, law, name))
                conditions.append(shared | {"model": f"mlp_relu_{symmetry}", "arguments": {"width": own["width"]}})
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for (block_map, law, name), found in zip(
        keys, experiments.compute_many("spectra", conditions, train_spectra), strict=True
    ):
        cells.setdefault((block_map, law), {})[name] = found
    return cells


def exact_eigenvalues(name: str, about: Mapping[str, Any], order: int) -> Versions:
    """The map's own eigenvalues, by falling size, to the last order that its basis has."""
    block_map = maps.parse(name)
    highest = None if block_map.basis is None else block_map.basis.highest
    exact = block_map.spectrum(order if highest is None else min(order, highest), about["block_size"])
    assert exact is not None
    values: Versions = exact.sort(descending=True).values.numpy()
    return values


def medians(found: Mapping[str, Any]) -> Versions:
    """Median over seeds and members of every eigenvalue, at the rate where the spectrum is best."""
    rate = int(best_of(found["spectrum"]))
    values: Versions = np.median(np.array(found["eigenvalues"], dtype=float)[:, rate], axis=(-2, -1))
    return values


def best_of(errors: Any) -> Any:
    """Position of the learning rate with the smallest mean log error."""
    return np.log10(np.array(errors, dtype=float)[-1, 0].clip(1e-14, 1e6)).mean(axis=(-2, -1)).argmin()


def errors_at(logs: Logs, maps_: Mapping[str, Mapping[str, Any]], version: int) -> dict[str, tuple[float, float]]:
    """For one version and each map: error of the matching network trained on the fixed point's law, and on the first law."""
    return {
        name: (
            float(logs[name, about["laws"][-1]]["matching"][version]),
            float(logs[name, about["laws"][0]]["matching"][version]),
        )
        for name, about in maps_.items()
    }


def verdict(numbers: Mapping[str, tuple[float, float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: map -> mean log error of the spectrum where training saw the fixed point's law, and where the uniform one.
        thresholds: ``eigenvalue``.

    Example:
        >>> verdict({"a": (-2.0, -1.0), "b": (-2.0, -3.0)}, {"eigenvalue": -1.3})
        'partly'
    """
    holds = [own <= thresholds["eigenvalue"] and own < other for own, other in numbers.values()]
    return "yes" if all(holds) else "partly" if any(holds) else "no"


def by_map(logs: Logs, maps_: Mapping[str, Mapping[str, Any]]) -> str:
    """The geometric mean errors as a sentence."""
    parts = [
        f"{name}: " + ", ".join(f"{law} {10 ** logs[name, law]['matching'][0]:.1%}" for law in about["laws"])
        for name, about in maps_.items()
    ]
    return "Geometric mean of the largest relative error of an eigenvalue, matching networks: " + "; ".join(parts) + "."


def draw(logs: Logs, maps_: Mapping[str, Mapping[str, Any]], threshold: float, seeds: int) -> Figure:
    """A panel a map, a column a training law, a colour a network."""
    figure, panels = panel_grid(1, len(maps_), height=3.4)
    for axes, (block_map, about) in zip(panels[0], maps_.items(), strict=True):
        for number, name in enumerate(("free", "matching")):
            values = np.array([logs[block_map, law][name] for law in about["laws"]])
            low, high = np.quantile(values[:, 1 + seeds :], [0.025, 0.975], axis=1)
            x = np.arange(len(about["laws"])) + 0.2 * number - 0.1
            axes.vlines(x, low, high, color=COLOURS[number], linewidth=1)
            axes.plot(x, values[:, 0], "o", color=COLOURS[number], label=name)
        axes.axhline(threshold, color="#808080", linestyle="--", linewidth=0.8)
        axes.set_xticks(range(len(about["laws"])), about["laws"], rotation=45, ha="right")
        axes.set_title(block_map, fontsize="small")
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0, 0].set_ylabel("log10 error of the spectrum")
    panels[0, 0].legend(fontsize="x-small")
    return figure
