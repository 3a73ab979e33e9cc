"""What mkdocstrings reads from the source: docstrings with their roles turned into Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

from .markup import from_docstring


class Roles(griffe.Extension):  # type: ignore[misc]
    """Turn roles into formulas and links, and ``Example:``, whose lines are a session of Python, into ``Examples:``."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Rewrite every docstring of the package, once all names are known."""
        self._rewrite(pkg)

    def _rewrite(self, thing: griffe.Object) -> None:
        if thing.docstring is not None:
            text = from_docstring(thing.docstring.value, lambda name: resolved(thing, name))
            thing.docstring.value = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
        for member in thing.members.values():
            if not member.is_alias:
                self._rewrite(member)


def resolved(thing: griffe.Object, name: str) -> str | None:
    """The path of what a docstring calls ``name``; None where it is not renorm's."""
    if name.startswith("renorm."):
        return name
    scopes = [thing, *([thing.parent] if thing.parent is not None else [])]
    for scope in scopes:
        if name in scope.members:
            return f"{scope.path}.{name}"
    try:
        path = thing.resolve(name)
    except griffe.NameResolutionError:
        return None
    return path if path.startswith("renorm.") else None
