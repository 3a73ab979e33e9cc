"""The file of a sweep: a model, settings and axes, and the points that follow from them."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.untrusted import read_yaml
from ..runs.configs import CONFIGS
from ..zoo.registry import PREFIXES, find_variant

KEYS = ("model", "settings", "axes", "points")
# settings of training; all others are arguments of the model or of the data
TRAINING: dict[str, Any] = {"steps": 3000, "lr": 0.01, "optimizer": "Adam"}
OPTIMIZERS = ("Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "SGD")
# set by the sweep itself
NOT_SETTINGS = (
    "self",
    "kwargs",
    "activation_parameters",
    "optimizer",
    "lr_scheduler",
    "lr_scheduler_interval",
    "members",
)
STACKED = ("alpha", "negative_slope", "symmetry_penalty")  # axes that become the grid of one fit


@dataclass(frozen=True)
class Point:
    """One fit: a stack of members at one choice of what cannot be stacked.

    Attributes:
        model: name of an architecture, ``MLP``, ``GNN`` or one of your own.
        settings: all that was set, by name.
        axes: those of them that the sweep varies.
    """

    model: str
    settings: dict[str, Any]
    axes: dict[str, Any]

    @property
    def key(self) -> str:
        """Hash of model and settings: equal for equal fits, in whatever sweep they are."""
        return digest({"model": self.model, **_with_default_laws(self.settings)})

    @property
    def cost(self) -> float:
        """Estimate of the work, to start the largest points first: steps x blocks x members x weights."""
        own = self.settings
        grid = [len(own[name]) for name in STACKED if isinstance(own.get(name), list)]
        width, depth = _at_least(own.get("width"), 8), _at_least(own.get("depth"), 1)
        members = _at_least(own.get("replicas"), 1) * math.prod(grid)
        variables = _at_least(own.get("block_size"), 2)
        weights = width * (variables + 1 + width * (depth - 1)) * (variables if self.model == "GNN" else 1)
        return float(_at_least(own.get("steps"), TRAINING["steps"]) * (200 + members * weights))


def _with_default_laws(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they are hashed: with the held-out laws of today's default, and without those of the default of before.

    Hashes of before thus hold, for settings that name these laws, and its results are not mixed with those of today.
    """
    from ..datamodules.held_out import DEFAULT_HELD_OUT_LAWS, are_the_seven

    named = settings.get("held_out_laws")
    if named is None:
        return settings | {"held_out_laws": DEFAULT_HELD_OUT_LAWS}
    if are_the_seven(settings.get("train_laws") or [], named):
        return {key: value for key, value in settings.items() if key != "held_out_laws"}
    return settings


@dataclass(frozen=True)
class Sweep:
    """A whole sweep.

    Attributes:
        name: the file's name without ending.
        axes: names of the axes in the order of the file; those that are stacked at the end.
        points: its points.
    """

    name: str
    axes: list[str]
    points: list[Point]

    @property
    def digest(self) -> str:
        """Hash of all points."""
        return digest([point.key for point in self.points])


