"""``renorm zoo train`` and ``renorm report``, killed and started again: nothing lost, nothing half."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path

import pytest
import yaml

from renorm.pretrained.manifest import FOLDER, read_manifest

from ..forked import fork_workers
from ..report.tiny import small_claims
from .runs import run

SMALL = ["mlp_quadratic_full.uniform", "gnn_graph_conv_linear_full.mixed"]  # the first has a trajectory


def small_zoo(recipe_file: Path, kill_at_file: int | None) -> None:
    """Train the small zoo, and perhaps no further than to a file."""
    from renorm.pretrained import recipes, retrain

    recipes.FILE = recipe_file
    retrain.FOLDER = recipe_file.parent / "no_package"
    stop_at_file(kill_at_file, signal.SIGKILL)


def stop_at_file(number: int | None, how: int) -> None:
    """Send the process a signal just before its file of that number takes its place."""
    replace, count = os.replace, 0

    def replace_or_die(*paths: Path) -> None:
        nonlocal count
        if count == number:
            os.kill(os.getpid(), how)
        count += 1
        replace(*paths)

    os.replace = replace_or_die  # type: ignore[assignment]


@pytest.mark.slow
def test_zoo_train(tmp_path: Path) -> None:
    content = yaml.safe_load((FOLDER / "recipes.yaml").read_text())
    content["settings"] |= {"replicas": 3, "steps": 12, "steps_per_epoch": 4, "val_samples": 64, "test_samples": 128}
    content |= {"models": SMALL, "trajectories": SMALL[:1]}
    recipe_file, log = tmp_path / "recipes.yaml", tmp_path / "log"
    recipe_file.write_text(yaml.safe_dump(content))
    words = ["zoo", "train", "--all", "--out"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run([*words, whole], log, functools.partial(small_zoo, recipe_file, None)) == 0, log.read_text()
    # the weights, their trajectory and the manifest of the first; then the weights and the manifest of the second
    for kill_at_file in (0, 1, 2, 3, 1):
        before = list(read_manifest(parts)) if (parts / "manifest.json").exists() else []
        code = run([*words, parts], log, functools.partial(small_zoo, recipe_file, kill_at_file))
        assert code == -signal.SIGKILL, log.read_text()
        assert set(before) <= set(read_manifest(parts) if (parts / "manifest.json").exists() else [])
    assert run([*words, parts], log, functools.partial(small_zoo, recipe_file, None)) == 0, log.read_text()
    names = {path.name for path in whole.iterdir()}
    assert {path.name for path in parts.iterdir()} == names
    for name in names:
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name


def small_report(claims: Path, number: int | None = None, how: int = signal.SIGKILL) -> None:
    """A report of a small claim, and perhaps no further than to a file."""
    small_claims(claims)
    fork_workers()
    stop_at_file(number, how)


@pytest.mark.slow
def test_report(tmp_path: Path) -> None:
    log, whole, parts = tmp_path / "log", tmp_path / "whole", tmp_path / "parts"
    words = ["report", "--quick", "--only", "C1", "--workers", "1", "--out"]
    claims = tmp_path / "claims"
    assert run([*words, whole], log, functools.partial(small_report, claims)) == 0, log.read_text()
    # its description, then the experiments, then what is written about them
    experiments_in_all = len([*whole.glob("experiments/computed/*.json")])
    for number, how in ((0, signal.SIGKILL), (3, signal.SIGKILL), (2, signal.SIGTERM)):
        code = run([*words, parts], log, functools.partial(small_report, claims, number, how))
        assert code == (-how if how == signal.SIGKILL else 128 + how), log.read_text()
    assert "every experiment that has ended is kept" in log.read_text()
    assert f"go on:  renorm report --quick --only C1 --workers 1 --out {parts}" in log.read_text()
    experiments = [*parts.glob("experiments/computed/*.json")]
    kept = {path: path.read_bytes() for path in experiments}
    assert 3 <= len(kept) < experiments_in_all
    assert run([*words, parts], log, functools.partial(small_report, claims)) == 0, log.read_text()
    assert {path: path.read_bytes() for path in experiments} == kept, "what had ended was run again"
    assert {path.relative_to(parts) for path in parts.rglob("*")} == {p.relative_to(whole) for p in whole.rglob("*")}
    for name in ("claims.json", "claims.md"):
        assert (parts / name).read_text() == (whole / name).read_text()
