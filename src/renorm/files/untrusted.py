"""Text from a file that anybody may have written: YAML and JSON as plain values, within limits of size and depth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError, in_one_line
from . import yaml_core

MAX_BYTES = 2**26  # of a JSON file: the results of some 10^5 members
MAX_YAML_BYTES = 2**20
MAX_DEPTH = 40
MAX_VALUES = 10**5  # of a YAML file, with what its aliases repeat, and of settings in a checkpoint


def read_text(path: Path, what: str, limit: int = MAX_BYTES) -> str:
    """A file's text.

    Args:
        path: the file.
        what: the argument that named it, e.g. ``config='my.yaml'``, for messages.
        limit: largest size in bytes.

    Raises:
        ValueError: for a file that cannot be read, is not UTF-8, or is larger.
    """
    try:
        with path.open("rb") as file:  # a pipe or a device has no size that could be asked for
            content = file.read(limit + 1)
        if len(content) > limit:
            raise InputError(f"{what} is too large", f"up to {limit} bytes")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{what} cannot be read ({error.strerror or error})", "a file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{what} is not text ({error.reason} at byte {error.start})", "UTF-8") from None


def read_yaml(path: Path, what: str) -> Any:
    """The values of a YAML 1.2 file; aliases, depth and size are counted before anything is built.

    Args:
        path: the file.
        what: the argument that named it, for messages.

    Raises:
        ValueError: for anything but plain values within the limits, and for a key that is there twice.
    """
    return parse_yaml(read_text(path, what, MAX_YAML_BYTES), what)


def parse_yaml(text: str, what: str) -> Any:
    """The values of YAML text, see :func:`read_yaml`.

    Raises:
        ValueError: for anything but plain values within the limits.
    """
    try:
        _count_events(text, what)
        content = yaml_core.load(text)
    except yaml.YAMLError as error:
        where = in_one_line(error).replace(' in "<unicode string>",', ",")  # the text's own place is enough
        raise InputError(f"{what} is not valid YAML ({where})") from None
    except _LimitError as error:
        raise InputError(str(error)) from None
    except Exception as error:  # PyYAML's constructors fail in any way they can, e.g. on !!timestamp 2001-99-99
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{what} is not valid YAML ({reason})") from None
    return check_plain(what, content)


def read_json(path: Path, what: str, allowed: str) -> Any:
    """The values of a JSON file.

    Args:
        path: the file.
        what: the argument that named it, for messages.
        allowed: what it may be, for messages.

    Raises:
        ValueError: for a file that is not JSON, or nested too deep.
    """
    text = read_text(path, what)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise InputError(f"{what} cannot be read ({reason})", allowed) from None


def check_plain(what: str, content: Any, limit: int = MAX_VALUES) -> Any:
    """The content itself, if it is made of mappings with string keys, lists, strings, numbers, booleans and null.

    Raises:
        ValueError: for other values, more of them than ``limit``, or deeper nesting.

    Example:
        >>> check_plain("config='a.yaml'", {"width": [4, 8]})
        {'width': [4, 8]}
        >>> check_plain("config='a.yaml'", {"width": {4, 8}})
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: config='a.yaml' holds a set; allowed: mappings, lists, strings, numbers, true, false, null
    """
    left = [(content, 0)]
    count = 0
    while left:
        value, depth = left.pop()
        count += 1
        if count > limit or depth > MAX_DEPTH:
            raise InputError(f"{what} is too large or nested too deep", f"{limit} values, {MAX_DEPTH} levels")
        if isinstance(value, dict):
            odd = [key for key in value if not isinstance(key, str)]
            if odd:
                raise InputError(f"{what} has the key {str(odd[0])[:80]!r}, which is not a string", "names of settings")
            left += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            left += [(item, depth + 1) for item in value]
        elif not isinstance(value, str | int | float | bool | None):
            kind = type(value).__name__
            raise InputError(f"{what} holds a {kind}", "mappings, lists, strings, numbers, true, false, null")
    return content


class _LimitError(Exception):
    """A limit that was crossed while YAML was read."""


def _count_events(text: str, what: str) -> None:
    """Add up what YAML would build; an alias counts as all that it repeats."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    total = 0
    # the event parser keeps its own stack: it does not recurse
    for event in yaml.parse(text, yaml_core.Loader):
        if isinstance(event, yaml.AliasEvent):
            # inside itself an alias has no size yet; an unknown one is refused later
            if any(anchor == event.anchor for anchor, _ in opened):
                raise _LimitError(f"{what} has the alias {event.anchor!r} inside itself; allowed: values that end")
            total += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, start = opened.pop()
            if anchor is not None:
                sizes[anchor] = total - start
        elif isinstance(event, yaml.NodeEvent):
            total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append((event.anchor, total - 1))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
        if total > MAX_VALUES or len(opened) > MAX_DEPTH:
            raise _LimitError(
                f"{what} is too large or nested too deep; allowed: {MAX_VALUES} values, {MAX_DEPTH} levels"
            )
