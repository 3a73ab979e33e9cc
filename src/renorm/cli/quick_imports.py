"""A second less of imports before a command: what a library imports for nobody here."""

from __future__ import annotations

import contextlib
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
