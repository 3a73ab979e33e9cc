"""``renorm plot``: error against slope (or any grid parameter), drawn from the files that ``renorm test`` wrote.

``renorm plot flow`` is in :mod:`.plot_flow`.
"""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..callbacks.figures import law_label, verbatim
from ..callbacks.results import OF_CHECKPOINT, SEAL, seal
from ..checks import check_one_of
from ..datamodules.laws import parse
from ..errors import InputError
from ..files.untrusted import read_json
from ..files.whole import checksum
from ..versions import say_if_newer
from .options import OneLineParser

FORMATS = (".png", ".svg", ".pdf")


def run(words: list[str]) -> None:
    """Run ``renorm plot``, or ``renorm plot flow``."""
    if words[1:2] == ["flow"]:
        from .plot_flow import run as run_flow

        run_flow(words[1:])
        return
    parser = OneLineParser(
        prog="renorm plot",
        description="error against a grid parameter, from test results",
        epilog="'renorm plot flow' draws the flow of distributions under learned maps",
    )
    parser.add_argument("results", nargs="+", help="test_results.json files; one colour each")
    parser.add_argument("--metric", default="relative_mse", help="which metric (default: relative_mse)")
    parser.add_argument(
        "--laws", nargs="+", help="which laws, one panel each (default: the first trained, all held out)"
    )
    parser.add_argument("--out", required=True, help=f"figure to write: {', '.join(FORMATS)}")
    arguments = parser.parse_args(words[1:])
    out = figure_path(arguments.out)
    results = [read_results(path) for path in arguments.results]
    asked = [str(parse(law)) for law in arguments.laws or []]
    laws = asked or [results[0]["train_laws"][0], *results[0]["held_out_laws"]]
    figure = error_against_grid(results, laws, arguments.metric)
    # warnings come last: a refusal must be the only line
    for path, content in zip(arguments.results, results, strict=True):
        say_if_newer(f"the result {path}", content.get("renorm"))
        warn_of_another_checkpoint(Path(path), content)
    figure.savefig(out, dpi=150)
    print(f"figure: {out}")


def figure_path(text: str) -> Path:
    """Where a figure is to be written.

    Raises:
        ValueError: for an unknown format, or a folder that does not exist.
    """
    out = Path(text)
    if out.suffix not in FORMATS:
        raise InputError(f"out={text!r} has no known format", ", ".join(FORMATS))
    if not out.resolve().parent.is_dir():
        raise InputError(f"out={text!r} is in no folder that exists", "a file in a folder that exists")
    return out


def read_results(path: str) -> dict[str, Any]:
    """Read a test's results.

    Raises:
        ValueError: where the file is not one, or its model has no grid.
    """
    content: dict[str, Any] = read_json(Path(path), f"results={path!r}", "test_results.json of 'renorm test'")
    problem = what_is_wrong(content)
    if problem is not None:
        raise InputError(f"results={path!r} is not a result of 'renorm test' ({problem})")
    if grid_axis(content) is None:
        raise InputError(f"results={path!r} has no grid", "models with a list, e.g. model.negative_slope=[0.5, 1]")
    return content


def warn_of_another_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Warn on stderr where the checkpoint beside the results has changed since it was tested.

    A resumed fit replaces ``best.ckpt``. Results without a checksum, and those that were moved away from their checkpoint,
    cannot be compared.

    Args:
        path: the file of results.
        content: what is in it.
    """
    checkpoint = path.parent / Path(str(content.get("checkpoint", ""))).name
    judged = content.get(OF_CHECKPOINT)
    if judged is None or not checkpoint.is_file() or checksum(checkpoint) == judged:
        return
    again = shlex.join(["renorm", "test", "--ckpt_path", str(checkpoint)])
    print(
        f"renorm: warning: results={str(path)!r} are of an older {checkpoint.name} than the one beside them; "
        f"test it anew: {again}",
        file=sys.stderr,
    )


def what_is_wrong(content: Any) -> str | None:
    """What is wrong with a result; None where it is whole and unchanged."""
    if not isinstance(content, dict):
        return "not a mapping"
    if content.get(SEAL) != seal(content):
        return "it was changed or damaged after it was written"
    kinds = {"results": dict, "members": list, "model": dict, "train_laws": list, "held_out_laws": list}
    for key, kind in kinds.items():
        if not isinstance(content.get(key), kind) or (not content[key] and key != "held_out_laws"):
            return f"{key} is missing"
    members, results = content["members"], content["results"]
    if not all(isinstance(member, dict) and member.keys() == members[0].keys() for member in members):
        return "members differ in what is known of them"
    if not all(isinstance(value, int | float) for member in members for value in member.values()):
        return "members have values that are not numbers"
    for law, metrics in results.items():
        if not isinstance(metrics, dict) or not metrics:
            return f"{law} has no metrics"
        for values in metrics.values():
            numbers = isinstance(values, list) and all(v is None or isinstance(v, int | float) for v in values)
            if not numbers or len(values) != len(members):
                return f"{law} has other than one number a member"
    listed = [*content["train_laws"], *content["held_out_laws"]]
    missing = next((law for law in listed if not isinstance(law, str) or law not in results), None)
    return None if missing is None else f"{missing} has no results"


def grid_axis(content: dict[str, Any]) -> str | None:
    """The parameter that differs from member to member, None without a grid."""
    return next((key for key in content["members"][0] if key not in ("member", "replica")), None)


def error_against_grid(results: list[dict[str, Any]], laws: list[str], metric: str) -> Figure:
    """One panel a law; one line a file, with a band from the 10% to the 90% quantile of the replicas.

    Raises:
        ValueError: for a law or a metric that the results do not have.
    """
    for content in results:
        known = content["results"]
        for law in laws:
            if law not in known:
                raise InputError(f"laws={law!r} was not tested", "; ".join(known))
        for law in laws:
            check_one_of("metric", metric, known[law])
    columns = min(math.ceil(math.sqrt(len(laws))), 4)  # near a square, which a narrow screen shows larger than a row
    rows = -(-len(laws) // columns)
    figure = Figure(figsize=(3.2 * columns + 0.6, 2.8 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel, law in zip(panels.flat, laws, strict=False):
        trained = law in results[0]["train_laws"]
        panel.set_title(f"{law_label(law)}\n{'trained on' if trained else 'held out'}", fontsize="medium")
        for content in results:
            _draw(panel, content, law, metric)
        panel.grid(alpha=0.3, linewidth=0.5)
    for panel in panels.flat[len(laws) :]:
        panel.set_visible(False)
    axis = grid_axis(results[0]) or ""
    panels.flat[0].set_yscale("log")
    for panel in panels[:, 0]:
        panel.set_ylabel(verbatim(metric.replace("_", " ")))
    for panel in panels[-1]:
        panel.set_xlabel(verbatim(axis.replace("_", " ")))
    panels.flat[0].legend(title="symmetry", fontsize="small")
    return figure


def _draw(panel: Axes, content: dict[str, Any], law: str, metric: str) -> None:
    axis = grid_axis(content) or ""
    abscissa = np.array([member[axis] for member in content["members"]])
    error = np.array([np.nan if v is None else v for v in content["results"][law][metric]])
    values = np.unique(abscissa)
    bands = np.array([np.nanquantile(error[abscissa == value], [0.1, 0.5, 0.9]) for value in values])
    (line,) = panel.plot(
        values, bands[:, 1], marker=".", markersize=4, label=verbatim(str(content["model"].get("symmetry")))
    )
    panel.fill_between(values, bands[:, 0], bands[:, 2], color=line.get_color(), alpha=0.2, linewidth=0)
