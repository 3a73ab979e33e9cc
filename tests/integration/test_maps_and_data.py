"""Maps and data of one's own, and blocks of a file, from the command line: fit, test, predict, resume, sweep."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import renorm
from renorm.cli import main
from renorm.datamodules import CLTDataModule
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import MLP

from ..conftest import Run
from .test_bad_input import one_line

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHORT = shlex.split(
    "--trainer.max_epochs 1 --data.steps_per_epoch 20 --data.val_samples 256 --data.test_samples 512 --model.replicas 2 "
    "--trainer.accelerator cpu --rg_flow.every_n_epochs 1 --cumulants.figure_every_n_epochs 0 --cumulants.samples 20000"
)


@pytest.fixture(scope="module")
def maximum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learns the maximum."""
    root = tmp_path_factory.mktemp("maximum")
    words = ["fit", "--config", "mlp_relu_free", "--data.map", "maximum()", *SHORT, "--name", "max"]
    assert main([*words, "--trainer.default_root_dir", str(root), "--trainer.max_epochs", "4"]) == 0
    return root / "max" / "version_0"


def tags(run: Path) -> set[str]:
    found = set()
    for file in run.glob("events.*"):
        events = EventAccumulator(str(file))
        events.Reload()
        found |= {*events.Tags()["scalars"], *events.Tags()["images"]}
    return found


def test_nothing_is_called_exact_where_nothing_is(maximum: Path) -> None:
    assert tags(maximum)
    assert not [tag for tag in tags(maximum) if "exact" in tag or "eigenvalue" in tag or "spectrum" in tag]
    for folder in ("cumulants", "rg_flow"):
        assert not [name for name in pq.read_table(maximum / folder).column_names if "exact" in name]


