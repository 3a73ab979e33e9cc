"""A zoo of two entries that trains in no time, with recipes of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from renorm.pretrained import recipes
from renorm.pretrained.manifest import FOLDER
from renorm.pretrained.train import train_entry

SMALL = ("mlp_quadratic_full.uniform", "gnn_graph_conv_linear_full.mixed")  # the first has a trajectory
SIZES = {"replicas": 3, "steps": 12, "steps_per_epoch": 4, "val_samples": 64, "test_samples": 128}


@pytest.fixture
def small_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recipes of the small zoo, in the place of the package's; a file that may be changed."""
    return use_recipes(tmp_path, monkeypatch)


def use_recipes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    content = yaml.safe_load((FOLDER / "recipes.yaml").read_text())
    content["settings"] |= SIZES
    content |= {"models": list(SMALL), "trajectories": list(SMALL[:1])}
    path = folder / "recipes.yaml"
    path.write_text(yaml.safe_dump(content))
    monkeypatch.setattr(recipes, "FILE", path)
    return path


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small zoo, for tests that only read it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_recipes(tmp_path_factory.mktemp("recipes"), monkeypatch)
        folder = tmp_path_factory.mktemp("small_zoo")
        for name in SMALL:
            train_entry(name, folder)
    return folder


@pytest.fixture
def small_zoo(trained_once: Path, small_recipes: Path, tmp_path: Path) -> Path:
    """A copy of the small zoo, to be spoilt at will."""
    shutil.copytree(trained_once, tmp_path / "zoo")
    return tmp_path / "zoo"
