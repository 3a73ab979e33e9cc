"""Metrics of stacked predictions: one number for each member, the same for any split into batches and processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from ..cumulants import kstat
from ..cumulants.many_samples import in_parts, ordered
from ..cumulants.mergeable import MergeableMetric
from ..errors import InputError
from ..maps import BlockMap
from .losses import pair_sum
from .member_metric import METRICS, OWN_METRICS, MemberMetric, PairedSamples
from .tail_metrics import CharacteristicDistance, QuantileDistance

__all__ = [
    "METRICS",
    "OWN_METRICS",
    "CharacteristicDistance",
    "CumulantErrors",
    "Distances",
    "MemberMean",
    "MemberMetric",
    "PairedSamples",
    "QuantileDistance",
    "SquaredErrors",
    "check_metrics",
    "energy_distance",
    "generalization_metrics",
    "law_metrics",
    "metrics_of",
    "quantiles",
    "worst_law",
    "worst_of",
]

LOW, HIGH = 0.1, 0.9  # quantiles over members that are logged beside the median


def quantiles(values: Tensor, levels: tuple[float, ...] = (LOW, 0.5, HIGH)) -> list[Tensor]:
    """Quantiles over members of those that are finite; NaN where none is.

    Args:
        values: one number a member, shape ``(M,)``.
        levels: which quantiles.

    Example:
        >>> [float(q) for q in quantiles(torch.tensor([1.0, 2.0, 3.0, torch.inf]), (0.0, 0.5, 1.0))]
        [1.0, 2.0, 3.0]
    """
    finite = values.detach().double().masked_fill(~values.isfinite(), torch.nan)
    return list(finite.nanquantile(torch.tensor(levels, dtype=torch.float64, device=values.device)))


def worst_law(values: Sequence[Tensor]) -> Tensor:
    """The largest of a metric over laws, for each member, such as the worst held-out law; laws without the metric are left out.

    A metric does not exist for a law where no member has a finite number, as for cumulants of a law without them; a member that
    has diverged keeps its NaN.

    Args:
        values: for each law one number a member, shape ``(M,)``.

    Example:
        >>> worst_law([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0]), torch.tensor([torch.nan, torch.nan])])
        tensor([3., 2.])
    """
    stacked = torch.stack(list(values))
    exists = stacked.isfinite().any(dim=1)
    return (stacked[exists] if exists.any() else stacked).amax(dim=0)


def worst_of(results: Mapping[str, Mapping[str, Tensor]], laws: Iterable[str]) -> dict[str, Tensor]:
    """Metric -> the largest over those of some laws that have results, for each member; empty where none has.

    Args:
        results: law -> metric -> one number a member, shape ``(M,)``.
        laws: texts of the laws.

    Example:
        >>> worst_of({"a": {"mse": torch.tensor([1.0])}, "b": {"mse": torch.tensor([2.0])}}, ["a", "b", "c"])
        {'mse': tensor([2.])}
    """
    judged = [results[law] for law in laws if law in results]
    return {name: worst_law([metrics[name] for metrics in judged]) for name in (judged[0] if judged else ())}


class MemberMean(MergeableMetric):
    """Weighted mean of one number a member.

    Args:
        members: number of members ``M``.
    """

    full_state_update = False

    def __init__(self, members: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(members, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("weight", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.total: Tensor
        self.weight: Tensor

    def update(self, values: Tensor, weight: float) -> None:
        """Add values of shape ``(M,)``."""
        if weight == 0:
            return  # the empty part of a batch has a mean of NaN, which zero times does not undo
        self.total += values.detach().double() * weight
        self.weight += weight

    def compute(self) -> Tensor:
        """Mean of each member, shape ``(M,)``."""
        return self.total / self.weight


def check_metrics(names: Sequence[str]) -> None:
    """Reject names of metrics that are not defined.

    Raises:
        InputError: naming it, and those that there are.
    """
    for name in names:
        if name not in OWN_METRICS:
            raise InputError(
                f"metrics={name!r} is unknown", ", ".join(OWN_METRICS) or "those of a MemberMetric of your own"
            )


def metrics_of(block_map: BlockMap | None, chosen: Sequence[str] = ()) -> list[str]:
    """Names of the metrics beside the ordinary ones: those of the map, then those that were chosen.

    Example:
        >>> from renorm import maps
        >>> metrics_of(maps.parse("maximum()"), ["quantile_distance"])
        ['quantile_distance', 'characteristic_distance']
    """
    names = list(dict.fromkeys([*(() if block_map is None else block_map.metrics), *chosen]))
    check_metrics(names)
    return names


class SquaredErrors(PairedSamples):
    r"""Mean squared error of each member, :math:`E (f - y)^2`, and over the variance of the target in the same sample."""

    def compute(self) -> dict[str, Tensor]:
        """``mse`` and ``relative_mse``, each of shape ``(M,)``."""
        prediction, target = self.samples()
        mse = in_parts(lambda part: (part - target).double().square().mean(dim=-1), prediction)
        return {"mse": mse, "relative_mse": mse / target.double().var(unbiased=False)}


class Distances(PairedSamples):
    r"""Distances between the distributions of output and target, which do not see the pairs.

    Wasserstein-1, :math:`\int |F_f - F_y|`, and energy distance, :math:`\sqrt{2 \int (F_f - F_y)^2}`.

    Source:
        Szekely and Rizzo, Journal of Statistical Planning and Inference 143 (2013) 1249.
    """

    def compute(self) -> dict[str, Tensor]:
        """``wasserstein1`` and ``energy_distance``, each of shape ``(M,)``."""
        prediction, target = self.samples()
        target = ordered(target)
        wasserstein, energy = in_parts(lambda part: _distances(ordered(part), target), prediction)
        return {"wasserstein1": wasserstein, "energy_distance": energy}


def _distances(prediction: Tensor, target: Tensor) -> Tensor:
    """Both distances of ordered samples, shape ``(2, M)``: sorting is most of their cost."""
    wasserstein = (prediction - target).double().abs().mean(dim=-1)
    return torch.stack([wasserstein, energy_distance(prediction, target)])


def energy_distance(prediction: Tensor, target: Tensor) -> Tensor:
    """Energy distance of ordered outputs, shape ``(M, N)``, and ordered targets, shape ``(N,)``; shape ``(M,)``."""
    n = len(target)
    pooled = ordered(torch.cat([prediction, target.expand_as(prediction)], dim=-1), in_runs=True)
    # of the pairs of the pooled sample, those not within f or y lie across
    within, within_y, all_pairs = (pair_sum(sample.double()) for sample in (prediction, target, pooled))
    across = all_pairs - within - within_y
    squared = 2 * (across - within - within_y) / n**2
    return squared.clamp(min=0).sqrt()


class CumulantErrors(PairedSamples):
    r"""Errors of the output's cumulants against the exact recursion, :math:`|\kappa_n(f) - b^{1 - n/2} \kappa_n|`.

    Estimated as :math:`|k_n(f) - k_n(y)|` from outputs and targets of the same blocks: :math:`k_n(y)` is unbiased for the
    exact value, and most of the sampling noise, which the two share, cancels.

    Args:
        exact: the exact cumulants under the map, shape ``(4,)``; where one does not exist (NaN), neither does its error.
    """

    def __init__(self, exact: Tensor) -> None:
        super().__init__()
        self.exists = exact.isfinite().tolist()

    def compute(self) -> dict[str, Tensor]:
        """``k1_error`` to ``k4_error``, each of shape ``(M,)``."""
        prediction, target = self.samples()
        order = len(self.exists)
        errors = (kstat(prediction, order=order, dim=-1) - kstat(target, order=order, dim=-1)[:, None]).abs()
        return {
            f"k{n}_error": error if exists else torch.full_like(error, torch.nan)
            for n, (error, exists) in enumerate(zip(errors, self.exists, strict=True), start=1)
        }


def generalization_metrics(exact: Tensor, own: Sequence[str] = ()) -> MetricCollection:
    """All metrics of generalisation to one law; their samples are kept once.

    Args:
        exact: exact cumulants of the target, shape ``(4,)``.
        own: names of metrics of your own.
    """
    metrics: dict[str, Metric | MetricCollection] = {
        "squared_errors": SquaredErrors(),
        "distances": Distances(),
        "cumulant_errors": CumulantErrors(exact),
        **{name: OWN_METRICS[name]() for name in own},
    }
    return MetricCollection(metrics, compute_groups=[list(metrics)])


def law_metrics(exact: Tensor, pairs: Iterable[tuple[Tensor, Tensor]], own: Sequence[str] = ()) -> dict[str, Tensor]:
    """Every metric of generalisation to one law, from all batches of it, of all processes.

    Args:
        exact: exact cumulants of the target, shape ``(4,)``.
        pairs: outputs, shape ``(M, N)``, and targets, shape ``(N,)``, of each batch.
        own: names of metrics of your own.

    Returns:
        Metric, in the order of ``METRICS``, then your own -> one number a member, shape ``(M,)``.

    Example:
        >>> target = torch.tensor([0.0, 1.0, 2.0, 5.0])
        >>> found = law_metrics(torch.zeros(4), [(torch.stack([target, target + 1]), target)])
        >>> found["mse"]
        tensor([0., 1.], dtype=torch.float64)
    """
    metrics, device = generalization_metrics(exact, own), torch.device("cpu")
    for prediction, target in pairs:
        if prediction.device != device:  # that of the first batch, at which processes exchange their states
            device = prediction.device
            metrics.to(device)
        metrics.update(prediction, target)
    computed = metrics.compute()
    # torchmetrics makes a scalar of one member's number
    return {name: computed[name].reshape(-1) for name in (*METRICS, *own)}
