"""Results of a test or a validation: a printed table and, for a test, ``test_results.json``."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.table import Table
from torch import Tensor

from .. import __version__
from ..console import print_table, print_wrapped, shorten
from ..datamodules.blocks import SETS_OF_HELD_OUT, BlockData, blocks_of, law_sets, short_text
from ..files.whole import checksum, whole_file
from ..training.metrics import quantiles, worst_of
from ..training.stack import StackedModel
from .generalization import Generalization
from .tables import dry

# metric -> heading of its column, and what it is, for the output f and the target y
EXPLAINED = {
    "mse": ("mse", "E(f - y)^2"),
    "relative_mse": ("rel. mse", "E(f - y)^2 / var(y)"),
    "wasserstein1": ("W1", "Wasserstein-1 distance of f and y"),
    "energy_distance": ("energy", "energy distance"),
} | {f"k{n}_error": (f"k{n} err", "|kn(f) - kn(y)|, kn the cumulants") for n in range(1, 5)}
# left out of a narrow terminal, the first one first; then metrics that are not named here, from the right
LEAST = ("mse", "k1_error", "energy_distance", "k3_error", "wasserstein1", "k4_error", "k2_error")
RESULTS_FILE = "test_results.json"
SEAL = "sha256"  # of the rest of the file
OF_CHECKPOINT = "checkpoint_sha256"  # which weights were judged


class TestReport(Callback):
    """Print medians over members, laws x metrics for each grid point, and write every member's numbers to a file.

    The table replaces Lightning's own; ``Trainer.test(..., verbose=False)`` prints neither.

    Args:
        directory: folder of the file; None to print only.
        wide: whether the table has all metrics, whatever the width of the terminal.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(self, directory: str | None = None, wide: bool = False) -> None:
        self.directory = directory
        self.wide = wide
        self._prints = True
        self._checksum: str | None = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep Lightning from printing hundreds of numbers itself."""
        self._prints, trainer.validate_loop.verbose = trainer.validate_loop.verbose, False

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep Lightning from printing, and note which checkpoint is judged: a fit may replace it during the test."""
        self._prints, trainer.test_loop.verbose = trainer.test_loop.verbose, False
        path = trainer.ckpt_path
        if self.directory is not None and path and trainer.is_global_zero:
            self._checksum = checksum(Path(path))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Print the table and write the file, on the first process only, after the progress bar has been closed."""
        if stage not in ("validate", "test"):
            return
        measured = [callback for callback in trainer.callbacks if isinstance(callback, Generalization)]  # type: ignore[attr-defined]
        data = blocks_of(trainer, "TestReport")
        if not measured or not isinstance(pl_module, StackedModel):
            raise TypeError("TestReport needs a StackedModel and the Generalization callback")
        results = measured[0].results
        if not trainer.is_global_zero or not results:
            return
        if self._prints:
            sets, short = law_sets(data), {str(law): short_text(law) for law in data.laws}
            shown = print_table(medians_table(pl_module, results, sets, short), least_of(results), self.wide)
            print_wrapped(explanation(shown))
            if any(sets.get(name) for name in SETS_OF_HELD_OUT):
                print_wrapped(explanation_of_sets(sets, short))
        if self.directory is not None and stage == "test" and not dry(trainer):
            path = Path(self.directory) / RESULTS_FILE
            content = report(pl_module, data, results, str(trainer.ckpt_path or ""))
            content[OF_CHECKPOINT] = self._checksum
            write_json(path, content | {SEAL: seal(content)})
            print(f"every member's numbers: {path}")


def medians_table(
    model: StackedModel,
    results: Mapping[str, Mapping[str, Tensor]],
    sets: Mapping[str, Sequence[str]],
    short: Mapping[str, str] | None = None,
) -> Table:
    """Return a table of medians over members, with a row for each law, worst law and grid point.

    Args:
        model: the stack.
        results: law -> metric -> one number per member, shape ``(M,)``.
        sets: laws that were trained on, to be marked, and those within the range of these and beyond it, whose worst is shown,
            as :func:`renorm.datamodules.blocks.law_sets` names them; none where nothing is known.
        short: law -> the text to show for it, where that is another one.
    """
    metrics = list(next(iter(results.values())))
    title = f"{type(model).__name__}: median over members"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, min_width=len(title))
    for column in ("law", *(["grid point"] if model.grid_axes else []), "members"):
        table.add_column(column, no_wrap=True)
    for metric in metrics:
        table.add_column(heading(metric), no_wrap=True, justify="right")
    trained = sets.get("trained", ())
    names = {law: shorten((short or {}).get(law, law)) for law in results}
    rows = [(f"{names[law]} (trained)" if law in trained else names[law], values) for law, values in results.items()]
    worst = {name: found for name in SETS_OF_HELD_OUT if (found := worst_of(results, sets.get(name, ())))}
    for name, values in [*rows, *((f"worst, {name}", values) for name, values in worst.items())]:
        for label, positions in model.grid_groups().items():
            chosen = {metric: value[positions] for metric, value in values.items()}
            finite = int(chosen["mse"].isfinite().sum())
            count = str(finite) if finite == len(positions) else f"{finite} of {len(positions)}"
            medians = [f"{float(quantiles(value, (0.5,))[0]):.2g}" for value in chosen.values()]
            table.add_row(name, *([label] if model.grid_axes else []), count, *medians)
            name = ""
    return table


def heading(metric: str) -> str:
    r"""The heading of a metric's column.

    Example:
        >>> heading("k2_error"), heading("quantile_distance")
        ('k2 err', 'quantile\ndistance')
    """
    return EXPLAINED[metric][0] if metric in EXPLAINED else metric.replace("_", "\n")


def least_of(results: Mapping[str, Mapping[str, Tensor]]) -> list[str]:
    """Headings of the columns that a narrow terminal does without, the first one first; the relative error stays."""
    metrics = list(next(iter(results.values())))
    others = [metric for metric in reversed(metrics) if metric not in EXPLAINED]
    return [heading(metric) for metric in (*LEAST, *others) if metric in metrics]


def explanation(table: Table) -> str:
    """One line that says what the headings of a table of medians mean, for an output f and its target y.

    Example:
        >>> explanation(Table("law", "rel. mse", "k1 err", "k4 err"))
        'f: output, y: target; rel. mse: E(f - y)^2 / var(y); kn err: |kn(f) - kn(y)|, kn the cumulants'
    """
    headings = {column.header for column in table.columns}
    meanings = {
        "kn err" if metric.endswith("_error") else name: meaning
        for metric, (name, meaning) in EXPLAINED.items()
        if name in headings
    }
    return "; ".join(["f: output, y: target", *(f"{name}: {meaning}" for name, meaning in meanings.items())])


def explanation_of_sets(sets: Mapping[str, Sequence[str]], short: Mapping[str, str]) -> str:
    """One line that says which laws networks interpolate on, and what extrapolation is.

    Example:
        >>> explanation_of_sets({"interpolation": ["rademacher()"]}, {})
        'interpolation: within the range of the laws trained on, rademacher(); extrapolation: beyond it'
    """
    within = ", ".join(shorten(short.get(law, law)) for law in sets.get("interpolation", ())) or "no law"
    return f"interpolation: within the range of the laws trained on, {within}; extrapolation: beyond it"


def report(
    model: StackedModel, data: BlockData, results: dict[str, dict[str, Tensor]], checkpoint: str
) -> dict[str, Any]:
    """Return the content of the file: model, data, members, which laws were trained on, and every number."""
    laws = {
        law: {metric: [finite_or_none(v) for v in values.tolist()] for metric, values in metrics.items()}
        for law, metrics in results.items()
    }
    return {
        "renorm": __version__,
        "checkpoint": Path(checkpoint).name,
        "model": {"class": type(model).__name__, **dict(model.hparams)},
        "data": dict(getattr(data, "hparams", {})),
        "members": model.member_table,
        "diverged": {str(member): step for member, step in model.divergence.steps.items()},
        "train_laws": [str(law) for law in data.train_laws],
        "held_out_laws": [str(law) for law in data.held_out_laws],
        "results": laws,
    }


def seal(content: dict[str, Any]) -> str:
    """Return a checksum of everything but itself, by which a reader can verify the numbers.

    Example:
        >>> seal({"a": 1, "b": 2}) == seal({"b": 2, "a": 1, "sha256": "..."})
        True
    """
    rest = {key: value for key, value in content.items() if key != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def finite_or_none(value: float) -> float | None:
    """Return the number, or None for NaN and infinity, which JSON does not have."""
    return value if math.isfinite(value) else None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
