r"""YAML 1.2 (its core schema), for files, for flags and for configs that are saved: one reader, so that all mean the same.

PyYAML reads YAML 1.1, where ``1:30`` is 90, ``010`` is 8, ``1_0`` is 10 and ``off`` is false, and takes the last of two equal
keys. Here these are the text ``1:30``, 10, the text ``1_0`` and the text ``off``, and equal keys are refused.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from jsonargparse import set_dumper, set_loader

MODE = "yaml-1.2"  # of jsonargparse's parsers
TAG = "tag:yaml.org,2002:"
# of the specification 1.2.2, section 10.3.2; the second says what a value can start with
SCHEMA = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
}


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the core schema, which refuses equal keys."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        """Compose a mapping, and compare its keys as they are written, before ``<<`` adds others."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value[:80]!r} is there twice", key.start_mark
                )
            seen.add((key.tag, key.value))
        return node


class Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which puts quotes around what is text in one version of YAML and a number in the other."""


def _int(loader: Loader, node: Any) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(loader: Loader, node: Any) -> float:
    text = str(loader.construct_scalar(node)).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _merge_only(resolvers: dict[Any, list[tuple[str, Any]]]) -> dict[Any, list[tuple[str, Any]]]:
    return {start: [rule for rule in rules if rule[0] == f"{TAG}merge"] for start, rules in resolvers.items()}


Loader.yaml_implicit_resolvers = _merge_only(yaml.SafeLoader.yaml_implicit_resolvers)
for _name, (_pattern, _starts) in SCHEMA.items():
    for _class in (Loader, Dumper):
        _class.add_implicit_resolver(f"{TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _starts)
Loader.add_constructor(f"{TAG}int", _int)
Loader.add_constructor(f"{TAG}float", _float)


def load(text: str) -> Any:
    """The value of YAML text.

    Raises:
        yaml.YAMLError: for text that is not YAML, or a mapping with equal keys.

    Example:
        >>> load("{a: 010, b: 1:30, c: off, d: 1e3}")
        {'a': 10, 'b': '1:30', 'c': 'off', 'd': 1000.0}
    """
    try:
        return yaml.load(text, Loader=Loader)
    except ValueError as error:  # of a constructor, for a tag that does not fit, such as !!int x
        raise yaml.YAMLError(str(error)) from None


def load_flag(text: str) -> Any:
    """The value of a flag, or of a config: text such as ``{a, b}``, or ``a:``, which only looks like a mapping, is text."""
    value = load(text)
    bare = ":" not in text.strip().removesuffix(":")
    return text if bare and isinstance(value, dict) and value else value


def dump(value: Any) -> str:
    """YAML text that either version reads alike."""
    return str(yaml.dump(value, Dumper=Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False))


set_loader(MODE, load_flag, exceptions=(yaml.YAMLError,))
set_dumper(MODE, dump)
