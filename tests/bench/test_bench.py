"""``renorm bench`` measures and writes; how long things take is not tested."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from renorm.bench import measure, peers, threads
from renorm.bench.figures import draw_growth, draw_parts
from renorm.bench.loops import bare_step, stack
from renorm.bench.measure import EPOCHS, slopes
from renorm.bench.memory import step_memory
from renorm.cli import bench as command
from renorm.cli import main
from renorm.zoo import GNN, MLP, StackedModel


def test_slopes_are_exponents() -> None:
    rows = [{"axis": "width", "value": n, "seconds": 1e-6 * n**2, "bytes": n} for n in (4, 8, 16, 32)]
    rows += [{"axis": "batch", "value": n, "seconds": 1e-3, "bytes": n} for n in (64, 256)]
    found = slopes(rows)
    assert np.isclose(found["width"], 2)
    assert np.isclose(found["batch"], 0)
    figure = draw_growth(rows, found)
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "width", "batch"]


def test_memory_of_a_step_is_the_most_that_it_holds_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    def step() -> None:
        for _ in range(3):
            torch.zeros(1000)  # given back before the next is taken
        torch.zeros(500)

    before = torch.zeros(10**6)
    assert [step_memory(step) for _ in range(2)] == [4000, 4000]
    assert step_memory(lambda: before.add_(before)) == 0
    kept: list[torch.Tensor] = []
    assert step_memory(lambda: kept.append(torch.zeros(1000))) == 4000
    assert step_memory(lambda: (kept.clear(), torch.zeros(500))) == 2000
    assert capfd.readouterr().err == ""
    with pytest.raises(ZeroDivisionError):
        step_memory(lambda: 1 / 0)
    os.write(2, b"back")
    assert capfd.readouterr().err == "back"


def test_memory_of_a_step_grows_with_the_batch_alone_as_its_outputs_do() -> None:
    small, large = (step_memory(bare_step(stack(8, compile_=False), batch)) for batch in (1000, 3000))
    assert large == pytest.approx(3 * small, rel=0.01)


def test_the_bars_are_shares_of_the_whole() -> None:
    parts = {"sampling": 0.001, "Lightning": 0.003, "callbacks": 0.8}
    (axes,) = draw_parts(parts, 64).axes
    widths = np.array([patch.get_width() for patch in axes.patches]).reshape(3, len(EPOCHS))  # type: ignore[attr-defined]
    assert np.allclose(widths.sum(axis=0), 100)
    assert np.allclose(widths[:, 0], [25, 75, 0])
    assert np.allclose(widths[:, EPOCHS.index(200)], [12.5, 37.5, 50])


def eager_pair(cls: type[StackedModel], **settings: Any) -> StackedModel:
    """Two members in the place of any number, uncompiled."""
    return cls(**settings | {"replicas": 2, "compile": False})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small stacks, uncompiled, and few steps: the sizes are what takes minutes."""
    for module in (measure, threads):
        monkeypatch.setattr(module, "stack", functools.partial(stack, compile_=False))
    for cls in (MLP, GNN):
        monkeypatch.setattr(measure, cls.__name__, functools.partial(eager_pair, cls))
    monkeypatch.setattr(measure, "DEFAULT_EPOCH", 10)
    growth = {"members": [1, 2, 4], "width": [4, 8], "depth": [1, 2], "batch": [16, 32]}
    for name, value in {"MEMBERS": 4, "QUICK_GROWTH": growth, "QUICK_SIZES": (2,), "CONVERGED_STEPS": 4000}.items():
        monkeypatch.setattr(command, name, value)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("small")
def test_the_command_writes_tables_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick", "--wide", "--threads", "1", "--out", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "bench.json").read_text())
    assert content["machine"]["threads"] == 1
    assert len(content["goals"]) == 6
    for row in content["goals"]:
        ratio = row["seconds_against"] / row["seconds"]
        assert np.isclose(row["ratio"], 1 / ratio if row["goal"].startswith("<=") else ratio)
    named = {"sampling", "forward", "backward", "optimiser", "Lightning", "validation", "callbacks"}
    assert set(content["parts"]) == named
    text = (tmp_path / "bench.md").read_text()
    assert text in capsys.readouterr().out
    for name in ("growth.png", "parts.png"):
        assert (tmp_path / name).stat().st_size > 5000


def test_a_row_for_each_number_of_members_of_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "jax_seconds", lambda python, members, budget: {m: m * 1e-5 for m in members})
    monkeypatch.setattr(peers, "renorm_fit", lambda model, steps: model.num_members * 2e-6)
    rows = peers.measure_jax("python", 2, 10, 0.1)
    assert [row["what"] for row in rows] == [f"fit of {members}, a step" for members in (1, 64, 1024, 4096)]
    assert [row["ratio"] for row in rows] == pytest.approx([5] * 4)
    assert [row["reached"] for row in rows] == [True] * 4


def test_the_peers_program_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "peer.py"
    program.write_text("import sys\nfor size in sys.argv[2:]: print(size, float(sys.argv[1]) / int(size))")
    monkeypatch.setattr(peers, "PROGRAM", program)
    assert peers.jax_seconds(sys.executable, [1, 4], 0.5) == {1: 0.5, 4: 0.125}


def test_other_networks_are_stacks_of_1024() -> None:
    models = measure.others()
    assert {model.num_members for model in models.values()} == {1024}
    assert {name for name, model in models.items() if model.compile_mode == "false"} == {"tanh", "gelu"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--threads", "0"], "threads=0 is out of range; allowed: whole numbers >= 1"),
        (["--threads", "many"], "argument --threads: invalid int value: 'many'"),
        (["--out", "file/bench"], "out: cannot write to 'file/bench'"),
        (["--peers", "tpu"], "peers='tpu' is unknown; allowed: jax, or jax=PYTHON of an environment that has it"),
        (
            ["--peers", "jax=nowhere"],
            "peers='jax=nowhere': nowhere cannot import jax; allowed: pip install jax, or jax=",
        ),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_one_line_for_wrong_arguments(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert Path("file").read_text() == "mine"
