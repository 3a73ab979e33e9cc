"""Networks by name, trained at every place on the axes, and their errors over sets of laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .axes import Judged, Setting, judge_along_axes
from .experiments import Experiments
from .figures import FLOOR
from .held_out import held_out
from .samples import Sample
from .seed_statistics import Versions, mean_log, summary, worst
from .seeded import SHARED, train_seeds

Over: TypeAlias = Literal["trained", "interpolation", "extrapolation"]

MAP = {"map": "central_limit()", "block_size": 2, "mirrored": False}  # of networks that name no other
KEYS = (*SHARED, "scales")  # settings of a claim that its networks are trained with


class TrainedNetworks:
    """Errors of networks that were trained under several laws, from several initial scales, at several learning rates.

    Args:
        errors: (training law, network) -> law of the test -> errors, step x grid x scale x rate x seed x member.
        settings: of the claim: ``scales``, ``rates``, ``seeds``.
        seed: of the resampling.
    """

    def __init__(
        self, errors: Mapping[tuple[str, str], Mapping[str, Any]], settings: Mapping[str, Any], seed: int
    ) -> None:
        self.names = list(dict.fromkeys(name for _, name in errors))
        self._errors, self._settings, self._seed = errors, settings, seed
        self._known: dict[tuple[Any, ...], Versions] = {}

    def log_error(self, name: str, place: Setting, over: Over | str, step: int = -1, grid: int = 0) -> Versions:
        """Mean log10 of the error, that on the law of a set where a member's is largest, in versions, shape ``(V,)``.

        Where the place has no learning rate, it is the one with the least mean log error on the training law, in each version.

        Args:
            name: of the network.
            place: on the axes.
            over: ``trained``, ``interpolation``, ``extrapolation``, or one law.
            step: position of the stop.
            grid: position in the grid of the activation.
        """
        logs = self._by_rate(name, place, over, step, grid)
        if place.rate is not None:
            at_rate: Versions = logs[:, self._settings["rates"].index(place.rate)]
            return at_rate
        best = self._by_rate(name, place, "trained", step, grid).argmin(axis=-1)
        chosen: Versions = logs[np.arange(len(logs)), best]
        return chosen

    def members(self, name: str, place: Setting, over: Over | str, step: int = -1, grid: int = 0) -> Sample:
        """The errors behind it, at :meth:`best_rate`, one a member of every seed."""
        rate = self.best_rate(name, place, step, grid)
        chosen: Sample = self._raw(name, place, over, step, grid)[rate].ravel()
        return chosen

    def best_rate(self, name: str, place: Setting, step: int = -1, grid: int = 0) -> int:
        """Position of the place's learning rate; where it has none, of that which is the best for all seeds together."""
        if place.rate is not None:
            return int(self._settings["rates"].index(place.rate))
        return int(self._by_rate(name, place, "trained", step, grid)[0].argmin())

    def described(self, name: str, place: Setting, over: Over | str) -> dict[str, float]:
        """Mean log10 of the error with its interval and what seeds say by themselves, and quantiles over members."""
        logs = np.log10(np.maximum(self.members(name, place, over), FLOOR))
        low, high = np.quantile(logs, [0.1, 0.9], method="nearest")
        found = summary(self.log_error(name, place, over), self._settings["seeds"])
        return found | {"members_q10": float(low), "members_q90": float(high)}

    def by_law(self, name: str, place: Setting) -> dict[str, float]:
        """Mean log10 of the error on the law of training and on every held-out law."""
        laws = (place.law, *held_out(place.law).laws)
        return {law: float(self.log_error(name, place, law)[0]) for law in laws}

    def _by_rate(self, name: str, place: Setting, over: str, step: int, grid: int) -> Versions:
        key = (name, place.law, place.scale, over, step, grid)
        if key not in self._known:
            self._known[key] = mean_log(self._raw(name, place, over, step, grid), self._seed)
        return self._known[key]

    def _raw(self, name: str, place: Setting, over: str, step: int, grid: int) -> NDArray[np.float64]:
        errors = self._errors[place.law, name]
        laws = laws_of(place.law, over)
        scale = self._settings["scales"].index(place.scale)
        return worst({law: np.asarray(errors[law])[step, grid, scale] for law in laws}, laws)


