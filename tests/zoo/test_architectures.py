"""The registry of architectures: what is defined is found, by its path, or by its name where no other has it."""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from renorm.own_code import class_path
from renorm.zoo import GNN, MLP, ModuleStack, StackedModel
from renorm.zoo.architectures import architectures, find_architecture

ROOT = Path(__file__).parents[2]


def defined(module: str, name: str) -> type[StackedModel]:
    return type(name, (StackedModel,), {"__module__": module})


@pytest.fixture
def file_run_twice(tmp_path: Path) -> Iterator[list[str]]:
    """Two modules of one file, as a script that is run and that ``--import`` names."""
    names = ["first_run_of_a_test", "second_run_of_a_test"]
    for name in names:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__file__ = str(tmp_path / "one.py")
    yield names
    for name in names:
        del sys.modules[name]


def test_renorms_own_come_first() -> None:
    found = architectures()
    assert list(found)[:3] == ["MLP", "GNN", "ModuleStack"]
    assert [found[name] for name in ("MLP", "GNN", "ModuleStack")] == [MLP, GNN, ModuleStack]


@pytest.mark.parametrize("path", ["MLP", "renorm.zoo.MLP", "renorm.zoo.mlp.MLP"])
def test_renorms_own_are_found_by_every_path_of_theirs(path: str) -> None:
    assert find_architecture(path) is MLP


def test_what_is_defined_is_known() -> None:
    assert find_architecture("mine.OnlyOneOfThisTest") is None
    cls = defined("mine", "OnlyOneOfThisTest")
    assert architectures()["OnlyOneOfThisTest"] is cls
    for path in ("mine.OnlyOneOfThisTest", "__main__.OnlyOneOfThisTest", "OnlyOneOfThisTest"):
        assert find_architecture(path) is cls
    assert find_architecture("renorm.zoo.OnlyOneOfThisTest") is None


def test_subclasses_of_subclasses_are_known() -> None:
    class Narrow(MLP):
        pass

    assert find_architecture(class_path(Narrow)) is Narrow


def test_two_classes_of_one_name_are_told_apart_by_their_path() -> None:
    one, other = defined("one", "TwiceInThisTest"), defined("other", "TwiceInThisTest")
    assert find_architecture("one.TwiceInThisTest") is one
    assert find_architecture("other.TwiceInThisTest") is other
    with pytest.raises(ValueError, match=r"several classes; allowed: one\.TwiceInThisTest, other\.TwiceInThisTest"):
        find_architecture("third.TwiceInThisTest")


def test_one_file_that_ran_twice_has_one_class(file_run_twice: list[str]) -> None:
    _, last = (defined(module, "RunTwiceInThisTest") for module in file_run_twice)
    assert find_architecture("__main__.RunTwiceInThisTest") is last


def test_nobody_else_has_a_table_of_architectures() -> None:
    """No other module holds both names in one literal."""
    homes = {"stack.py", "architectures.py", "__init__.py"}
    for folder in ("src", "zoo", "callbacks", "cumulants", "datamodules"):
        for file in (ROOT / folder).glob("**/*.py"):
            text = file.read_text()
            for node in ast.walk(ast.parse(text)) if '"GNN"' in text and file.name not in homes else ():
                if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict):
                    parts = node.keys if isinstance(node, ast.Dict) else node.elts
                    assert not {"MLP", "GNN"} <= {p.value for p in parts if isinstance(p, ast.Constant)}, file
