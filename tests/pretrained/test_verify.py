"""``renorm zoo verify`` finds what was changed, whatever it is."""

from __future__ import annotations

import copy
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import yaml

from renorm.cli import main
from renorm.datamodules.block_sources import parse_source
from renorm.pretrained.manifest import find_entry, pretrained_names, read_manifest
from renorm.pretrained.recipes import recipe_point
from renorm.pretrained.train import is_trained, write_manifest
from renorm.pretrained.verify import entry_differences, verify

SMALL = NAME, _ = "mlp_quadratic_full.uniform", "gnn_graph_conv_linear_full.mixed"
LAW = "gaussian(mean=0, std=1)"


def change(folder: Path, spoil: Callable[[dict[str, Any]], Any]) -> None:
    entries = copy.deepcopy(read_manifest(folder))
    spoil(entries[NAME])
    write_manifest(folder / "manifest.json", entries)


def test_a_sample_of_the_zoo_is_as_the_manifest_says(capsys: pytest.CaptureFixture[str]) -> None:
    names = pretrained_names()[::44]
    assert main(["zoo", "verify", *names]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [*(f"{name}: as the manifest says" for name in names), f"{len(names)} entries, 0 differences"]


def scale(place: dict[str, Any] | list[Any], key: Any, factor: float = 1 + 1e-4) -> None:
    place[key] = place[key] * factor


SPOILT: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda e: scale(e["metrics"][LAW]["mse"], "best"), f"metrics.{LAW}.mse.best is"),
    (lambda e: scale(e["metrics"][LAW]["wasserstein1"], "median"), f"metrics.{LAW}.wasserstein1.median is"),
    (lambda e: scale(e["metrics"][LAW]["k3_error"]["interval"], 1), f"metrics.{LAW}.k3_error.interval.1 is"),
    (lambda e: e["metrics"][LAW]["k4_error"].update(best=None), f"metrics.{LAW}.k4_error.best is"),
    (lambda e: e["metrics"].update({"laplace()": {}}), "metrics.laplace() is unknown"),
    (lambda e: e["metrics"].pop("rademacher()"), "metrics.rademacher() is missing"),
    (lambda e: scale(e["spectrum"]["eigenvalues"][1], 0, 1 + 1e-3), "spectrum.eigenvalues.1.0 is"),
    (lambda e: scale(e["validation_loss"], 2), "validation_loss.2 is"),
    (lambda e: e["certificate"].update(verdict="representable"), "certificate.verdict is 'not representable'"),
    (lambda e: e["data"].update(train_laws=["gaussian()"]), "data.train_laws.0 is"),
    (lambda e: e.update(seed=1), "seed is 0, the manifest says 1"),
    (lambda e: e.update(command="rm -rf /"), "command is"),
    (lambda e: e.update(licence="none"), "licence is 'MIT'"),
    (lambda e: e["training"].update(steps=1), "training.steps is 12"),
    (lambda e: e.update(recipe="0" * 16), "recipe is"),
    (lambda e: e["arguments"].update(seed=4), "arguments.seed is 0"),
    (lambda e: scale(e["check"]["outputs"][2], 0, 1.01), "check.outputs are"),
    (lambda e: e["trajectory"].update(epochs=2), "trajectory.epochs is not 2"),
]


def test_every_change_is_found_and_nothing_else(small_zoo: Path) -> None:
    for spoil, _ in SPOILT:
        change(small_zoo, spoil)
    found = list(entry_differences(NAME, small_zoo))
    assert not any("\n" in line for line in found)
    for _, expected in SPOILT:
        assert sum(line.startswith(expected) for line in found) == 1, (expected, found)
    assert len(found) == len(SPOILT)


def test_every_entry_has_the_hash_and_the_held_out_laws_of_its_recipe() -> None:
    for name, entry in read_manifest().items():
        point = recipe_point(name)
        assert entry["recipe"] == point.key, name
        assert entry["data"]["held_out_laws"] == [str(parse_source(law)) for law in point.settings["held_out_laws"]], (
            name
        )


