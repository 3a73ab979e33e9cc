"""Options taken out of a command line before it is parsed, and parsers whose errors are one line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ..errors import InputError
from ..files.folder_names import check_folder_name

ALLOW_IMPORTS = "--allow_imports"
WIDE = "--wide"  # of commands that print tables
LOGGER = "--trainer.logger"
# what a logger of Lightning's calls the name of a run
NAMES = {"TensorBoardLogger": "name", "CSVLogger": "name", "WandbLogger": "name", "MLFlowLogger": "run_name"}


def take_option(words: list[str], *names: str) -> tuple[str | None, list[str]]:
    """Value of the first ``--option VALUE`` or ``--option=VALUE``, and the other words.

    Args:
        words: of a command line.
        *names: of the option: one, or a short and a long one.

    Raises:
        ValueError: where the option has no value.

    Example:
        >>> take_option(["--seed", "3", "--name=x"], "--seed")
        ('3', ['--name=x'])
    """
    for i, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name not in names:
            continue
        if equals:
            return value, words[:i] + words[i + 1 :]
        if i + 1 == len(words):
            raise InputError(f"{name} has no value")
        return words[i + 1], words[:i] + words[i + 2 :]
    return None, words


def take_all(words: list[str], *names: str) -> tuple[list[str], list[str]]:
    """Values of an option that may be given several times, in their order, and the other words.

    Example:
        >>> take_all(["--trainer.max_epochs", "2", "-c", "a.yaml", "--config=b.yaml"], "-c", "--config")
        (['a.yaml', 'b.yaml'], ['--trainer.max_epochs', '2'])
    """
    values: list[str] = []
    value, words = take_option(words, *names)
    while value is not None:
        values.append(value)
        value, words = take_option(words, *names)
    return values, words


def take_flag(words: list[str], name: str) -> tuple[bool, list[str]]:
    """Whether a flag is among the words, and the others.

    Raises:
        ValueError: for a value other than true and false.

    Example:
        >>> take_flag(["fit", "--allow_imports", "--config", "mine.yaml"], "--allow_imports")
        (True, ['fit', '--config', 'mine.yaml'])
        >>> take_flag(["fit", "--allow_imports=false"], "--allow_imports")
        (False, ['fit'])
    """
    explicit = [word if word != name else f"{name}=true" for word in _joined_truth(words, name)]
    values, others = take_all(explicit, name)
    for value in values:
        if value.lower() not in ("true", "false"):
            raise InputError(f"{name.removeprefix('--')}={value!r} is not allowed", "true, false")
    return bool(values) and values[-1].lower() == "true", others


def _joined_truth(words: list[str], name: str) -> list[str]:
    """The words, with ``--flag=true`` for ``--flag true``."""
    found: list[str] = []
    for word in words:
        if found and found[-1] == name and word.lower() in ("true", "false"):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def with_places(flags: list[str], root: str, name: str) -> list[str]:
    """The flags, with folder and name of the run for a logger that is named on the command line and not told of them.

    Args:
        flags: of a fit.
        root: folder of all runs.
        name: of the run.

    Example:
        >>> with_places(["--trainer.logger", "CSVLogger"], "runs", "slopes")[2:]
        ['--trainer.logger.save_dir', 'runs', '--trainer.logger.name', 'slopes']
    """
    logger, _ = take_option(flags, LOGGER)
    key = NAMES.get((logger or "").rpartition(".")[2])
    if key is None:
        return flags
    told = {flag.partition("=")[0].rpartition(".")[2] for flag in flags if flag.startswith(f"{LOGGER}.")}
    places = {"save_dir": root, key: name}
    return [*flags, *(word for k, value in places.items() if k not in told for word in (f"{LOGGER}.{k}", value))]


def add_checkpoint(parser: argparse.ArgumentParser, group: argparse._ArgumentGroup | None = None) -> None:
    """Give a command that reads a model ``--ckpt_path``, and ``--name`` for the runs of which it means the newest.

    Args:
        parser: of the command.
        group: of options of which one is needed, where ``--ckpt_path`` is one of these.
    """
    where = parser if group is None else group
    where.add_argument("--ckpt_path", help="a checkpoint, 'last' or 'best', or a pretrained entry's name")
    parser.add_argument("--name", help="the run whose checkpoint 'last' and 'best' are (default: the newest run)")


def runs_of(name: str | None, word: str | None) -> Path:
    """The folder below which ``last`` and ``best`` are looked for.

    Args:
        name: what ``--name`` gives.
        word: what ``--ckpt_path`` gives.

    Raises:
        ValueError: for what is not the name of a folder, or where nothing is looked for.

    Example:
        >>> runs_of("slopes", "best").as_posix(), runs_of(None, "copy.ckpt").as_posix()
        ('runs/slopes', 'runs')
    """
    if name is None:
        return Path("runs")
    check_folder_name("name", name)
    if word not in ("last", "best"):
        raise InputError(f"name={name!r} does not say which model", "with --ckpt_path last, or --ckpt_path best")
    return Path("runs") / name


def add_wide(parser: argparse.ArgumentParser) -> None:
    """Give a command that prints tables the option to print all columns."""
    parser.add_argument(WIDE, action="store_true", help="print all columns, however wide the terminal is")


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing its usage over several lines.

    Example:
        >>> parser = OneLineParser(prog="renorm plot")
        >>> _ = parser.add_argument("--size", type=int)
        >>> parser.parse_args(["--size", "big"])
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: argument --size: invalid int value: 'big'; allowed: see 'renorm plot --help'
    """

    def error(self, message: str) -> NoReturn:
        """Raise a ValueError, which the command line prints as its one line."""
        raise InputError(message, f"see '{self.prog} --help'")


