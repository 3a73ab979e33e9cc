"""How each pretrained entry is trained: a variant, the laws of its tag, and the settings that all share."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ..files.untrusted import read_yaml
from ..sweep.config import Point
from ..zoo.registry import find_variant
from .manifest import FOLDER, unknown

FILE = FOLDER / "recipes.yaml"


def read_recipes() -> dict[str, Any]:
    """``settings``, ``tags``, ``trajectories`` and ``models``, from the package's own file."""
    content: dict[str, Any] = read_yaml(FILE, FILE.name)
    return content


def recipe_point(name: str) -> Point:
    """The fit that an entry comes from.

    Raises:
        ValueError: for a name that has no recipe, with the closest ones.

    Example:
        >>> point = recipe_point("mlp_quadratic_free.uniform")
        >>> point.settings["symmetry"], point.settings["train_laws"], point.settings["steps"]
        ('free', ['uniform()'], 3000)
    """
    recipes = read_recipes()
    if name not in recipes["models"]:
        raise InputError(unknown(name, recipes["models"]))
    architecture, _, tag = name.partition(".")
    variant = find_variant(architecture)
    settings = recipes["settings"] | variant.arguments | {"train_laws": recipes["tags"][tag]}
    return Point(variant.class_path.rpartition(".")[2], settings, {})
