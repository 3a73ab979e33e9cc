"""Maps and data of one's own, and blocks of a file, from the command line: fit, test, predict, resume, sweep."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import renorm
from renorm.cli import main
from renorm.datamodules import CLTDataModule
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.sweep.config import parse_sweep
from renorm.sweep.point import run_point
from renorm.zoo import MLP

from ..conftest import NO_FIGURES, Run
from .test_bad_input import one_line

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = shlex.split(
    "--trainer.max_epochs 1 --data.steps_per_epoch 20 --data.val_samples 256 --data.test_samples 512 --model.replicas 2 "
    "--trainer.accelerator cpu --rg_flow.samples 256"
)
SHORT = [*SMALL, *NO_FIGURES]


@pytest.fixture(scope="module")
def maximum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learns the maximum."""
    root = tmp_path_factory.mktemp("maximum")
    words = ["fit", "--config", "mlp_relu_free", "--data.map", "maximum()", *SMALL, "--name", "max"]
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
    spectrum = {tag for tag in tags(maximum) if "rg/eigenvalue" in tag or tag == "rg_spectrum"}
    assert {"rg/eigenvalue/2", "rg/eigenvalue/2_exact", "rg_spectrum"} <= spectrum  # the maximum's is known
    assert not [tag for tag in tags(maximum) - spectrum if "exact" in tag]
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


def test_certificates_are_of_the_map_that_was_learned(maximum: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "--ckpt_path", str(maximum / "checkpoints" / "last.ckpt")]) == 0
    assert "for maximum(xi=0): representable" in capsys.readouterr().out


