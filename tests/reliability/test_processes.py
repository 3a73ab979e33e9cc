"""One process or several: the same path, the same metrics; what would be wrong is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from renorm.cli import main
from renorm.datamodules import CLTDataModule
from renorm.runs.trainer_checks import check_strategy
from renorm.zoo import MLP, clt_map

from .runs import load, run, run_group

# 255 rows, 501 and 1 in the last batch of a validation: uneven shards, and empty ones
FIT = [
    *("fit", "--config", "mlp_leaky_relu_free", "--name", "run", "--model.replicas", "3", "--data.batch_size", "255"),
    *("--data.steps_per_epoch", "20", "--data.val_samples", "501", "--data.test_samples", "501"),
    *("--data.eval_batch_size", "250", "--trainer.max_epochs", "2", "--trainer.log_every_n_steps", "1"),
    *("--trainer.enable_progress_bar", "false", "--cumulants.every_n_epochs", "0", "--rg_flow.every_n_epochs", "0"),
    *("--symmetry_breaking.every_n_epochs", "0", "--generalization.figure_every_n_validations", "0"),
]
CHECKPOINTS = Path("run/version_0/checkpoints")


def path_of(run: Path) -> list[float]:
    """The training loss of every step."""
    return [event.value for event in EventAccumulator(str(run)).Reload().Scalars("loss/train")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    root = tmp_path_factory.mktemp("alone")
    assert run([*FIT, "--trainer.default_root_dir", root / "1"], root / "log") == 0, (root / "log").read_text()
    return root / "1"


@pytest.mark.slow
def test_one_two_and_three_processes(alone: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for size in (2, 3):
        codes = run_group([*FIT, "--trainer.default_root_dir", tmp_path / str(size)], log, size)
        assert codes == [0] * size, log.read_text()
    runs = [root / "run" / "version_0" for root in (alone, tmp_path / "2", tmp_path / "3")]
    paths = [path_of(run) for run in runs]
    assert len(paths[0]) == 40
    weights = [load(run / "checkpoints" / "last.ckpt")["state_dict"] for run in runs]
    for other in (1, 2):
        assert paths[other] == pytest.approx(paths[0], rel=1e-5)
        for key, value in weights[0].items():
            assert (value - weights[other][key]).abs().max() <= 1e-5 * value.abs().max(), key
    # metrics of the same weights, in the precision in which they can agree so far
    results = []
    for size in (1, 2, 3):
        words = ["test", "--ckpt_path", alone / CHECKPOINTS / "last.ckpt", "--trainer.precision", "64-true"]
        codes = [run(words, log)] if size == 1 else run_group(words, log, size)
        assert codes == [0] * size, log.read_text()
        results.append(json.loads((alone / CHECKPOINTS / "test_results.json").read_text())["results"])
    assert len(results[0]) == 11
    for law, metrics in results[0].items():
        for metric, values in metrics.items():
            for other in (1, 2):
                assert results[other][law][metric] == pytest.approx(values, rel=1e-12, abs=1e-12), (law, metric)


@pytest.mark.slow
def test_a_member_that_diverges_on_one_process_is_frozen_on_all(tmp_path: Path) -> None:
    words = [*FIT, "--model.activation", "quadratic", "--model.alpha", "[0.3, 30.0]", "--model.replicas", "1"]
    words = [w for w in words if w not in ("--config", "mlp_leaky_relu_free")]
    words += ["--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1", "--trainer.default_root_dir"]
    log = tmp_path / "log"
    assert run([*words, tmp_path / "1"], log) == 0, log.read_text()
    assert run_group([*words, tmp_path / "2"], log, 2) == [0, 0], log.read_text()
    assert log.read_text().count("diverged: member 1 at step") == 1
    one, two = (load(tmp_path / size / CHECKPOINTS / "last.ckpt") for size in "12")
    assert one["renorm"]["diverged"] == two["renorm"]["diverged"] != {}
    for key, value in one["state_dict"].items():
        assert torch.allclose(value[0], two["state_dict"][key][0], rtol=1e-4, atol=1e-6), key


@pytest.mark.slow
def test_spawned_processes(alone: Path, tmp_path: Path) -> None:
    words = [*FIT, "--trainer.devices", "2", "--trainer.accelerator", "cpu", "--trainer.strategy", "ddp_spawn"]
    log = tmp_path / "log"
    assert run([*words, "--trainer.default_root_dir", tmp_path / "spawned"], log) == 0, log.read_text()
    one, other = (path_of(root / "run" / "version_0") for root in (alone, tmp_path / "spawned"))
    assert other == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--trainer.strategy", "fsdp"), "fsdp"),
        (("--trainer.strategy", "deepspeed"), "deepspeed"),
        (("--trainer.precision", "16-mixed"), "would be bf16-mixed on a CPU; allowed: bf16-mixed, 32-true, 64-true"),
        (("--trainer.precision", "bf16-true"), "rounds the data to three digits"),
        (("--trainer.precision", "16-true"), "rounds the data to three digits"),
        (("--trainer.precision", "transformer-engine"), "transformer"),
        (("--trainer.accumulate_grad_batches", "3"), "allowed: divisors of data.steps_per_epoch=20"),
    ],
)
def test_what_would_be_wrong_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], reason: str
) -> None:
    assert main([*FIT, "--trainer.accelerator", "cpu", "--trainer.default_root_dir", str(tmp_path), *words]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert len(error.splitlines()) == 1
    assert not [*tmp_path.rglob("*.ckpt")]


class Sharded(SingleDeviceStrategy):
    """Stands in for strategies that need GPUs."""


def test_sharded_weights_are_refused() -> None:
    trainer = Trainer(accelerator="cpu", strategy=Sharded("cpu"), logger=False)
    with pytest.raises(ValueError, match=r"trainer.strategy=Sharded shares out .* allowed: auto, ddp, ddp_spawn"):
        check_strategy(trainer, {"strategy": trainer.strategy})
    check_strategy(Trainer(accelerator="cpu", logger=False), {"strategy": "auto"})


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_lower_precision_ends_near_double_precision(tmp_path: Path, precision: str) -> None:
    """Within what its rounding allows: bf16 has steps of 2^-8 near 1."""
    losses: dict[str, Any] = {}
    allowed = {"32-true": 1e-3, "bf16-mixed": 0.5}[precision]
    for name in (precision, "64-true"):
        words = [*FIT, "--trainer.precision", name, "--trainer.max_epochs", "5", "--trainer.default_root_dir"]
        assert main([*words, str(tmp_path / name)]) == 0
        events = EventAccumulator(str(tmp_path / name / "run" / "version_0")).Reload()
        losses[name] = [event.value for event in events.Scalars("loss/val")]
    assert losses["64-true"][-1] < losses["64-true"][0] / 2
    assert losses[precision][-1] == pytest.approx(losses["64-true"][-1], rel=allowed)


def test_accumulated_gradients_are_the_mean_over_batches(tmp_path: Path) -> None:
    words = [
        *FIT,
        "--trainer.accumulate_grad_batches",
        "4",
        "--trainer.precision",
        "64-true",
        "--trainer.max_epochs",
        "1",
    ]
    assert main([*words, "--trainer.default_root_dir", str(tmp_path)]) == 0
    checkpoint = load(tmp_path / CHECKPOINTS / "last.ckpt")
    assert checkpoint["global_step"] == 5
    model, data = MLP(**checkpoint["hyper_parameters"]).double(), CLTDataModule(batch_size=255, steps_per_epoch=20)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(0, 20, 4):
        batches = [data.batch("train", 0, step + i).x.double() for i in range(4)]
        optimizer.zero_grad()
        (sum(model.losses(x, clt_map(x)).sum() for x in batches) / 4).backward()  # type: ignore[union-attr]
        optimizer.step()
    for key, value in model.state_dict().items():
        assert torch.allclose(value, checkpoint["state_dict"][key], rtol=1e-6, atol=1e-9), key


def test_all_devices_of_a_machine_without_a_gpu(tmp_path: Path) -> None:
    words = [*FIT, "--trainer.accelerator", "cpu", "--trainer.devices", "auto", "--trainer.max_epochs", "1"]
    assert main([*words, "--trainer.default_root_dir", str(tmp_path)]) == 0
    assert load(tmp_path / CHECKPOINTS / "last.ckpt")["global_step"] == 20
