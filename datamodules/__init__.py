"""Data: laws with exact cumulants, and streams of blocks with the target of an RG map.

Everything is imported on first use: laws know nothing of data modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if __name__ != "renorm.datamodules":
    raise ImportError("this folder is the package renorm.datamodules: import it by that name")

from ..lazy import on_first_use

if TYPE_CHECKING:
    from .blocks import BlockData, Blocks
    from .clt import CLTDataModule
    from .held_out import HELD_OUT_LAWS, SEVEN_LAWS

__all__ = ["HELD_OUT_LAWS", "SEVEN_LAWS", "BlockData", "Blocks", "CLTDataModule"]

_HOMES = {"BlockData": ".blocks", "Blocks": ".blocks", "CLTDataModule": ".clt"}
_HOMES |= {"HELD_OUT_LAWS": ".held_out", "SEVEN_LAWS": ".held_out"}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
