"""The recipe of a run: settings of its model and data, saved in checkpoints and compared when one is restored."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn

from ..checks import primitive
from ..datamodules import CLTDataModule
from ..datamodules.blocks import short_text
from ..errors import InputError
from ..maps import BlockMap
from ..maps import parse as parse_map
from ..own_code import class_name, class_path

if TYPE_CHECKING:
    from .stack import StackedModel

Recipe = dict[str, Any]

HOW_TO_COMPUTE = ("compile",)  # changes no number beyond rounding
# what a test or a prediction must have in common with the training; the other data are the user's choice
OF_TRAINING_DATA = ("block_size", "train_laws", "map")
DATA_CLASS = "data_class"  # entry of a recipe
BEFORE_MAPS = "central_limit()"  # the map of checkpoints that name none
OWN_TARGETS = "targets of its own"  # in a map's place, where the data bring their targets


def recipe_of(model: StackedModel) -> Recipe:
    """The settings of a model and of the data of its trainer, in the form of a config; of the optimiser where it is PyTorch's.

    Args:
        model: attached to a trainer.
    """
    if model.recipe is not None:  # the command line's, which also knows the settings of an user's own optimiser
        return model.recipe
    arguments = dict(model.hparams) | _training_arguments(model.trainer)
    data = getattr(model.trainer, "datamodule", None)
    settings = {"class_path": class_path(type(model)), "init_args": arguments}
    return {"model": settings, "data": dict(getattr(data, "hparams", {}))} | own_data_class(data)


def own_data_class(data: Any) -> Recipe:
    """The entry of a recipe for a user's own class of data; empty for the package's class."""
    return {} if data is None or type(data) is CLTDataModule else {DATA_CLASS: class_path(type(data))}


def known_map(model: StackedModel, asked: BlockMap | str | None = None) -> BlockMap:
    """The map to compare a model with: the one asked for, else the one that it learned, else the central-limit map.

    Args:
        model: the stack.
        asked: a map, or its text.

    Raises:
        InputError: for a text that is not a map, and for a model whose data brought their own targets.
    """
    if asked is None and model.learned_map == OWN_TARGETS:
        raise InputError(
            "model learned targets that come with its data, not those of a map", "map='central_limit()' or another one"
        )
    return _parsed(model.learned_map or BEFORE_MAPS if asked is None else str(asked))


# asked at every step where loaders give blocks alone
_parsed = functools.lru_cache(maxsize=16)(parse_map)


def of_today(recipe: Any) -> Recipe | None:
    """A recipe from a checkpoint, completed with settings that older versions did not have; None if there is none.

    Example:
        >>> of_today({"model": {}, "data": {"block_size": 2}})["data"]
        {'map': 'central_limit()', 'block_size': 2}
    """
    if not isinstance(recipe, dict) or not isinstance(recipe.get("data"), dict):
        return None
    return recipe | {"data": {"map": BEFORE_MAPS} | recipe["data"]}


def _training_arguments(trainer: Trainer) -> Recipe:
    """Settings of optimiser and schedule, as far as they can be read from the objects."""
    if not trainer.optimizers:
        return {}
    optimizer = trainer.optimizers[0]
    arguments: Recipe = {"optimizer": _settings(optimizer, optimizer.defaults)}
    configs = trainer.lr_scheduler_configs
    if configs:
        scheduler: Any = configs[0].scheduler
        arguments["lr_scheduler"] = _settings(scheduler, scheduler.state_dict())
        arguments["lr_scheduler_interval"] = configs[0].interval
    else:
        arguments["lr_scheduler"] = None
    return {key: value for key, value in arguments.items() if value != {}}


def _settings(thing: Any, values: dict[str, Any]) -> Recipe:
    """Class and arguments of one of PyTorch's optimisers or schedules; empty if the object does not show its arguments."""
    cls = type(thing)
    module = "torch.optim.lr_scheduler" if "lr_scheduler" in cls.__module__ else "torch.optim"
    if not cls.__module__.startswith("torch.optim"):
        return {}
    # the first argument is what it acts on; last_epoch is where it stands, which its state says
    parameters = list(inspect.signature(cls).parameters.values())[1:]
    parameters = [parameter for parameter in parameters if parameter.name not in ("last_epoch", "verbose")]
    if any(p.default is inspect.Parameter.empty and p.name not in values for p in parameters):
        return {}
    try:
        arguments = {p.name: primitive(p.name, values[p.name]) for p in parameters if p.name in values}
    except ValueError:  # schedules made of other schedules, or of functions
        return {}
    return {"class_path": f"{module}.{cls.__name__}", "init_args": arguments}


