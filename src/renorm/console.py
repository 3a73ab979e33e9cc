"""Tables on the screen."""

from __future__ import annotations

import io
from typing import NoReturn

from rich.console import Console
from rich.table import Table


class Screen(Console):
    """A console that leaves it to the command line what happens where nobody reads what it prints."""

    def on_broken_pipe(self) -> NoReturn:
        """Hand the error on; rich itself would end the process."""
        raise BrokenPipeError


def print_whole(table: Table) -> None:
    """Print a table uncut, also in a narrow terminal: its lines are then longer than the window.

    Cells are shown as they are: brackets, which the paths of laws may have, are no markup.

    Example:
        >>> table = Table("law", box=None)
        >>> table.add_row("empirical(path='a[/b].npy')")
        >>> print_whole(table)
        law
        empirical(path='a[/b].npy')
    """
    _print_whole(table, Screen(markup=False, highlight=False))


def whole_text(table: Table) -> str:
    """A table as text, uncut.

    Example:
        >>> table = Table("law", box=None)
        >>> table.add_row("gaussian()")
        >>> whole_text(table).split()
        ['law', 'gaussian()']
    """
    text = io.StringIO()
    _print_whole(table, Console(markup=False, highlight=False, file=text))
    return text.getvalue()


def _print_whole(table: Table, console: Console) -> None:
    widest = console.options.update(width=10_000)
    console.width = max(console.width, table.__rich_measure__(console, widest).maximum)
    console.print(table)
