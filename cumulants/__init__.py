"""Cumulants: estimators, metrics and exact recursions; imports nothing else of renorm."""

if __name__ != "renorm.cumulants":
    raise ImportError("this folder is the package renorm.cumulants: import it by that name")

from .kstatistics import kstat

__all__ = ["kstat"]
