"""``renorm zoo``: the named variants."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from .arguments import OneLineParser
from .zoo import gnn
from .zoo.registry import create_model, find_variant, list_models


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
    names = list_models(pattern)
    if not names:
        raise ValueError(f"pattern={pattern!r} matches no variant; allowed: shell-style patterns such as '*_full'")
    table = Table("name", "parameters", "what it is", box=None, pad_edge=False)
    for name in names:
        table.add_row(name, str(free_parameters(name)), find_variant(name).description)
    console = Console()
    widest = console.options.update(width=10_000)
    console.width = max(console.width, table.__rich_measure__(console, widest).maximum)
    console.print(table)
    console.print(f"{len(names)} variants; sizes are trained parameters of one member at its default width")


def free_parameters(name: str) -> int:
    """Trained parameters of one member at default settings; 0 where a variant trains nothing."""
    variant = find_variant(name)
    if variant.class_path.endswith(".GNN"):
        return gnn.free_parameters(**variant.arguments)
    model = create_model(name)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
