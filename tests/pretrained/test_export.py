"""An exported file computes what the model computes, read by its own library and not by ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch

from renorm.cli import main
from renorm.pretrained import export as exporting
from renorm.pretrained.hub import load_pretrained

FORMATS = ("safetensors", "torch_export", "onnx")
CASES = [("mlp_spline_free.uniform", "best", 1), ("gnn_sage_leaky_relu_free.uniform", "all", 16)]


def blocks(rows: int) -> torch.Tensor:
    return 2 * torch.randn(rows, 2, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(("name", "members", "count"), CASES)
def test_onnx_against_torch(name: str, members: str, count: int, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "model.onnx"
    assert main(["zoo", "export", name, "--format", "onnx", "--out", str(out), "--members", members]) == 0
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape[1]) == ("x", "tensor(float)", 2)
    assert made.name == "y"
    model = load_pretrained(name, members)
    for rows in (1, 3, 1000):
        x = blocks(rows)
        (y,) = session.run(None, {"x": x.numpy()})
        assert y.shape == (count, rows)
        np.testing.assert_allclose(y, model(x).detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "members", "count"), CASES)
def test_torch_export_against_torch(name: str, members: str, count: int, tmp_path: Path) -> None:
    out = tmp_path / "model.pt2"
    assert main(["zoo", "export", name, "--format", "torch_export", "--out", str(out), "--members", members]) == 0
    with exporting.quiet():
        program = torch.export.load(out).module()
    for rows in (1, 1000):
        x = blocks(rows)
        assert program(x).shape == (count, rows)
        torch.testing.assert_close(program(x), load_pretrained(name, members)(x).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "members", "count"), CASES)
def test_safetensors_has_weights_and_arguments(name: str, members: str, count: int, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    assert main(["zoo", "export", name, "--format", "safetensors", "--out", str(out), "--members", members]) == 0
    model = load_pretrained(name, members)
    with safetensors.safe_open(str(out), framework="pt") as file:
        told = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    assert told["name"] == name
    assert told["class"] == type(model).__name__
    assert tensors.keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(tensors[key], value)
        assert len(value) == count


@pytest.mark.parametrize("kind", FORMATS)
def test_an_existing_file_stays(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "file"
    out.write_text("somebody's")
    words = ["zoo", "export", "mlp_linear_full.uniform", "--format", kind, "--out", str(out)]
    assert main(words) == 2
    assert "exists; allowed: another file, or --overwrite" in capsys.readouterr().err
    assert out.read_text() == "somebody's"
    if kind == "safetensors":
        assert main([*words, "--overwrite"]) == 0
        assert "outputs differ by at most 0.0e+00" in capsys.readouterr().out
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_computes_something_else_is_not_written(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is made of other weights than the model's."""
    honest = exporting.WRITERS[kind]

    def other(name: str, entry: dict[str, Any], model: Any) -> Any:
        twin = load_pretrained(name).requires_grad_(False)
        next(iter(twin.parameters())).mul_(1.001)
        return honest(name, entry, twin)

    monkeypatch.setitem(exporting.WRITERS, kind, other)
    words = ["zoo", "export", "mlp_linear_full.uniform", "--format", kind, "--out", str(tmp_path / "file")]
    assert main(words) == 2
    assert "away; allowed: 1e-05" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", exporting.NEEDED)
def test_a_missing_extra_is_one_line(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    out = str(tmp_path / "model.onnx")
    assert main(["zoo", "export", "mlp_linear_full.uniform", "--format", "onnx", "--out", out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"needs {package}; allowed after: pip install 'renorm[export]'" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["mlp_linear_full.uniform", "--format", "pickle", "--out", "x"], "format='pickle' is unknown"),
        (["mlp_linear_full.uniform", "--format", "onnx", "--out", "x", "--members", "3"], "members='3' is unknown"),
        (["mlp_linear_full", "--format", "safetensors", "--out", "x"], "not a pretrained model"),
        (["mlp_linear_full.uniform", "--format", "safetensors"], "--out"),
        (["mlp_linear_full.uniform", "--out", "x"], "--format"),
        (["mlp_linear_full.uniform", "--format", "safetensors", "--out", "no/folder/x"], "folder that exists"),
        (["mlp_linear_full.uniform", "--format", "safetensors", "--out", "."], "not a file"),
    ],
)
def test_bad_input(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", "export", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_in_code(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format='pickle' is unknown"):
        exporting.export("mlp_linear_full.uniform", "pickle", tmp_path / "x")
