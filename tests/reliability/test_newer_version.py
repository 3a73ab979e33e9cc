"""Files of a newer renorm are taken where they fit, and one line says that they are newer."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from renorm import __version__, load_pretrained, versions
from renorm.callbacks.results import SEAL, report, seal
from renorm.cli import main
from renorm.cli import sweep_plot as plot_command
from renorm.datamodules import CLTDataModule
from renorm.pretrained.manifest import MANIFEST
from renorm.runs.checkpoint import load_checkpoint, load_model
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import MLP

NEWER = "97.1.0"


@pytest.fixture(autouse=True)
def nothing_said_yet() -> None:
    versions._say.cache_clear()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "some.ckpt"
    trainer = quiet_trainer(1, accelerator="cpu", default_root_dir=tmp_path)
    trainer.fit(MLP(width=2), CLTDataModule(batch_size=4, steps_per_epoch=1))
    trainer.save_checkpoint(path)
    return path


def of_version(path: Path, version: object) -> None:
    content = torch.load(path, weights_only=True)
    content["renorm"]["version"] = version
    torch.save(content, path)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "renorm"]


LOADERS: dict[str, Any] = {
    "command": load_checkpoint,
    "model": load_model,
    "Lightning": lambda path: MLP.load_from_checkpoint(path, weights_only=True),
}


@pytest.mark.parametrize("loader", LOADERS)
def test_a_newer_checkpoint_is_taken_and_said_once(
    checkpoint: Path, loader: str, caplog: pytest.LogCaptureFixture
) -> None:
    of_version(checkpoint, NEWER)
    LOADERS[loader](checkpoint)
    assert said(caplog) == [
        f"the checkpoint was written by renorm {NEWER}, newer than this one ({__version__}); it is taken where it fits"
    ]


@pytest.mark.parametrize("version", [__version__, "0.0.9", None, 7, "\x1b[2J", "next"])
def test_others_are_taken_without_a_word(checkpoint: Path, version: object, caplog: pytest.LogCaptureFixture) -> None:
    of_version(checkpoint, version)
    load_model(checkpoint)
    assert said(caplog) == []


def test_a_newer_pretrained_entry(zoo_copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = json.loads((zoo_copy / MANIFEST).read_text())
    manifest["models"]["mlp_relu_free.uniform"]["versions"]["renorm"] = NEWER
    (zoo_copy / MANIFEST).write_text(json.dumps(manifest))
    load_pretrained("mlp_quadratic_full.uniform", folder=zoo_copy)
    assert said(caplog) == []
    load_pretrained("mlp_relu_free.uniform", folder=zoo_copy)
    assert [line.partition(",")[0] for line in said(caplog)] == [
        f"the pretrained entry mlp_relu_free.uniform was written by renorm {NEWER}"
    ]


def test_newer_results_of_a_test(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model, data = MLP(negative_slope=[0.5, 1.0]), CLTDataModule(held_out_laws=[])
    content = report(model, data, {str(data.laws[0]): {"relative_mse": torch.ones(2)}}, "best.ckpt")
    assert content["renorm"] == __version__
    for version, lines in ((__version__, 0), (NEWER, 1)):
        content["renorm"] = version
        (tmp_path / "test_results.json").write_text(json.dumps(content | {SEAL: seal(content)}))
        assert main(["plot", str(tmp_path / "test_results.json"), "--out", str(tmp_path / "plot.png")]) == 0
        assert len(said(caplog)) == lines


def test_a_newer_table_of_a_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"status": ["done"] * 2, "renorm": [__version__, NEWER]}), tmp_path / "results.parquet")
    monkeypatch.setattr(plot_command, "read_table", pq.read_table)  # which would ask for its seal
    plot_command.read_columns(tmp_path / "results.parquet")
    assert len(said(caplog)) == 1


def test_the_line_reaches_the_screen_without_any_handler() -> None:
    assert logging.getLogger("renorm").isEnabledFor(logging.WARNING)


@given(st.lists(st.integers(0, 999), min_size=1, max_size=4), st.lists(st.integers(0, 999), min_size=1, max_size=4))
def test_versions_are_ordered_as_packaging_orders_them(one: list[int], other: list[int]) -> None:
    first, second = (".".join(map(str, parts)) for parts in (one, other))
    assert (versions.numbers(first) < versions.numbers(second)) == (Version(first) < Version(second))
