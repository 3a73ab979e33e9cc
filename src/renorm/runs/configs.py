"""Configs found by name: files, those that come with renorm, and registered models."""

from __future__ import annotations

import json
from pathlib import Path

from ..checks import did_you_mean
from ..errors import InputError
from ..files.untrusted import read_yaml
from ..zoo.registry import find_variant, list_models

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
BASE_CONFIG = CONFIGS / "base.yaml"
NO_FITS = ("sweep", "claims")  # folders of configs that 'renorm fit' does not read
SECTIONS = ("model", "data", "trainer")  # of a config


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
    hint = did_you_mean(name, [*configs, *models])
    listed = "a known config" if hint else ", ".join(configs)
    raise InputError(
        f"config={name!r} is neither a file nor a known name{hint}",
        f"a YAML file, {listed}, or a model of 'renorm zoo list'",
    )


def _checked(path: str) -> str:
    content = read_yaml(Path(path), f"config={path!r}")
    if not isinstance(content, dict):
        raise InputError(f"config={path!r} is not a config", "keys and values such as 'model:'")
    for key in SECTIONS:
        if key in content and content[key] is None:
            raise InputError(f"config={path!r} has {key}=null, which is empty", f"settings, or to leave {key} out")
    return path
