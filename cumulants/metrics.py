"""Cumulants as torchmetrics: streaming, exact under any split into batches and processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor

from ..checks import check_tensor
from ..errors import InputError
from .joint import MAX_JOINT_ORDER, JointSums, check_entries, joint_sums, merge_joint
from .kstatistics import MAX_STDERR_ORDER, check_order
from .mergeable import MergeableMetric
from .summaries import MAX_ORDER, NanPolicy, PowerSums, check_sample, extremes, fold, power_sums
from .units import half_range, times_power_of_two, unit_exponent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOMINATED = 0.05  # share of a sum of powers in one value, above which few values decide an estimate


class CumulantResult(NamedTuple):
    r"""Estimates of cumulants.

    Attributes:
        k: k-statistics, shape ``(order, num_features)``, or ``(num_features,) * order`` for joint ones.
        stderr: their standard errors, same shape; NaN where there is no estimate.
        n: number of values, shape ``(num_features,)``.
        dominated: whether few values decide an estimate, same shape as ``k``: the largest deviation holds more than 5% of
            :math:`\sum |x - \bar x|^p`, with p the order, or the next even number. A warning of heavy tails, not a proof.
    """

    k: Tensor
    stderr: Tensor
    n: Tensor
    dominated: Tensor


class _Streaming(MergeableMetric):
    """What both metrics share: a summary of each feature, of which states are stacked and folded, never summed."""

    full_state_update = True  # summaries are not summable: a batch's value needs an update of its own
    is_differentiable = False
    higher_is_better = None
    summary: Tensor  # rows n, centre, lowest, highest, S_1, ...

    def __init__(self, num_features: int, nan_policy: NanPolicy, powers: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(num_features, bool) or not isinstance(num_features, int) or num_features < 1:
            raise InputError(f"num_features={num_features!r} is out of range", "whole numbers >= 1")
        check_sample(torch.zeros(1), nan_policy)
        self.num_features = num_features
        self.nan_policy: NanPolicy = nan_policy
        empty = torch.zeros(4 + powers, num_features, dtype=torch.float64)
        empty[2], empty[3] = torch.inf, -torch.inf
        self.add_state("summary", empty, dist_reduce_fx=None)
        self.update_uses(nan_policy=nan_policy)

    def _rows(self, x: Tensor) -> Tensor:
        check_tensor("x", x)
        if x.ndim == 0 or x.shape[-1] != self.num_features:
            raise InputError(f"x has shape {tuple(x.shape)}", f"(..., {self.num_features}), features last")
        return x.detach().reshape(-1, self.num_features)

    def _add(self, x: Tensor) -> None:
        if len(x):  # an empty shard has no lowest value
            self._reduce_states(self._states_of(x))

    def _states_of(self, x: Tensor) -> dict[str, Tensor]:
        """The states of these rows alone."""
        sums = power_sums(x, len(self.summary) - 4, nan_policy=self.nan_policy)
        low, high = extremes(x, self.nan_policy)
        sums = sums.in_unit(_unit(low, high))
        return {"summary": torch.stack([sums.n, sums.centre, low, high, *sums.sums])}

    def _dominated(self, summary: Tensor, order: int) -> Tensor:
        """Shape ``(order, num_features)``."""
        sums = _power_sums_of(summary)
        deviation = times_power_of_two(torch.maximum(summary[3] - sums.mean, sums.mean - summary[2]), -sums.unit)
        central = sums.central()
        even = [p + p % 2 for p in range(1, order + 1)]
        return torch.stack([deviation**p > DOMINATED * central[p - 1] for p in even])

    def _reduce_states(self, incoming_state: dict[str, Any]) -> None:
        both = {}
        for name, own in self._tensor_states().items():
            both[name] = torch.stack([own, torch.as_tensor(incoming_state[name]).to(self.device)])
        for name, folded in self._folded(both).items():
            setattr(self, name, folded)

    def _folded(self, stacked: dict[str, Tensor]) -> dict[str, Tensor]:
        """States of several metrics, on a leading axis, as that of one."""
        return {"summary": _fold_summaries(stacked["summary"])}

    def _whole(self) -> dict[str, Tensor]:
        """The states folded over processes: after a sync they have a leading axis."""
        states = self._tensor_states()
        default = self._defaults["summary"]
        assert isinstance(default, Tensor)
        return self._folded(states) if self.summary.ndim > default.ndim else states

    def _tensor_states(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name, default in self._defaults.items() if isinstance(default, Tensor)}


def _unit(low: Tensor, high: Tensor) -> Tensor:
    """The unit of a summary's sums, which follows from its extremes and so needs no state of its own."""
    return unit_exponent(half_range(low, high))