def joined(words: Sequence[str]) -> list[str]:
    """``--option=-1e30`` for ``--option -1e30``: parsers take most negative numbers for options.

    Args:
        words: of a command line.

    Example:
        >>> joined(["fit", "--model.negative_slope", "-1e30", "--seed", "3"])
        ['fit', '--model.negative_slope=-1e30', '--seed', '3']
        >>> joined(["--model.negative_slope", "-1e-1,0.5"])  # no list, as the parser then says
        ['--model.negative_slope=-1e-1,0.5']
    """
    found: list[str] = []
    for word in words:
        if (
            word.startswith("-")
            and _are_numbers(word)
            and found
            and found[-1].startswith("--")
            and "=" not in found[-1]
        ):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def _are_numbers(word: str) -> bool:
    try:
        [float(part) for part in word.split(",")]
    except ValueError:
        return False
    return True


def refusal(key: str, path: str) -> str:
    """The line for an import that was not allowed."""
    return (
        f"{key}{path!r} is not imported; allowed: classes of renorm.zoo, renorm.callbacks, torch.optim, "
        f"lightning.pytorch.callbacks and other parts of Lightning, or {ALLOW_IMPORTS} for files that you trust"
    )


_REQUIREMENT = re.compile(r"Requirement '([^']+)' not met")


def is_missing_package(message: str) -> bool:
    """Whether a library says that it needs another one, which is not installed."""
    return _REQUIREMENT.search(message) is not None


def condense(message: str) -> str:
    r"""A parser's message of many lines as one: the full key, the value, and what is allowed.

    Example:
        >>> condense('Parser key "data.seed":\n  Expected a <class \'int\'>. Got value: x')
        'data.seed=x is not allowed; allowed: int'
        >>> condense("Subcommand 'fit' does not accept option 'data.bloc'")
        'data.bloc is unknown; allowed: the options of --help'
        >>> condense('Parser key "model":\n  Problem with ... No module named \'mine\'\nGiven value: {...}')
        "model: No module named 'mine'; allowed: modules on Python's path, or --import FILE.py"
        >>> condense("unrecognized arguments: --nosuch 3")
        '--nosuch 3 is unknown; allowed: the options of --help'
        >>> condense("the following arguments are required: fit.model")
        'model is missing; allowed: --model, or model in a config'
    """
    keys = re.findall(r'Parser key "([^"]+)"', message)
    # what renorm itself says of a value stands in a list of what each type that it could have says
    if own := re.search(r"^\s*- (\S+=[^\n]*; allowed: [^\n]*)$", message, re.MULTILINE):
        return own.group(1)
    if needed := _REQUIREMENT.search(message):
        where = ".".join(keys) or ("trainer" if message.startswith("trainer") else "this")
        return (
            f"{where} needs {needed.group(1)}, which is not installed; allowed: after pip install {needed.group(1)!r}"
        )
    if missing := re.search(r"No module named '[^']+'", message):
        return f"{'.'.join(keys)}: {missing.group(0)}; allowed: modules on Python's path, or --import FILE.py"
    if missing := re.search(r"the following arguments are required: ([^\n]+)", message):
        return _missing(keys, missing.group(1), message)
    inner = message.rpartition('Parser key "')[2]
    if denied := re.search(r"Importing '([^']+)' is not allowed", message):
        return refusal(f"{'.'.join(keys)}: " if keys else "", denied.group(1))
    if unknown := re.search(r"(?:Option|accept option) '([^']+)'", message):
        return f"{'.'.join([*keys, unknown.group(1)])} is unknown; allowed: the options of --help"
    if unknown := re.fullmatch(r"\s*[Uu]nrecognized arguments: (.*?)\s*", message):
        return f"{unknown.group(1)} is unknown; allowed: the options of --help"
    value = re.search(r"(?:Got|Given) value: (.*)", inner)
    nested = re.search(r"NestedArg\(key='(\w+)', val=(.*)\)", inner)
    expected = re.search(r"Subtypes: \[(.*)\]", inner) or re.search(
        r"Expected an? (.*?)(?:\. Got|$)", inner, re.MULTILINE
    )
    if not keys or value is None or expected is None:
        return " ".join(message.split())
    if nested and nested.group(1) != keys[-1]:
        keys.append(nested.group(1))
    types = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", expected.group(1)).replace("NoneType", "null")
    if "Expected a dot import path string" in inner:
        types = "a class by its path, such as torch.optim.Adam"
    shown = nested.group(2) if nested else value.group(1)
    return f"{'.'.join(keys)}={shown} is not allowed; allowed: {types.replace('typing.', '')}"


def _missing(keys: list[str], names: str, message: str) -> str:
    """The message for an argument that a class or the command needs and does not have."""
    owner = re.search(r"class_path='(?:\w+\.)*(\w+)'", message)
    option = ".".join([*keys, re.sub(r"^(fit|validate|test|predict)\.", "", names)])
    of_class = f", which {owner.group(1)} needs," if owner else ""
    return f"{option}{of_class} is missing; allowed: --{option.partition(',')[0]}, or {option.partition(',')[0]} in a config"
