"""C4: is the change of the error with the slope of a leaky ReLU a transition, or a crossover in training time?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..claim import Claim
from ..collapse import Numbers, collapse_exponent, find_peak, over_members, power_law
from ..experiments import Experiments
from ..finding import Effect, Finding
from ..phases import descent_numbers, largest_drop, local_exponents, order_statistics
from ..slopes import descend, train_slopes
from .c4_figures import draw_all

TRIED = (
    "Tried: all widths, two optimisers, several learning rates and budgets, the training law and every "
    "held-out law, full-batch descent; the "
    "order parameter, its variance and its Binder cumulant."
)


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """Run the fits, scale their errors, and describe the peak."""
    own = claim.settings
    common = {name: own[name] for name in ("distances", "stops", "replicas")}
    fits = [_with_cost(common | dict(fit)) for fit in own["fits"]]
    descents = [_with_cost(common | dict(fit)) for fit in own["descents"]]
    trained = experiments.compute_many("slopes", fits, train_slopes)
    descended = experiments.compute_many("descent", descents, descend)
    u, t = np.array(own["distances"], dtype=float), np.array(own["stops"], dtype=float)
    found = {
        _label(fit): fit_numbers(u, t, result, claim.thresholds["solved"], own["resamples"], experiments.seed)
        | {"width": fit["width"], "optimizer": fit["optimizer"], "lr": fit["lr"]}
        for fit, result in zip(fits, trained, strict=True)
    }
    derived = {
        f"{_label(fit)}, full batch": descent_numbers(u, t * fit["lr"], result, own["resamples"], experiments.seed)
        | {"width": fit["width"], "lr": fit["lr"]}
        for fit, result in zip(descents, descended, strict=True)
    }
    reference = own["reference"]
    chosen = [f for f in found.values() if all(f[name] == reference[name] for name in reference)]
    numbers = {"fits": found, "descent": derived, "judged": judged(chosen)}
    effect = _effect(chosen)
    figures = draw_all(
        u, t, dict(zip(found, trained, strict=True)), numbers, dict(zip(derived, descended, strict=True))
    )
    verdict_ = verdict(judged(chosen), claim.thresholds)
    tried = "" if verdict_ == "reproduced" else TRIED
    return Finding(verdict_, effect, numbers, figures, tried, remarks(found, derived))


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: see :func:`judged`.
        thresholds: ``drop`` and ``shift``.

    Example:
        >>> verdict({"drop_held_out": 20, "drop_trained": 20, "shift_low": 1.5}, {"drop": 10, "shift": 2})
        'reproduced'
    """
    if numbers["drop_held_out"] >= thresholds["drop"] and numbers["shift_low"] < thresholds["shift"]:
        return "reproduced"
    if max(numbers["drop_trained"], numbers["drop_held_out"]) >= thresholds["drop"]:
        return "partly"
    return "not reproduced"


def judged(fits: list[dict[str, Any]]) -> dict[str, float]:
    """The numbers that the rule needs, over the fits of all widths: the least drops, and the largest shift of the peak."""
    return {
        "drop_held_out": min(max(fit["drop_held_out"]) for fit in fits),
        "drop_trained": min(max(fit["drop_trained"]) for fit in fits),
        "shift_low": max(fit["shift"][1] for fit in fits),
    }


def fit_numbers(
    u: Numbers, t: Numbers, result: Mapping[str, Any], solved: float, resamples: int, seed: int
) -> dict[str, Any]:
    """Finite-size scaling of one stack.

    Args:
        u: distances from slope 1, increasing.
        t: budgets.
        result: of :func:`renorm.report.slopes.train_slopes`.
        solved: error of the linear network below which a budget counts for the collapse.
        resamples: of the bootstrap over members.
        seed: of the bootstrap.
    """
    errors = {name: np.array(result[name], dtype=float) for name in ("trained", "held_out")}
    linear = np.median(errors["trained"][:, -1], axis=-1)
    curves = {name: values[:, :-1] for name, values in errors.items()}
    medians = {name: np.median(values, axis=-1) for name, values in curves.items()}
    peaks = [find_peak(u, row) for row in medians["trained"]]
    counts = first_run(linear < solved)
    found: dict[str, Any] = {
        "median_trained": medians["trained"],
        "median_held_out": medians["held_out"],
        "linear_trained": linear,
        "budgets_that_count": t[counts],
        "peak_distance": [peak.position for peak in peaks],
        "peak_height": [peak.height for peak in peaks],
        "peak_decades": [peak.width for peak in peaks],
        "drop_trained": [largest_drop(row) for row in medians["trained"]],
        "drop_held_out": [largest_drop(row) for row in medians["held_out"]],
        "shift": over_members(curves["trained"], lambda median: _shift(u, median), seed, resamples),
        **order_statistics(np.array(result["asymmetry"], dtype=float)),
    }
    if counts.sum() < 2:
        return found | {"exponent": [None] * 3, "collapse_cost": None, "local_exponents": [], "peak_exponent": None}
    kept, budgets = curves["trained"][counts], t[counts]
    return found | {
        "exponent": over_members(kept, lambda median: collapse_exponent(u, budgets, median)[0], seed, resamples),
        "collapse_cost": collapse_exponent(u, budgets, np.median(kept, axis=-1))[1],
        "local_exponents": local_exponents(u, budgets, np.median(kept, axis=-1)),
        "peak_exponent": -power_law(budgets, np.array(found["peak_distance"])[counts]),
    }


