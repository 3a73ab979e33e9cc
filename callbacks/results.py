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
from ..console import print_whole
from ..datamodules.blocks import SETS_OF_HELD_OUT, BlockData, blocks_of, law_sets
from ..files.whole import checksum, whole_file
from ..training.metrics import quantiles, worst_of
from ..training.stack import StackedModel
from .figures import shorten
from .generalization import Generalization
from .tables import dry

HEADINGS = {"relative_mse": "rel. mse", "wasserstein1": "W1", "energy_distance": "energy"} | {
    f"k{n}_error": f"k{n} err" for n in range(1, 5)
}
RESULTS_FILE = "test_results.json"
SEAL = "sha256"  # of the rest of the file
OF_CHECKPOINT = "checkpoint_sha256"  # which weights were judged


class TestReport(Callback):
    """Print medians over members, laws x metrics for each grid point, and write every member's numbers to a file.

    The table replaces Lightning's own; ``Trainer.test(..., verbose=False)`` prints neither.

    Args:
        directory: folder of the file; None to print only.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(self, directory: str | None = None) -> None:
        self.directory = directory
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
            print_whole(medians_table(pl_module, results, law_sets(data)))
        if self.directory is not None and stage == "test" and not dry(trainer):
            path = Path(self.directory) / RESULTS_FILE
            content = report(pl_module, data, results, str(trainer.ckpt_path or ""))
            content[OF_CHECKPOINT] = self._checksum
            write_json(path, content | {SEAL: seal(content)})
            print(f"every member's numbers: {path}")


def medians_table(
    model: StackedModel, results: Mapping[str, Mapping[str, Tensor]], sets: Mapping[str, Sequence[str]]
) -> Table:
    """Return a table of medians over members, with a row for each law, worst law and grid point.

    Args:
        model: the stack.
        results: law -> metric -> one number per member, shape ``(M,)``.
        sets: laws that were trained on, to be marked, and those within the range of these and beyond it, whose worst is shown,
            as :func:`renorm.datamodules.blocks.law_sets` names them; none where nothing is known.
    """
    metrics = list(next(iter(results.values())))
    table = Table(title=f"{type(model).__name__}: median over members", min_width=20)
    for column in ("law", *(["grid point"] if model.grid_axes else []), "members"):
        table.add_column(column, no_wrap=True)
    for metric in metrics:
        table.add_column(HEADINGS.get(metric, metric), no_wrap=True, justify="right")
    trained = sets.get("trained", ())
    rows = [(f"{shorten(law)} (trained)" if law in trained else shorten(law), own) for law, own in results.items()]
    worst = {name: found for name in SETS_OF_HELD_OUT if (found := worst_of(results, sets.get(name, ())))}
    for name, values in [*rows, *((f"worst, {name}", values) for name, values in worst.items())]:
        for label, positions in model.grid_groups().items():
            chosen = {metric: value[positions] for metric, value in values.items()}
            finite = int(chosen["mse"].isfinite().sum())
            count = str(finite) if finite == len(positions) else f"{finite} of {len(positions)}"
            medians = [f"{float(quantiles(value, (0.5,))[0]):.2g}" for value in chosen.values()]
            table.add_row(name, *([label] if model.grid_axes else []), count, *medians)
            name = ""
        table.add_section()
    if worst:
        within = ", ".join(map(shorten, sets.get("interpolation", ()))) or "no law"
        table.caption = f"interpolation: within the range of the laws trained on ({within}); extrapolation: beyond it"
    return table


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
