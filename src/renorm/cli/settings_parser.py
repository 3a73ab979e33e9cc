"""The parser of settings: model, data and trainer, from configs and flags; the commands themselves are ``fit.py`` and others."""

from __future__ import annotations

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from jsonargparse import _loaders_dumpers
from jsonargparse._parameter_resolvers import get_signature_parameters
from lightning.pytorch.cli import LightningArgumentParser

from ..errors import InputError
from ..files import yaml_core
from ..training.recipe import constructor_arguments
from ..zoo import StackedModel
from ..zoo.activations import REGISTRY, keywords, parameters
from ..zoo.architectures import find_architecture
from .options import condense, is_missing_package

SETTINGS_OF = {  # what groups of options set, where their class says it for those who read its code
    "trainer": "Lightning's own settings of training",
    "model": "the networks, and how they learn",
    "data": "laws, map and blocks",
}


class Parser(LightningArgumentParser):
    """LightningCLI's parser, which reads YAML 1.2, and raises instead of printing usage and ending the process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **({"parser_mode": yaml_core.MODE} | kwargs))
        # values that may be numbers or booleans are read a second time, in any mode; the loader for that has no public setting
        _loaders_dumpers.yaml_default_loader = yaml_core.Loader  # type: ignore[assignment]

    def add_class_arguments(self, theclass: Any, nested_key: str | None = None, *args: Any, **kwargs: Any) -> list[str]:
        """Add the arguments of a class, and for a model the parameters of all activations: its signature does not name them."""
        added: list[str] = super().add_class_arguments(theclass, nested_key, *args, **kwargs)
        prefix = "" if nested_key is None else f"{nested_key}."
        # a model that does not pass this mapping on to its base does not take the keywords either
        if not issubclass(theclass, StackedModel) or f"{prefix}activation_args" not in added:
            return added
        group = self.add_argument_group("Parameters of the activation, instead of activation_args")
        for name, (kind, help_text) in activation_keywords().items():
            if f"{prefix}{name}" not in added:
                group.add_argument(f"--{prefix}{name}", type=kind, default=None, help=help_text)
                added.append(f"{prefix}{name}")
        return added

    def format_help(self, *args: Any) -> str:
        """One line of usage, as the options stand below it, and headings in plain words that fit the screen."""
        for group in self._action_groups:
            group.title = heading(group.title, [action.dest for action in group._group_actions])
        options = super().format_help(*args).partition("\n\n")[2]
        width = shutil.get_terminal_size().columns - 2  # as argparse wraps
        program = self.prog.replace(" [options]", "").replace("__main__.py", "renorm")  # as python -m renorm
        lines = plain_text(options).splitlines()
        fitted = [line if line.startswith(" ") else textwrap.fill(line, max(width, 20)) for line in lines]
        return "\n".join([f"usage: {program} [options]", "", *fitted, ""])

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what was wrong; parsers are nested, so that only the outermost message has the whole key."""
        raise InputError(message)


def heading(title: str | None, options: list[str]) -> str | None:
    """The title of a group of options: their first part, and what they set.

    Args:
        title: by default, such as the first sentence of a class.
        options: those of the group.

    Example:
        >>> heading("Customize every aspect of training via flags", ["trainer", "trainer.max_epochs"])
        "trainer (Lightning's own settings of training)"
        >>> heading("options", ["config", "seed"])
        'options'
    """
    roots = {option.partition(".")[0] for option in options}
    if len(roots) != 1 or not any("." in option for option in options):
        return title
    (root,) = roots
    return title if str(title).startswith(f"{root} (") else f"{root} ({SETTINGS_OF.get(root, title)})"


def plain_text(text: str) -> str:
    r"""Text of docstrings without its markup, and without the characters that only a terminal understands.

    Example:
        >>> plain_text("Measure the asymmetry :math:`|W - P W|` of ``pre0``, see :class:`~renorm.callbacks.RGFlow`.")
        'Measure the asymmetry |W - P W| of pre0, see RGFlow.'
    """
    text = text.replace(" \b", "")
    text = re.sub(r":\w+:`~[\w.]*?(\w+)`", r"\1", text)
    return re.sub(r"(?::\w+:)?(`{1,2})([^`]+)\1", r"\2", text)


def in_one_line(error: Exception, origin: str = "") -> InputError:
    """A library's error about the settings, in one line.

    Args:
        error: of the parser, or of a class that refuses its arguments.
        origin: the files that may define a class, added where the error is about one that is not known.
    """
    line = condense(str(error))
    of_class = re.search("is unknown; (?!allowed: the options)|is not imported|No module named", line)
    return InputError(line + (origin if of_class else ""))


@contextmanager
def building(origin: str = "") -> Iterator[None]:
    """Raise in one line what a class says against its arguments, and whatever else goes wrong as it is.

    Args:
        origin: see :func:`in_one_line`.
    """
    try:
        yield
    except ValueError as error:
        if "; allowed" not in str(error) and not is_missing_package(str(error)):
            raise
        raise in_one_line(error, origin) from None


def activation_keywords() -> dict[str, tuple[Any, str]]:
    """Type and help of the parameters of all registered activations, by name; None stands for the activation's own default.

    Example:
        >>> activation_keywords()["negative_slope"]
        (float | list[float] | None, 'activation leaky_relu: slope below zero; a list is a grid.')
    """
    keywords: dict[str, tuple[Any, str]] = {}
    for cls in REGISTRY.values():
        for parameter in get_signature_parameters(cls):
            if (name := parameter.name) not in parameters(cls):
                continue
            kind = parameter.annotation | None if _is_type(parameter.annotation) else Any
            help_text = f"activation {cls.name}: {parameter.doc or 'one of its parameters'}"
            if name in keywords:  # of several activations
                kind, help_text = keywords[name][0] | kind, f"{keywords[name][1]} {help_text}"
            keywords[name] = (kind, help_text)
    return keywords


def without_unused(model: dict[str, Any]) -> dict[str, Any]:
    """Settings of a model without those that are :func:`unused`.

    Args:
        model: ``class_path`` and ``init_args``.

    Example:
        >>> arguments = {"activation": "relu", "negative_slope": None, "frequency": None, "lr_scheduler": None}
        >>> without_unused({"class_path": "renorm.zoo.MLP", "init_args": arguments})["init_args"]
        {'activation': 'relu', 'lr_scheduler': None}
    """
    arguments = model.get("init_args")
    if not isinstance(arguments, dict):
        return model
    names = unused(str(model.get("class_path")), arguments)
    return model | {"init_args": {name: value for name, value in arguments.items() if name not in names}}


def unused(class_path: str, arguments: Mapping[str, Any]) -> list[str]:
    """Names of a model's settings that are None and belong to an activation that it does not have.

    A program that defines an activation has an option for each of its parameters; no other program knows them.

    Args:
        class_path: of the model.
        arguments: its settings.

    Example:
        >>> unused("renorm.zoo.MLP", {"activation": "relu", "negative_slope": None})
        ['negative_slope']
    """
    cls = find_architecture(class_path)
    if cls is None:
        return []
    activation = REGISTRY.get(str(arguments.get("activation")))
    known = {*constructor_arguments(cls), *(keywords() if activation is None else parameters(activation))}
    return [name for name, value in arguments.items() if value is None and name not in known]


def _is_type(annotation: Any) -> bool:
    """Whether a parameter has an annotation, and it is not a string that could not be resolved."""
    return annotation is not inspect.Parameter.empty and not isinstance(annotation, str)