def test_an_entry_of_before_keeps_the_held_out_laws_that_its_recipe_leaves_open(
    small_zoo: Path, small_recipes: Path
) -> None:
    recipes = yaml.safe_load(small_recipes.read_text())
    recipes["tags"]["uniform"] = ["uniform()"]
    small_recipes.write_text(yaml.safe_dump(recipes))
    assert "held_out_laws" not in recipe_point(NAME).settings
    assert not list(entry_differences(NAME, small_zoo))
    assert is_trained(NAME, small_zoo)


GONE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "checksum": (lambda e: e["file"].update(sha256="0" * 64), "was changed: sha256"),
    "architecture": (lambda e: e["arguments"].update(symmetry="free"), "tensors are not the model's"),
    "form": (lambda e: e.pop("metrics"), "metrics is missing"),
    "arguments": (lambda e: e["arguments"].update(nonsense=1), "do not fit the model"),
    "class": (lambda e: e.update({"class": "Exec"}), "class='Exec'"),
}


@pytest.mark.parametrize(("spoil", "expected"), GONE.values(), ids=GONE)
def test_what_cannot_be_loaded_is_one_line(
    small_zoo: Path, spoil: Callable[[dict[str, Any]], Any], expected: str
) -> None:
    change(small_zoo, spoil)
    (line,) = entry_differences(NAME, small_zoo)
    assert expected in line


def test_a_changed_or_forgotten_trajectory(small_zoo: Path) -> None:
    change(small_zoo, lambda e: e["trajectory"].update(sha256="0" * 64))
    (line,) = entry_differences(NAME, small_zoo)
    assert "was changed: sha256" in line
    change(small_zoo, lambda e: e.pop("trajectory"))
    assert list(entry_differences(NAME, small_zoo)) == ["trajectory is missing in the manifest"]


def test_another_best_member_is_found(small_zoo: Path) -> None:
    entry = find_entry(NAME, small_zoo)
    worst = max(range(3), key=lambda m: entry["validation_loss"][m])
    change(small_zoo, lambda e: e.update(best_member=worst))
    found = list(entry_differences(NAME, small_zoo))
    assert any(line == f"best_member is {entry['best_member']}, the manifest says {worst}" for line in found)


def test_other_weights_with_a_right_checksum_are_found(small_zoo: Path) -> None:
    path = small_zoo / f"{NAME}.safetensors"
    tensors = safetensors.torch.load_file(path)
    first = next(iter(tensors))
    tensors[first] = tensors[first] * 1.001
    content = safetensors.torch.save(tensors)
    path.write_bytes(content)
    change(small_zoo, lambda e: e["file"].update(sha256=hashlib.sha256(content).hexdigest()))
    found = list(entry_differences(NAME, small_zoo))
    assert any("check.outputs" in line for line in found)
    assert any("metrics" in line for line in found)
    assert any("after the last epoch are not the final ones" in line for line in found)


def test_one_line_a_difference_and_exit_code_1(small_zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(small_zoo, lambda e: scale(e["metrics"][LAW]["mse"], "best"))
    assert main(["zoo", "verify", NAME, "--folder", str(small_zoo)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{NAME}: metrics.{LAW}.mse.best is ")
    assert last == "1 entries, 1 differences"


def test_files_and_recipes_without_an_entry(small_zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(small_zoo / f"{NAME}.safetensors", small_zoo / "stray.safetensors")
    entries = read_manifest(small_zoo)
    write_manifest(small_zoo / "manifest.json", {NAME: entries[NAME]})
    assert verify([], small_zoo) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "stray.safetensors: belongs to no entry of the manifest" in lines
    assert f"{SMALL[1]}: is missing in the manifest" in lines
    assert f"{NAME}: as the manifest says" in lines


def test_a_missing_file_is_a_difference(small_zoo: Path) -> None:
    (small_zoo / f"{NAME}.safetensors").unlink()
    (line,) = entry_differences(NAME, small_zoo)
    assert "cannot be read" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nonsense.uniform"], "not a pretrained model"),
        (["--folder", "/nowhere"], "cannot be read"),
        (["--nonsense"], "unrecognized"),
    ],
)
def test_bad_input(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "verify", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
