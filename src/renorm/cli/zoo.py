"""``renorm zoo``: list the named variants, and list, show, verify, train and export pretrained members."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from pathlib import Path

from rich.table import Table

from ..checks import check_one_of
from ..console import print_whole
from ..errors import InputError
from ..pretrained.manifest import FOLDER, find_entry, pretrained_names
from ..zoo.catalogue import read_catalogue
from .options import OneLineParser

EXPORT_FORMATS = ("safetensors", "torch_export", "onnx")
MEMBERS = ("best", "all")
COLUMNS = 100  # of a line of the list


def run(words: list[str]) -> int:
    """Run ``renorm zoo list | show | cards | verify | train | export``; 1 where numbers are not those of the manifest."""
    arguments = make_parser().parse_args(words[1:])
    return int(
        {
            "list": run_list,
            "show": run_show,
            "cards": run_cards,
            "verify": run_verify,
            "train": run_train,
            "export": run_export,
        }[arguments.action](arguments)
        or 0
    )


def make_parser() -> OneLineParser:
    """The parser of all actions and their options."""
    parser = OneLineParser(prog="renorm zoo", description="the named variants, and pretrained members of them")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    in_folder = OneLineParser(add_help=False)
    in_folder.add_argument(
        "--folder", type=Path, default=FOLDER, help="of weights and manifest (default: the package's)"
    )
    listing = actions.add_parser(
        "list", parents=[in_folder], help="every variant, or every pretrained entry, with one line"
    )
    listing.add_argument(
        "pattern", nargs="?", help="part of a name, or a shell-style pattern, e.g. gnn or 'mlp_*_full'"
    )
    listing.add_argument("--all", action="store_true", help="one line a variant also on a terminal")
    listing.add_argument("--pretrained", action="store_true", help="entries with weights, named arch.tag")
    listing.add_argument("--long", action="store_true", help="descriptions uncut, in lines of any length")
    show = actions.add_parser("show", parents=[in_folder], help="the card of a pretrained entry")
    show.add_argument("name", metavar="NAME", help="of 'renorm zoo list --pretrained'")
    show.add_argument("--json", action="store_true", help="all that the manifest has of it, as JSON")
    actions.add_parser("cards", parents=[in_folder], help="one Markdown page with all cards, which is docs/zoo.md")
    verify = actions.add_parser(
        "verify", parents=[in_folder], help="compute every number and checksum again; exit code 1 for a difference"
    )
    verify.add_argument("names", nargs="*", metavar="NAME", help="entries (default: all)")
    train = actions.add_parser("train", help="train entries from their recipe, and compare with the package's")
    train.add_argument("names", nargs="*", metavar="NAME", help="entries")
    train.add_argument("--all", action="store_true", help="every entry; those that are whole already are kept")
    train.add_argument(
        "--out", help="folder to write to (default: pretrained); by its recipes.yaml if it has one, else the package's"
    )
    train.add_argument("--in_place", action="store_true", help="write to the package's own folder")
    train.add_argument("--overwrite", action="store_true", help="train existing entries again, and replace them")
    export = actions.add_parser(
        "export", parents=[in_folder], help="write an entry for other programs, and compare what they compute"
    )
    export.add_argument("name", metavar="NAME", help="of 'renorm zoo list --pretrained'")
    export.add_argument("--format", required=True, help=f"of {', '.join(EXPORT_FORMATS)}")
    export.add_argument("--out", required=True, metavar="FILE", help="file to write")
    export.add_argument("--members", default="best", help="best (default) or all")
    export.add_argument("--overwrite", action="store_true", help="replace FILE where it exists")
    return parser


def run_list(arguments: argparse.Namespace) -> None:
    """``renorm zoo list``."""
    pattern = arguments.pattern
    if pattern is not None and not set(pattern) & set("*?["):
        pattern = f"*{pattern}*"
    if arguments.pretrained or arguments.folder != FOLDER:
        print_pretrained(pattern, arguments.folder)
    elif pattern is None and not arguments.all and not arguments.long and sys.stdout.isatty():
        print_families()
    else:
        print_variants(pattern, arguments.long)


def run_show(arguments: argparse.Namespace) -> None:
    """``renorm zoo show``."""
    from ..pretrained.cards import card

    entry = find_entry(arguments.name, arguments.folder)
    if arguments.json:
        import json

        print(json.dumps(entry, indent=1))
    else:
        print(card(arguments.name, entry))


def run_cards(arguments: argparse.Namespace) -> None:
    """``renorm zoo cards``."""
    from ..pretrained.page import page

    print(page(arguments.folder), end="")


def run_verify(arguments: argparse.Namespace) -> int:
    """``renorm zoo verify``."""
    from ..pretrained.verify import verify

    return verify(arguments.names, arguments.folder)


def run_train(arguments: argparse.Namespace) -> int:
    """``renorm zoo train``."""
    if arguments.all == bool(arguments.names):
        given = f"names={' '.join(arguments.names)!r} beside --all" if arguments.all else "neither names nor --all"
        raise InputError(given, "renorm zoo train NAME ..., or renorm zoo train --all")
    if arguments.in_place and arguments.out is not None:
        raise InputError(f"out={arguments.out!r} contradicts --in_place", "one of the two")
    from ..pretrained.retrain import retrain

    out = FOLDER if arguments.in_place else Path(arguments.out or "pretrained")
    return retrain(arguments.names, out, arguments.overwrite)


def run_export(arguments: argparse.Namespace) -> None:
    """``renorm zoo export``."""
    for option, allowed in (("format", EXPORT_FORMATS), ("members", MEMBERS)):
        value = getattr(arguments, option)
        check_one_of(option, value, allowed)
    find_entry(arguments.name, arguments.folder)
    from ..pretrained.export import export

    out = Path(arguments.out)
    export(arguments.name, arguments.format, out, arguments.members, arguments.overwrite, arguments.folder)


def print_families() -> None:
    """Print one line a family: the full list has hundreds of lines, too many for a terminal."""
    sizes = Counter(family(entry["name"]) for entry in read_catalogue())
    table = Table("family", "variants", "listed by", box=None, pad_edge=False)
    for name, count in sizes.items():
        table.add_row(name, str(count), f"renorm zoo list '{name}_*'")
    print_whole(table)
    print(
        f"{sizes.total()} variants; 'renorm zoo list --all' lists each, 'renorm zoo list full' those with 'full' in the name"
    )


def family(name: str) -> str:
    """The part of a name that variants of different symmetries share: the activation of an MLP, the layer of a GNN.

    Example:
        >>> family("mlp_leaky_relu_odd_input"), family("gnn_graph_conv_spline_full_fixed_weights")
        ('mlp_leaky_relu', 'gnn_graph_conv')
    """
    from ..zoo.symmetry import list_symmetries
    from ..zoo.symmetry.graphs import HOPS  # imports NumPy, which takes too long for a list

    prefix = next((f"gnn_{layer}" for layer in HOPS if name.startswith(f"gnn_{layer}_")), None)
    plain = re.sub("_fixed_(weights|spline)$", "", name)
    ends = sorted((f"_{symmetry}" for symmetry in list_symmetries() if plain.endswith(f"_{symmetry}")), key=len)
    return prefix or plain.removesuffix(ends[-1] if ends else "")


def print_variants(pattern: str | None, long: bool = False) -> None:
    """Print name, number of free parameters of one member, and description.

    Args:
        pattern: shell-style, of names.
        long: whether descriptions are printed whole; else lines have up to 100 columns, unless a name is longer.

    Raises:
        ValueError: where no name matches.
    """
    entries = read_catalogue(pattern)
    if not entries:
        raise InputError(f"pattern={pattern!r} matches no variant", "parts of names, or patterns such as '*_full'")
    table = Table("name", "parameters", "what it is", box=None, pad_edge=False)
    room = max(COLUMNS - max(len(entry["name"]) for entry in entries) - len("  parameters  "), len("what it is"))
    for entry in entries:
        text = entry["description"]
        whole = long or len(text) <= room
        table.add_row(entry["name"], str(entry["parameters"]), text if whole else text[: room - 1].rstrip() + "…")
    print_whole(table)
    print(f"{len(entries)} variants; sizes are trained parameters of one member at its default width")
    if not long:
        print("'renorm zoo list PATTERN' lists fewer, e.g. '*_full'; --long has descriptions uncut")


def print_pretrained(pattern: str | None, folder: Path = FOLDER) -> None:
    """Print name, map, certificate, and how well the best member does, on the laws of training and on the worst other one.

    Args:
        pattern: shell-style, of names.
        folder: of manifest and weights.

    Raises:
        ValueError: where no name matches.
    """
    from ..pretrained.cards import either, overview

    names = pretrained_names(pattern, folder)
    if not names:
        raise InputError(f"pattern={pattern!r} matches no entry", "parts of names, or patterns such as '*.uniform'")
    headings, rows = overview(names, folder)
    table = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    note = "best: the member of least validation loss on the trained laws; 'renorm zoo show NAME' has all of one"
    print_whole(table)
    members = either(len(find_entry(name, folder)["validation_loss"]) for name in names)
    print(f"{len(names)} entries of {members} members; relative mean squared errors; {note}")