def test_judged_by_its_own_map(maximum: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = maximum / "checkpoints" / "last.ckpt"
    assert main(["test", "--ckpt_path", str(checkpoint), "--trainer.accelerator", "cpu"]) == 0
    results = json.loads((maximum / "checkpoints" / "test_results.json").read_text())
    assert results["data"]["map"] == "maximum(xi=0)"
    model = MLP.load_from_checkpoint(checkpoint)
    assert model.learned_map == "maximum(xi=0)"
    x = torch.cat([batch.x for batch in CLTDataModule(**results["data"]).test_dataloader()[0]])
    error = (model(x) - (x.amax(dim=1) - np.log(2))).square().mean(dim=1)
    law = results["train_laws"][0]
    assert results["results"][law]["mse"] == pytest.approx(error.tolist(), rel=1e-4)
    # by hand, too: the model knows what it was taught
    by_hand = renorm.evaluate(model, law, samples=512).results[law]["mse"]
    assert by_hand.tolist() == pytest.approx(error.tolist(), rel=1e-4)
    _, panels = renorm.plot_map(model)
    assert panels[1].get_title() == r"exact, $\max_i x_i - \ln 2$"
    capsys.readouterr()


def test_resumed_and_predicted_with_the_same_map(maximum: Path, tmp_path: Path) -> None:
    checkpoint = str(maximum / "checkpoints" / "last.ckpt")
    out = tmp_path / "out.parquet"
    assert main(["predict", "--ckpt_path", checkpoint, "--out", str(out), "--trainer.accelerator", "cpu"]) == 0
    table = pq.read_table(out)
    x, y = (np.stack([table[name].to_numpy() for name in names]) for names in (["x1", "x2"], ["target"]))
    np.testing.assert_allclose(y[0], x.max(axis=0) - np.log(2), rtol=1e-5, atol=1e-6)
    assert main(["fit", "--ckpt_path", checkpoint, "--trainer.max_epochs", "5", "--trainer.accelerator", "cpu"]) == 0
    assert torch.load(checkpoint, weights_only=True)["renorm"]["recipe"]["data"]["map"] == "maximum(xi=0)"


@pytest.mark.parametrize("command", ["fit", "test"])
def test_another_map_contradicts_the_checkpoint(
    maximum: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [command, "--ckpt_path", str(maximum / "checkpoints" / "last.ckpt"), "--data.map", "central_limit()"]
    assert main(words) == 2
    assert "data.map='central_limit()' contradicts the checkpoint, which has 'maximum(xi=0)'" in one_line(
        capsys.readouterr().err
    )


def test_certificates_are_of_the_central_limit(maximum: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "--ckpt_path", str(maximum / "checkpoints" / "last.ckpt")]) == 2
    assert "map='maximum(xi=0)'" in one_line(capsys.readouterr().err)


def test_a_plain_trainer_refuses_a_checkpoint_of_another_map(maximum: Path) -> None:
    model, data = MLP(activation="relu", replicas=2), CLTDataModule(steps_per_epoch=20, val_samples=256)
    with pytest.raises(ValueError, match=r"data.map='central_limit\(\)' contradicts the checkpoint"):
        quiet_trainer(100).fit(model, data, ckpt_path=maximum / "checkpoints" / "last.ckpt", weights_only=True)


def test_a_sweep_over_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("maps.yaml").write_text(
        "model: MLP\nsettings: {activation: relu, symmetry: free, steps: 300, val_samples: 64, test_samples: 256}\n"
        'axes: {map: ["central_limit()", "maximum()"]}\n'
    )
    assert main(["sweep", "--config", "maps.yaml", "--out", "out"]) == 0
    rows = pq.read_table("out/results.parquet").to_pylist()
    assert [row["map"] for row in rows] == ["central_limit()", "maximum()"]
    assert len({row["trained/mse"] for row in rows}) == 2


def test_a_map_of_ones_own(renorm: Run, tmp_path: Path) -> None:
    words = ["fit", "--config", "mlp_relu_free", "--data.map", "midrange()", "--name", "midrange", *SHORT]
    done = renorm(*words, cwd=tmp_path, script=EXAMPLES / "own_map.py")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "midrange" / "version_0"
    assert (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["renorm"]["recipe"]["data"]["map"]
        == "midrange()"
    )
    assert not [tag for tag in tags(run) if "exact" in tag]
    words = ["test", "--ckpt_path", "last", "--name", "midrange", "--import", str(EXAMPLES / "own_map.py")]
    done = renorm(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_data_of_ones_own_are_measured_as_they_are(renorm: Run, tmp_path: Path) -> None:
    words = [
        "fit",
        "--config",
        "mlp_linear_free",
        "--data",
        "AR1",
        "--data.rho",
        "0.7",
        "--data.train_laws",
        "gaussian()",
    ]
    words += [*SHORT, "--trainer.max_epochs", "8", "--name", "ar1"]
    done = renorm(*words, cwd=tmp_path, script=EXAMPLES / "own_data.py")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "ar1" / "version_0"
    table = pq.read_table(run / "cumulants")
    assert not [name for name in table.column_names if "exact" in name]
    last = [row["k2"] for row in table.to_pylist() if row["layer"] == "out" and row["epoch"] == 7]
    assert last == pytest.approx([1.7, 1.7], abs=0.06)  # 1 + rho, not the 1 of independent variables
    # the checkpoint knows the class, which --import makes known
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    again = ["test", "--ckpt_path", checkpoint]
    done = renorm(*again, cwd=tmp_path)
    assert done.returncode == 2
    assert "is not imported" in done.stderr
    own = ["--import", str(EXAMPLES / "own_data.py")]
    done = renorm(*again, *own, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((run / "checkpoints" / "test_results.json").read_text())
    assert results["data"]["rho"] == 0.7


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(500, 2))
    np.save("pairs.npy", x)
    np.save("products.npy", np.column_stack([x, x.prod(axis=1)]))
    np.save("line.npy", x[:, 0])
    np.save("holes.npy", np.where(x > 1, np.nan, x))
    return tmp_path


def test_rows_of_a_file_are_blocks(files: Path) -> None:
    laws = ["--data.train_laws", "blocks(path=products.npy, target=last, rows=0:400)"]
    laws += ["--data.held_out_laws", '["blocks(path=products.npy, target=last, rows=400:)", "gaussian()"]']
    assert main(["fit", "--config", "mlp_relu_free", *laws, *SHORT, "--name", "file"]) == 0
    data = CLTDataModule(train_laws="blocks(path=products.npy, target=last)", held_out_laws=[])
    batch = data.batch("train", 0, 0)
    torch.testing.assert_close(batch.y, batch.x.prod(dim=1))
    assert not data.independent
    mixed = CLTDataModule(train_laws=["blocks(path=products.npy, target=last)", "gaussian()"], held_out_laws=[])
    batch = mixed.batch("train", 0, 0)
    torch.testing.assert_close(batch.y[::2], batch.x[::2].prod(dim=1))
    torch.testing.assert_close(batch.y[1::2], batch.x[1::2].sum(dim=1) / 2**0.5)
    # a checkpoint that would read a file says so first
    assert main(["test", "--ckpt_path", "last", "--name", "file"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.map", "majority()"], "map 'majority' is unknown"),
        (["--data.map", "stable(alpha=3)"], "stable: alpha=3.0 is out of range; allowed: 1e-30 to 2"),
        (
            ["--data.train_laws", "blocks(path=line.npy)"],
            "has shape (500,) of float64; allowed: numbers of shape (N, b)",
        ),
        (["--data.train_laws", "blocks(path=holes.npy)"], "has numbers that are not finite"),
        (
            ["--data.train_laws", "blocks(path=products.npy)"],
            "has 3 columns; allowed: 2, for data.block_size=2; target=last",
        ),
        (["--data.train_laws", "blocks(path=pairs.npy, target=last)"], "has 2 columns; allowed: 3"),
        (["--data.train_laws", "blocks(path=pairs.npy, rows=600:)"], "rows='600:' of path='pairs.npy' is empty"),
        (["--data.train_laws", "blocks(path=pairs.npy, rows=half)"], "rows='half' is not a slice"),
        (["--data.train_laws", "blocks(path=missing.npy)"], "cannot be read (No such file or directory)"),
        (["--data.train_laws", "blocks(path=pairs.csv)"], "is not an NPY file"),
        (["--data.train_laws", "mixture(1*blocks(path=pairs.npy))"], "law 'blocks' is unknown"),
        (["--data.train_laws", "block(path=pairs.npy)"], "or a source of blocks: blocks"),
        (["--data", "my.Missing"], "data='my.Missing' is not imported"),
        (["--data", "a b"], "data='a b' is neither a file nor a class"),
        (["--data", "renorm.datamodules.Blocks"], "is not a data module"),
    ],
)
def test_bad_input_is_one_line(files: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {*files.iterdir()}
    assert main(["fit", "--config", "mlp_relu_free", *words, *SHORT]) == 2
    assert message in one_line(capsys.readouterr().err)
    assert {*files.iterdir()} == before


def test_a_data_module_that_lacks_what_callbacks_ask() -> None:
    from lightning.pytorch import LightningDataModule

    class Bare(LightningDataModule):
        def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
            x = torch.randn(24, 2)
            return DataLoader(TensorDataset(x, x.prod(dim=1)), batch_size=8)

        def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
            return self.train_dataloader()

    quiet_trainer(3).fit(MLP(), Bare())  # trains all the same: what measures is left out
    from renorm.callbacks import Generalization

    with pytest.raises(ValueError, match=r"Generalization has datamodule Bare without .*laws"):
        quiet_trainer(3, callbacks=[Generalization()], limit_val_batches=1.0).validate(MLP(), datamodule=Bare())
