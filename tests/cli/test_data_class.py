"""Which class a command takes its data from: what is defined is found as architectures are, and nothing else by its name."""

from __future__ import annotations

import pytest
from lightning.pytorch import LightningDataModule

from renorm.cli.data_class import find_data_class
from renorm.datamodules import CLTDataModule


def defined(module: str, name: str) -> type[LightningDataModule]:
    return type(name, (CLTDataModule,), {"__module__": module})


def test_a_class_is_found_by_its_path_or_by_its_name() -> None:
    cls = defined("mine", "RowsOfThisTest")
    for path in ("mine.RowsOfThisTest", "__main__.RowsOfThisTest", "RowsOfThisTest"):
        assert find_data_class(path, everything=False) is cls
    assert find_data_class(None, everything=False) is CLTDataModule


def test_a_class_of_the_same_name_in_another_module_is_not_meant() -> None:
    cls = defined("mine", "OtherRowsOfThisTest")
    with pytest.raises(
        ValueError, match=r"^data='typo.OtherRowsOfThisTest' is not imported; allowed: .*mine.OtherRows"
    ):
        find_data_class("typo.OtherRowsOfThisTest", everything=False)
    assert find_data_class("OtherRowsOfThisTest", everything=False) is cls


def test_a_name_of_two_classes_is_refused_and_their_paths_are_not() -> None:
    one, other = defined("one", "TwiceRowsOfThisTest"), defined("other", "TwiceRowsOfThisTest")
    for path in ("TwiceRowsOfThisTest", "__main__.TwiceRowsOfThisTest"):
        with pytest.raises(ValueError, match=r"is the name of several classes; allowed: one\.Twice.*, other\.Twice"):
            find_data_class(path, everything=False)
    assert find_data_class("one.TwiceRowsOfThisTest", everything=False) is one
    assert find_data_class("other.TwiceRowsOfThisTest", everything=False) is other
