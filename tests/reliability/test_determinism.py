"""The same command gives the same bits; other members, grid points, workers and threads change nothing, or only rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from renorm.callbacks.threads import CHOSEN_BY, threads_for
from renorm.cli import main
from renorm.datamodules import CLTDataModule
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import GNN, MLP, StackedModel

from .runs import assert_equal, events, load

FIT = [
    *(
        "fit",
        "--config",
        "mlp_leaky_relu_free",
        "--name",
        "run",
        "--model.replicas",
        "2",
        "--data.steps_per_epoch",
        "20",
    ),
    *("--data.val_samples", "64", "--trainer.max_epochs", "2", "--trainer.log_every_n_steps", "3"),
    *("--trainer.enable_progress_bar", "false", "--cumulants.samples", "64", "--cumulants.figure_every_n_epochs", "0"),
    *("--rg_flow.samples", "64", "--rg_flow.steps", "2", "--data.held_out_laws", '["gaussian()"]'),
]


@pytest.mark.draws
def test_the_same_command_twice(tmp_path: Path) -> None:
    """Checkpoints, scalars, figures and tables, byte by byte; paths and times aside."""
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        assert main([*FIT, "--trainer.default_root_dir", str(root)]) == 0
    folders = [root / "run" / "version_0" for root in (one, other)]
    for name in ("best", "last"):
        checkpoints = [load(folder / "checkpoints" / f"{name}.ckpt") for folder in folders]
        for key in ("state_dict", "optimizer_states", "loops", "renorm", "hyper_parameters"):
            assert_equal(*(checkpoint[key] for checkpoint in checkpoints), f"{name}/{key}")
    first, second = (sorted(events(folder)) for folder in folders)
    assert len(first) > 100
    assert [event for event in first if not event[0].startswith("_hparams_/session")] == [
        event for event in second if not event[0].startswith("_hparams_/session")
    ]
    tables = [path.relative_to(folders[0]) for path in folders[0].rglob("*.parquet")]
    assert len(tables) > 3
    for table in tables:
        assert (folders[0] / table).read_bytes() == (folders[1] / table).read_bytes(), table


def trained(model: StackedModel, steps: int = 60) -> dict[str, Tensor]:
    """The weights after some steps."""
    quiet_trainer(steps, accelerator="cpu").fit(
        model, CLTDataModule(block_size=model.block_size, steps_per_epoch=steps)
    )
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor], rows: list[int]) -> float:
    """Of weights of the members that both have, relative to the largest weight of the layer."""
    return max(
        float((value - other[name][rows]).abs().max() / value.abs().max().clamp(min=1e-30))
        for name, value in one.items()
    )


@pytest.mark.parametrize(
    ("cls", "width", "compile"),
    [(MLP, 8, False), (MLP, 33, False), (GNN, 3, False), pytest.param(MLP, 8, True, marks=pytest.mark.slow)],
    ids=["MLP", "wide MLP", "GNN", "MLP compiled"],
)
def test_more_replicas_and_grid_points_do_not_change_the_others(
    cls: type[StackedModel], width: int, compile: bool
) -> None:
    """Bit by bit, with the optimiser that is the default."""
    common: dict[str, Any] = {"activation": "leaky_relu", "width": width, "compile": compile}
    few = trained(cls(negative_slope=[0.2, 0.9], replicas=2, **common))
    more_replicas = trained(cls(negative_slope=[0.2, 0.9], replicas=5, **common))
    more_points = trained(cls(negative_slope=[0.05, 0.2, 0.5, 0.9], replicas=2, **common))
    assert largest_difference(few, more_replicas, [0, 1, 5, 6]) == 0
    assert largest_difference(few, more_points, [2, 3, 6, 7]) == 0


@pytest.mark.parametrize("compile", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["eager", "compiled"])
def test_threads_change_rounding_only(compile: bool) -> None:
    """How much is stated in docs/reliability.md."""
    before, weights = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            # large enough that PyTorch shares the work out
            weights.append(trained(MLP(replicas=64, width=16, compile=compile)))
    finally:
        torch.set_num_threads(before)
    assert largest_difference(*weights, list(range(64))) <= 1e-4


@pytest.mark.parametrize("compile", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["eager", "compiled"])
def test_members_keep_their_bits_where_their_number_takes_more_threads(
    compile: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the work of a step decides must not couple members."""
    for name in CHOSEN_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    before = torch.get_num_threads()
    few, many = (MLP(replicas=replicas, activation="leaky_relu", compile=compile) for replicas in (2, 1030))
    assert threads_for(few.work(256)) == 1
    try:
        torch.set_num_threads(2)
        assert threads_for(many.work(256)) == 2
        assert largest_difference(trained(few, 20), trained(many, 20), [0, 1]) == 0
    finally:
        torch.set_num_threads(before)
