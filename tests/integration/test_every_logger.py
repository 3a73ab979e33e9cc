"""Scalars, figures and tables of a network of one's own under every logger of Lightning's that the extras bring."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from renorm.callbacks import CumulantDiagnostics, RGFlow, SymmetryBreaking
from renorm.callbacks.sending import LONGEST, mlflow_name
from renorm.datamodules import CLTDataModule
from renorm.runs.loggers import where_to_look
from renorm.zoo import MLP

LAW = "gamma(shape=2, scale=1)"


class Net(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)

    def training_step(self, x: Tensor) -> Tensor:
        return self(x).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


def fit(logger: Logger, root: Path) -> tuple[Trainer, CumulantDiagnostics]:
    """Two steps of a network on its own data."""
    callback = CumulantDiagnostics(probe=torch.randn(16, 2), figure_every_n_epochs=1)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=logger,
        callbacks=[callback],
        default_root_dir=root,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(Net(), DataLoader(torch.randn(8, 2), batch_size=4))
    return trainer, callback


def fit_on_laws(logger: Logger, root: Path) -> None:
    """The same of a stack, whose tags have the names of laws."""
    callback = CumulantDiagnostics(laws=LAW, samples=16, table=False)
    others = [kind(every_n_epochs=0) for kind in (SymmetryBreaking, RGFlow)]
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=logger,
        callbacks=[callback, *others],
        default_root_dir=root,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    trainer.fit(MLP(width=2), CLTDataModule(steps_per_epoch=1, batch_size=8))


def check_table(folder: Path) -> None:
    assert len(pq.read_table(folder / "cumulants").to_pylist()) == 3 + 3 + 1


def expected(callback: CumulantDiagnostics, n: int = 2) -> float:
    return float(callback.results["probe"]["body.1"].k[n - 1].mean())


def test_tensorboard(tmp_path: Path) -> None:
    trainer, callback = fit(TensorBoardLogger(tmp_path), tmp_path)
    events = EventAccumulator(trainer.logger.log_dir).Reload()
    assert events.Scalars("cumulants/probe/body.1/k2")[-1].value == pytest.approx(expected(callback), rel=1e-5)
    assert "cumulant_flow/probe" in events.Tags()["images"]
    check_table(Path(trainer.logger.log_dir))


def test_csv_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer, _ = fit(CSVLogger(tmp_path), tmp_path)
    folder = Path(trainer.logger.log_dir)
    assert "cumulants/probe/body.1/k2" in (folder / "metrics.csv").read_text()
    assert list((folder / "figures").glob("cumulant_flow_probe_step*.png"))
    check_table(folder)
    assert "tables:" not in caplog.text


@pytest.mark.filterwarnings("ignore")  # of wandb about itself
def test_weights_and_biases(tmp_path: Path, offline: None, caplog: pytest.LogCaptureFixture) -> None:
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    with caplog.at_level(logging.INFO, "lightning.pytorch.utilities.rank_zero"):
        trainer, callback = fit(logger, tmp_path)
    run = logger.experiment
    assert run.summary["cumulants/probe/body.1/k2"] == pytest.approx(expected(callback))
    assert list(Path(run.dir, "media").rglob("cumulant_flow/probe_*.png"))
    folder = tmp_path / "lightning_logs" / run.id
    check_table(folder)
    lines = [record.getMessage() for record in caplog.records if "tables:" in record.getMessage()]
    assert lines == [f"tables: {folder}, as WandbLogger has no folder for them"]
    (line,) = where_to_look(trainer)
    command, place = line.split("wandb sync ")
    assert command == "watch:  "
    assert list(Path(place).glob("*.wandb"))
    run.finish()


@pytest.mark.filterwarnings("ignore")  # of mlflow and sqlalchemy about each other
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)  # where the artifacts of a local store go
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logger = MLFlowLogger(tracking_uri=uri, experiment_name="tried", artifact_location=str(tmp_path / "artifacts"))
    with caplog.at_level(logging.INFO, "lightning.pytorch.utilities.rank_zero"):
        trainer, callback = fit(logger, tmp_path / "runs")
    run_id, client = logger.run_id, logger.experiment
    history = client.get_metric_history(run_id, "cumulants/probe/body.1/k2")
    assert history[-1].value == pytest.approx(expected(callback))
    assert history[-1].step == 2
    assert any(
        artifact.path.startswith("figures/cumulant_flow_probe") for artifact in client.list_artifacts(run_id, "figures")
    )
    folder = tmp_path / "runs" / logger.experiment_id / run_id
    check_table(folder)
    lines = [record.getMessage() for record in caplog.records if "tables:" in record.getMessage()]
    assert lines == [f"tables: {folder}, as MLFlowLogger has no folder for them"]
    assert where_to_look(trainer) == [f"watch:  mlflow ui --backend-store-uri {uri}"]
    fit_on_laws(MLFlowLogger(tracking_uri=uri, experiment_name="tried", run_id=run_id), tmp_path / "runs")
    assert client.get_metric_history(run_id, "cumulants/gamma/out/k2")
    from mlflow.cli import cli

    assert "--backend-store-uri" in {option for p in cli.commands["server"].params for option in p.opts}


def test_names_of_metrics_that_mlflow_takes() -> None:
    assert mlflow_name("a/k(x=-1.5, y=[2])_q10") == "a/kx-1.5 y2_q10"
    long = "law" * 200
    assert len(mlflow_name(long)) == LONGEST
    assert mlflow_name(long) != mlflow_name(f"{long}s")