def _power_sums_of(summary: Tensor) -> PowerSums:
    """Of one summary, ``(rows, F)``, or of several, ``(K, rows, F)``."""
    n, centre, low, high = summary[..., :4, :].unbind(-2)
    return PowerSums(n, centre, summary[..., 4:, :], _unit(low, high))


def _fold_summaries(stacked: Tensor) -> Tensor:
    """Fold summaries on a leading axis, ``(K, rows, F) -> (rows, F)``."""
    low, high = stacked[:, 2].amin(0), stacked[:, 3].amax(0)
    sums = fold(_power_sums_of(stacked)).in_unit(_unit(low, high))
    return torch.stack([sums.n, sums.centre, low, high, *sums.sums])


class Cumulants(_Streaming):
    r"""k-statistics :math:`k_1, \dots, k_r` of each feature, with standard errors.

    Keeps some sums a feature and no data. The result is that of all values at once to rounding, however they are split into
    batches and processes; processes that saw nothing are allowed. Standard errors are too small in typical samples of
    heavy-tailed laws, see :func:`renorm.cumulants.kstat_stderr`: look at ``dominated``.

    Args:
        num_features: number of features ``F``.
        order: highest order ``r``, 1 to 8.
        stderr: whether to estimate standard errors, for orders to 4; this doubles the cost.
        nan_policy: ``propagate`` NaN and infinity, ``omit`` such values, or ``raise``.
        **kwargs: see :class:`torchmetrics.Metric`.

    Shapes:
        ``update(x: (..., F))``; ``compute() -> CumulantResult`` with ``k`` of shape ``(r, F)``.

    Raises:
        ValueError: for arguments out of range and data of another shape.

    Source:
        Fisher, Proceedings of the London Mathematical Society 30 (1930) 199.

    Example:
        >>> metric = Cumulants(num_features=1, order=2)
        >>> for batch in (torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [6.0]])):
        ...     metric.update(batch)
        >>> metric.compute().k
        tensor([[3.0000],
                [4.6667]], dtype=torch.float64)
    """

    def __init__(
        self,
        num_features: int,
        order: int = 4,
        stderr: bool = True,
        nan_policy: NanPolicy = "propagate",
        **kwargs: Any,
    ) -> None:
        check_order(order, MAX_ORDER)
        even = order + order % 2
        powers = max(even, 2 * min(order, MAX_STDERR_ORDER)) if stderr else even
        super().__init__(num_features, nan_policy, powers, **kwargs)
        self.order = order
        self.stderr = stderr

    def update(self, x: Tensor) -> None:
        """Add values of shape ``(..., F)``."""
        self._add(self._rows(x))

    def compute(self) -> CumulantResult:
        """Estimates from all values so far."""
        summary = self._whole()["summary"]
        sums = _power_sums_of(summary)
        k = sums.kstat(self.order)
        stderr = torch.full_like(k, torch.nan)
        if self.stderr:
            known = min(self.order, MAX_STDERR_ORDER)
            stderr[:known] = sums.kstat_stderr(known)
        return CumulantResult(k, stderr, sums.n.long(), self._dominated(summary, self.order))

    def plot(
        self, val: CumulantResult | Sequence[CumulantResult] | None = None, ax: Axes | None = None
    ) -> tuple[Figure, Axes]:
        """Draw the cumulants with bars of one standard error: over features, or, for several results, over steps.

        Bars of k3 and k4 are too short in typical samples of heavy-tailed laws, see :func:`renorm.cumulants.kstat_stderr`.

        Args:
            val: a result, or several in order; by default what :meth:`compute` returns.
            ax: axes to draw into.

        Returns:
            Figure and axes.
        """
        results = [self.compute()] if val is None else [val] if isinstance(val, CumulantResult) else list(val)
        figure, ax = _axes(ax)
        k = torch.stack([result.k for result in results]).cpu()
        stderr = torch.stack([result.stderr for result in results]).cpu().nan_to_num(0.0)
        steps = len(results) > 1
        for n in range(self.order):
            for feature in range(self.num_features if steps else 1):
                values, errors = (k[:, n, feature], stderr[:, n, feature]) if steps else (k[0, n], stderr[0, n])
                label = f"$k_{n + 1}$" if feature == 0 else None
                ax.errorbar(
                    range(len(values)),
                    values.numpy(),
                    yerr=errors.numpy(),
                    color=f"C{n}",
                    marker=".",
                    capsize=3,
                    label=label,
                )
        ax.set_xlabel("step" if steps else "feature")
        ax.set_ylabel("cumulant")
        ax.legend()
        return figure, ax


