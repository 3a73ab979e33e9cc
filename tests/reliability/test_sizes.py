"""Sizes that cannot fit are refused at once, with the estimate, before anything of them is made."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from renorm import limits as sizes
from renorm.callbacks import CumulantDiagnostics, RGFlow, TheoryGap
from renorm.cli import main
from renorm.datamodules import CLTDataModule
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.training import compilation
from renorm.zoo import GNN, MLP, clt_map

# log-uniform: hypothesis draws small numbers otherwise
SIZES = st.floats(0, 18).map(lambda power: int(10**power))
GB = 10**9
ESTIMATE = re.compile(r"=\d+ needs at least \S+ (GB|TB) of memory; allowed: smaller .*, to fit \S+ GB")
SECONDS = 2


def refusal(build: Callable[[], Any]) -> str | None:
    """What is said within two seconds where it is refused; None where it is built."""
    started = time.perf_counter()
    said = None
    try:
        build()
    except ValueError as error:
        said = str(error)
    assert time.perf_counter() - started < SECONDS
    return said


def refused_at_once(build: Callable[[], Any]) -> bool:
    said = refusal(build)
    return said is not None and bool(ESTIMATE.search(said) or "is out of range" in said)


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "memory", lambda: 0.01 * GB)


def test_knots_are_counted_wherever_they_are_written() -> None:
    for knots in (
        {"knots": 10**9},
        {"activation_args": {"knots": 10**9}},
        {"knots": None, "activation_args": {"knots": 10**9}},
    ):
        with pytest.raises(ValueError, match=r"^knots=1000000000 needs at least"):
            MLP(activation="spline", **knots)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^knots=1000000000 does not fit 100 weights$"):
            sizes.check_sizes(knots, weights=100)


@pytest.mark.parametrize(
    "asked", [{"width": 6000, "block_size": 6000}, {"width": 6000, "depth": 2}, {"width": 8, "block_size": 4_000_000}]
)
def test_tied_networks_that_no_checkpoint_may_hold_are_not_trained(asked: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        sizes.check_sizes(asked | {"symmetry": "full"}, weights=10)
    assert re.match(
        r"(width|block_size)=\d+: \S+ weights before any are tied", refusal(lambda: MLP(symmetry="full", **asked)) or ""
    )


def test_wide_networks_that_are_trained_can_be_read_again() -> None:
    sizes.check_sizes({"width": 6000, "block_size": 2, "symmetry": "full"}, weights=10)
    sizes.check_model({"width": 6000, "block_size": 2, "symmetry": "full"}, members=1)


@settings(max_examples=60, deadline=None)
@given(
    chosen=st.dictionaries(st.sampled_from(["width", "depth", "replicas", "block_size", "knots"]), SIZES, min_size=1),
    graph=st.booleans(),
)
def test_models(chosen: dict[str, int], graph: bool) -> None:
    GNN()  # the first imports torch_geometric
    arguments = {"activation": "spline" if "knots" in chosen else "relu"} | chosen
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "memory", lambda: 2e-3 * GB)  # what fits is built in no time
        patch.setattr(sizes, "DEEPEST", 50)
        said = refusal(lambda: (GNN if graph else MLP)(**arguments))  # type: ignore[arg-type]
        assert said is None or any(
            part in said for part in ("needs at least", "is out of range", "too few", "has 2 nodes")
        ), said


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["block_size", "batch_size", "val_samples", "test_samples", "eval_batch_size", "steps_per_epoch"]
        ),
        SIZES,
        min_size=1,
    )
)
def test_data(chosen: dict[str, int]) -> None:
    if not refused_at_once(lambda: CLTDataModule(**chosen)):  # type: ignore[arg-type]
        assert chosen.get("batch_size", 256) * chosen.get("block_size", 2) * 4 <= sizes.memory()


@pytest.mark.parametrize("build", [CumulantDiagnostics, RGFlow, TheoryGap])
@given(power=st.floats(12, 18))
def test_samples_of_callbacks(build: Any, power: float) -> None:
    assert refused_at_once(lambda: build(samples=int(10**power)))


def test_grids_count_as_members() -> None:
    grid = [i / 1e5 for i in range(1, 10**5)]
    assert refused_at_once(lambda: MLP(activation="leaky_relu", negative_slope=grid, replicas=10**6))


@pytest.mark.usefixtures("small_machine")
def test_outputs_of_all_members_count() -> None:
    data = CLTDataModule()
    data.trainer = None
    sizes.check_outputs(100, data.hparams)
    with pytest.raises(ValueError, match=r"val_samples=4096 needs at least 16.4 MB"):
        sizes.check_outputs(1000, data.hparams)


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Of their storages, each counted once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu", "tanh", "quadratic"])
@pytest.mark.parametrize("arguments", [{"width": 64, "replicas": 20}, {"depth": 3, "width": 32, "replicas": 8}])
@pytest.mark.parametrize("rows", [8, 512])
def test_the_estimate_of_a_step_is_what_torch_holds(activation: str, arguments: dict[str, int], rows: int) -> None:
    model = MLP(activation=activation, compile=False, **arguments)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(model.parameters())
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    x = torch.randn(rows, 2)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.losses(x, clt_map(x)).sum()
    loss.backward()
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values()]
    weights = list(model.parameters())
    held = bytes_of([*weights, *[w.grad for w in weights if w.grad is not None], *states, *saved])
    estimate = sizes.training_memory(*model.step_sizes(rows, torch.device("cpu")))
    assert held / 2 <= estimate <= 2 * held


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize("compile", [False, "auto"])
def test_a_fit_that_does_not_fit_is_refused_before_its_first_step(
    compile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "missing_compiler", lambda _: None)
    model = MLP(width=64, replicas=20, compile=compile)
    data = CLTDataModule(batch_size=1024, val_samples=16, test_samples=16, steps_per_epoch=1)
    trainer = quiet_trainer(1)
    data.trainer = model.trainer = trainer
    trainer.datamodule = data  # type: ignore[attr-defined]
    if compile == "auto":
        model.setup("fit")  # compiled code need not keep hidden values
        return
    model.setup("test")
    with pytest.raises(ValueError, match=r"batch_size=1024 needs at least 10\.\d MB of memory; allowed: smaller"):
        trainer.fit(model, data)
    assert trainer.global_step == 0


@pytest.mark.parametrize(
    "words",
    [
        "fit --model.width 99999999999",
        "fit --model.replicas 1000000000",
        "fit --model.depth 1000000000000000000",
        "fit --model.activation spline --model.knots 100000000",
        "fit --data.batch_size 1000000000000000",
        "fit --config gnn_sage_relu_free --model.graph complete --model.block_size 10000000 --data.block_size 10000000",
        "fit --cumulants.samples 1000000000000000000",
        "sweep --config huge.yaml --dry_run",
    ],
)
def test_from_the_command_line(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "huge.yaml").write_text("model: MLP\naxes: {width: [4, 99999999999]}\n")
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs at least" in line or "is out of range" in line, line
    assert [path.name for path in tmp_path.iterdir()] == ["huge.yaml"]
