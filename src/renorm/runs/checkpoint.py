"""A run's checkpoints: found, read as a stranger's file, held against what is asked, and turned into a model.

A run is resumed by ``cli/fit.py``, which hands the checkpoint that was checked here to Lightning.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from .. import maps
from ..datamodules.block_sources import parse_source
from ..errors import InputError, in_one_line
from ..files.archive import check_archive, check_paths
from ..files.untrusted import check_plain, read_yaml
from ..limits import check_sizes
from ..own_code import where_from
from ..pretrained.exported import is_exported
from ..training.recipe import DATA_CLASS, accepted_arguments, flatten, of_today
from ..versions import say_if_newer
from ..zoo.registry import PREFIXES

if TYPE_CHECKING:
    from ..training.stack import StackedModel

RECIPE_KEY = "renorm"  # of a checkpoint
CONNECTOR = "checkpoint_connector.py"  # Lightning's module that restores


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that renorm wrote; nothing in it is executed, and its checksums are compared.

    Raises:
        ValueError: where it is missing, truncated, damaged, or not one of renorm's.
    """
    if not path.is_file():
        raise InputError(f"ckpt_path={str(path)!r} is not a file", "a checkpoint that 'renorm fit' wrote")
    try:
        check_archive(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(checkpoint, dict):
            check_paths(checkpoint.get("callbacks"))
    except Exception as error:  # on a file of another kind the unpickler fails in any way it can
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise InputError(f"ckpt_path={str(path)!r} is not a whole checkpoint ({reason})") from None
    if not isinstance(checkpoint, dict) or RECIPE_KEY not in checkpoint:
        raise InputError(f"ckpt_path={str(path)!r} was not written by renorm", "checkpoints of 'renorm fit'")
    _check_contents(checkpoint, f"ckpt_path={str(path)!r}")
    # now, and not when the model takes it up: settings that only a newer renorm has are refused before that
    say_if_newer("the checkpoint", checkpoint[RECIPE_KEY].get("version"))
    return checkpoint


def _check_contents(checkpoint: dict[str, Any], what: str) -> None:
    """Raise a ValueError unless weights, hyperparameters and recipe are of the kinds that renorm writes."""
    state = checkpoint.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{what} has no weights", "checkpoints of 'renorm fit'")
    own = checkpoint[RECIPE_KEY]
    recipe = own.get("recipe") if isinstance(own, dict) else None
    if not isinstance(recipe, dict) or not all(isinstance(recipe.get(key), dict) for key in ("model", "data")):
        raise InputError(f"{what} has no recipe of model and data", "checkpoints of 'renorm fit'")
    check_plain(f"{what}: its recipe", recipe)
    if not isinstance(recipe["model"].get("class_path"), str):
        raise InputError(f"{what}: its recipe names no model", "checkpoints of 'renorm fit'")
    hyperparameters = check_plain(f"{what}: its hyperparameters", checkpoint.get("hyper_parameters", {}))
    weights = sum(value.numel() for value in state.values())
    for settings in (hyperparameters, recipe["model"].get("init_args")):
        try:
            check_sizes(settings if isinstance(settings, dict) else {}, weights)
        except ValueError as error:
            raise InputError(f"{what}: {error}", "checkpoints of 'renorm fit'") from None


def recipe_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The settings of model and data that a checkpoint was trained with, in the form of a config."""
    recipe = of_today(checkpoint[RECIPE_KEY]["recipe"]) or {}
    return {key: recipe[key] for key in ("model", "data", DATA_CLASS) if key in recipe}


def laws_of_files(recipe: dict[str, Any]) -> dict[str, list[str]]:
    """The laws of a recipe that would read a file, by the setting in which they are; nothing is read to find them.

    Example:
        >>> laws_of_files({"model": {}, "data": {"train_laws": ["uniform()", "empirical(path=a.csv, column=r)"]}})
        {'train_laws': ['empirical(path=a.csv, column=r)']}
    """
    found = {}
    for key, value in recipe["data"].items():
        laws = [law for law in (value if isinstance(value, list) else [value]) if isinstance(law, str)]
        if reading := [law for law in laws if re.search(r"\b(empirical|blocks)\b", law)]:
            found[key] = reading
    return found


def load_model(path: Path) -> StackedModel:
    """The model of a checkpoint, with its weights, on the CPU, in evaluation mode and without gradients.

    Raises:
        ValueError: where the file is not a checkpoint of renorm's, or no architecture that is known, see
            :func:`renorm.zoo.architectures.architectures`, is its model's.
    """
    from ..zoo.architectures import find_architecture, known_names

    checkpoint = load_checkpoint(path)
    model, hint = recipe_of(checkpoint)["model"], where_from(checkpoint[RECIPE_KEY].get("origin"))
    cls = find_architecture(model["class_path"])
    if cls is None:
        raise InputError(f"ckpt_path={str(path)!r} holds a {model['class_path']}", f"{known_names()}{hint}")
    try:
        # from what was checked: the file is not read again
        loaded = cls(**accepted_arguments(cls, checkpoint.get("hyper_parameters", {})))
        loaded.on_load_checkpoint(checkpoint)
        loaded.load_state_dict(checkpoint["state_dict"])
    except Exception as error:  # hyperparameters and weights that contradict each other fail in any way they can
        reason = in_one_line(error) or type(error).__name__
        raise InputError(f"ckpt_path={str(path)!r} holds weights of another model ({reason}){hint}") from None
    loaded.freeze()
    return loaded


def is_pretrained(word: str) -> bool:
    """Whether a word in a checkpoint's place is meant as the name of a pretrained entry.

    Example:
        >>> is_pretrained("mlp_relu_free.uniform"), is_pretrained("mlp_relu_free/version_0/best.ckpt")
        (True, False)
    """
    return word.startswith(PREFIXES) and not word.endswith(".ckpt") and not Path(word).exists()


def find_model(word: str, root: Path) -> StackedModel:
    """The model of a checkpoint, see :func:`find_checkpoint`, or all members of a pretrained or exported entry.

    Raises:
        ValueError: where there is none.
    """
    if not is_pretrained(word) and not is_exported(word):
        return load_model(find_checkpoint(word, root))
    from ..pretrained.hub import load_pretrained

    return load_pretrained(word, members="all")


def find_settings(word: str, root: Path) -> dict[str, Any]:
    """The settings of the model that :func:`find_model` finds: ``class_path`` and ``init_args``.

    Raises:
        ValueError: where there is none.
    """
    if is_pretrained(word) or is_exported(word):
        from ..pretrained.hub import pretrained_recipe

        settings: dict[str, Any] = pretrained_recipe(word)["model"]
    else:
        settings = recipe_of(load_checkpoint(find_checkpoint(word, root)))["model"]
    return settings


def find_checkpoint(word: str, root: Path) -> Path:
    """The path of a checkpoint: itself, or for ``last`` and ``best`` the newest one below ``root``.

    Raises:
        ValueError: where there is none.
    """
    if word not in ("last", "best"):
        return Path(word)
    found = sorted(root.glob(f"**/checkpoints/{word}.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    if not found and word == "best" and any(root.glob("**/checkpoints/last.ckpt")):
        raise InputError(
            f"ckpt_path='best' finds no best checkpoint below {str(root)!r}", "'last', as no fit there was validated"
        )
    if not found:
        raise InputError(
            f"ckpt_path={word!r} finds no checkpoint below {str(root)!r}",
            "a checkpoint's path; 'last' and 'best' need a fit first",
        )
    return found[-1]


def run_folder(checkpoint: Path) -> Path | None:
    """The folder of the run that wrote a checkpoint; None for a file by itself, in a folder that is not a run's.

    Example:
        >>> run_folder(Path("runs/slopes/version_0/checkpoints/best.ckpt")).name, run_folder(Path("copy.ckpt"))
        ('version_0', None)
    """
    if checkpoint.parent.name == "checkpoints":
        return checkpoint.parent.parent
    folder = Path(os.path.abspath(checkpoint)).parent  # for who stands in the folder of checkpoints itself
    return folder.parent if folder.name == "checkpoints" else None


def conflicts(recipe: dict[str, Any], asked: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Settings that contradict a checkpoint: key, the checkpoint's value, the value asked for.

    What a checkpoint does not know, such as an optimiser of one's own in a script, it cannot contradict.
    """
    remembered, wanted = flatten(recipe), flatten(asked)
    return [
        (key.replace("init_args.", ""), remembered[key], wanted.get(key))
        for key in sorted(remembered)
        if remembered[key] != wanted.get(key)
    ]


def canonical(key: str, value: Any) -> Any:
    """A setting of the data as checkpoints remember it: a law can be written in many ways.

    Example:
        >>> canonical("train_laws", "gaussian()")
        ['gaussian(mean=0, std=1)']
    """
    if key == "map" and isinstance(value, str):
        return str(maps.parse(value))
    if not key.endswith("_laws") or value is None:
        return value
    return [str(parse_source(text)) for text in ([value] if isinstance(value, str) else value)]


def check_files(recipe: dict[str, Any], what: str, configs: Iterable[str], flags: Iterable[str]) -> None:
    """Refuse laws of a checkpoint that read a file, unless the user names them too: the checkpoint may be a stranger's.

    Args:
        recipe: settings of model and data from the checkpoint.
        what: the argument that named it, for messages.
        configs: paths of the user's own configs.
        flags: the user's flags.

    Raises:
        ValueError: with the law, and the flag that allows it.
    """
    named = {word.partition("=")[0] for word in flags}
    of_configs: set[str] = set()
    for config in configs:
        content = {} if config.startswith("{") else read_yaml(Path(config), f"config={config!r}")
        of_configs |= {f"--data.{key}" for key in (content or {}).get("data") or {}}
    for key, laws in laws_of_files(recipe).items():
        if f"--data.{key}" not in named | of_configs:
            raise InputError(
                f"{what} would read a file: its data.{key} has {laws[0][:300]!r}; "
                f"allowed, if you trust it: --data.{key} {shlex.quote(json.dumps(recipe['data'][key]))}"
            )


def is_restoring(error: BaseException) -> bool:
    """Whether an error comes from taking up the state of a checkpoint."""
    seen: BaseException | None = error
    while seen is not None:
        trace: TracebackType | None = seen.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            # the same module of Lightning also writes checkpoints
            if code.co_filename.endswith(CONNECTOR) and code.co_name.lstrip("_").startswith(
                ("restore", "resume", "load")
            ):
                return True
            trace = trace.tb_next
        seen = seen.__cause__
    return False


def does_not_fit(error: BaseException, checkpoint: Path) -> InputError:
    """The error of a checkpoint whose state does not fit the run."""
    reason = in_one_line(error) or type(error).__name__
    return InputError(
        f"ckpt_path={str(checkpoint)!r} does not fit the run that it describes ({type(error).__name__}: {reason})",
        "checkpoints of 'renorm fit' that nobody has changed",
    )