class JointCumulants(_Streaming):
    r"""Joint k-statistics of one order, :math:`k_{i_1 \dots i_r}`.

    Args:
        num_features: number of variables ``d``.
        order: which order ``r``, 1 to 6.
        stderr: whether to estimate standard errors, for orders to 3; the state then has sums to twice the order.
        nan_policy: ``propagate`` NaN and infinity, ``omit`` rows that have one, or ``raise``.
        **kwargs: see :class:`torchmetrics.Metric`.

    Shapes:
        ``update(x: (..., d))``; ``compute() -> CumulantResult`` with ``k`` of shape ``(d,) * r``.

    Raises:
        ValueError: for arguments out of range, data of another shape, or tensors that would not fit into memory.

    Source:
        McCullagh, Tensor Methods in Statistics (1987), chapter 4.

    Example:
        >>> metric = JointCumulants(num_features=2, order=2)
        >>> metric.update(torch.tensor([[1.0, 0.0], [2.0, 2.0], [3.0, 1.0]]))
        >>> metric.compute().k
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]], dtype=torch.float64)
    """

    joint: Tensor  # n, centre, T_1, T_2, ..., one after another

    def __init__(
        self,
        num_features: int,
        order: int = 2,
        stderr: bool = False,
        nan_policy: NanPolicy = "propagate",
        **kwargs: Any,
    ) -> None:
        check_order(order, MAX_JOINT_ORDER)
        if stderr and 2 * order > MAX_JOINT_ORDER:
            raise InputError(f"stderr=True with order={order} is not possible", f"orders to {MAX_JOINT_ORDER // 2}")
        super().__init__(num_features, nan_policy, order + order % 2, **kwargs)
        self.order = order
        self.stderr = stderr
        self._powers = 2 * order if stderr else order
        check_entries(num_features, self._powers)
        size = 1 + num_features + sum(num_features**p for p in range(1, self._powers + 1))
        self.add_state("joint", torch.zeros(size, dtype=torch.float64), dist_reduce_fx=None)
        self.update_uses(powers=self._powers)

    def update(self, x: Tensor) -> None:
        """Add vectors, shape ``(..., d)``."""
        x = self._rows(x)
        if self.nan_policy == "omit":
            x = x[x.isfinite().all(dim=1)]
        self._add(x)

    def _states_of(self, x: Tensor) -> dict[str, Tensor]:
        states = super()._states_of(x)
        unit = _power_sums_of(states["summary"]).unit
        return states | {"joint": _flatten(joint_sums(x, self._powers, self.nan_policy).in_unit(unit))}

    def compute(self) -> CumulantResult:
        """Estimates from all vectors so far."""
        states = self._whole()
        summary = states["summary"]
        sums = self._unflatten(states["joint"], _power_sums_of(summary).unit)
        k = sums.kstat(self.order)
        stderr = sums.kstat_stderr(self.order) if self.stderr else torch.full_like(k, torch.nan)
        single = self._dominated(summary, self.order)[-1]
        dominated = torch.zeros_like(k, dtype=torch.bool)
        for axis in range(self.order):
            dominated = dominated | single.view(-1, *[1] * (self.order - 1 - axis))
        return CumulantResult(k, stderr, summary[0].long(), dominated)

    def _folded(self, stacked: dict[str, Tensor]) -> dict[str, Tensor]:
        states = super()._folded(stacked)
        units = _power_sums_of(stacked["summary"]).unit
        merged = merge_joint(*map(self._unflatten, stacked["joint"], units))
        return states | {"joint": _flatten(merged.in_unit(_power_sums_of(states["summary"]).unit))}

    def _unflatten(self, flat: Tensor, unit: Tensor) -> JointSums:
        d = self.num_features
        sizes = [1, d, *(d**p for p in range(1, self._powers + 1))]
        n, centre, *sums = flat.split(sizes)  # type: ignore[no-untyped-call]
        return JointSums(n[0], centre, tuple(s.view((d,) * p) for p, s in enumerate(sums, start=1)), unit)

    def plot(self, val: CumulantResult | None = None, ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draw the tensor as a matrix: the first half of its axes down, the others across.

        Args:
            val: a result; by default what :meth:`compute` returns.
            ax: axes to draw into.

        Returns:
            Figure and axes.
        """
        k = (self.compute() if val is None else val).k.cpu()
        figure, ax = _axes(ax)
        matrix = k.reshape(self.num_features ** (self.order - self.order // 2), -1)
        largest = float(matrix.abs().nan_to_num(0.0).max()) or 1.0
        image = ax.imshow(matrix.numpy(), cmap="RdBu_r", vmin=-largest, vmax=largest)
        ax.figure.colorbar(image, ax=ax, label=f"joint cumulant of order {self.order}")
        return figure, ax


def _flatten(sums: JointSums) -> Tensor:
    return torch.cat([sums.n.view(1), sums.centre, *(tensor.flatten() for tensor in sums.sums)])


def _axes(ax: Axes | None) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # only those who draw need it

    if ax is None:
        figure = Figure(layout="constrained")
        return figure, figure.add_subplot()
    return cast(Figure, ax.figure), ax
