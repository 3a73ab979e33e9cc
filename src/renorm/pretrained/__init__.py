"""The pretrained zoo: how its entries are found, loaded, trained, verified, shown and exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import on_first_use

if TYPE_CHECKING:
    from .hub import load_pretrained
    from .manifest import find_entry, pretrained_names

__all__ = ["find_entry", "load_pretrained", "pretrained_names"]

_HOMES = {"find_entry": ".manifest", "load_pretrained": ".hub", "pretrained_names": ".manifest"}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
