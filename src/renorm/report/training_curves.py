"""Errors on the training law as training goes, of networks at every place on the axes, and what is read off their curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .axes import Setting
from .curves import count_plateaus, recorded_steps, rises, times_to
from .experiments import Experiments
from .seed_statistics import Versions, mean
from .trained_networks import compute_errors

Curves = NDArray[np.float64]


class TrainingCurves:
    """Curves of networks that were trained under several laws, from several initial scales, at several learning rates.

    Args:
        errors: (training law, network) -> errors on that law, step x grid x scale x rate x seed x member.
        steps: at which they were taken.
        settings: of the claim: ``scales``, ``rates``, ``seeds``; ``learned``, the error from which a network has learned;
            ``rise``, the factor by which a curve that rises does so.
        seed: of the resampling.
    """

    def __init__(
        self, errors: Mapping[tuple[str, str], Any], steps: list[int], settings: Mapping[str, Any], seed: int
    ) -> None:
        self.names = list(dict.fromkeys(name for _, name in errors))
        self.steps = steps
        self._errors = {key: np.asarray(values, dtype=float) for key, values in errors.items()}
        self._settings, self._seed = settings, seed
        self._known: dict[tuple[Any, ...], Versions] = {}
        self._read: dict[str, Callable[[Curves], Curves]] = {
            "log_time": lambda loss: np.log10(np.minimum(times_to(steps, loss, settings["learned"]), steps[-1])),
            "learned": lambda loss: np.isfinite(times_to(steps, loss, settings["learned"])).astype(float),
            "rising": lambda loss: (rises(loss, settings["learned"]) >= settings["rise"]).astype(float),
            "plateaus": lambda loss: count_plateaus(steps, loss, settings["learned"]),
        }

    def mean(self, name: str, place: Setting, what: str, grid: int | None = None) -> Versions:
        """Mean over members of what is read off each curve, in versions, shape ``(V,)``.

        Where the place has no learning rate, it is the one with the least mean log time, in each version and grid point.

        Args:
            name: of the network.
            place: on the axes.
            what: ``log_time``, log10 of the steps until a member has learned, counted at the last one where it never does;
                ``learned``, ``rising``, shares; ``plateaus``, their number.
            grid: position in the grid of the activation; by default the mean over all.
        """
        values = self._by_rate(name, place, what)
        if place.rate is not None:
            chosen = values[..., self._settings["rates"].index(place.rate)]
        else:
            best = self._by_rate(name, place, "log_time").argmin(axis=-1)
            chosen = np.take_along_axis(values, best[..., None], axis=-1)[..., 0]
        found: Versions = chosen.mean(axis=-1) if grid is None else chosen[:, grid]
        return found

    def members(self, name: str, place: Setting, grid: int) -> Curves:
        """The curves at the rate that is the best for all seeds together, one a member of every seed, shape ``(M, T)``."""
        best = int(self._by_rate(name, place, "log_time")[0, grid].argmin())
        rate = best if place.rate is None else self._settings["rates"].index(place.rate)
        curves = self._at_scale(name, place)[:, grid, rate]
        return curves.reshape(len(curves), -1).T

    def waiting(self, name: str, place: Setting, grid: int) -> Curves:
        """Share of the members that have not learned yet, at every step, shape ``(T,)``."""
        times = times_to(self.steps, self.members(name, place, grid), self._settings["learned"])
        share: Curves = (times > np.array(self.steps)[:, None]).mean(axis=1)
        return share

    def _by_rate(self, name: str, place: Setting, what: str) -> Versions:
        key = (name, place.law, place.scale, what)
        if key not in self._known:
            curves = self._at_scale(name, place)
            read = self._read[what](curves.reshape(len(curves), -1).T)
            self._known[key] = mean(read.reshape(curves.shape[1:]), self._seed)
        return self._known[key]

    def _at_scale(self, name: str, place: Setting) -> Curves:
        return self._errors[place.law, name][:, :, self._settings["scales"].index(place.scale)]


def train_curves(
    networks: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any], experiments: Experiments
) -> TrainingCurves:
    """Train networks under every training law and record their errors on it.

    Args:
        networks: see :func:`renorm.report.trained_networks.train_networks`.
        settings: of the claim, with ``steps``, and ``records``, how many times an error is taken, evenly in the logarithm of
            the step.
        experiments: of the report.
    """
    stops = recorded_steps(settings["steps"], settings["records"])
    errors = compute_errors(networks, {**settings, "stops": stops}, experiments, lambda law: [law])
    own = {(law, name): found[law] for (law, name), found in errors.items()}
    return TrainingCurves(own, stops, settings, experiments.seed)
