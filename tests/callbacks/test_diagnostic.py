"""Diagnostics of a user's own: the example from the command line, every hook in a run, and wrong use in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.conftest import QUICK, Run

from renorm.callbacks import Diagnostic
from renorm.callbacks.charts import band, log10_tag
from renorm.callbacks.scalar_layout import scalar_layout
from renorm.datamodules import CLTDataModule, laws
from renorm.datamodules.blocks import law_tags
from renorm.errors import InputError
from renorm.runs.checkpoint import load_model
from renorm.zoo import MLP

from .test_cumulant_diagnostics import UNIFORM, fit, tags

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_diagnostic.py"


class SquaredOutput(Diagnostic):
    """Mean square of the output under the laws trained on."""

    def measure(self, model: Any, data: Any) -> Any:
        return {str(law): model(data.probe(law, 32).x).square().mean(dim=1) for law in data.train_laws}

    def figures(self, model: Any, data: Any) -> dict[str, Figure]:
        return {"squared/drawn": Figure()}

    def charts(self, model: Any, data: Any) -> Any:
        return {"6 outputs": {str(law): band(f"SquaredOutput/{law}") for law in data.train_laws}}


def test_the_example_from_the_command_line(renorm: Run, tmp_path: Path) -> None:
    command = re.search(r"renorm (fit .*)", EXAMPLE.read_text())
    assert command is not None
    words = [str(EXAMPLE) if word.endswith(".py") else word for word in command.group(1).split()]
    done = renorm(*words, *QUICK, "--trainer.max_epochs", "2", "--model.replicas", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "odd" / "version_0"
    model = load_model(folder / "checkpoints" / "last.ckpt")
    x = CLTDataModule().probe(laws.parse("uniform()"), 512).x
    expected = [float((model(x)[m] + model(-x)[m]).square().mean() / 4) for m in range(3)]
    rows = [row for row in pq.read_table(folder / "even_part").to_pylist() if row["epoch"] == 1]
    assert [row["member"] for row in rows] == [0, 1, 2]
    assert [row["value"] for row in rows] == pytest.approx(expected, rel=1e-5)
    (point, last) = EventAccumulator(str(folder)).Reload().Scalars(f"even_part/{UNIFORM}")
    assert point.step < last.step == rows[0]["step"] == 16
    assert last.value == pytest.approx(sum(expected) / 3, rel=1e-5)
    assert len(EXAMPLE.read_text().splitlines()) <= 25


def test_scalars_figures_tables_and_charts_when_they_are_due(tmp_path: Path) -> None:
    model, callback = MLP(width=2, replicas=3), SquaredOutput(every_n_epochs=2, figure_every_n_epochs=1)
    model.divergence.steps = {1: 0}
    fit(callback, tmp_path, model)
    assert (callback.epoch, callback.step) == (1, 6)  # of three epochs, the second
    assert [path.name for path in (tmp_path / "SquaredOutput").iterdir()] == ["epoch_00001.parquet"]
    table = pq.read_table(tmp_path / "SquaredOutput")
    assert table.column_names == ["epoch", "step", "quantity", "member", "value"]
    (values,) = callback.results.values()
    column = table.column("value").to_pylist()
    assert column[::2] == values[::2].tolist()
    assert column[1] != column[1]  # a diverged member has no value
    assert "squared/drawn" in tags(tmp_path, "images")
    events = EventAccumulator(str(tmp_path)).Reload()
    (point,) = events.Scalars(f"SquaredOutput/{UNIFORM}")
    assert point.value == pytest.approx(float(values[::2].mean()))
    charts = scalar_layout(model, CLTDataModule(), [callback, SquaredOutput(every_n_epochs=0)])["6 outputs"]
    assert {tag for _, names in charts.values() for tag in names} <= set(events.Tags()["scalars"])
    assert "6 outputs" not in scalar_layout(model, CLTDataModule(), [SquaredOutput(every_n_epochs=0)])


@pytest.mark.parametrize(
    ("results", "what"),
    [(torch.zeros(()), r"shape \(\)"), ([1.0, 2.0], "a list"), (torch.zeros(2, 3), r"shape \(2, 3\)")],
)
def test_results_of_another_shape_are_named(results: Any, what: str) -> None:
    callback, model = SquaredOutput(), MLP(width=2, replicas=2)
    callback.results = {"size": results}
    message = rf"measure of SquaredOutput gives {what} for 'size'; allowed: a tensor .* shape \(2,\)"
    for hook in (callback.scalars, callback.columns):
        with pytest.raises(InputError, match=message):
            list(hook(model, CLTDataModule()))


def test_wrong_use_is_rejected_before_training(tmp_path: Path) -> None:
    for argument in ("every_n_epochs", "figure_every_n_epochs"):
        for value in (-1, 1.5, True):
            with pytest.raises(InputError, match=rf"{argument}={value} is out of range; allowed: whole numbers >= 0"):
                SquaredOutput(**{argument: value})  # type: ignore[arg-type]
    trainer: Any = type("Trainer", (), {"datamodule": None})()
    with pytest.raises(InputError, match="model is of type LightningModule; allowed: a stack"):
        SquaredOutput().setup(trainer, LightningModule(), "fit")
    with pytest.raises(InputError, match="SquaredOutput has no datamodule"):
        SquaredOutput().setup(trainer, MLP(), "fit")


def checkpoint_of(callback: Diagnostic) -> dict[str, Any]:
    checkpoint: dict[str, Any] = {"callbacks": {}}
    callback.on_save_checkpoint(Trainer, LightningModule, checkpoint)  # type: ignore[arg-type]
    return checkpoint


def test_only_a_history_is_saved() -> None:
    callback, other = SquaredOutput(), SquaredOutput()
    assert checkpoint_of(callback) == {"callbacks": {}}
    callback._history = {0: [1.0]}
    assert checkpoint_of(callback) == {"callbacks": {"SquaredOutput": {"history": {0: [1.0]}}}}  # as ever
    other.on_load_checkpoint(Trainer, LightningModule, checkpoint_of(callback))  # type: ignore[arg-type]
    assert other._history == {0: [1.0]}


def test_two_of_a_class_have_tags_tables_and_states_of_their_own(tmp_path: Path) -> None:
    """The first as ever, the second by its number, the third by its prefix."""
    model = MLP(width=2, replicas=3)
    three = [SquaredOutput(), SquaredOutput(every_n_epochs=2), SquaredOutput(prefix="third")]
    trainer = fit(three, tmp_path, model)
    for callback, prefix, epochs in zip(three, ("", "2/", "third/"), (3, 1, 3), strict=True):
        assert len(EventAccumulator(str(tmp_path)).Reload().Scalars(f"{prefix}SquaredOutput/{UNIFORM}")) == epochs
        assert len(list((tmp_path / prefix / "SquaredOutput").glob("*.parquet"))) == epochs
        callback._history = {0: [len(prefix)]}
    keys = ["SquaredOutput", "SquaredOutput{'prefix': '2'}", "SquaredOutput{'prefix': 'third'}"]
    states = trainer._checkpoint_connector.dump_checkpoint()["callbacks"]
    assert [states[key]["history"][0] for key in keys] == [[0], [2], [6]]
    laid_out = scalar_layout(model, CLTDataModule(), three)
    assert {"6 outputs", "6 outputs, 2", "6 outputs, third"} <= set(laid_out)
    scalars = set(tags(tmp_path, "scalars"))
    for category in ("6 outputs", "6 outputs, 2", "6 outputs, third"):
        assert {tag for _, names in laid_out[category].values() for tag in names} <= scalars


def test_a_prefix_is_a_name_and_is_given_once(tmp_path: Path) -> None:
    for prefix in ("", "2", "a/b", 3):
        with pytest.raises(InputError, match=r"prefix=.* is not a name; allowed: letters, digits"):
            SquaredOutput(prefix=prefix)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="prefix='a' is that of 2 diagnostics called 'SquaredOutput'; allowed: one"):
        fit([SquaredOutput(prefix="a"), SquaredOutput(prefix="a")], tmp_path)


def test_runs_on_different_laws_have_the_same_chart_of_all_laws() -> None:
    charts = []
    for law in ("gaussian(std=3)", "laplace()"):
        data = CLTDataModule(held_out_laws=[law, "exponential()"])
        kind, (pattern,) = scalar_layout(MLP(), data, [])["2 relative MSE, log10"]["all laws"]
        for name in law_tags(data).values():
            assert re.search(pattern, log10_tag(f"generalization/{name}/relative_mse"))
            assert not re.search(pattern, log10_tag(f"generalization/{name}/relative_mse_q10"))
        charts.append((kind, pattern))
    assert charts[0] == charts[1]
