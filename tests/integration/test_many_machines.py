"""The ways onto several machines that docs/sweeps.md names, each with two real processes on this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ..conftest import NO_FIGURES, QUICK, Run

DOCUMENT = Path(__file__).parents[2] / "docs" / "sweeps.md"
FIT = ["fit", "--config", "mlp_relu_free", "--model.replicas", "2", "--trainer.max_epochs", "1", *QUICK]
FIT += NO_FIGURES

pytestmark = pytest.mark.slow


def in_process(command: list[str], folder: Path) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_torchrun_starts_two_processes_that_train_as_one(renorm: Run, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "1", "--nproc_per_node", "2"]
    rendezvous = ["--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0"]
    two = ["--trainer.devices", "2", "--trainer.accelerator", "cpu", "--trainer.strategy", "ddp"]
    in_process([*torchrun, *rendezvous, "-m", "renorm", *FIT, *two, "--trainer.default_root_dir", "two"], tmp_path)
    done = renorm(*FIT, "--trainer.default_root_dir", "one", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ends = []
    for name in ("one", "two"):
        (checkpoint,) = (tmp_path / name).glob("*/version_*/checkpoints/last.ckpt")
        ends.append(torch.load(checkpoint, weights_only=True)["state_dict"])
    for key, value in ends[0].items():
        torch.testing.assert_close(ends[1][key], value, rtol=1e-4, atol=1e-5)


def test_the_script_for_ray_train_runs_on_two_workers(tmp_path: Path) -> None:
    pytest.importorskip("ray.train.lightning")
    text = DOCUMENT.read_text()
    script = text[text.index("from ray.train import") :].partition("```")[0]
    small = {
        "max_epochs=15": "max_epochs=1, accelerator='cpu', logger=False",
        "width=256, depth=4": "replicas=2",
        "batch_size=65536": "batch_size=64, steps_per_epoch=5, val_samples=64",
        "num_workers=8, use_gpu=True": "num_workers=2, use_gpu=False",
    }
    for large, replacement in small.items():
        assert large in script
        script = script.replace(large, replacement)
    script = script.replace(
        "    trainer.fit(",
        "    from pathlib import Path\n    Path(FOLDER, str(trainer.global_rank)).touch()\n    trainer.fit(",
    )
    # older Ray gives the coordinator a core of its own, which two workers on two cores would wait for
    start = f"import ray\nray.init(num_cpus=3, include_dashboard=False)\nFOLDER = {str(tmp_path)!r}\n"
    (tmp_path / "script.py").write_text(start + script)
    in_process([sys.executable, "script.py"], tmp_path)
    assert {"0", "1"} <= {path.name for path in tmp_path.iterdir()}
