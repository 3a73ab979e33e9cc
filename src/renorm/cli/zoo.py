"""``renorm zoo``: list the named variants, and list, show, verify, train and export pretrained members."""

from __future__ import annotations

import argparse
import fnmatch
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby, takewhile
from pathlib import Path

from rich.table import Table

from ..checks import check_one_of
from ..console import Screen, print_table, print_wrapped, shorten
from ..errors import InputError
from ..pretrained.manifest import FOLDER, find_entry, map_of, read_manifest
from ..progress import shown_steps
from ..zoo.catalogue import Entry, read_catalogue
from .options import OneLineParser, add_wide

EXPORT_FORMATS = ("safetensors", "torch_export", "onnx")
MEMBERS = ("best", "all")
FILTERS = {
    "architecture": "only mlp, gnn, or one layer, such as gnn_sage",
    "activation": "only this one, such as relu",
    "symmetry": "only this one, such as free",
    "map": "only entries that learn this map, such as maximum",
    "law": "only entries trained on this law, such as uniform",
}
LEAST_ROOM = 20  # columns for a description, on a terminal that is narrower than names are long
OF_TRAINED = ("map", "law")  # filters that only pretrained entries have


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

    def add(name: str, about: str, *parents: OneLineParser) -> OneLineParser:
        return actions.add_parser(name, parents=parents, help=about, description=about)

    in_folder = OneLineParser(add_help=False)
    in_folder.add_argument(
        "--folder", type=Path, default=FOLDER, help="with weights and manifest (default: the package's)"
    )
    listing = add("list", "the named variants, or the pretrained entries", in_folder)
    listing.add_argument(
        "pattern", nargs="?", help="part of a name, or a shell-style pattern, e.g. gnn or 'mlp_*_full'"
    )
    listing.add_argument("--all", action="store_true", help="each variant also on a terminal")
    listing.add_argument("--pretrained", action="store_true", help="entries with weights, named arch.tag")
    for name, meaning in FILTERS.items():
        listing.add_argument(f"--{name}", metavar=name.upper(), help=meaning)
    add_wide(listing)
    listing.add_argument("--long", dest="wide", action="store_true", help=argparse.SUPPRESS)  # of version 0.1
    show = add("show", "the card of a pretrained entry", in_folder)
    show.add_argument("name", metavar="NAME", help="of 'renorm zoo list --pretrained'")
    show.add_argument("--json", action="store_true", help="all that the manifest has of it, as JSON")
    show.add_argument("--wide", action="store_true", help="the card as Markdown, with all columns")
    add("cards", "one Markdown page with all cards, which is docs/zoo.md", in_folder)
    verify = add("verify", "compute every number and checksum again; exit code 1 for a difference", in_folder)
    verify.add_argument("names", nargs="*", metavar="NAME", help="entries (default: all)")
    train = add("train", "train entries from their recipe, and compare with the package's")
    train.add_argument("names", nargs="*", metavar="NAME", help="entries")
    train.add_argument("--all", action="store_true", help="every entry; those that are whole already are kept")
    train.add_argument(
        "--out", help="folder to write to (default: pretrained); by its recipes.yaml if it has one, else the package's"
    )
    train.add_argument("--in_place", action="store_true", help="write to the package's own folder")
    train.add_argument("--overwrite", action="store_true", help="train existing entries again, and replace them")
    export = add("export", "write an entry for other programs, and compare what they compute", in_folder)
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
    asked = {name: value for name in FILTERS if (value := getattr(arguments, name)) is not None}
    pretrained = arguments.pretrained or arguments.folder != FOLDER or any(name in asked for name in OF_TRAINED)
    known = known_entries(arguments.folder) if pretrained else known_variants()
    names = chosen(known, pattern, asked, "entry" if pretrained else "variant")
    all_of_all = pattern is None and not asked and not arguments.all and not arguments.wide
    if all_of_all and arguments.folder == FOLDER and sys.stdout.isatty():
        print_families({name: known[name] for name in names}, pretrained)
    elif pretrained:
        print_pretrained(names, arguments.folder, arguments.wide)
    else:
        print_variants(names, arguments.wide)


def run_show(arguments: argparse.Namespace) -> None:
    """``renorm zoo show``."""
    from ..pretrained.cards import card, facts, metric_table, spectrum_table

    entry = find_entry(arguments.name, arguments.folder)
    if arguments.json:
        import json

        print(json.dumps(entry, indent=1))
    elif arguments.wide:
        print(card(arguments.name, entry))
    else:
        print_wrapped("\n".join([f"# {arguments.name}", "", *facts(arguments.name, entry)]))
        print()
        headings, *rows = metric_table(entry)
        headings = [heading.replace(", ", ",\n") for heading in headings]
        rows = [[shorten(law.replace("`", ""), 41), *cells] for law, *cells in rows]
        print_rows(headings, rows, least=headings[:2:-1])
        if "spectrum" in entry:
            print()
            headings, *rows = spectrum_table(entry)
            print_rows(headings, rows, least=headings[:1:-1])