def digest(content: Any) -> str:
    """A short hash of numbers, strings, lists and dicts, whatever the order of keys.

    Example:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def sweep_names() -> dict[str, Path]:
    """Name and path of every sweep that comes with renorm."""
    return {path.stem: path for path in sorted((CONFIGS / "sweep").glob("*.yaml"))}


def read_sweep(name: str) -> Sweep:
    """Read a sweep's file.

    Args:
        name: a path, or the name of a sweep that comes with renorm.

    Raises:
        ValueError: for a file that is not a sweep, naming what is wrong and what is allowed.
    """
    known = sweep_names()
    path = Path(name) if Path(name).is_file() else known.get(name.removesuffix(".yaml").rpartition("/")[2])
    if path is None:
        raise InputError(f"config={name!r} is neither a file nor a known sweep", f"a YAML file, {', '.join(known)}")
    return parse_sweep(read_yaml(path, f"config={name!r}"), path.stem)


def parse_sweep(content: Any, name: str = "sweep") -> Sweep:
    """The sweep that a file's content describes.

    Args:
        content: a mapping with ``model``, ``settings``, and ``axes`` or ``points`` or both.
        name: name of the sweep.

    Raises:
        ValueError: for anything that is not a sweep.

    Example:
        >>> sweep = parse_sweep({"model": "MLP", "axes": {"width": [4, 8], "negative_slope": [0.1, 0.9]}})
        >>> [point.settings for point in sweep.points]
        [{'width': 4, 'negative_slope': [0.1, 0.9]}, {'width': 8, 'negative_slope': [0.1, 0.9]}]
    """
    if not isinstance(content, dict) or "model" not in content or not content.keys() <= set(KEYS):
        raise InputError(f"config={name!r} is not a sweep", "model, and of settings, axes and points what it needs")
    settings, axes = _mapping(content, "settings"), _mapping(content, "axes")
    points = content.get("points", [{}])
    if not isinstance(points, list) or not points or not all(isinstance(point, dict) for point in points):
        raise InputError(f"points={points!r} is not a list of points", "mappings from settings to values")
    for axis, values in axes.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"axes.{axis}={values!r} is empty or not a list", "a list of one or more values")
        if len({json.dumps(value) for value in values}) < len(values):
            raise InputError(f"axes.{axis}={values!r} has a value twice", "distinct values")
    cls, fixed = _model(str(content["model"]))
    varied = list(dict.fromkeys([*(key for point in points for key in point), *axes]))
    allowed = known_settings(cls)
    for key in [*settings, *varied]:
        if key not in allowed:
            raise InputError(f"{key}={_where(key, settings, axes)} is unknown", ", ".join(allowed))
    _check_contradictions(content["model"], fixed, settings, axes, points)
    expanded = []
    stacked = {axis: values for axis, values in axes.items() if axis in STACKED}
    free = {axis: values for axis, values in axes.items() if axis not in STACKED}
    for point in points:
        for combination in itertools.product(*free.values()):
            own = point | dict(zip(free, combination, strict=True))
            expanded.append(Point(cls, fixed | settings | own | stacked, own))
    keys = [point.key for point in expanded]
    if len(set(keys)) < len(keys):
        raise InputError(f"points={points!r} have one twice", "distinct points")
    return Sweep(name, [*(key for key in varied if key not in stacked), *stacked], expanded)


def _mapping(content: dict[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{key}={value!r} is not a mapping", "settings and their values")
    return value


def _model(name: str) -> tuple[str, dict[str, Any]]:
    from ..zoo.architectures import architectures, known_names

    if name in architectures():
        return name, {}
    if not name.startswith(PREFIXES):
        raise InputError(f"model={name!r} is unknown", f"{known_names()}, or a name of 'renorm zoo list'")
    variant = find_variant(name)
    return variant.class_path.rpartition(".")[2], dict(variant.arguments)


def _check_contradictions(
    model: str, fixed: dict[str, Any], settings: dict[str, Any], axes: dict[str, Any], points: list[dict[str, Any]]
) -> None:
    from ..zoo.architectures import known_names

    for axis in [*axes, *(key for point in points for key in point)]:
        if axis in settings:
            raise InputError(f"axes.{axis} contradicts settings.{axis}={settings[axis]!r}", "one of the two")
        if axis in fixed:
            raise InputError(
                f"axes.{axis} contradicts model={model!r}, which has {axis}={fixed[axis]!r}", known_names()
            )
    for key in settings.keys() & fixed.keys():
        raise InputError(f"settings.{key}={settings[key]!r} contradicts model={model!r}", f"{key}={fixed[key]!r}")
    for point in points:
        for key in point.keys() & axes.keys():
            raise InputError(f"points has {key}={point[key]!r}, which is also in axes", "one of the two")


def _where(key: str, settings: dict[str, Any], axes: dict[str, Any]) -> str:
    return repr(settings.get(key, axes.get(key, "...")))


def known_settings(model: str) -> list[str]:
    """Names of all settings of a sweep over an architecture."""
    from ..datamodules import CLTDataModule
    from ..zoo import StackedModel
    from ..zoo.activations import keywords
    from ..zoo.architectures import architectures

    names = dict.fromkeys(TRAINING)
    chain = architectures()[model].__mro__  # a class passes further arguments to its base
    for cls in (*chain[: chain.index(StackedModel) + 1], CLTDataModule):
        names |= dict.fromkeys(name for name in inspect.signature(cls).parameters if name not in NOT_SETTINGS)
    return list(names | dict.fromkeys(keywords()))


def _at_least(value: Any, default: int) -> int:
    """A size for the estimate of a cost; nonsense is refused elsewhere."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default


def by_size(points: list[Point]) -> list[Point]:
    """The largest first; equal ones stay in order."""
    return sorted(points, key=lambda point: -point.cost)
