"""The words of a command line: options taken out of them, and what a parser says of them, in one line."""

from __future__ import annotations

import re

from .imports import refusal

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


def _missing(keys: list[str], names: str, message: str) -> str:
    """What a class, or the command itself, needs and is not given."""
    owner = re.search(r"class_path='(?:\w+\.)*(\w+)'", message)
    option = ".".join([*keys, re.sub(r"^(fit|validate|test|predict)\.", "", names)])
    of_class = f", which {owner.group(1)} needs," if owner else ""
    return f"{option}{of_class} is missing; allowed: --{option.partition(',')[0]}, or {option.partition(',')[0]} in a config"
