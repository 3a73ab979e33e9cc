"""Training of stacked members: the LightningModule, its losses and metrics, compilation, divergence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import on_first_use

if TYPE_CHECKING:
    from .losses import Loss
    from .member_metric import MemberMetric

__all__ = ["Loss", "MemberMetric"]

_HOMES = {"Loss": ".losses", "MemberMetric": ".member_metric"}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
