"""Where a run's settings come from: configs found by name, the registry, and what a checkpoint remembers."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from .zoo.registry import find_variant, list_models

if TYPE_CHECKING:
    from .zoo.base import StackedModel

CONFIGS = Path(__file__).resolve().parent / "configs"
BASE_CONFIG = CONFIGS / "base.yaml"
NO_FITS = ("sweep", "claims")  # folders of configs that 'renorm fit' does not read
RECIPE_KEY = "renorm"  # of a checkpoint


def config_names() -> dict[str, Path]:
    """Name and path of every config of a fit that comes with renorm, ``base`` aside."""
    return {path.stem: path for path in sorted(CONFIGS.glob("*/*.yaml")) if path.parent.name not in NO_FITS}


def find_config(name: str) -> str:
    """A config's path, or its content where it is a registered model's.

    Args:
        name: a path, the name of a config that comes with renorm, or a registered model.

    Raises:
        ValueError: where there is none, with the closest names.
    """
    if Path(name).is_file():
        return _checked(name)
    configs = config_names()
    stem = name.removesuffix(".yaml").rpartition("/")[2]
    if stem in configs and str(configs[stem]).removesuffix(".yaml").endswith(name.removesuffix(".yaml")):
        return str(configs[stem])
    models = list_models()
    if name in models:
        variant = find_variant(name)
        return json.dumps({"model": {"class_path": variant.class_path, "init_args": variant.arguments}})
    close = difflib.get_close_matches(name, [*configs, *models], n=3)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise ValueError(
        f"config={name!r} is neither a file nor a known name; allowed: a YAML file, {', '.join(configs)}, "
        f"or a model of 'renorm zoo list'{hint}"
    )


def _checked(path: str) -> str:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"config={path!r} is no valid YAML ({reason})") from None
    if not isinstance(content, dict):
        raise ValueError(f"config={path!r} is no config; allowed: keys and values such as 'model:'")
    return path


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that renorm wrote; nothing in it is executed.

    Raises:
        ValueError: where it is missing, truncated, or not one of renorm's.
    """
    if not path.is_file():
        raise ValueError(f"ckpt_path={str(path)!r} is no file; allowed: a checkpoint that 'renorm fit' wrote")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a file of another kind the unpickler fails in any way it can
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise ValueError(f"ckpt_path={str(path)!r} is no whole checkpoint ({reason})") from None
    if not isinstance(checkpoint, dict) or RECIPE_KEY not in checkpoint:
        raise ValueError(f"ckpt_path={str(path)!r} was not written by renorm; allowed: checkpoints of 'renorm fit'")
    return checkpoint


def recipe_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The settings of model and data that a checkpoint was trained with, in the form of a config."""
    recipe = checkpoint[RECIPE_KEY]["recipe"]
    return {"model": recipe["model"], "data": recipe["data"]}


def load_model(path: Path) -> StackedModel:
    """The model of a checkpoint, with its weights, on the CPU.

    Raises:
        ValueError: where the file is no checkpoint of renorm's, or its model is none of renorm's.
    """
    from . import zoo

    model = recipe_of(load_checkpoint(path))["model"]
    name = str(model["class_path"]).rpartition(".")[2]
    known: dict[str, type[StackedModel]] = {"MLP": zoo.MLP, "GNN": zoo.GNN}
    cls = known.get(name)
    if cls is None:
        raise ValueError(f"ckpt_path={str(path)!r} holds a {name}; allowed: MLP, GNN")
    loaded: StackedModel = cls.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    return loaded


def find_checkpoint(word: str, root: Path) -> Path:
    """The path of a checkpoint: itself, or for ``last`` and ``best`` the newest one below ``root``.

    Raises:
        ValueError: where there is none.
    """
    if word not in ("last", "best"):
        return Path(word)
    found = sorted(root.glob(f"**/checkpoints/{word}.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise ValueError(f"ckpt_path={word!r} finds no checkpoint below {str(root)!r}; allowed: a path, or after a fit")
    return found[-1]


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that wrote a checkpoint."""
    folder = checkpoint.parent
    return folder.parent if folder.name == "checkpoints" else folder


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level with dotted keys.

    Example:
        >>> flatten({"model": {"init_args": {"width": 8}}})
        {'model.init_args.width': 8}
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}.{key}" if prefix else key
        flat |= flatten(value, name) if isinstance(value, dict) and value else {name: value}
    return flat


def conflicts(recipe: dict[str, Any], asked: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Settings that contradict a checkpoint: key, the checkpoint's value, the value asked for."""
    remembered, wanted = flatten(recipe), flatten(asked)
    return [
        (key.replace("init_args.", ""), remembered.get(key), wanted.get(key))
        for key in sorted(remembered.keys() | wanted.keys())
        if remembered.get(key) != wanted.get(key)
    ]
