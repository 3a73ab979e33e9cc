"""renorm: which symmetries let a neural network learn a renormalisation-group step?

Everything is imported on first use: ``import renorm`` itself costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import callbacks, cumulants, datamodules, maps, testing, zoo
    from .callbacks.map_figures import plot_map
    from .certificates.certificate import certify
    from .pretrained.hub import load_pretrained
    from .runs.evaluation import evaluate
    from .zoo.module_stack import stack
    from .zoo.registry import create_model, list_models

_SUBPACKAGES = ("callbacks", "cumulants", "datamodules", "maps", "testing", "zoo")
_FUNCTIONS = {"certify": "certificates.certificate", "create_model": "zoo.registry", "list_models": "zoo.registry"}
_FUNCTIONS |= {"evaluate": "runs.evaluation", "load_pretrained": "pretrained.hub", "plot_map": "callbacks.map_figures"}
_FUNCTIONS |= {"stack": "zoo.module_stack"}

__all__ = [
    "__version__",
    "callbacks",
    "certify",
    "create_model",
    "cumulants",
    "datamodules",
    "evaluate",
    "list_models",
    "load_pretrained",
    "maps",
    "plot_map",
    "stack",
    "testing",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f".{name}", __name__)
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f".{_FUNCTIONS[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
