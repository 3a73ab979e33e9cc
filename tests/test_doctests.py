"""Every example in a docstring runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import torch

import renorm

MODULES = [
    module.name for module in pkgutil.walk_packages(renorm.__path__, "renorm.") if not module.name.endswith("__main__")
]


def test_all_modules_are_found() -> None:
    assert {"renorm.cli.main", "renorm.zoo.mlp", "renorm.datamodules.laws", "renorm.cumulants", "renorm.callbacks"} <= {
        *MODULES
    }


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    torch.manual_seed(0)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE, extraglobs={"torch": torch})
    assert result.failed == 0
