"""The words of a command line: options taken out of them, and what a parser says of them, in one line."""

from __future__ import annotations

import re

from .imports import refusal


def split_configs(words: list[str]) -> tuple[list[str], list[str]]:
    """Take ``--config X`` out of the arguments, wherever it stands.

    Example:
        >>> split_configs(["--trainer.max_epochs", "2", "-c", "a.yaml", "--config=b.yaml"])
        (['a.yaml', 'b.yaml'], ['--trainer.max_epochs', '2'])
    """
    configs: list[str] = []
    for option in ("-c", "--config"):
        value: str | None = ""
        while value is not None:
            value, words = take_option(words, option)
            configs += [] if value is None else [value]
    return configs, words


def take_option(words: list[str], option: str) -> tuple[str | None, list[str]]:
    """Value of the first ``--option VALUE`` or ``--option=VALUE``, and the other arguments.

    Raises:
        ValueError: where the option has no value.

    Example:
        >>> take_option(["--seed", "3", "--name=x"], "--seed")
        ('3', ['--name=x'])
    """
    for i, word in enumerate(words):
        if word == option:
            if i + 1 == len(words):
                raise ValueError(f"{option} has no value")
            return words[i + 1], words[:i] + words[i + 2 :]
        if word.startswith(f"{option}="):
            return word.partition("=")[2], words[:i] + words[i + 1 :]
    return None, words


def condense(message: str) -> str:
    r"""A parser's message of many lines as one: the full key, the value, and what is allowed.

    Example:
        >>> condense('Parser key "data.seed":\n  Expected a <class \'int\'>. Got value: x')
        'data.seed=x is not allowed; allowed: int'
        >>> condense("Subcommand 'fit' does not accept option 'data.bloc'")
        'data.bloc is unknown; allowed: the options of --help'
    """
    keys = re.findall(r'Parser key "([^"]+)"', message)
    inner = message.rpartition('Parser key "')[2]
    if denied := re.search(r"Importing '([^']+)' is not allowed", message):
        return refusal(f"{'.'.join(keys)}: " if keys else "", denied.group(1))
    if unknown := re.search(r"(?:Option|accept option) '([^']+)'", message):
        return f"{'.'.join([*keys, unknown.group(1)])} is unknown; allowed: the options of --help"
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
    shown = nested.group(2) if nested else value.group(1)
    return f"{'.'.join(keys)}={shown} is not allowed; allowed: {types.replace('typing.', '')}"
