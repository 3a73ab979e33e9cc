"""One page for each public package: every name of its ``__all__`` from its docstring."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import renorm

from .markup import summary

NOT_FOR_IMPORT = ("renorm.cli",)  # the command has pages of its own


def public_packages() -> list[str]:
    """Packages with names for everybody: ``renorm`` first, each before those inside it."""
    inside = [module.name for module in pkgutil.walk_packages(renorm.__path__, "renorm.") if module.ispkg]
    having = [name for name in inside if getattr(importlib.import_module(name), "__all__", ())]
    return ["renorm", *(name for name in having if name not in NOT_FOR_IMPORT)]


def public_names(package: str) -> dict[str, Any]:
    """What a package offers, by name: classes, functions, then the rest; subpackages and the version left out."""
    module = importlib.import_module(package)
    offered = {name: getattr(module, name) for name in module.__all__ if not name.startswith("__")}

    def place(name: str) -> tuple[int, str]:
        thing = offered[name]
        return 0 if inspect.isclass(thing) else 1 if callable(thing) else 2, name.lower()

    return {name: offered[name] for name in sorted(offered, key=place) if not isinstance(offered[name], ModuleType)}


def home(package: str, name: str) -> str:
    """The outermost package that has the same thing under the same name, where it is documented."""
    thing = public_names(package)[name]
    outer = [other for other in public_packages() if package.startswith(f"{other}.")]
    return next((other for other in outer if public_names(other).get(name) is thing), package)


def page_of(package: str) -> str:
    """Where a package's page is."""
    return f"reference/python/{package}.md"


def api_pages() -> Iterator[tuple[str, str]]:
    """Paths and texts: on each page the package's docstring, what is documented elsewhere, then every name."""
    for package in public_packages():
        homes = {name: home(package, name) for name in public_names(package)}
        lines = [f"# {package}", "", summary(importlib.import_module(package)), ""]
        if elsewhere := [name for name in homes if homes[name] != package]:
            links = (f"[`{name}`]({homes[name]}.md#{homes[name]}.{name})" for name in elsewhere)
            lines += [f"Also here: {', '.join(links)}.", ""]
        lines += [f"::: {package}.{name}\n" for name in homes if homes[name] == package]
        yield page_of(package), "\n".join(lines)
