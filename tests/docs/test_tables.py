"""docs/tables.md names the columns, keys and tags that a run writes."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from renorm.callbacks import TestReport, TheoryGap, WritePredictions
from renorm.datamodules import CLTDataModule
from renorm.runs.quiet_trainer import ignore_expected_warnings
from renorm.zoo import GNN

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run of two graph networks, tested, and with predictions."""
    ignore_expected_warnings()
    folder = tmp_path_factory.mktemp("run")
    model = GNN(width=2, replicas=2)
    data = CLTDataModule(batch_size=16, steps_per_epoch=2, val_samples=64, test_samples=64, held_out_laws="gaussian()")
    trainer = Trainer(
        max_epochs=1,
        logger=CSVLogger(folder, name="", version=""),
        callbacks=[
            TheoryGap(laws="uniform()", samples=512),
            TestReport(str(folder)),
            WritePredictions(str(folder / "predictions.parquet")),
        ],
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        accelerator="cpu",
    )
    trainer.fit(model, data)
    trainer.test(model, data)
    trainer.predict(model, data)
    return folder


def named(section: str) -> set[str]:
    """What the first column of a section's table names, ranges such as ``k1`` … ``k4`` written out."""
    text = re.split(rf"^##+ {re.escape(section)}$", PAGE, flags=re.MULTILINE)[1]
    text = re.split(r"^##", text, flags=re.MULTILINE)[0]
    found: set[str] = set()
    for row in text.splitlines():
        if not row.startswith("| `"):
            continue
        cell = row.split("|")[1]
        for first, last in re.findall(r"`(\w+\d)` … `(\w+\d)`", cell):
            found |= {f"{first[:-1]}{n}" for n in range(int(first[-1]), int(last[-1]) + 1)}
        found |= set(re.findall(r"`([^`]+)`", cell))
    return found


@pytest.mark.parametrize("table", ["cumulants", "symmetry", "rg_flow", "theory_gap"])
def test_columns_of_the_diagnostics(run: Path, table: str) -> None:
    assert set(pq.read_table(run / table).column_names) == named(table)


def test_keys_of_the_results(run: Path) -> None:
    content = json.loads((run / "test_results.json").read_text())
    assert set(content) == named("test_results.json")
    for metric in next(iter(content["results"].values())):
        assert f"`{metric}`" in PAGE or re.fullmatch(r"k[1-4]_error", metric)


def test_columns_of_predictions(run: Path) -> None:
    assert set(pq.read_table(run / "predictions.parquet").column_names) == named("renorm predict")


def test_every_scalar_is_named(run: Path) -> None:
    with (run / "metrics.csv").open(newline="") as file:
        tags = set(next(csv.reader(file))) - {"epoch", "step"}
    parts = {"<law>": r"[^/]*\(.*\)", "<layer>": r"\w+", "<metric>": r"\w+", "<symmetry>": r"\w+", "<n>": r"\d"}
    known = "|".join(
        re.sub(r"<\w+>", lambda part: parts[part.group()], tag).replace("…", ".*").replace("asymmetry", r"\w+")
        for tag in named("Scalars")
    )
    suffix = r"(_q10|_q90|_exact|_stderr|_across_nodes)*"
    assert len(tags) > 50
    assert [tag for tag in tags if not re.fullmatch(rf"({known}){suffix}", tag)] == []