def print_rows(headings: list[str], rows: Iterable[list[str]], least: list[str]) -> None:
    """Print a table of cells, without the columns that do not fit."""
    table = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    print_table(table, least)


def run_cards(arguments: argparse.Namespace) -> None:
    """``renorm zoo cards``."""
    from ..pretrained.page import page

    print(page(arguments.folder), end="")


def run_verify(arguments: argparse.Namespace) -> int:
    """``renorm zoo verify``."""
    from ..pretrained.verify import verify

    with shown_steps() as show:
        return verify(arguments.names, arguments.folder, show)


def run_train(arguments: argparse.Namespace) -> int:
    """``renorm zoo train``."""
    if arguments.all == bool(arguments.names):
        given = f"names={' '.join(arguments.names)!r} beside --all" if arguments.all else "neither names nor --all"
        raise InputError(given, "renorm zoo train NAME ..., or renorm zoo train --all")
    if arguments.in_place and arguments.out is not None:
        raise InputError(f"out={arguments.out!r} contradicts --in_place", "one of the two")
    from ..pretrained.retrain import retrain

    out = FOLDER if arguments.in_place else Path(arguments.out or "pretrained")
    with shown_steps() as show:
        return retrain(arguments.names, out, arguments.overwrite, show)


def run_export(arguments: argparse.Namespace) -> None:
    """``renorm zoo export``."""
    for option, allowed in (("format", EXPORT_FORMATS), ("members", MEMBERS)):
        value = getattr(arguments, option)
        check_one_of(option, value, allowed)
    find_entry(arguments.name, arguments.folder)
    from ..pretrained.export import export

    out = Path(arguments.out)
    with shown_steps() as show:
        show(f"{arguments.name} as {arguments.format}")
        export(arguments.name, arguments.format, out, arguments.members, arguments.overwrite, arguments.folder)


Facets = dict[str, list[str]]  # filter -> what an entry is, of which one must fit


def known_variants() -> dict[str, Facets]:
    """Name -> facets of every variant."""
    return {
        entry["name"]: {
            "architecture": [entry["architecture"]],
            "activation": [entry["activation"]],
            "symmetry": [entry["symmetry"]],
        }
        for entry in read_catalogue()
    }


def known_entries(folder: Path) -> dict[str, Facets]:
    """Name -> facets of every pretrained entry of a folder."""
    variants = known_variants()
    found: dict[str, Facets] = {}
    for name in read_manifest(folder):
        entry = find_entry(name, folder)
        own = {key: [str(entry["arguments"].get(key))] for key in ("activation", "symmetry")}
        facets = variants.get(name.partition(".")[0], {"architecture": [entry["class"].lower()], **own})
        laws = entry["data"].get("train_laws")
        found[name] = facets | {"map": [map_of(entry)], "law": [*map(str, laws)] if isinstance(laws, list) else []}
    return found


def chosen(known: Mapping[str, Facets], pattern: str | None, asked: Mapping[str, str], what: str) -> list[str]:
    """Names that match a pattern and fit every filter.

    Args:
        known: name -> facets.
        pattern: shell-style, of names; None for all.
        asked: filter -> value.
        what: is listed, for messages.

    Raises:
        ValueError: where there are none, naming what fits none.
    """
    names = [name for name in known if pattern is None or fnmatch.fnmatchcase(name, pattern)]
    if not names:
        raise InputError(f"pattern={pattern!r} matches no {what}", "parts of names, or patterns such as '*_full'")
    for option, value in asked.items():
        values = dict.fromkeys(facet for facets in known.values() for facet in facets[option])
        if not any(fits(option, facet, value) for facet in values):
            raise InputError(f"{option}={value!r} fits no {what}", ", ".join(values))
    names = [name for name in names if all(_is_any(option, known[name], value) for option, value in asked.items())]
    if not names:
        filters = ", ".join(f"{option}={value!r}" for option, value in asked.items())
        raise InputError(f"{filters} fit no {what} together", "fewer filters")
    return names


def _is_any(option: str, facets: Facets, value: str) -> bool:
    return any(fits(option, facet, value) for facet in facets[option])


def fits(option: str, facet: str, value: str) -> bool:
    """Whether a facet is what a filter asks for: the same, the same kind of network, or a law or map of that name.

    Example:
        >>> fits("architecture", "gnn_sage", "gnn"), fits("activation", "leaky_relu", "relu")
        (True, False)
        >>> fits("law", "gaussian(mean=0, std=1)", "gaussian"), fits("law", "gaussian(mean=0, std=1)", "gaussian()")
        (True, True)
    """
    if option == "architecture":
        return facet == value or facet.startswith(f"{value}_")
    if option in OF_TRAINED:
        return facet == value or facet.partition("(")[0] == value.removesuffix("()")
    return facet == value


