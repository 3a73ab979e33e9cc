"""Errors of leaky-ReLU networks over slopes and budgets, and what is read off these curves, in versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .collapse import Numbers, collapse_cost, collapse_exponent, find_peak, full_width, local_exponents
from .experiments import Experiments
from .figures import FLOOR
from .held_out import held_out
from .phases import fall, first_run, order_statistics, power_of_peak
from .seed_statistics import Versions, mean_log, summary, worst
from .slopes import train_slopes
from .trained_networks import Over, laws_of

TRAINED = ("distances", "stops", "members", "batch", "rows")  # settings that all places have in common


class SlopeCurves:
    """Errors at one place on the axes.

    Args:
        place: ``width``, ``optimizer``, ``lr``, ``law`` of training, ``scale``.
        results: of :func:`renorm.report.slopes.train_slopes`, one a seed.
        settings: of the claim: ``distances``, ``stops``, ``seeds``, ``solved``.
        seed: of the resampling.

    Attributes:
        u: distances from slope 1, that of the linear network left out.
        t: budgets.
    """

    def __init__(
        self, place: Mapping[str, Any], results: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], seed: int
    ) -> None:
        self.place = place
        self.u, self.t = (np.array(settings[name], dtype=float) for name in ("distances", "stops"))
        self._settings, self._seed = settings, seed
        self._errors = {law: np.stack([one["errors"][law] for one in results], axis=-2) for law in results[0]["errors"]}
        self._asymmetry = np.stack([one["asymmetry"] for one in results], axis=-2)
        self._known: dict[Any, Versions] = {}

    @property
    def laws(self) -> list[str]:
        """That of training, then those held out."""
        return list(self._errors)

    def logs(self, over: Over | str) -> Versions:
        """Mean log10 of the error, that on the law of a set where a member's is largest, shape ``(V, budgets, distances)``."""
        if over not in self._known:
            self._known[over] = mean_log(self._raw(over)[:, :-1], self._seed)
        return self._known[over]

    def quantiles(self, over: Over | str, levels: Sequence[float]) -> list[Numbers]:
        """Quantiles of the error over the members of all seeds, shape ``(budgets, distances)`` each."""
        raw = np.maximum(self._raw(over)[:, :-1], FLOOR)
        return [*np.quantile(raw.reshape(*raw.shape[:2], -1), levels, axis=-1, method="nearest")]

    def falls(self, over: Over | str) -> Versions:
        """Decades from the peak towards smaller slopes, shape ``(V, budgets)``."""
        return fall(self.logs(over))

    def power(self, over: Over | str, least: float) -> Versions:
        """The p of the peak's way to slope 1, steps^-p, see :func:`renorm.report.phases.power_of_peak`."""
        return power_of_peak(self.u, self.t, self.logs(over), least)

    def fall_at_two(self, over: Over | str) -> Versions:
        """The fall that there is at two budgets or more, shape ``(V,)``."""
        found: Versions = np.sort(self.falls(over), axis=-1)[:, -2]
        return found

    def by_law(self) -> dict[str, dict[str, float]]:
        """The largest fall over budgets under every law, and the steps at which it is."""
        found = {}
        for law in self.laws:
            falls = self.falls(law)
            largest = summary(falls.max(axis=-1), self._settings["seeds"])
            found[law] = largest | {"steps": float(self.t[falls[0].argmax()])}
        return found

    def peak(self, over: Over | str, least: float) -> dict[str, Any]:
        """Where the peak is and how wide in decades, budget by budget, and the power of the steps with which it moves."""
        logs = self.logs(over)
        return {
            "distance": find_peak(self.u, logs[0]).position,
            "decades_wide": [full_width(self.u, row) for row in logs[0]],
            "falls": self.falls(over)[0],
            "power": summary(self.power(over, least), self._settings["seeds"]),
        }

    def collapse(self) -> dict[str, Any]:
        """The exponent of the best collapse on the training law, over budgets at which the linear network is solved.

        These are the first unbroken run of budgets at which its mean log error is below that of ``solved``; nothing is found
        where fewer than two are.
        """
        linear = mean_log(self._raw("trained")[:, -1], self._seed)[0]
        counts = first_run(linear < np.log10(self._settings["solved"]))
        found: dict[str, Any] = {"linear_log_error": linear, "budgets": self.t[counts]}
        if counts.sum() < 2:
            return found
        logs, budgets = self.logs("trained")[:, counts], self.t[counts]
        exponent = summary(collapse_exponent(self.u, budgets, logs)[0], self._settings["seeds"])
        cost = collapse_cost(self.u, budgets, logs[0], exponent["value"])
        return found | {"exponent": exponent, "cost": cost, "local": local_exponents(self.u, budgets, logs[0])}

    def order(self) -> dict[str, Versions]:
        """Mean, variance and Binder cumulant of the readout's asymmetry at the last budget, shape ``(V, distances)`` each."""
        return order_statistics(self._asymmetry[-1, :-1], self._seed)

    def _raw(self, over: Over | str) -> Numbers:
        return worst(self._errors, laws_of(self.place["law"], over))


def train_places(settings: Mapping[str, Any], experiments: Experiments) -> dict[str, SlopeCurves]:
    """Train at the reference and at every other place, each seed with data and weights of its own.

    Args:
        settings: of the claim: :data:`TRAINED`, ``seeds``, ``reference``, and ``others``, each with its ``name`` and
            what it changes.
        experiments: of the report.
    """
    seeds = settings["seeds"]
    places = {"reference": dict(settings["reference"])}
    for other in settings["others"]:
        changed = {key: value for key, value in other.items() if key != "name"}
        places[other["name"]] = settings["reference"] | changed
    common = {name: settings[name] for name in TRAINED}
    asked = [
        common
        | place
        | {"tests": [place["law"], *held_out(place["law"]).laws], "seed": experiments.seed * seeds + number}
        | {"cost": 10 + place["width"]}
        for place in places.values()
        for number in range(seeds)
    ]
    results = experiments.compute_many("slopes", asked, train_slopes)
    return {
        name: SlopeCurves(place, results[seeds * i : seeds * (i + 1)], settings, experiments.seed)
        for i, (name, place) in enumerate(places.items())
    }
