"""Every example in a docstring runs."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import pkgutil
from unittest import mock

import pytest
import torch

import renorm
from renorm.datamodules.block_sources import BlockSource
from renorm.datamodules.laws import Law
from renorm.maps import BlockMap

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
    with contextlib.ExitStack() as examples:
        for family in (
            Law,
            BlockSource,
            BlockMap,
        ):  # an example's class does not outlive it: later tests list all classes
            examples.enter_context(mock.patch.dict(family.registry))
        result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE, extraglobs={"torch": torch})
    assert result.failed == 0
