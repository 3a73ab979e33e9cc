"""Compiled training gives the numbers of eager training, compiles once, and falls back where it cannot compile."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from renorm.datamodules import CLTDataModule
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.training import compilation
from renorm.training.compilation import compiled_losses, is_worth
from renorm.zoo import GNN, MLP, StackedModel, clt_map

from ..conftest import NO_FIGURES, QUICK, Run

SAME: list[Any] = [
    (MLP, {"activation": "leaky_relu", "negative_slope": [0.1, 0.5, 1.0]}),
    (MLP, {"activation": "spline", "knots": 5, "width": 4, "symmetry": "odd", "depth": 2}),
    (GNN, {"activation": "leaky_relu", "graph": "ring", "block_size": 4, "readout": "mean", "depth": 2}),
    *(
        pytest.param(cls, arguments, marks=pytest.mark.slow)
        for cls, arguments in (
            (MLP, {"activation": "quadratic", "symmetry": "full", "depth": 2}),
            (MLP, {"activation": "relu", "symmetry": "odd", "bias": False}),
            (MLP, {"activation": "tanh", "block_size": 3, "loss": "energy"}),
            (GNN, {"activation": "relu", "layer": "gin"}),
            (GNN, {"activation": "relu", "layer": "edge_conv"}),
            (GNN, {"activation": "relu", "aggregation": "max", "readout": "max", "graph": "path", "block_size": 3}),
            (GNN, {"activation": "linear", "layer": "gat", "graph": "path", "block_size": 3}),
        )
    ),
]
needs_compiler = pytest.mark.skipif(
    compilation.missing_compiler(torch.device("cpu")) is not None, reason="there is no C++ compiler"
)


def trained(model: StackedModel, steps: int = 20, batch_size: int = 32) -> StackedModel:
    trainer = quiet_trainer(steps, accelerator="cpu")
    trainer.fit(model, CLTDataModule(block_size=model.block_size, steps_per_epoch=10, batch_size=batch_size))
    return model


@needs_compiler
@pytest.mark.parametrize(("cls", "arguments"), SAME)
def test_losses_and_gradients_are_the_eager_ones(cls: type[StackedModel], arguments: dict[str, Any]) -> None:
    x = torch.randn(64, arguments.get("block_size", 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = []
    for compile_ in (True, False):
        model = cls(replicas=2, seed=5, compile=compile_, **arguments).double()
        losses = compiled_losses(model, steps=1, rows=64)(x, clt_map(x))
        losses.sum().backward()  # type: ignore[no-untyped-call]
        found.append([losses.detach(), *(p.grad for p in model.parameters())])
    for compiled, eager in zip(*found, strict=True):
        assert compiled is not None
        assert eager is not None
        scale = max(1.0, float(eager.abs().max()))
        assert torch.allclose(compiled, eager, rtol=1e-10, atol=1e-12 * scale)


@needs_compiler
def test_a_compiled_fit_follows_the_eager_path() -> None:
    path = [trained(MLP(replicas=3, compile=compile_)).state_dict() for compile_ in (True, False)]
    for key, value in path[0].items():
        assert torch.allclose(value, path[1][key], rtol=1e-4, atol=1e-6), key


@needs_compiler
def test_compiles_again_for_other_shapes_only() -> None:
    model = MLP(replicas=2, compile=True)
    losses = compiled_losses(model, steps=1, rows=32)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    frames = []
    for rows in (32, 32, 16, 16, 32):
        x = torch.randn(rows, 2)
        losses(x, clt_map(x)).sum().backward()  # type: ignore[no-untyped-call]
        frames.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert frames == [1, 1, 2, 2, 2]


def test_auto_compiles_where_it_pays() -> None:
    large = MLP(replicas=1024)
    assert is_worth(large, steps=3000, rows=256)
    assert not is_worth(large, steps=10, rows=256)
    assert not is_worth(MLP(replicas=1), steps=3000, rows=256)
    assert not is_worth(MLP(replicas=1024, activation="tanh"), steps=3000, rows=256)
    ring: dict[str, Any] = {"replicas": 256, "graph": "ring", "block_size": 8}
    assert is_worth(GNN(**ring), steps=3000, rows=256)
    assert not is_worth(GNN(**ring, aggregation="max"), steps=3000, rows=256)
    assert not is_worth(GNN(**ring, readout="max"), steps=3000, rows=256)


def test_auto_falls_back_with_one_line(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    model = MLP(replicas=1024)
    with caplog.at_level(logging.WARNING):
        assert compiled_losses(model, steps=3000, rows=256) == model.losses
    (record,) = caplog.records
    assert record.getMessage() == (
        "compile=auto: found no C++ compiler (/nowhere/c++), training runs uncompiled, several times slower for "
        "large stacks"
    )


def test_true_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    with pytest.raises(ValueError, match=r"compile=true needs a C\+\+ compiler \(/nowhere/c\+\+\); allowed here: auto"):
        trained(MLP(compile=True), steps=1)


def test_auto_falls_back_where_the_backend_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        def fail(*_: Any) -> Any:
            raise RuntimeError("the backend is broken\nwith details")

        return fail

    monkeypatch.setattr(compilation, "WORTH_CELLS", 0)
    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(compilation, "missing_compiler", lambda device: None)
    with caplog.at_level(logging.WARNING):
        trained(MLP(), steps=3)
    assert [record.getMessage() for record in caplog.records if record.name == "renorm"] == [
        "compile=auto: compiling failed, training runs uncompiled: the backend is broken"
    ]
    with pytest.raises(ValueError, match="compile=true failed: the backend is broken; allowed here: auto, false"):
        trained(MLP(compile=True), steps=3)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_refuses_other_values(value: Any) -> None:
    with pytest.raises(ValueError, match=r"compile=.* is unknown; allowed: auto, true, false"):
        MLP(compile=value)


@needs_compiler
def test_the_command_line_compiles(renorm: Run, tmp_path: Path) -> None:
    words = [
        "fit",
        *QUICK,
        *NO_FIGURES,
        "--model.compile",
        "true",
        "--model.replicas",
        "4",
        "--trainer.max_epochs",
        "1",
    ]
    words += ["--trainer.default_root_dir", str(tmp_path), "--trainer.enable_progress_bar", "false"]
    done = renorm(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    resumed = ["fit", "--ckpt_path", str(tmp_path / "mlp/version_0/checkpoints/last.ckpt"), "--model.compile", "false"]
    done = renorm(*resumed, "--trainer.max_epochs", "2", "--trainer.default_root_dir", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_a_process_may_train_any_number_of_models() -> None:
    """PyTorch gives up after a number of models with the same code; a worker of a sweep trains hundreds."""
    with torch._dynamo.config.patch(recompile_limit=1, fail_on_recompile_limit_hit=True):
        for members in (2, 3, 4):
            x = torch.randn(16, 2)
            compiled_losses(MLP(replicas=members, compile=True), steps=1, rows=16)(x, clt_map(x))
