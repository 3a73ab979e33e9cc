"""The class of a command's data: from ``--data my_module.MyData``, a config or a checkpoint; else ``CLTDataModule``."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule

from ..datamodules import CLTDataModule
from ..errors import InputError
from ..files.untrusted import read_yaml
from ..own_code import class_path, find_class, loaded_subclasses
from .options import ALLOW_IMPORTS, take_option

OPTION = "--data_class"
OURS = "renorm.datamodules."


def take_data_class(flags: list[str]) -> tuple[str | None, list[str]]:
    """The value of ``--data CLASS`` or ``--data_class CLASS``, None if there is neither; and the other words.

    Raises:
        ValueError: for a file that is not there.

    Example:
        >>> take_data_class(["--data", "my_module.MyData", "--data.block_size", "4"])
        ('my_module.MyData', ['--data.block_size', '4'])
    """
    word, others = take_option(flags, "--data")
    if word is None:
        return take_option(flags, OPTION)
    if word.startswith("{") or Path(word).is_file():
        return None, flags  # settings
    if not all(part.isidentifier() for part in word.split(".")):
        raise InputError(
            f"data={word!r} is neither a file nor a class",
            "a YAML file of settings, a class such as my_module.MyData, or options such as --data.block_size",
        )
    return word, others


def of_configs(configs: Iterable[str]) -> str | None:
    """The class in the last of the user's configs that has one; None if none has."""
    last = None
    for config in configs:
        content: Any = {} if config.startswith("{") else read_yaml(Path(config), f"config={config!r}")
        named = (content or {}).get("data_class")
        if named is not None and not isinstance(named, str):
            raise InputError(f"data_class={named!r} in config={config!r} is not a class", "such as my_module.MyData")
        last = named or last
    return last


def find_data_class(path: str | None, everything: bool) -> type[LightningDataModule]:
    """The class of a path; see :func:`~renorm.own_code.find_class` for those that ``--import`` or the script has defined.

    Args:
        path: such as ``my_module.MyData``; None for the package's own.
        everything: whether any module may be imported.

    Raises:
        ValueError: for a class that is not known, is not allowed, or is not a data module.
    """
    if path is None:
        return CLTDataModule
    loaded = loaded_subclasses(LightningDataModule)
    defined = find_class("data", path, loaded, any_module=False)
    if defined is not None:
        return defined
    if not everything and not path.startswith(OURS):
        known = ", ".join(map(class_path, loaded)) or "none here"
        raise InputError(
            f"data={path!r} is not imported", f"classes of modules that --import names ({known}), or {ALLOW_IMPORTS}"
        )
    module, _, name = path.rpartition(".")
    try:
        imported = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"data={path!r} cannot be imported ({error})", "module.Class") from None
    if not isinstance(imported, type) or not issubclass(imported, LightningDataModule):
        raise InputError(f"data={path!r} is not a data module", "subclasses of LightningDataModule")
    return imported
