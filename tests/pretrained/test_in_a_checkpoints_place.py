"""A name of the zoo works where a checkpoint does."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
import pytest
import torch

from renorm.callbacks import Generalization
from renorm.cli import main
from renorm.pretrained.hub import load_pretrained
from renorm.pretrained.manifest import find_entry

NAME = "mlp_leaky_relu_free.mixed"
QUIET = ("--trainer.enable_progress_bar", "false")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_test_judges_all_members_by_the_recipe_of_the_manifest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {}
    ended = Generalization.on_test_epoch_end

    def keep(self: Generalization, trainer: object, model: object) -> None:
        found.update(self.results)
        ended(self, trainer, model)  # type: ignore[arg-type]

    monkeypatch.setattr(Generalization, "on_test_epoch_end", keep)
    assert main(["test", "--model", NAME, *QUIET]) == 0
    entry = find_entry(NAME)
    assert list(found) == list(entry["metrics"])
    for law, metrics in entry["metrics"].items():
        for metric in ("relative_mse", "wasserstein1"):
            values = found[law][metric]
            assert values.shape == (16,)
            median = float(values.double().quantile(0.5))
            assert median == pytest.approx(metrics[metric]["median"], rel=1e-3, abs=1e-6)
    shown = capsys.readouterr().out
    assert shown.count("(trained)") == 3
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_the_name_as_a_checkpoint_and_other_laws(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["test", "--ckpt_path", NAME, "--data.held_out_laws", '["gamma(shape=2)"]', "--data.test_samples", "512"]
    assert main([*words, *QUIET]) == 0
    shown = capsys.readouterr().out
    assert "gamma" in shown
    assert "rademacher" not in shown


def test_predict_writes_the_members_outputs(tmp_path: Path) -> None:
    words = ["predict", "--model", "mlp_relu_free.uniform", "--out", "p.parquet", "--data.test_samples", "64"]
    assert main([*words, *QUIET]) == 0
    table = pyarrow.parquet.read_table(tmp_path / "p.parquet")
    model = load_pretrained("mlp_relu_free.uniform", "all")
    assert table.num_rows > 0
    columns = [name for name in table.column_names if name.startswith("x")]
    assert len(columns) == model.block_size


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["test", "--model", "mlp_relu_free.unifrm"], "did you mean 'mlp_relu_free.uniform'"),
        (["test", "--model", "mlp_relu_free"], "not a pretrained model"),
        (["test", "--ckpt_path", "mlp_relu_free.unifrm"], "did you mean"),
        (["test", "--model", NAME, "--model.width", "4"], "model.width=4 contradicts"),
        (["test", "--model", NAME, "--model.activation", "relu"], "model.activation='relu' contradicts"),
        (["test", "--model", NAME, "--data.train_laws", "gaussian()"], "data.train_laws"),
        (["test", "--model", NAME, "--ckpt_path", "last"], "contradicts ckpt_path='last'"),
        (["fit", "--ckpt_path", NAME], "not a checkpoint of a fit"),
        (["test", "--ckpt_path", "mlp_missing.ckpt"], "is not a file"),
        (["propagate", "--model", "mlp_relu_free.unifrm", "--law", "uniform()"], "not a pretrained model"),
        (["certify", "--ckpt_path", "mlp_relu_free.unifrm"], "not a pretrained model"),
    ],
)
def test_bad_input(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


@pytest.mark.parametrize("option", ["--model", "--ckpt_path"])
def test_propagate_takes_the_trained_weights(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = "mlp_quadratic_free.uniform"
    words = ["propagate", option, name, "--law", "uniform()", "--samples", "4000", "--methods", "edgeworth", "--wide"]
    assert main(words) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("out")]
    predicted = {row[1]: float(row[4]) for row in rows}
    assert predicted["k2"] == pytest.approx(1.0, abs=1e-4)  # of a sum of two, over the root of two
    assert predicted["k4"] == pytest.approx(-0.6, abs=1e-3)


def test_certify_takes_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "--ckpt_path", "mlp_quadratic_full.uniform"]) == 0
    assert "not representable" in capsys.readouterr().out
    torch.set_flush_denormal(False)
