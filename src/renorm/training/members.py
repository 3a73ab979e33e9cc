"""The members of a stack: grid points times replicas."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InputError


class Members(NamedTuple):
    """Which networks a stack holds.

    Member ``m`` has grid point ``m // replicas`` and replica ``m % replicas``.

    Attributes:
        grid_axes: names of the parameters that form the grid.
        table: a row for each member, with its number ``member``, its value on each axis, and its ``replica``.
        stack_size: number of members before some of them were selected.
    """

    grid_axes: list[str]
    table: list[dict[str, Any]]
    stack_size: int

    @classmethod
    def of_grid(cls, axes: Mapping[str, list[Any]], replicas: int, selected: Any = None) -> Members:
        """The members of the product of all axes, each grid point with its replicas.

        Args:
            axes: the values on each axis of the grid.
            replicas: members at each grid point.
            selected: numbers of the members to keep; all of them by default.

        Raises:
            ValueError: where ``selected`` is not a list of distinct numbers of members.

        Example:
            >>> Members.of_grid({"negative_slope": [0.5, 0.9]}, replicas=2, selected=[3]).table
            [{'member': 3, 'negative_slope': 0.9, 'replica': 1}]
        """
        points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
        size = len(points) * replicas
        table = [{"member": m, **points[m // replicas], "replica": m % replicas} for m in range(size)]
        if selected is not None:
            numbers = selected if isinstance(selected, list) and all(type(m) is int for m in selected) else []
            if not numbers or len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(size)):
                raise InputError(
                    f"members={selected} is not a selection of members", f"distinct numbers from 0 to {size - 1}"
                )
            table = [table[m] for m in numbers]
        return cls(list(axes), table, size)

    def groups(self) -> dict[str, list[int]]:
        """Positions in the stack of the members at each grid point, by its label; one group ``all`` without a grid."""
        groups: dict[str, list[int]] = {}
        for position, member in enumerate(self.table):
            label = ", ".join(f"{axis}={member[axis]:.12g}" for axis in self.grid_axes) or "all"
            groups.setdefault(label, []).append(position)
        return groups

    def values(self, name: str, shared: Any) -> Any:
        """A parameter of every member: a list where it is an axis of the grid, else the value that all share."""
        return [member[name] for member in self.table] if name in self.grid_axes else shared
