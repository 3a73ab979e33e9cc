"""How each pretrained entry is trained: a variant, the settings of its tag, and the settings that all entries share.

The recipes of the package are in ``zoo/pretrained/recipes.yaml``. A folder that has a ``recipes.yaml`` of its own is a zoo of
its own, which ``renorm zoo train --out`` trains and ``renorm zoo verify --folder`` checks by those recipes.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checks import check_one_of
from ..datamodules.held_out import are_the_seven
from ..errors import InputError
from ..files.untrusted import read_yaml
from ..sweep.config import Point, known_settings
from ..zoo.registry import find_variant
from .manifest import FOLDER, NAME, unknown

FILE = FOLDER / "recipes.yaml"
KEYS: dict[str, type[Any]] = {"settings": dict, "tags": dict, "trajectories": list, "models": list}
KINDS: dict[type[Any], str] = {dict: "mapping", list: "list"}
ALWAYS = {"seed": 0, "compile": False}  # unless a recipe sets them: the same machine must give the same bits


def has_own_recipes(folder: Path) -> bool:
    """Whether a folder has recipes that are not the package's."""
    own = folder / FILE.name
    return own.is_file() and own.resolve() != FILE.resolve()


def read_recipes(folder: Path | None = None) -> dict[str, Any]:
    """``settings``, ``tags``, ``trajectories`` and ``models``.

    Args:
        folder: a zoo; its own ``recipes.yaml`` is read where it has one, else the package's.

    Raises:
        ValueError: where the file is not one of recipes.
    """
    path = FILE if folder is None or not has_own_recipes(folder) else folder / FILE.name
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise InputError(f"recipes={str(path)!r} cannot be read ({error.strerror or error})") from None


@functools.lru_cache(maxsize=4)  # asked for every entry, and slow to parse
def _parsed(path: Path, changed: int) -> dict[str, Any]:
    what = f"recipes={str(path)!r}"
    content = read_yaml(path, what)
    if not isinstance(content, dict) or not content.keys() <= KEYS.keys() or not content.keys() >= {"tags", "models"}:
        raise InputError(f"{what} is not a file of recipes", "tags and models, and settings and trajectories if needed")
    recipes = {key: content.get(key, kind()) for key, kind in KEYS.items()}
    for key, kind in KEYS.items():
        if not isinstance(recipes[key], kind):
            raise InputError(f"{what}: {key}={recipes[key]!r} is not a {KINDS[kind]}", f"a {KINDS[kind]}")
    for name in recipes["models"]:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(f"{what}: models has {name!r}", "names arch.tag, such as mlp_relu_free.uniform")
    return recipes


def recipe_point(name: str, folder: Path | None = None) -> Point:
    """The fit that an entry comes from.

    Args:
        name: ``arch.tag``.
        folder: a zoo, see :func:`read_recipes`.

    Raises:
        ValueError: for a name that has no recipe, with the closest ones, and for settings that do not exist or that
            contradict the variant.

    Example:
        >>> point = recipe_point("mlp_quadratic_free.uniform")
        >>> point.settings["symmetry"], point.settings["train_laws"], point.settings["steps"]
        ('free', ['uniform()'], 3000)
    """
    recipes = read_recipes(folder)
    if name not in recipes["models"]:
        raise InputError(unknown(name, recipes["models"]))
    architecture, _, tag = name.partition(".")
    variant = find_variant(architecture)
    model = variant.class_path.rpartition(".")[2]
    asked = recipes["settings"] | _tag_settings(recipes["tags"], tag)
    for key, value in asked.items():
        check_one_of(f"recipe of {name}: setting", key, known_settings(model))
        if variant.arguments.get(key, value) != value:
            raise InputError(f"recipe of {name}: {key}={value!r} contradicts {architecture}", variant.arguments[key])
    return Point(model, ALWAYS | asked | variant.arguments, {})


def kept_point(name: str, entry: dict[str, Any], folder: Path | None = None) -> Point:
    """The fit that an entry came from, whose held-out laws may be the default of before.

    Args:
        name: ``arch.tag``.
        entry: what the manifest has of it.
        folder: a zoo, see :func:`read_recipes`.

    Raises:
        ValueError: as :func:`recipe_point` does.
    """
    point = recipe_point(name, folder)
    laws = entry["data"].get("held_out_laws")
    if "held_out_laws" in point.settings or not are_the_seven(point.settings.get("train_laws") or [], laws):
        return point
    return replace(point, settings=point.settings | {"held_out_laws": laws})


def _tag_settings(tags: dict[str, Any], tag: str) -> dict[str, Any]:
    """What a tag sets: a list stands for the laws that are trained on, a mapping for any settings of a sweep.

    Example:
        >>> _tag_settings({"uniform": ["uniform()"]}, "uniform")
        {'train_laws': ['uniform()']}
        >>> _tag_settings({"gumbel": {"map": "maximum()", "train_laws": ["gumbel()"]}}, "gumbel")
        {'map': 'maximum()', 'train_laws': ['gumbel()']}
    """
    check_one_of("tag", tag, tags)
    content = tags[tag]
    if isinstance(content, list):
        return {"train_laws": content}
    if not isinstance(content, dict):
        raise InputError(
            f"tags.{tag}={content!r} is not a list or a mapping", "laws, or settings such as map: maximum()"
        )
    return content
