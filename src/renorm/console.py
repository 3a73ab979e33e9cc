"""Tables and long lines on the screen, in the width of the terminal."""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import NoReturn

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Column, Table


class Screen(Console):
    """A console that leaves it to the command line what happens where nobody reads what it prints.

    Cells are shown as they are: brackets, which the paths of laws may have, are not markup. Its width is that of the terminal,
    or ``COLUMNS``, or 80.
    """

    def __init__(self) -> None:
        super().__init__(markup=False, highlight=False)

    def on_broken_pipe(self) -> NoReturn:
        """Hand the error on; rich itself would end the process."""
        raise BrokenPipeError


def print_table(
    table: Table, least: Sequence[str] = (), wide: bool = False, elsewhere: str = "--wide has all columns"
) -> Table:
    """Print a table in the width of the terminal: columns that matter least are left out, and a line below names them.

    Cells are never cut: where too few columns may be left out, the lines are longer than the window.

    Args:
        table: what to print.
        least: headings of columns that may be left out, the first one first.
        wide: whether to print all columns.
        elsewhere: where those that are left out are found.

    Returns:
        The table as it was printed.

    Example:
        >>> table = Table("law", "members", box=None, pad_edge=False)
        >>> table.add_row("empirical(path='a[/b].npy')", "3")
        >>> _ = print_table(table)
        law                          members
        empirical(path='a[/b].npy')  3
    """
    screen = Screen()
    left_out: list[str] = []
    widest = _widest_row(table)  # measuring hundreds of rows takes rich seconds
    for heading in () if wide else least:
        if _width(widest, screen) <= screen.width:
            break
        left_out.append(heading)
        widest = without(widest, {heading})
    table = without(table, left_out) if left_out else table
    _print_whole(table, screen)
    if left_out:
        print_wrapped(f"left out: {'; '.join(' '.join(name.split()) for name in left_out)} ({elsewhere})")
    return table


def without(table: Table, headings: Collection[str]) -> Table:
    """A table without the columns of some headings.

    Example:
        >>> table = Table("a", "b", "c")
        >>> [column.header for column in without(table, {"b"}).columns]
        ['a', 'c']
    """
    kept = [column for column in table.columns if column.header not in headings]
    return _with_rows(table, kept, zip(*(column.cells for column in kept), strict=True))


def _with_rows(table: Table, columns: Sequence[Column], rows: Iterable[Sequence[RenderableType]]) -> Table:
    made = Table(title=table.title, title_justify=table.title_justify, box=table.box, pad_edge=table.pad_edge)
    for column in columns:
        made.add_column(column.header, justify=column.justify, no_wrap=column.no_wrap)
    for cells in rows:
        made.add_row(*cells)
    return made


def print_wrapped(text: str) -> None:
    r"""Print lines, those that are longer than the terminal is wide as several, each further one with a deeper indent.

    Example:
        >>> print_wrapped("certificate:\n  " + "word " * 18)
        certificate:
          word word word word word word word word word word word word word word word
            word word word
    """
    width = Screen().width
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())] + "  "
        pieces = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        print("\n".join(pieces))


def fitted_text(table: Table, least: Sequence[str], elsewhere: str) -> str:
    """What :func:`print_table` prints.

    Example:
        >>> table = Table("law", "members", box=None, pad_edge=False)
        >>> table.add_row("gaussian()", "3" * 80)
        >>> print(fitted_text(table, ["members"], "to_arrow() has all columns"))
        law
        gaussian()
        left out: members (to_arrow() has all columns)
    """
    with contextlib.redirect_stdout(io.StringIO()) as text:
        print_table(table, least, elsewhere=elsewhere)
    return text.getvalue().rstrip()


def shorten(law: str, length: int = 36) -> str:
    """Shorten a law's text for a legend: numbers to four digits; if it is still too long, without their names, and cut.

    Example:
        >>> shorten("triangular(low=-1.7, mode=-1.7, high=1.7)"), shorten("gaussian(mean=1, std=3)")
        ('triangular(-1.7, -1.7, 1.7)', 'gaussian(mean=1, std=3)')
        >>> shorten("uniform(low=-1.7320508075688772, high=1.7320508075688772)")
        'uniform(low=-1.732, high=1.732)'
    """
    law = re.sub(r"\d+\.\d{4,}", lambda number: f"{float(number.group()):.4g}", law)
    if len(law) > length:
        law = re.sub(r"\b[^\W\d]\w*=(?=-?\d)", "", law)
    return law if len(law) <= length else f"{law[: length - 13]}…{law[-12:]}"


def _widest_row(table: Table) -> Table:
    """A table of one row that is as wide: the widest cell of each column."""
    widest = [max(column.cells, key=_cell_width, default="") for column in table.columns]
    return _with_rows(table, table.columns, [widest])


def _cell_width(cell: RenderableType) -> int:
    return max(map(cell_len, str(cell).split("\n")))


def _width(table: Table, console: Console) -> int:
    return table.__rich_measure__(console, console.options.update(width=10_000)).maximum


def _print_whole(table: Table, console: Console) -> None:
    console.width = max(console.width, _width(_widest_row(table), console))
    console.print(table)
