"""Columns of tables, by name or by index."""

from __future__ import annotations

from .base import LawError


def position(where: str, column: str | int, names: list[str]) -> int:
    """The index of a column.

    Raises:
        LawError: for a column that is missing, or a name that several columns have.
    """
    listed = ", ".join(repr(name) for name in names[:20]) + (", …" if len(names) > 20 else "")
    if isinstance(column, int):
        if not 0 <= column < len(names):
            raise LawError(f"{where} does not exist", f"0 to {len(names) - 1}, or {listed}")
        return column
    if names.count(column) != 1:
        problem = "does not exist" if column not in names else f"is the name of {names.count(column)} columns"
        raise LawError(f"{where} {problem}", f"0 to {len(names) - 1}, or {listed}")
    return names.index(column)
