"""Two hundred epochs with every callback, figure and table: nothing piles up but what is meant to."""

from __future__ import annotations

import functools
import gc
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import theilslopes

from .runs import run

FIT = [
    *("fit", "--config", "mlp_leaky_relu_free", "--name", "run", "--model.replicas", "2", "--data.batch_size", "16"),
    *("--data.steps_per_epoch", "4", "--data.val_samples", "32", "--data.held_out_laws", '["gaussian()"]'),
    *("--trainer.max_epochs", "200", "--trainer.log_every_n_steps", "2", "--trainer.enable_progress_bar", "false"),
    *("--generalization.figure_every_n_validations", "50", "--cumulants.figure_every_n_epochs", "50"),
    *("--cumulants.samples", "64", "--symmetry_breaking.figure_every_n_epochs", "50", "--rg_flow.every_n_epochs", "50"),
    *(
        "--rg_flow.samples",
        "32",
        "--rg_flow.steps",
        "2",
        "--theory_gap.every_n_epochs",
        "20",
        "--theory_gap.samples",
        "32",
    ),
    *("--theory_gap.members", "1", "--theory_gap.figure_every_n_epochs", "50"),
]


def measure(folder: Path) -> dict[str, float]:
    """Resident memory in MB, open files, and kB of the run's event files and checkpoints."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    sizes = {
        name: sum(path.stat().st_size for path in folder.glob(pattern)) / 1e3
        for name, pattern in (("events", "events.out.*"), ("checkpoints", "checkpoints/*"))
    }
    return {"memory": resident / 1e6, "files": len(os.listdir("/proc/self/fd")), **sizes}


def measured(out: Path) -> None:
    """Have the process write what it holds at the start of every epoch."""
    from renorm.callbacks import EventFiles

    rows: list[dict[str, float]] = []

    def on_train_epoch_start(self: Any, trainer: Any, module: Any) -> None:
        rows.append(measure(Path(trainer.log_dir)))
        out.write_text(json.dumps(rows))

    EventFiles.on_train_epoch_start = on_train_epoch_start  # type: ignore[method-assign]


@pytest.mark.slow
def test_two_hundred_epochs(tmp_path: Path) -> None:
    out, log = tmp_path / "measured.json", tmp_path / "log"
    words = [*FIT, "--trainer.default_root_dir", tmp_path]
    assert run(words, log, functools.partial(measured, out), seconds=500, draws=True) == 0, log.read_text()
    rows = json.loads(out.read_text())
    assert len(rows) == 200
    # after the first figures: what loads with them (fonts, matplotlib's caches) stays, and memory has levelled off, at
    # 0.01 to 0.02 MB an epoch until the 200th and 0.004 until the 800th
    after = {name: np.array([row[name] for row in rows[60:]]) for name in rows[0]}
    epochs = np.arange(140)
    # the median slope of all pairs: an epoch with figures holds 20 MB more and gives them back, which sways least squares
    assert theilslopes(after["memory"], epochs).slope < 0.05
    assert len(set(after["files"])) == 1
    # linear: fifty epochs, after which figures come again, add what the fifty before them did
    first, second, third = np.diff([rows[epoch]["events"] for epoch in (25, 75, 125, 175)])
    assert [second, third] == pytest.approx([first, first], rel=0.1)
    # two checkpoints, whose only growth is the history that figures show
    folder = tmp_path / "run" / "version_0" / "checkpoints"
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert np.polyfit(epochs, after["checkpoints"], 1)[0] < 2 * 0.5
