"""Checks of arguments: ranges, names, and hyperparameters that a checkpoint can hold."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from .errors import InputError


def primitive(name: str, value: Any) -> Any:
    """Turn a hyperparameter into numbers, strings, lists and dicts.

    Raises:
        ValueError: for anything that a checkpoint could not hold safely.

    Example:
        >>> import torch
        >>> primitive("negative_slope", torch.tensor([0.5, 1.0]))
        [0.5, 1.0]
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list | tuple):
        return [primitive(name, v) for v in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: primitive(name, v) for key, v in value.items()}
    what = " ".join(repr(value).split())  # one line, also for a module that prints over several
    raise InputError(f"{name}={what} is a {type(value).__name__}", "numbers, strings, lists and dicts of them")


def described(value: Any) -> str:
    """What a user's own code gave, for a message: the shape of a tensor, or the type of anything else.

    Example:
        >>> import torch
        >>> described(torch.zeros(2, 3)), described([1])
        ('shape (2, 3)', 'a list')
    """
    from torch import Tensor  # only where something is wrong: lists of models need no PyTorch

    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def check_tensor(name: str, value: Any, axes: int = 0) -> None:
    """Refuse what is no tensor, such as an array or a list, and one of fewer axes.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> check_tensor("x", [1.0])
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: x is of type list; allowed: Tensor, as torch.as_tensor(x) makes
    """
    from torch import Tensor

    if not isinstance(value, Tensor):
        raise InputError(f"{name} is of type {type(value).__name__}", f"Tensor, as torch.as_tensor({name}) makes")
    if value.ndim < axes:
        raise InputError(f"{name} has shape {tuple(value.shape)}", f"{axes} axes or more")


def check_tensors(name: str, values: Any, allowed: str = "a list of tensors") -> None:
    """Refuse what is no list of tensors.

    Args:
        name: of the argument.
        values: it.
        allowed: for the message.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> check_tensors("joint", [1.0])
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: joint is a list that does not hold tensors; allowed: a list of tensors
    """
    from torch import Tensor

    if not isinstance(values, list | tuple):
        raise InputError(f"{name} is of type {type(values).__name__}", allowed)
    if not all(isinstance(value, Tensor) for value in values):
        raise InputError(f"{name} is a {type(values).__name__} that does not hold tensors", allowed)


def check_at_least(name: str, value: int, low: int) -> None:
    """Raise a ValueError unless ``value`` is a whole number and at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise InputError(f"{name}={value!r} is out of range", f"whole numbers >= {low}")


def check_one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raise a ValueError unless ``value`` is one of ``allowed``."""
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name}={value!r} is unknown", ", ".join(allowed))


def check_bool(name: str, value: bool) -> None:
    """Raise a ValueError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise InputError(f"{name}={value!r} is unknown", "True, False")


def did_you_mean(name: str, known: Iterable[str], most: int = 3, cutoff: float = 0.6) -> str:
    """A hint at the known names that are closest to an unknown one, empty where none is close.

    Args:
        name: the unknown one.
        known: all others.
        most: so many in the hint.
        cutoff: least similarity, from 0 to 1.

    Example:
        >>> did_you_mean("tast", ["test", "fit"])
        "; did you mean 'test'?"
    """
    close = difflib.get_close_matches(name, list(known), n=most, cutoff=cutoff)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
