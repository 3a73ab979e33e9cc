"""Data: laws with exact cumulants, and streams of blocks with the target of an RG map.

Everything is imported on first use: laws know nothing of data modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if __name__ != "renorm.datamodules":
    raise ImportError("this folder is the package renorm.datamodules: import it by that name")

if TYPE_CHECKING:
    from .blocks import Blocks
    from .clt import CLTDataModule

__all__ = ["Blocks", "CLTDataModule"]

_HOMES = {"Blocks": ".blocks", "CLTDataModule": ".clt"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