def first_run(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The first unbroken run of true values among some flags.

    Example:
        >>> first_run(np.array([False, True, True, False, True])).tolist()
        [False, True, True, False, False]
    """
    begun = np.cumsum(flags) > 0
    ended = np.cumsum(begun & ~flags) > 0
    found: NDArray[np.bool_] = begun & ~ended
    return found


def _shift(u: Numbers, medians: Numbers) -> float:
    """How many times nearer to slope 1 the peak is at the last budget than at the first."""
    return find_peak(u, medians[0]).position / find_peak(u, medians[-1]).position


def _effect(fits: list[dict[str, Any]]) -> Effect:
    widest = max(fits, key=lambda fit: -abs(fit["width"] - 8))
    name = f"factor by which the peak on the training law nears slope 1 over the budgets, Adam, width {widest['width']}"
    return Effect(name, *widest["shift"])


def remarks(fits: Mapping[str, Mapping[str, Any]], descents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Describe the exponents, their theory, and the order parameter, in words."""
    exponents = "; ".join(
        f"{label}: {fit['exponent'][0]:.2f} [{fit['exponent'][1]:.2f}, {fit['exponent'][2]:.2f}]"
        for label, fit in fits.items()
        if fit["exponent"][0] is not None
    )
    ratios = "; ".join(
        f"{label}: {fit['ratio'][0]:.3f} [{fit['ratio'][1]:.3f}, {fit['ratio'][2]:.3f}]"
        for label, fit in descents.items()
    )
    return [
        f"Collapse exponents x of error / (1 - slope)^2 against (1 - slope) steps^x: {exponents}. Gradient descent must have 1/2 "
        "(docs/findings.md derives it); Adam has no one exponent, it depends on the learning rate and on the budget.",
        "Loss of full-batch descent over the loss that is derived from the linear solution alone, no "
        "parameter fitted, median over "
        f"members, slopes and budgets: {ratios}.",
        "Budgets count for the collapse while the linear network next to them is solved to rounding. Adam's "
        "second moments forget the early "
        "gradients after some thousand steps, and from then on it throws even the linear network out of its "
        "solution now and then.",
        _marks(fits),
    ]


def _marks(fits: Mapping[str, Mapping[str, Any]]) -> str:
    """The marks of a transition: a peak on held-out laws, one that sharpens, a variance that grows with the width."""
    drop = max(max(fit["drop_held_out"]) for fit in fits.values())
    sharpness = "; ".join(
        f"{label}: {widths[0]:.2f} to {widths[-1]:.2f}"
        for label, fit in fits.items()
        if (widths := [width for width in fit["peak_decades"] if np.isfinite(width)])
    )
    variances = "; ".join(
        f"{label}: {fit['width'] * fit['order_variance'][-1].max():.3f}" for label, fit in fits.items()
    )
    return (
        "From its peak towards smaller slopes the error on the worst held-out law falls by a factor of "
        f"{drop:.2g} at most, 1 being a peak "
        "at slope 0. Width of the peak on the training law in decades, first to last budget that has one on "
        f"both sides: {sharpness}. "
        f"Largest width x variance of the order parameter over slopes: {variances}."
    )


def _label(fit: Mapping[str, Any]) -> str:
    return f"{fit['optimizer']} {fit['lr']:g}, width {fit['width']}"


def _with_cost(fit: dict[str, Any]) -> dict[str, Any]:
    return fit | {"cost": fit["width"] * fit["replicas"] * fit["stops"][-1] * len(fit["distances"]) / 1e6}
