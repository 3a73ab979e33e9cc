"""B4: what networks learn when only distributions are supervised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...member_bootstrap import bootstrap
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS, draw_members, mark_threshold, panels
from ..finding import Drawing, Effect, Finding
from ..samples import TRAINED, Sample, described, sample, values_of

PAIRED = "mse"
MAPS = {"sum": 0.0, "difference": 2.0, "minus_sum": 4.0}  # relative MSE on the training law of centred blocks of two
NEAR = 0.2
MAPS_CAPTION = "Relative MSE under the training law: 0 for the sum, 2 for the difference, 4 for minus the sum."

Conditions = dict[tuple[str, str], dict[str, Sample]]  # (loss, law) -> architecture -> numbers


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/B4.yaml``."""
    table = experiments.table(claim.sweeps["table"])
    errors, trained, distance = (read(table, column) for column in (None, TRAINED, "trained/energy_distance"))
    limit, seed = claim.thresholds["generalises"], experiments.seed
    numbers: dict[str, Any] = {
        "share_of_architectures": {
            f"{loss}, {law}": float(np.mean([np.median(own) < limit for own in group.values()]))
            for (loss, law), group in errors.items()
        },
        "maps": {
            f"{loss}, {law}": {name: which_map(own) for name, own in group.items()}
            for (loss, law), group in trained.items()
        },
        "errors": _described(errors, seed),
        "energy_distance": _described(distance, seed),
    }
    learned = [own < limit for (loss, _), group in errors.items() if loss != PAIRED for own in group.values()]
    effect = Effect(
        "share of networks that learn the map from distributions alone, over losses, laws and architectures",
        *bootstrap(mean_share, *learned, seed=seed),
    )
    drawings = [
        Drawing("errors", "Each point is a network; bars are medians with their 95% intervals.", draw(claim, errors)),
        Drawing("maps", MAPS_CAPTION, draw_maps(trained)),
    ]
    answer = verdict(numbers, claim.thresholds)
    tried = "" if answer == "yes" else TRIED
    return Finding(answer, effect, numbers, drawings, tried, remarks(numbers))


TRIED = "A symmetric and a skewed training law, two losses, three activations, free weights and the map's own symmetry."


def read(table: Any, column: str | None) -> Conditions:
    """One number a member, by loss and training law, then by architecture."""
    chosen = {} if column is None else {"column": column}
    return {
        (loss, law): {
            f"{activation} {symmetry}": sample(
                table, **chosen, loss=loss, train_laws=law, activation=activation, symmetry=symmetry
            )
            for activation in values_of(table, "activation")
            for symmetry in values_of(table, "symmetry")
        }
        for law in values_of(table, "train_laws")
        for loss in values_of(table, "loss")
    }


def which_map(relative: Sample) -> dict[str, float]:
    """Share of members whose error under the training law is that of the sum, the difference, minus the sum, or none.

    Example:
        >>> which_map(np.array([0.001, 1.95, 4.1, 1.0]))
        {'sum': 0.25, 'difference': 0.25, 'minus_sum': 0.25, 'neither': 0.25}
    """
    found = {name: float(np.mean(np.abs(relative - value) < NEAR)) for name, value in MAPS.items()}
    return found | {"neither": 1 - sum(found.values())}


def mean_share(*samples: Sample, axis: int = -1) -> Any:
    """Mean over conditions of the share of members."""
    return np.mean([np.mean(values, axis=axis) for values in samples], axis=0)


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question."""
    learned = [
        share >= thresholds["half"]
        for name, share in numbers["share_of_architectures"].items()
        if not name.startswith(PAIRED)
    ]
    return "yes" if all(learned) else "partly" if any(learned) else "no"


def remarks(numbers: Mapping[str, Any]) -> list[str]:
    """The summary for a physicist."""
    found = [
        "Under a symmetric law sum, difference and their negatives have the same distribution: no loss of "
        "distributions tells them apart, "
        "and the initial weights decide. A skewed law breaks the sign; the symmetry odd_input excludes the difference."
    ]
    for condition, group in numbers["maps"].items():
        if condition.startswith(PAIRED):
            continue
        shares = {name: np.mean([own[name] for own in group.values()]) for name in (*MAPS, "neither")}
        text = ", ".join(f"{name.replace('_', ' ')} {share:.0%}" for name, share in shares.items())
        found.append(f"{condition}: {text} (mean over architectures).")
    return found


def _described(found: Conditions, seed: int) -> dict[str, dict[str, Any]]:
    return {
        f"{loss}, {law}": {name: described(own, seed) for name, own in group.items()}
        for (loss, law), group in found.items()
    }


def draw(claim: Claim, errors: Conditions) -> Figure:
    """A panel a law and loss, a column an architecture."""
    figure, grid = panels(len(errors), height=3.4, width=9.6)
    for axes, ((loss, law), group) in zip(grid, errors.items(), strict=True):
        draw_members(axes, group)
        axes.set_xticks(range(len(group)), list(group), rotation=90, fontsize="x-small")
        axes.set_title(f"{loss}, {law.partition('(')[0]}", fontsize="small")
        mark_threshold(axes, claim.thresholds["generalises"], "")
    grid[0].set_ylabel("relative MSE, worst held-out law")
    return figure


def draw_maps(trained: Conditions) -> Figure:
    """Histogram of relative MSE under the training law, a panel a law, a line a loss; all architectures together."""
    laws = list(dict.fromkeys(law for _, law in trained))
    figure, grid = panels(len(laws))
    edges = np.linspace(0, 5, 51)
    for axes, law in zip(grid, laws, strict=True):
        for colour, loss in zip(COLOURS, dict.fromkeys(loss for loss, _ in trained), strict=False):
            values = np.concatenate(list(trained[loss, law].values()))
            counts, _ = np.histogram(np.clip(values, 0, 4.99), edges)
            axes.stairs(counts / len(values), edges, color=colour, label=loss)
        axes.set_title(law.partition("(")[0], fontsize="medium")
        axes.set_xlabel("relative MSE, training law")
    grid[0].set_ylabel("share of networks")
    grid[0].legend(fontsize="small")
    return figure
