"""Activations and laws of one's own that break their contract: one line that names the class, before anything is trained."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from renorm.cli import main
from renorm.datamodules import CLTDataModule, laws
from renorm.datamodules.laws import base as law_base
from renorm.zoo import GNN, MLP, Activation, activations

CUMULANTS = [Fraction(0), Fraction(1), Fraction(0), Fraction(0)]
FORWARDS: dict[str, tuple[Callable[..., Any], str]] = {
    "shape": (
        lambda z: z[..., :1],
        r"turns shape \(1, 8, (1, )?4\) into shape \(1, 8, (1, )?1\); allowed: the same shape",
    ),
    "sum": (lambda z: z.sum(), r"turns shape \(.*\) into shape \(\); allowed: the same shape"),
    "number": (lambda z: 1.0, r"returns a float; allowed: a tensor"),
    "nothing": (lambda z: None, r"returns a NoneType; allowed: a tensor"),
    "dtype": (lambda z: z.half(), r"turns torch.float32 into torch.float16; allowed: the same precision"),
    "raises": (lambda z: z @ z, r"fails on shape \(.*\): RuntimeError: .*; allowed: one that acts on"),
    "name": (lambda z: z.no_such, r"fails on shape \(.*\): AttributeError: .*; allowed: one that acts on"),
}
LAWS: dict[str, tuple[dict[str, Any], str]] = {
    "no_cumulants": ({"exact_cumulants": None}, "has no exact_cumulants; allowed: a class with"),
    "no_draw": ({"draw": None}, "has no draw; allowed: a class with"),
    "too_many": (
        {"exact_cumulants": lambda self, order: CUMULANTS},
        r"\(2\) returned 4 cumulants; allowed: at most 2",
    ),
    "too_few": (
        {"exact_cumulants": lambda self, order: CUMULANTS[:1], "support": lambda self: (-1.0, 1.0)},
        r"exact_cumulants\(2\) returned 1 cumulants, though the law is bounded; allowed: 2",
    ),
    "shuffled": ({"exact_cumulants": lambda self, order: [*range(5)][-order:]}, "allowed: one beginning for both"),
    "one_number": (
        {"exact_cumulants": lambda self, order: 0},
        r"exact_cumulants\(2\) returned 0; allowed: a list of numbers",
    ),
    "words": ({"exact_cumulants": lambda self, order: ["a", "b"]}, "allowed: a list of numbers"),
    "negative": (
        {"exact_cumulants": lambda self, order: [0, -1, 0, 0][:order]},
        "a variance of -1; allowed: 0 or more",
    ),
    "nan": ({"exact_cumulants": lambda self, order: [0, float("nan")]}, "allowed: a list that ends before"),
    "fails": (
        {"exact_cumulants": lambda self, order: 1 / 0},
        "fails with ZeroDivisionError: division by zero; allowed",
    ),
    "draw_shape": ({"draw": lambda self, x, generator: x[0].zero_()}, r"draw returned shape \(2,\)"),
    "draw_dtype": ({"draw": lambda self, x, generator: x.zero_().half()}, r"draw returned shape .* torch.float16"),
    "draw_list": ({"draw": lambda self, x, generator: [1.0]}, "draw returned a list; allowed: a tensor"),
}
GOOD = {
    "draw": lambda self, x, generator: x.normal_(generator=generator),
    "exact_cumulants": lambda self, order: CUMULANTS[:order],
}


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """Classes of a test end with it."""
    known = dict(activations.REGISTRY), dict(law_base.REGISTRY)
    yield
    for registry, before in zip((activations.REGISTRY, law_base.REGISTRY), known, strict=True):
        registry.clear()
        registry.update(before)


def own_activation(forward: Callable[..., Any]) -> None:
    def method(self: Activation, z: Tensor) -> Any:
        return forward(z)

    type("Broken", (Activation,), {"name": "broken", "forward": method})


def own_law(methods: dict[str, Any]) -> None:
    kept = {name: method for name, method in (GOOD | methods).items() if method is not None}
    dataclasses.dataclass(frozen=True)(type("Broken", (laws.Law,), {"name": "broken", "__module__": __name__} | kept))


@pytest.mark.parametrize("build", [MLP, GNN])
@pytest.mark.parametrize(("forward", "says"), FORWARDS.values(), ids=FORWARDS)
def test_activations(build: Any, forward: Callable[..., Any], says: str) -> None:
    own_activation(forward)
    with pytest.raises(ValueError, match=f"^activation Broken {says}"):
        build(activation="broken")


@pytest.mark.parametrize(("methods", "says"), LAWS.values(), ids=LAWS)
def test_laws(methods: dict[str, Any], says: str) -> None:
    own_law(methods)
    for text in ("broken()", "mixture(0.5*broken() + 0.5*gaussian())"):
        with pytest.raises(ValueError, match=f"^law class Broken.*{says}") as refused:
            CLTDataModule(held_out_laws=[text])
        assert "\n" not in str(refused.value)


def test_what_keeps_to_its_contract_is_taken() -> None:
    own_law({})
    own_activation(torch.sin)
    assert str(CLTDataModule(train_laws=["broken()"]).train_laws[0]) == "broken()"
    assert MLP(activation="broken").double()(torch.zeros(3, 2, dtype=torch.float64)).shape == (1, 3)
    own_law({"exact_cumulants": lambda self, order: CUMULANTS[: min(order, 1)]})  # no variance exists
    assert laws.parse("broken()").cumulants(2)[1].isnan()


@pytest.mark.parametrize("words", [["--model.activation", "broken"], ["--data.train_laws", "broken()"]])
def test_from_the_command_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own_activation(lambda z: z[..., :1])
    own_law({"exact_cumulants": None})
    assert main(["fit", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search("(activation|law class) Broken", line)
    assert list(tmp_path.iterdir()) == []
