"""The contract of a metric of stacked predictions."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

MEMBERS, ROWS = 3, 64


def check_metric(
    make: Callable[[], Metric], reference: Callable[[Tensor, Tensor], dict[str, Tensor]], tolerance: float = 1e-9
) -> None:
    """Hold a metric of outputs ``(M, N)`` and targets ``(N,)`` to a reference: in parts, merged, copied, pickled and reset.

    Args:
        make: makes the metric.
        reference: the same numbers from all outputs and targets at once, by name, each of shape ``(M,)``.
        tolerance: relative and absolute.

    Raises:
        AssertionError: naming what does not hold.

    Example:
        >>> from renorm.training.metrics import SquaredErrors
        >>> def errors(prediction, target):
        ...     mse = (prediction - target).square().mean(dim=1)
        ...     return {"mse": mse, "relative_mse": mse / target.var(unbiased=False)}
        >>> check_metric(SquaredErrors, errors)
    """
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(MEMBERS, ROWS, dtype=torch.float64, generator=generator)
    target = torch.randn(ROWS, dtype=torch.float64, generator=generator)
    wanted = reference(prediction, target)

    def parts(metric: Metric, *bounds: int) -> Metric:
        for start, stop in itertools.pairwise(bounds):
            metric.update(prediction[:, start:stop], target[start:stop])
        return metric

    one, other = parts(make(), 0, 20), parts(make(), 20, 21, ROWS)
    one.compute()
    one.merge_state(other)
    again = parts(make(), 0, ROWS)
    again.compute()
    again.reset()
    for how, metric in {
        "at once": parts(make(), 0, ROWS),
        "in parts": parts(make(), 0, 1, 30, ROWS),
        "merged after compute": one,
        "copied": copy.deepcopy(parts(make(), 0, ROWS)),
        "pickled": pickle.loads(pickle.dumps(parts(make(), 0, ROWS))),
        "reset": parts(again, 0, ROWS),
    }.items():
        found: dict[str, Any] = metric.compute()
        assert found.keys() == wanted.keys(), (
            f"{type(metric).__name__}, {how}: names {list(found)}, wanted {list(wanted)}"
        )
        for name, value in wanted.items():
            message = f"{type(metric).__name__}, {how}: {name} is {found[name].tolist()}, wanted {value.tolist()}"
            torch.testing.assert_close(
                found[name].double(), value.double(), rtol=tolerance, atol=tolerance, msg=message
            )
