"""A torchmetrics metric that can be merged and restored at any time, and shares its state with its equals only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.nn import Module
from torchmetrics import Metric

from ..errors import InputError


class MergeableMetric(Metric):
    """Base of this package's metrics: what changes the state of one forgets the result that was computed before.

    A :class:`torchmetrics.MetricCollection` lets metrics share one state where the names of their states, and after the first
    update the values, agree. Whoever derives a metric whose arguments change its *update* names them by :meth:`update_uses`;
    arguments that only ``compute`` reads, or that change the shape of a state, need nothing.

    States keep their precision: ``.to(dtype)``, ``.half()`` and ``set_dtype`` move them to a device at most, since sums that are
    rounded on the way would change the result.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Module:
        # torchmetrics guards against .half() and its like, but not against .to(dtype), also that of a model that has the metric
        def kept(state: Tensor) -> Tensor:
            moved = fn(state)
            return moved if moved.dtype == state.dtype else state.to(moved.device)

        return super()._apply(kept, exclude_state)

    def update_uses(self, **arguments: object) -> None:
        """Name arguments on which the update depends: metrics that differ in one never share a state.

        The names of the states are what a collection compares first, so each argument becomes the name of a state that is
        always empty. It costs nothing when processes gather their states, and is never saved.

        Args:
            **arguments: their values, each with a string of its own.
        """
        for name, value in arguments.items():
            self.add_state(f"{name}={value}", [])

    def persistent(self, mode: bool = False) -> None:
        """Choose whether the state is saved in the ``state_dict``; what :meth:`update_uses` names is not."""
        super().persistent(mode)
        self._persistent |= {name: False for name in self._persistent if "=" in name}

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add what another metric of the same kind has seen.

        Args:
            incoming_state: the metric, or its ``metric_state``.

        Raises:
            ValueError: for another kind of metric, or other shapes.
        """
        kind, allowed = type(incoming_state), type(self)
        states = incoming_state.metric_state if isinstance(incoming_state, allowed) else incoming_state
        names = {name for name in self._defaults if "=" not in name}
        if not isinstance(states, dict) or {name for name in states if "=" not in name} != names:
            raise InputError(f"incoming_state is a {kind.__name__}", allowed.__name__)
        for name in sorted(names):
            own, other = getattr(self, name), states[name]
            if isinstance(own, Tensor) and isinstance(other, Tensor) and own.shape != other.shape:
                raise InputError(f"incoming_state has {name} of shape {tuple(other.shape)}", str(tuple(own.shape)))
        self._reduce_states(states | {name: [] for name in self._defaults if name not in names})
        self._update_count += incoming_state.update_count if isinstance(incoming_state, Metric) else 1
        self._computed = None  # torchmetrics would go on giving the result of before

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._computed = None