def check_same_recipe(remembered: Recipe | None, own: Recipe, trainer: Trainer) -> None:
    """Refuse to restore a checkpoint into a run with another recipe, whether the user or Lightning chose the checkpoint.

    Under SLURM, Lightning restores any checkpoint that it finds in the run's root, which may belong to another run.

    Args:
        remembered: the recipe in the checkpoint.
        own: the run's.
        trainer: about to restore.

    Raises:
        ValueError: naming the setting, the run's value and the checkpoint's.
    """
    if remembered is None:
        return
    fitting = trainer.state.fn == TrainerFn.FITTING
    where = f"the checkpoint {str(trainer.ckpt_path)!r}"
    allowed = "a run that does not restore it (under SLURM, another trainer.default_root_dir)"
    if fitting and own["data"]:  # a run without a data module has no settings of data
        check_data_class(remembered, own, where, allowed)
    known, wanted = (_comparable(recipe, fitting) for recipe in (remembered, own))
    different = [key for key in known if key in wanted and known[key] != wanted[key]]
    if different:
        key = different[0]
        asked, remembered_value = shown_apart(wanted[key], known[key])
        raise InputError(
            f"{key.replace('init_args.', '')}={asked!r} contradicts {where}, which has {remembered_value!r}",
            f"the checkpoint's value, or {allowed}",
        )


def shown_apart(one: Any, other: Any) -> tuple[Any, Any]:
    """Two values of a setting for a message: laws by their short texts, where these are not the same.

    Example:
        >>> shown_apart(["gaussian(mean=0, std=1)"], ["uniform(low=-1.7320508075688772, high=1.7320508075688772)"])
        (['gaussian()'], ['uniform()'])
        >>> shown_apart(8, 9)
        (8, 9)
    """
    shorter = _with_short_laws(one), _with_short_laws(other)
    return (one, other) if shorter[0] == shorter[1] else shorter


def _with_short_laws(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_with_short_laws(part) for part in value]
    return short_text(value) if isinstance(value, str) else value


def _comparable(recipe: Recipe, fitting: bool) -> Recipe:
    model = dict(recipe["model"])
    arguments = {key: value for key, value in model.get("init_args", {}).items() if key not in HOW_TO_COMPUTE}
    name = class_name(str(model.get("class_path")))
    data = {key: value for key, value in recipe["data"].items() if fitting or key in OF_TRAINING_DATA}
    return flatten({"model": {"class_path": name, "init_args": arguments}, "data": data})


def check_data_class(remembered: Recipe, own: Recipe, where: str, allowed: str) -> None:
    """Refuse to resume a run with data of another class than the checkpoint's.

    Args:
        remembered: the recipe in the checkpoint.
        own: the run's.
        where: the checkpoint, for the message.
        allowed: what can be done instead of using the checkpoint's class.

    Raises:
        ValueError: naming both classes.

    Example:
        >>> own = {"data": {}, "data_class": "mine.Rows"}
        >>> check_data_class({"data": {"seed": 0}}, own, "last.ckpt", "a new run")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: data='mine.Rows' contradicts last.ckpt, which has 'renorm...CLTDataModule'; allowed: ...
    """
    known, wanted = (recipe.get(DATA_CLASS) or class_path(CLTDataModule) for recipe in (remembered, own))
    if remembered["data"] and class_name(known) != class_name(wanted):
        raise InputError(
            f"data={wanted!r} contradicts {where}, which has {known!r}", f"the checkpoint's class, or {allowed}"
        )


def constructor_arguments(cls: type) -> dict[str, Any]:
    """Arguments of a class's constructor, and of those of its bases that it passes them on to, with their defaults.

    Example:
        >>> class Base:
        ...     def __init__(self, seed: int = 0) -> None: ...
        >>> class Narrow(Base):
        ...     def __init__(self, width: int = 8, **kwargs: int) -> None: ...
        >>> {name: default for name, default in constructor_arguments(Narrow).items() if name != "kwargs"}
        {'seed': 0, 'width': 8}
    """
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__[:-1]):  # without object; what is nearer wins
        found |= {name: parameter.default for name, parameter in inspect.signature(base).parameters.items()}
    return found


def accepted_arguments(cls: type, settings: Mapping[str, Any]) -> Recipe:
    """The hyperparameters that a model's constructor accepts; others were passed on to the base class.

    Example:
        >>> class Narrow:
        ...     def __init__(self, width: int) -> None: ...
        >>> accepted_arguments(Narrow, {"width": 1, "depth": 2})
        {'width': 1}
    """
    taken = inspect.signature(cls).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken.values()):
        return {name: value for name, value in settings.items() if not name.startswith("_")}  # those of Lightning
    return {name: value for name, value in settings.items() if name in taken}


def flatten(settings: Recipe, prefix: str = "") -> Recipe:
    """Nested settings as one level with dotted keys.

    Example:
        >>> flatten({"model": {"init_args": {"width": 8}}})
        {'model.init_args.width': 8}
    """
    flat: Recipe = {}
    for key, value in settings.items():
        name = f"{prefix}.{key}" if prefix else key
        flat |= flatten(value, name) if isinstance(value, dict) and value else {name: value}
    return flat