class OnBothSets(NamedTuple):
    """Verdicts on the laws beyond the training law, by which a claim is judged, and on those within it, beside it."""

    beyond: Judged
    within: Judged

    def numbers(self) -> dict[str, Any]:
        """As part of a finding's numbers."""
        within = {"verdict": self.within.verdict} | self.within.numbers()
        return self.beyond.numbers() | {"within_the_training_law": within}

    def sentences(self) -> list[str]:
        """How stable both are, for the page."""
        return [
            f"Beyond the training law: {self.beyond.sentence()}",
            f"Within it the verdict is {self.within.verdict}: {self.within.sentence()}",
        ]


def judge_on_both_sets(
    rule: Callable[[Any, Mapping[str, float]], str],
    numbers: Callable[[str, Setting, int], Any],
    thresholds: Mapping[str, float],
    settings: Mapping[str, Any],
) -> OnBothSets:
    """Judge along the axes on either set; ``numbers`` gets the set before the place, see :func:`judge_along_axes`."""
    sets = ("extrapolation", "interpolation")
    return OnBothSets(*(judge_along_axes(rule, partial(numbers, over), thresholds, settings) for over in sets))


def laws_of(trained: str, over: Over | str) -> tuple[str, ...]:
    """The laws of a set, given the law of training; a law is a set of one.

    Example:
        >>> laws_of("uniform()", "trained"), laws_of("uniform()", "laplace()")
        (('uniform()',), ('laplace()',))
    """
    sets = {"trained": (trained,)} | held_out(trained)._asdict()
    return sets.get(over, (over,))


def train_networks(
    networks: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any], experiments: Experiments
) -> TrainedNetworks:
    """Train networks under every training law; claims with the same settings share those that they have in common.

    Args:
        networks: name -> ``model`` and ``arguments``, and whatever else of :func:`renorm.report.seeded.train_seeds` it sets.
        settings: of the claim: what all its conditions have in common, and ``laws``, of training.
        experiments: of the report.
    """
    errors = compute_errors(networks, settings, experiments, lambda law: [law, *held_out(law).laws])
    return TrainedNetworks(errors, settings, experiments.seed)


def compute_errors(
    networks: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    experiments: Experiments,
    tests: Callable[[str], Sequence[str]],
) -> dict[tuple[str, str], dict[str, Any]]:
    """Errors by law of training and network, then by law of the test; ``tests`` are the laws, given that of training."""
    shared = MAP | {key: settings[key] for key in KEYS}
    keys = [(law, name) for law in settings["laws"] for name in networks]
    conditions = [{**shared, "law": law, "tests": list(tests(law)), **networks[name]} for law, name in keys]
    found = experiments.compute_many("seeded", conditions, train_seeds)
    return {key: one["errors"] for key, one in zip(keys, found, strict=True)}


def one_hidden_layer(activation: str, symmetry: str, width: int, reflected: bool = False) -> dict[str, Any]:
    """A perceptron of one hidden layer, as :func:`train_networks` takes it: the one spelling of it, so that claims share fits.

    Example:
        >>> one_hidden_layer("relu", "full", 8)["model"]
        'mlp_relu_full'
    """
    arguments = {"width": width}
    return {"model": f"mlp_{activation}_{symmetry}", "arguments": arguments, "reflected": reflected}


def perceptrons(
    activations: Sequence[str], symmetries: Sequence[str], widths: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """Perceptrons of one hidden layer by name, as in ``relu full, 8``.

    Example:
        >>> [*perceptrons(["relu"], ["free", "full"], [8])]
        ['relu free, 8', 'relu full, 8']
    """
    return {
        f"{activation} {symmetry}, {width}": one_hidden_layer(activation, symmetry, width)
        for activation in activations
        for width in widths
        for symmetry in symmetries
    }
