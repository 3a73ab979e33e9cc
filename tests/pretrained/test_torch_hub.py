"""``torch.hub.load(path, ..., source="local")`` from the root of a checkout."""

from __future__ import annotations

import runpy
from importlib.util import find_spec
from inspect import isfunction
from pathlib import Path

import pytest
import torch

from renorm.pretrained.hub import load_pretrained
from renorm.pretrained.manifest import pretrained_names

ROOT = str(Path(__file__).parent.parent.parent)
NAME = "mlp_quadratic_full.uniform"


@pytest.mark.parametrize("entry", ["renorm", "load_pretrained"])
def test_a_model(entry: str) -> None:
    x = torch.randn(100, 2)
    for options in ({}, {"members": "all"}, {"epoch": 7}):
        model = torch.hub.load(ROOT, entry, NAME, source="local", **options)
        assert torch.equal(model(x), load_pretrained(NAME, **options)(x))


def test_names_and_help() -> None:
    assert torch.hub.load(ROOT, "list_models", source="local") == pretrained_names()
    assert torch.hub.load(ROOT, "list_models", "mlp_relu_free.*", source="local")[0] == "mlp_relu_free.uniform"
    found = runpy.run_path(f"{ROOT}/hubconf.py")
    entries = {name for name, value in found.items() if isfunction(value) and not name.startswith("_")}
    assert entries == {"renorm", "load_pretrained", "list_models"}
    assert "LightningModule" in found["renorm"].__doc__
    assert all(find_spec(package) for package in found["dependencies"])


def test_a_wrong_name() -> None:
    with pytest.raises(ValueError, match="not a pretrained model"):
        torch.hub.load(ROOT, "renorm", "mlp_nonsense.uniform", source="local")
