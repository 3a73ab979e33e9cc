"""Data for the CLT map: laws with exact cumulants and counter-based streams of blocks."""

if __name__ != "renorm.datamodules":
    raise ImportError("this folder is the package renorm.datamodules: import it by that name")

from .blocks import CLTDataModule

__all__ = ["CLTDataModule"]
