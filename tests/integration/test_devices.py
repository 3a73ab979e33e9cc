"""Two processes: really two, each on its own part of the stream, and the same numbers as one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ..conftest import NO_FIGURES, Run

# 255 rows do not divide by two: the shards are uneven
FIT = [
    "fit",
    "--config",
    "mlp_leaky_relu_free",
    "--model.replicas",
    "3",
    "--data.batch_size",
    "255",
    "--data.steps_per_epoch",
    "20",
    "--data.val_samples",
    "501",
    "--data.test_samples",
    "501",
    "--data.eval_batch_size",
    "250",
    "--trainer.max_epochs",
    "2",
    "--trainer.log_every_n_steps",
    "5",
    "--trainer.precision",
    "64-true",
    "--rg_flow.samples",
    "64",
    *NO_FIGURES,
]
TWO = ["--trainer.devices", "2", "--trainer.accelerator", "cpu", "--trainer.strategy", "ddp"]
DOUBLE = ["--trainer.precision", "64-true"]


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_two_processes_train_and_measure_as_one(renorm: Run, tmp_path: Path) -> None:
    ranks = tmp_path / "ranks.py"
    ranks.write_text(
        "import sys, pathlib, torch\n"
        "from renorm.cli import main\n"
        "from renorm.callbacks import Generalization\n"
        "def on_fit_start(self, trainer, module):\n"
        "    assert torch.distributed.get_world_size() == trainer.world_size == 2\n"
        "    pathlib.Path(f'rank_{trainer.global_rank}').touch()\n"
        "Generalization.on_fit_start = on_fit_start\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(main())\n"
    )
    one = renorm(*FIT, "--trainer.default_root_dir", "one", cwd=tmp_path)
    two = renorm(*FIT, *TWO, "--trainer.default_root_dir", "two", cwd=tmp_path, script=ranks)
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    assert {path.name for path in tmp_path.glob("rank_*")} == {"rank_0", "rank_1"}
    runs = [tmp_path / root / "mlp_leaky_relu_free" / "version_0" for root in ("one", "two")]
    first, second = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in runs)
    for key, value in first.items():
        assert torch.allclose(value, second[key], rtol=0, atol=1e-9), key
    logged, again = map(scalars, runs)
    assert logged.keys() == again.keys()
    assert len(logged) > 150
    for tag, values in logged.items():
        assert [step for step, _ in values] == [step for step, _ in again[tag]]
        assert [v for _, v in values] == pytest.approx([v for _, v in again[tag]], rel=1e-5, abs=1e-7), tag

    tests = [
        renorm("test", "--ckpt_path", run / "checkpoints" / "last.ckpt", *DOUBLE, cwd=tmp_path) for run in runs[:1]
    ]
    split = renorm("test", "--ckpt_path", runs[1] / "checkpoints" / "last.ckpt", *DOUBLE, *TWO, cwd=tmp_path)
    assert [done.returncode for done in (*tests, split)] == [0, 0], split.stderr
    files = [run / "checkpoints" / "test_results.json" for run in runs]
    here, there = (__import__("json").loads(file.read_text())["results"] for file in files)
    for law, metrics in here.items():
        for metric, values in metrics.items():
            assert there[law][metric] == pytest.approx(values, rel=1e-9, abs=1e-12), (law, metric)
