"""Two seconds less of imports before a command: what a library imports for nobody here, and looking for garbage on the way."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from types import ModuleType

MODULE = "scipy.signal"


@contextlib.contextmanager
def without_scipy_signal() -> Iterator[None]:
    """Import torchmetrics, which Lightning needs, without ``scipy.signal`` and the half of scipy that it brings.

    torchmetrics imports it only to see whether it has the name ``hamming``, for a package that is not among ours. Within this
    context an empty module with that name stands in; afterwards ``import scipy.signal`` finds the real one.
    """
    if MODULE in sys.modules or "torchmetrics" in sys.modules:
        yield
        return
    stand_in = ModuleType(MODULE)
    stand_in.__dict__["hamming"] = None
    sys.modules[MODULE] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(MODULE) is stand_in:
            del sys.modules[MODULE]


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Import PyTorch and what is built on it without looking for garbage on the way.

    Imports make half a million objects, most of which stay. Python's collector goes through all of them again and again, which
    takes a fifth of the time. Here it does so once, at the end, and then never again through those that are left.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