@pytest.mark.parametrize("laws", [[], ["--data.held_out_laws", '["gaussian()"]']], ids=["default", "given"])
def test_a_run_goes_on_from_its_own_config(laws: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The config of a run has null for laws that were left to the data module; its checkpoint has the laws."""
    small = ["--data.val_samples", "64", "--data.test_samples", "64", "--data.steps_per_epoch", "5"]
    quiet = ["--trainer.callbacks=[]", "--trainer.accelerator", "cpu", "--trainer.default_root_dir", str(tmp_path)]
    fit = ["fit", "--config", "mlp_relu_free", "--data.map", "maximum()", "--trainer.max_epochs", "1"]
    assert main([*fit, *small, *quiet, *laws]) == 0
    run = tmp_path / "mlp_relu_free" / "version_0"
    config, checkpoint = str(run / "config.yaml"), str(run / "checkpoints" / "last.ckpt")
    again = ["--config", config, "--ckpt_path", checkpoint]
    assert main(["fit", *again, "--trainer.max_epochs", "2", *quiet]) == 0
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 1
    # null is the default, which is not what this run was trained with
    capsys.readouterr()
    other = ["--data.train_laws", "gaussian()"] if not laws else ["--data.held_out_laws", "null"]
    assert main(["fit", *again, *quiet, *other, "--trainer.max_epochs", "3"]) == 2
    assert f"{other[0].removeprefix('--')}=" in one_line(capsys.readouterr().err)
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 1


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
    assert not [name for name in rows[0] if "exact" in name]
    # the map in settings is the same point
    content = yaml.safe_load(Path("maps.yaml").read_text())
    content["settings"]["map"] = content.pop("axes")["map"][1]
    (point,) = parse_sweep(content).points
    columns = run_point(point)
    assert {name: rows[1][name] for name in columns if not name.startswith("seconds")} == {
        name: value for name, (value,) in columns.items() if not name.startswith("seconds")
    }
    for kind in ("lines", "transition"):
        assert main(["sweep", "plot", "out", "--kind", kind, "--out", f"{kind}.png"]) == 0
        assert Path(f"{kind}.png").stat().st_size > 0


def exact_columns(run: Path, law: str, folder: str = "cumulants") -> list[list[float]]:
    """The exact cumulants beside the outputs under a law, of every row."""
    names = [f"exact{n}" for n in range(1, 5)]
    rows = [row for row in pq.read_table(run / folder).to_pylist() if row["law"] == law and row["layer"] == "out"]
    return [[row[name] for name in names] for row in rows]


def test_blocks_that_depend_on_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fit, test and resume; with the exact cumulants of the normalised sum, and their curves."""
    chain, process = "ising_chain(coupling=0.5)", "ar1(rho=0.9, law=gamma(shape=2, scale=1))"
    words = ["fit", "--config", "mlp_relu_free", "--data.train_laws", f"['{chain}']", *SHORT, "--name", "chain"]
    words += ["--data.held_out_laws", f"['{process}', 'ising_chain(coupling=1)', 'gaussian()']"]
    words += ["--cumulants.laws", f"['{chain}', '{process}']", "--cumulants.figure_every_n_epochs", "1"]
    assert main([*words, "--trainer.default_root_dir", str(tmp_path)]) == 0
    run = tmp_path / "chain" / "version_0"
    t = math.tanh(0.5)
    # s_1 + s_2 is 0, or ±2 with probability (1 + t) / 4 each
    for row in exact_columns(run, chain):
        assert row == pytest.approx([0, 1 + t, 0, 2 * (1 + t) - 3 * (1 + t) ** 2])
    # mean 2 sqrt((1 + rho) / (1 - rho)), and variance 2 (1 + rho), of one variable and of the normalised sum
    assert exact_columns(run, process)[0][:2] == pytest.approx([2**0.5 * 2 * 19**0.5, 2 * 1.9])
    assert {"cumulant_flow/ising_chain()", "cumulant_flow/ar1(rho=0.9, law=gamma())"} <= tags(run)
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    assert main(["test", "--ckpt_path", checkpoint, "--trainer.accelerator", "cpu"]) == 0
    results = json.loads((run / "checkpoints" / "test_results.json").read_text())
    assert set(results["results"]) == {chain, process, "ising_chain(coupling=1)", "gaussian(mean=0, std=1)"}
    assert main(["fit", "--ckpt_path", checkpoint, "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu"]) == 0
    assert len(exact_columns(run, chain)) == 4  # 2 members, 2 epochs
    capsys.readouterr()


def test_a_map_that_is_exact_for_some_laws_only(tmp_path: Path) -> None:
    """Cumulants of a majority are known for spins, and for no other law: empty cells, and no curve."""
    words = ["fit", "--config", "majority", "--data.train_laws", "['rademacher()', 'gaussian()']", *SHORT]
    words += ["--data.held_out_laws", "[]", "--name", "majority", "--trainer.default_root_dir", str(tmp_path)]
    assert main(words) == 0
    rows = pq.read_table(tmp_path / "majority" / "version_0" / "rg_flow").to_pylist()
    for law, known in (("rademacher()", True), ("gaussian(mean=0, std=1)", False)):
        found = [row["exact_k2"] for row in rows if row["law"] == law]
        assert found
        assert all((value is not None) == known for value in found)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("ising_chain(coupling=inf)", "ising_chain: coupling=inf is out of range; allowed: -1e+30 to 1e+30"),
        ("ar1(rho=1)", "ar1: rho=1.0 is out of range; allowed: above -1, below 1"),
        ("ar1(law=gausian())", "law 'gausian' is unknown (did you mean 'gaussian'?); allowed: "),
    ],
)
def test_bad_sources_are_refused(law: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "mlp_relu_free", "--data.train_laws", f"['{law}']"]) == 2
    assert message in one_line(capsys.readouterr().err)


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
    words += [*SHORT, "--trainer.max_epochs", "8", "--cumulants.samples", "20000", "--name", "ar1"]
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
        (["--data.map", "minority()"], "map 'minority' is unknown (did you mean 'majority'?)"),
        (
            ["--data.map", "majority()"],
            "block_size=2 is even, and majority() may have a tie; allowed: odd numbers from 3 on",
        ),
        (["--data.map", "stable(alpha=3)"], "stable: alpha=3.0 is out of range; allowed: 0.1 to 2"),
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
        (["--data.train_laws", "block(path=pairs.npy)"], "or a source of blocks: ar1, blocks, ising_chain"),
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


def test_the_command_says_what_a_data_module_lacks(tmp_path: Path, renorm: Run) -> None:
    """One line, also where it has no settings and no number of steps, which the trainer's are held against."""
    (tmp_path / "bare_of_a_test.py").write_text(
        "from lightning.pytorch import LightningDataModule\n\n\n"
        "class Bare(LightningDataModule):\n    def val_dataloader(self):\n        return []\n"
    )
    words = ["fit", "--config", "mlp_relu_free", "--data", "Bare", "--import", "bare_of_a_test.py"]
    done = renorm(*words, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "datamodule Bare without block_size, " in line
    assert "laws" in line
    assert not (tmp_path / "runs").exists()
