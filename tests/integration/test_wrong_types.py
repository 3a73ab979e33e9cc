"""The functions of ``renorm`` itself, called with what they cannot use: one clear line each, which names the argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

import renorm
from renorm.zoo import MLP

WRONG: list[Any] = [None, 5, 1.5, b"x", object(), [1], {"a": 1}, nn.Linear(2, 1)]
MODEL = MLP()
NAMES = [name for name in renorm.__all__ if callable(getattr(renorm, name))]

CALLS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("certify", "model"): lambda value: renorm.certify(value),
    ("create_model", "model"): lambda value: renorm.create_model(value),
    ("create_model", "width"): lambda value: renorm.create_model("mlp_relu_free", width=value),
    ("evaluate", "model"): lambda value: renorm.evaluate(value, ["gaussian()"]),
    ("evaluate", "law"): lambda value: renorm.evaluate(MODEL, 5 if value is None else value),
    ("evaluate", "samples"): lambda value: renorm.evaluate(MODEL, "gaussian()", samples="4" if value == 5 else value),
    ("evaluate", "seed"): lambda value: renorm.evaluate(MODEL, "gaussian()", 4, seed="4" if value == 5 else value),
    ("list_models", "pattern"): lambda value: renorm.list_models(5 if value is None else value),
    ("load_pretrained", "name"): lambda value: renorm.load_pretrained(value),
    ("load_pretrained", "members"): lambda value: renorm.load_pretrained("mlp_quadratic_free.uniform", value),
    ("load_pretrained", "epoch"): lambda value: renorm.load_pretrained(
        "mlp_quadratic_free.uniform", epoch="1" if value is None else value
    ),
    ("load_pretrained", "folder"): lambda value: renorm.load_pretrained("mlp_quadratic_free.uniform", folder=value),
    ("plot_map", "model"): lambda value: renorm.plot_map(value),
    ("plot_map", "law"): lambda value: renorm.plot_map(MODEL, 5 if value is None else value),
    ("plot_map", "span"): lambda value: renorm.plot_map(MODEL, span=value),
    ("plot_map", "members"): lambda value: renorm.plot_map(MODEL, members=5 if value is None else value),
    ("stack", "make"): lambda value: renorm.stack(value, 2, 2),
    ("stack", "members"): lambda value: renorm.stack(lambda: nn.Linear(2, 1), "4" if value == 5 else value, 2),
    ("stack", "block_size"): lambda value: renorm.stack(lambda: nn.Linear(2, 1), 2, "4" if value == 5 else value),
    ("plot_map", "ax"): lambda value: renorm.plot_map(MODEL, ax=5 if value is None else value),
}


def test_every_function_is_tried() -> None:
    assert {name for name, _ in CALLS} == set(NAMES)


@pytest.mark.parametrize(("function", "argument"), CALLS, ids=[".".join(call) for call in CALLS])
@pytest.mark.parametrize("value", WRONG, ids=lambda value: type(value).__name__)
def test_a_wrong_type_is_refused_in_a_line(function: str, argument: str, value: Any) -> None:
    if argument == "width" and (value == 5 or isinstance(value, nn.Module)):  # of which Lightning warns
        value = "5"
    with pytest.raises(ValueError, match=rf"\b{argument}s?\b.*; (allowed|it takes)") as refused:
        CALLS[function, argument](value)
    assert "\n" not in str(refused.value)
    assert "held_out_laws" not in str(refused.value)


@pytest.mark.parametrize("laws", [["gaussian", "gaussian()"], ["uniform", "gaussian", "gaussian"], ["gaussian"] * 3])
def test_a_law_given_twice_is_named_as_it_was_given(laws: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^laws='gaussian\(mean=0, std=1\)' is listed twice; allowed: each law once$"):
        renorm.evaluate(MODEL, laws)


def test_models_that_are_no_stacks() -> None:
    for call in (lambda: renorm.evaluate(nn.Linear(2, 1), "gaussian"), lambda: renorm.plot_map(nn.Linear(2, 1))):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^model is of type Linear; allowed: a stack"):
            call()
