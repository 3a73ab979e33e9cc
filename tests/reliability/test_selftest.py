"""``renorm selftest``: all is well here, and a machine that computes something else is found out."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
import torch

from renorm.cli import main
from renorm.cli import selftest as command
from renorm.pretrained import manifest
from renorm.pretrained.hub import load_pretrained
from renorm.selftest import checks
from renorm.selftest.checks import CHECKS, exact_kstatistics

from ..integration.test_bad_input import one_line
from .mutations import all_mutations, loaded_or_none

CPU = torch.device("cpu")
QUICK_CHECKS = tuple(check for check in CHECKS if check.measure is not checks.compilation)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_all_is_well_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert all(check.name in printed for check in CHECKS)
    assert "FAILED" not in printed
    assert f"all {len(CHECKS)} checks ok" in printed


def test_the_exact_kstatistics_are_scipys() -> None:
    sample = (3, -1, 4, 1, -5, 9, 2, 6)
    found = [float(k) for k in exact_kstatistics(sample)]
    assert found == pytest.approx([scipy.stats.kstat(sample, n) for n in (1, 2, 3, 4)], rel=1e-12)
    assert exact_kstatistics((0, 0, 0, 1))[0] == Fraction(1, 4)


@pytest.mark.filterwarnings("ignore")
def test_what_computes_something_else_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kstat, quadrature, clt_map = checks.kstat, checks.propagate, checks.clt_map
    monkeypatch.setattr(command, "CHECKS", QUICK_CHECKS)
    monkeypatch.setattr(checks, "kstat", lambda x, order: kstat(x, order) * (1 + 1e-9))

    def inexact(model: Any, law: str, order: int, method: str) -> Any:
        return quadrature(model, law if method == "exact" else "uniform(low=-1.7)", order, method=method)

    monkeypatch.setattr(checks, "propagate", inexact)
    monkeypatch.setattr(checks, "clt_map", lambda x: 1.05 * clt_map(x))
    assert main(["selftest", "--device", "cpu"]) == 1
    printed = " ".join(capsys.readouterr().out.split())  # lines are wrapped
    for measure in (checks.estimators, checks.propagation, checks.training):
        check = next(check for check in CHECKS if check.measure is measure)
        assert f"{check.name}: {check.advice}" in printed
    assert "3 of 6 checks FAILED" in printed


def test_an_error_within_a_check_is_a_finding() -> None:
    def broken(device: torch.device) -> float:
        raise RuntimeError("no kernel image is available")

    outcome = command.measured(checks.Check("kernels", broken, 1.0, "update the driver"), CPU)
    assert outcome.status == "FAILED"
    assert "no kernel image" in str(outcome.problem)
    assert command.measured(checks.Check("none", lambda device: math.nan, 1.0, ""), CPU).status == "skipped"


def test_bad_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--device", "tpu"]) == 2
    assert "device='tpu'" in one_line(capsys.readouterr().err)
    if not torch.cuda.is_available():
        assert main(["selftest", "--device", "cuda"]) == 2
        assert "device='cuda'" in one_line(capsys.readouterr().err)


# ---- files of the pretrained zoo ------------------------------------------------------------------------------------


@pytest.fixture
def zoo_folder(tmp_path: Path) -> Path:
    """A manifest of one entry, and its weights."""
    name = checks.PRETRAINED
    entry = manifest.find_entry(name)
    shutil.copy(manifest.FOLDER / entry["file"]["name"], tmp_path)
    (tmp_path / manifest.MANIFEST).write_text(json.dumps({"models": {name: entry}}))
    return tmp_path


def test_damaged_weights_of_the_zoo_are_never_loaded(zoo_folder: Path) -> None:
    file = next(zoo_folder.glob("*.safetensors"))
    for content in all_mutations(file.read_bytes(), 400):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"was (cut off|changed)"):
            load_pretrained(checks.PRETRAINED, folder=zoo_folder)


def test_safetensors_made_to_harm(zoo_folder: Path) -> None:
    """Also where the manifest is the same stranger's and its checksum is right."""
    path = zoo_folder / manifest.MANIFEST
    whole = json.loads(path.read_text())
    entry = whole["models"][checks.PRETRAINED]
    file = zoo_folder / entry["file"]["name"]
    header = {"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}
    text = json.dumps(header).encode()
    nested = b"[" * 50_000
    for number, content in enumerate(
        (
            (2**60).to_bytes(8, "little") + b"{}",
            len(text).to_bytes(8, "little") + text,
            len(nested).to_bytes(8, "little") + nested,
            b"",
            b"\x80\x02cos\nsystem\n",
        )
    ):
        file.write_bytes(content)
        entry["file"] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        path.write_text(json.dumps(whole | {"number": number}))
        with pytest.raises(ValueError, match=r"safetensors file|tensors are not"):
            load_pretrained(checks.PRETRAINED, folder=zoo_folder)


@pytest.mark.slow
def test_damaged_manifests(zoo_folder: Path) -> None:
    path = zoo_folder / manifest.MANIFEST
    original = load_pretrained(checks.PRETRAINED, members="all", folder=zoo_folder).state_dict()
    for number, content in enumerate(all_mutations(path.read_bytes(), 400)):
        path.write_bytes(content)
        manifest._parsed.cache_clear()  # within a test files change faster than the clock
        model = loaded_or_none(lambda: load_pretrained(checks.PRETRAINED, members="all", folder=zoo_folder))
        same = model is None or all(torch.equal(value, original[key]) for key, value in model.state_dict().items())
        assert same, number
