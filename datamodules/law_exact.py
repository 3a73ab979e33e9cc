"""The name under which scripts of version 0.1 import :func:`renorm.datamodules.laws.cumulants_of`."""

from .laws import cumulants_of

__all__ = ["cumulants_of"]
