"""What a model has logged, without the copies that Lightning makes of every number at every log."""

from __future__ import annotations

import functools
from typing import Any

from lightning.pytorch.trainer.connectors.logger_connector.result import _ResultCollection, _ResultMetric
from torch import Tensor


class LoggedResults(_ResultCollection):
    """Lightning's collection of logged numbers, which moves a number only to another device.

    Lightning moves each number to the device of its new value whenever it is logged, and copies all that it knows about it on
    the way. That takes most of a ``self.log``: a millisecond for each of the hundreds of numbers of a validation.
    """

    @classmethod
    def in_place_of(cls, results: _ResultCollection) -> LoggedResults:
        """A collection with what another one has."""
        new = cls(results.training)
        new.__dict__.update(results.__dict__)
        for key, metric in results.items():
            new[key] = metric
        return new

    def __setitem__(self, key: str, metric: _ResultMetric) -> None:
        """Add a number, and have it stay where it is while it can."""
        metric.__dict__["to"] = functools.partial(_moved, metric)
        super().__setitem__(key, metric)


def _moved(metric: _ResultMetric, device: Any, *options: Any, **named: Any) -> _ResultMetric:
    value = metric.value
    is_there = isinstance(value, Tensor) and value.device == device
    return metric if is_there else type(metric).to(metric, device, *options, **named)
