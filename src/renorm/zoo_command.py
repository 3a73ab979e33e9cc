"""``renorm zoo``: the named variants."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from .arguments import OneLineParser
from .zoo.catalogue import read_catalogue


def run(words: list[str]) -> None:
    """Run ``renorm zoo list``."""
    parser = OneLineParser(prog="renorm zoo", description="the named variants")
    commands = parser.add_subparsers(dest="action", required=True)
    listing = commands.add_parser("list", help="every variant, with its size and one line")
    listing.add_argument("pattern", nargs="?", help="shell-style pattern, e.g. '*_full'")
    arguments = parser.parse_args(words[1:])
    print_variants(arguments.pattern)


def print_variants(pattern: str | None) -> None:
    """Print name, number of free parameters of one member, and description.

    Raises:
        ValueError: where no name matches.
    """
    entries = read_catalogue(pattern)
    if not entries:
        raise ValueError(f"pattern={pattern!r} matches no variant; allowed: shell-style patterns such as '*_full'")
    table = Table("name", "parameters", "what it is", box=None, pad_edge=False)
    for entry in entries:
        table.add_row(entry["name"], str(entry["parameters"]), entry["description"])
    console = Console()
    widest = console.options.update(width=10_000)
    console.width = max(console.width, table.__rich_measure__(console, widest).maximum)
    console.print(table)
    console.print(f"{len(entries)} variants; sizes are trained parameters of one member at its default width")
