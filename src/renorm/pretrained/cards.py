"""Model cards: the entries of the manifest as Markdown; does not import PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..console import shorten
from ..zoo.catalogue import read_catalogue
from .manifest import FOLDER, find_entry, map_of

HEADINGS = (
    "name",
    "map",
    "certificate",
    "trained laws, best",
    "trained laws, median",
    "worst held-out, best",
    "worst held-out, median",
)
SHOWN = {
    "relative_mse": "rel. mse",
    "wasserstein1": "W1",
    "energy_distance": "energy",
    "k2_error": "k2 err",
    "k3_error": "k3 err",
    "k4_error": "k4 err",
}
OF_TAILS = {
    "quantile_distance": "quantiles",
    "characteristic_distance": "char. function",
}  # where a map is judged by them

DEFAULTS = {"block_size": 2, "width": 8, "depth": 1, "graph": "pair"}  # of what the catalogue describes


def overview(names: list[str], folder: Path = FOLDER) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings, and a row an entry: its map, its certificate where there is one, and relative errors on its worst laws."""
    rows = []
    for name in names:
        entry = find_entry(name, folder)
        trained, held_out = _laws(entry)
        cells = [_brief(_worst(entry, laws, kind)) for laws in (trained, held_out) for kind in ("best", "median")]
        verdict = entry["certificate"]["verdict"] if "certificate" in entry else "–"
        rows.append([name, map_of(entry), verdict, *cells])
    return HEADINGS, rows


def either(sizes: Iterable[int]) -> str:
    """The distinct sizes of some entries, joined by "or".

    Example:
        >>> either([3, 2, 3]), either([16, 16])
        ('2 or 3', '16')
    """
    return " or ".join(str(size) for size in sorted(set(sizes)))


def card(name: str, entry: dict[str, Any], level: int = 1) -> str:
    """Everything that a reader of an entry needs to know, as Markdown."""
    lines = [f"{'#' * level} {name}", "", *facts(name, entry), "", *_markdown(metric_table(entry))]
    return "\n".join(lines if "spectrum" not in entry else [*lines, "", *_markdown(spectrum_table(entry))])


def _markdown(table: Iterable[list[str]]) -> Iterator[str]:
    headings, *rows = table
    yield row(headings)
    yield row(["---"] * len(headings))
    yield from map(row, rows)


def facts(name: str, entry: dict[str, Any]) -> Iterator[str]:
    """What an entry is, how it was trained, and its files, line by line."""
    trained, _ = _laws(entry)
    data, training = entry["data"], entry["training"]
    losses = [loss for loss in entry["validation_loss"] if loss is not None]
    diverged = len(entry["validation_loss"]) - len(losses)
    certificate = entry.get("certificate")
    yield f"{certificate['architecture'] if certificate else entry['class']}: {_description(name, entry)}."
    yield ""
    yield f"- map: `{map_of(entry)}`"
    yield f"- trained on {', '.join(f'`{law}`' for law in trained)}: " + ", ".join(
        [
            f"{training.get('steps')} steps of {training.get('optimizer')}",
            f"learning rate {training.get('lr')}",
            f"{data.get('batch_size')} blocks of {data.get('block_size')} a step",
            f"seed {entry['seed']}",
        ]
    )
    if certificate:
        yield f"- certificate: {certificate['verdict']}, infimum of the error {certificate['infimum']}"
    best = entry["validation_loss"][entry["best_member"]]
    yield (
        f"- members: {len(entry['validation_loss'])}, {diverged} diverged; best is number {entry['best_member']}, "
        f"validation loss {_brief(best)}"
    )
    yield f"- again: `{entry['command']}`; versions: {', '.join(f'{key} {value}' for key, value in entry['versions'].items())}"
    yield f"- file: `{entry['file']['name']}`, {entry['file']['bytes']} bytes, sha256 `{entry['file']['sha256']}`"
    if "trajectory" in entry:
        kept = entry["trajectory"]
        yield f"- trajectory: {kept['epochs']} epochs in `{kept['name']}`, {kept['bytes']} bytes, sha256 `{kept['sha256']}`"
    yield f"- licence: {entry['licence']}"


def _description(name: str, entry: dict[str, Any]) -> str:
    """The catalogue's description of the variant; the arguments of the model where sizes differ from the catalogue's."""
    arguments, variant = entry["arguments"], name.partition(".")[0]
    known = {listed["name"]: listed for listed in read_catalogue()}
    if variant in known and all(arguments.get(key, value) == value for key, value in DEFAULTS.items()):
        return f"{known[variant]['description']}, {known[variant]['parameters']} trained parameters a member"
    return ", ".join(f"{key} {value}" for key, value in arguments.items())


def metric_table(entry: dict[str, Any]) -> Iterator[list[str]]:
    """Headings, and a row a law with its metrics."""
    trained, _ = _laws(entry)
    shown = SHOWN | {
        key: text for key, text in OF_TAILS.items() if any(key in known for known in entry["metrics"].values())
    }
    yield ["law", "rel. mse, best", *shown.values()]
    for law, metrics in entry["metrics"].items():
        cells = [f"`{shorten(law, 80)}`" + (" (trained)" if law in trained else "")]
        cells.append(_brief(metrics.get("relative_mse", {}).get("best")))
        yield [*cells, *(_with_interval(metrics.get(metric, {})) for metric in shown)]


def _with_interval(summary: dict[str, Any]) -> str:
    if summary.get("median") is None:
        return "–"
    return f"{_brief(summary['median'])} [{', '.join(_brief(value) for value in summary['interval'])}]"


def spectrum_table(entry: dict[str, Any]) -> Iterator[list[str]]:
    """Headings, and the eigenvalues of the map, where they are known, and of the best member."""
    spectrum = entry["spectrum"]
    rows = {"exact": spectrum["exact"]} if "exact" in spectrum else {}
    if entry["best_member"] < len(spectrum["eigenvalues"]):
        rows["best member"] = spectrum["eigenvalues"][entry["best_member"]]
    columns = max((len(values) for values in rows.values()), default=0)
    yield ["spectrum", *(f"λ{n}" for n in range(1, 1 + columns))]
    for label, values in rows.items():
        yield [label, *(_brief(value, 5) for value in values)]


def _laws(entry: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Laws that were trained on, and laws that were not, of those with metrics."""
    trained = entry["data"].get("train_laws")
    names = trained if isinstance(trained, list) else []
    return [law for law in entry["metrics"] if law in names], [law for law in entry["metrics"] if law not in names]


def _worst(entry: dict[str, Any], laws: list[str], kind: str) -> float | None:
    errors = [entry["metrics"][law].get("relative_mse", {}).get(kind) for law in laws]
    return None if not errors or None in errors else max(errors)


def _brief(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}g}"


def row(cells: Iterable[str]) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
