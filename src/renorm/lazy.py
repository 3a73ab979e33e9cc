"""Names of packages that are imported when they are first asked for: some need libraries that take seconds to import."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def on_first_use(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """What a package calls ``__getattr__`` and ``__dir__``.

    Args:
        package: its ``__name__``.
        homes: name -> the module that defines it, relative to the package.

    Raises:
        AttributeError: from the first of the two, for any other name.

    Example:
        >>> get, names = on_first_use("renorm.cumulants", {"kstat": ".kstatistics", "Cumulants": ".metrics"})
        >>> get("kstat").__module__, names()
        ('renorm.cumulants.kstatistics', ['Cumulants', 'kstat'])
    """

    def get(name: str) -> Any:
        if name in homes:
            return getattr(importlib.import_module(homes[name], package), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get, lambda: sorted(homes)