def print_families(known: Mapping[str, Facets], pretrained: bool) -> None:
    """Print one line a family: the full list has hundreds of lines, too many for a terminal."""
    sizes = Counter(family(facets) for facets in known.values())
    words = "renorm zoo list --pretrained" if pretrained else "renorm zoo list"
    what = "entries" if pretrained else "variants"
    table = Table("family", what, "listed by", box=None, pad_edge=False)
    for name, count in sizes.items():
        table.add_row(name, str(count), f"{words} '{name}_*'")
    print_table(table)
    print_wrapped(f"{sizes.total()} {what}; '{words} --all' lists each. Filters:")
    for option in FILTERS:
        # of a law or a map its name alone, which a filter takes, too
        values = dict.fromkeys(facet.partition("(")[0] for facets in known.values() for facet in facets.get(option, []))
        if values:
            print_wrapped(f"  --{option}: {', '.join(values)}")


def family(facets: Facets) -> str:
    """What variants of different symmetries share: the activation of an MLP, the layer of a GNN.

    Example:
        >>> family({"architecture": ["mlp"], "activation": ["leaky_relu"], "symmetry": ["odd_input"]})
        'mlp_leaky_relu'
        >>> family({"architecture": ["gnn_sage_max"], "activation": ["spline"], "symmetry": ["free"]})
        'gnn_sage'
    """
    architecture, activation = facets["architecture"][0], facets["activation"][0]
    return architecture.removesuffix("_max") if architecture.startswith("gnn") else f"{architecture}_{activation}"


def print_variants(names: list[str], wide: bool = False) -> None:
    """Print name, number of free parameters of one member, and description: by network and activation, or as one table.

    Args:
        names: of variants.
        wide: whether to print one line a variant, however wide the terminal.
    """
    asked = set(names)
    entries = [entry for entry in read_catalogue() if entry["name"] in asked]
    if wide:
        table = Table("name", "parameters", "what it is", box=None, pad_edge=False)
        for entry in entries:
            table.add_row(entry["name"], str(entry["parameters"]), entry["description"])
        print_table(table)
    else:
        for _, group in groupby(entries, lambda entry: (entry["architecture"], entry["activation"])):
            print_group(list(group))
    print_wrapped(f"{len(entries)} variants; numbers are trained parameters of one member at its default width")
    if not wide:
        filters = ", ".join(f"--{option}" for option in FILTERS if option not in OF_TRAINED)
        print_wrapped(
            f"'renorm zoo list PATTERN' lists fewer, e.g. '*_full', as do {filters}; --wide has a line a variant"
        )


def print_group(entries: list[Entry]) -> None:
    """Print variants of one network and activation: what these are above, and what is each variant's own beside its name."""
    shared, own = split_shared([entry["description"] for entry in entries])
    print_wrapped(f"{entries[0]['architecture']}, {entries[0]['activation']}: {shared}")
    width, names = Screen().width, max(len(entry["name"]) for entry in entries)
    numbers = max(len(str(entry["parameters"])) for entry in entries)
    for entry, text in zip(entries, own, strict=True):
        start = f"  {entry['name']:{names}}  {entry['parameters']:{numbers}}  "
        lines = textwrap.TextWrapper(max(width, len(start) + LEAST_ROOM), start, " " * len(start))
        lines.break_long_words = lines.break_on_hyphens = False
        print(lines.fill(text))
    print()


def split_shared(descriptions: list[str]) -> tuple[str, list[str]]:
    """The first parts of descriptions that all have in common, and the rest of each, which is never empty.

    Example:
        >>> split_shared(["gcn on a pair of nodes; tanh(z); no weights tied", "gcn on a pair of nodes; tanh(z); odd"])
        ('gcn on a pair of nodes; tanh(z)', ['no weights tied', 'odd'])
    """
    parts = [text.split("; ") for text in descriptions]
    columns = zip(*(each[:-1] for each in parts), strict=False)  # as many as the shortest has
    shared = len(list(takewhile(lambda column: len(set(column)) == 1, columns)))
    return "; ".join(parts[0][:shared]), ["; ".join(each[shared:]) for each in parts]


def print_pretrained(names: list[str], folder: Path = FOLDER, wide: bool = False) -> None:
    """Print name, map, certificate, and how well the best member does, on the laws of training and on the worst other one.

    Args:
        names: of entries.
        folder: of manifest and weights.
        wide: whether to print all columns, whatever the width of the terminal.
    """
    from ..pretrained.cards import either, overview

    headings, rows = overview(names, folder)
    headings = tuple(heading.replace(" laws,", ",").replace("worst ", "").replace(", ", ",\n") for heading in headings)
    table = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    _, block_map, certificate, _, median, _, held_out_median = headings
    print_table(table, [block_map, median, held_out_median, certificate], wide)
    members = either(len(find_entry(name, folder)["validation_loss"]) for name in names)
    print_wrapped(
        f"{len(names)} entries of {members} members; relative mean squared errors on the worst law; best: the member of least "
        "validation loss on the trained laws, median: over members; 'renorm zoo show NAME' has all of one"
    )
