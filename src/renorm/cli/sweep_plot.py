"""``renorm sweep plot``: phase diagrams from a sweep's table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_one_of
from ..errors import InputError
from ..sweep.figures import draw_heat_map, draw_lines, draw_transition
from ..sweep.table import RESULTS_FILE, read_description, read_table
from ..versions import say_if_newer
from .options import OneLineParser
from .plot import FORMATS

KINDS = {"heatmap": draw_heat_map, "lines": draw_lines, "transition": draw_transition}
VALUES = {"heatmap": "held_out/relative_mse", "lines": "held_out/relative_mse", "transition": "asymmetry/pre0/full"}
SUMMARIES = ("trained", "held_out", "interpolation", "extrapolation", "asymmetry")  # columns that every sweep may have

Table = dict[str, NDArray[Any]]


def run(words: list[str]) -> None:
    """Run ``renorm sweep plot``."""
    parser = OneLineParser(prog="renorm sweep plot", description="phase diagrams of a sweep")
    parser.add_argument("results", help="folder of the sweep")
    parser.add_argument("--kind", default="lines", help=f"{', '.join(KINDS)} (default: lines)")
    parser.add_argument(
        "--value",
        help="column: held_out/<metric>, interpolation/<metric>, extrapolation/<metric>, trained/<metric>, <law>/<metric>, "
        "asymmetry/<layer>/<symmetry>",
    )
    parser.add_argument("--x", help="axis along x (default: the last one of the sweep, its grid if it has one)")
    parser.add_argument("--y", help="heatmap: axis along y; lines, transition: one line for each of its values")
    parser.add_argument("--panels", help="axis with one panel for each of its values")
    parser.add_argument("--where", nargs="*", default=[], metavar="AXIS=VALUE", help="only these points")
    parser.add_argument("--out", required=True, help=f"figure to write: {', '.join(FORMATS)}")
    arguments = parser.parse_args(words[1:])
    check_one_of("kind", arguments.kind, KINDS)
    out = Path(arguments.out)
    if out.suffix not in FORMATS or not out.resolve().parent.is_dir():
        raise InputError(f"out={arguments.out!r} cannot be a figure", f"{', '.join(FORMATS)} in a folder that exists")
    folder = Path(arguments.results)
    axes = [str(axis) for axis in read_description(folder)["axes"]]
    if not (folder / RESULTS_FILE).exists():
        raise InputError(
            f"results={arguments.results!r} has no {RESULTS_FILE} yet", "the folder of a sweep that has ended"
        )
    table = read_columns(folder / RESULTS_FILE)
    for text in arguments.where:
        table = selected(table, text, axes)
    x, y, panels = chosen_axes(axes, arguments.x, arguments.y, arguments.panels, table)
    value = arguments.value or VALUES[arguments.kind]
    if value not in table or table[value].dtype.kind != "f":
        named = [name for name in table if name.partition("/")[0] in SUMMARIES]
        raise InputError(f"value={value!r} is not a column of numbers", f"{', '.join(named)}, or <law>/<metric>")
    KINDS[arguments.kind](table, value, x, y, panels).savefig(out, dpi=150)
    print(f"figure: {out}")


def read_columns(path: Path) -> Table:
    """The rows of all points that are done.

    Raises:
        ValueError: for a table that is not whole, or has no such rows.
    """
    rows = read_table(path)
    columns = {name: np.array(rows.column(name).to_pylist(), dtype=object) for name in rows.column_names}
    for version in dict.fromkeys(columns.get("renorm", ())):
        say_if_newer(f"the table {path}", version)
    done = columns["status"] == "done"
    if not done.any():
        raise InputError(f"results={str(path.parent)!r} has no point that is done", "after a sweep")
    table = {}
    for name, column in columns.items():
        numbers = all(value is None or isinstance(value, int | float) for value in column[done])
        table[name] = column[done].astype(float) if numbers else np.array([str(value) for value in column[done]])
    return table


def selected(table: Table, text: str, axes: list[str]) -> Table:
    """The rows where an axis has a value.

    Raises:
        ValueError: for an axis or a value that the sweep does not have.
    """
    axis, _, value = text.partition("=")
    if axis not in axes:
        raise InputError(f"where={text!r} names no axis", f"AXIS=VALUE with {', '.join(axes)}")
    shown = np.array([label(entry) for entry in table[axis]])
    if value not in shown:
        raise InputError(f"where={text!r} finds nothing; allowed for {axis}: {', '.join(dict.fromkeys(shown))}")
    return {name: column[shown == value] for name, column in table.items()}


def chosen_axes(
    axes: list[str], x: str | None, y: str | None, panels: str | None, table: Table
) -> tuple[str, str | None, str | None]:
    """The axes of a figure: those asked for, then those that vary, numbers first along x.

    Raises:
        ValueError: for an axis that the sweep does not have, or one that is left over.
    """
    for name, axis in (("x", x), ("y", y), ("panels", panels)):
        if axis is not None and axis not in axes:
            raise InputError(f"{name}={axis!r} is not an axis of the sweep", ", ".join(axes))
    varied = [axis for axis in axes if len(np.unique(table[axis])) > 1 and axis not in (x, y, panels)]
    numbers = [axis for axis in varied if table[axis].dtype.kind == "f"]
    if x is None:
        x = numbers[-1] if numbers else (varied or axes)[-1]
        varied = [axis for axis in varied if axis != x]
    if y is None and varied:
        y = next((axis for axis in varied if axis in numbers), varied[0])
        varied.remove(y)
    if panels is None and varied:
        panels = varied.pop(0)
    if varied:
        which = varied[0]
        values = ", ".join(dict.fromkeys(label(entry) for entry in table[which]))
        raise InputError(f"where={which}=... is missing: a figure has three axes; allowed for {which}: {values}")
    return x, y, panels


def label(value: Any) -> str:
    """A value of an axis as text.

    Example:
        >>> label(4.0), label(0.25), label("free")
        ('4', '0.25', 'free')
    """
    return f"{value:.12g}" if isinstance(value, float) else str(value)
