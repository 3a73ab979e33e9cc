r"""The text of a law or of a map, read by recursive descent and never evaluated.

.. code-block:: text

    thing     = name [ "(" [ argument { "," argument } ] ")" ]
    argument  = [ keyword "=" ] value
    value     = number | text | thing | weighted        (the field says which)
    weighted  = number "*" thing { "+" number "*" thing }
    text      = bare word | "JSON string" | 'verbatim'
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from ..errors import InputError
from .expression import INTEGER, WORD, Expression
from .fields import kind

MAX_DEPTH = 50
Thing = TypeVar("Thing", bound=Expression)

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|infinity|inf|nan)(?![\w.])", re.ASCII | re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


def read(text: str, family: type[Thing], checked: Callable[[Thing], Thing] = lambda thing: thing) -> Thing:
    """The one thing of a family that a text is; the inverse of ``str``.

    Args:
        text: to be read.
        family: whose registry is looked up.
        checked: what is done with each thing that was read, also with those inside others.

    Raises:
        InputError: where the text is not one, at which position, and what is allowed.
    """
    if not isinstance(text, str):
        raise InputError(f"{family.what}={text!r} is not a string", f'text such as "{family.example}"')
    reader = _Reader(text, family, checked)
    thing = reader.thing()
    reader.end()
    return thing


class _Reader(Generic[Thing]):
    """A place in a text, and one method for each rule of the grammar."""

    def __init__(self, text: str, family: type[Thing], checked: Callable[[Thing], Thing]) -> None:
        self.text = text
        self.what = family.what
        self.registry = cast(dict[str, type[Thing]], family.registry)
        self.checked = checked
        self.position = 0
        self.depth = 0
        self.skip(_SPACE)

    def skip(self, pattern: re.Pattern[str]) -> str | None:
        """What the pattern matches here, with the space behind it skipped; None where it does not match."""
        found = pattern.match(self.text, self.position)
        if found is None:
            return None
        space = _SPACE.match(self.text, found.end())
        self.position = space.end() if space else found.end()
        return found.group()

    def symbol(self, symbol: str) -> bool:
        return self.skip(re.compile(re.escape(symbol))) is not None

    def fail(self, expected: str) -> InputError:
        found = self.text[self.position : self.position + 20]
        problem = f"has {found!r} at position" if found else "ends too early, at position"
        return InputError(f"{self.what}={self.text!r} {problem} {self.position}", expected)

    def end(self) -> None:
        if self.position < len(self.text):
            raise self.fail(f"the end of the {self.what}")

    def thing(self) -> Thing:
        names = sorted(self.registry)
        name = self.skip(_NAME)
        if name is None:
            raise self.fail(f"the name of a {self.what} ({', '.join(names)})")
        if name not in self.registry:
            raise _unknown(self.what, name, names)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise InputError(
                f"{self.what}={name!r} is nested {self.depth} deep", f"up to {MAX_DEPTH} {self.what}s inside each other"
            )
        thing = self.checked(self.build(self.registry[name]))
        self.depth -= 1
        return thing

    def build(self, cls: type[Thing]) -> Thing:
        arguments = self.arguments(cls) if self.symbol("(") else {}
        for field in dataclasses.fields(cls):
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and field.name not in arguments:
                raise InputError(f"{cls.name}: {field.name} is missing", _signature(cls))
        return cls(**arguments)

    def arguments(self, cls: type[Expression]) -> dict[str, Any]:
        """The arguments up to and including the closing parenthesis."""
        fields = dataclasses.fields(cls)
        arguments: dict[str, Any] = {}
        positional = True
        while not self.symbol(")"):
            if arguments and not self.symbol(","):
                raise self.fail("',' or ')'")
            keyword = self.keyword()
            positional = positional and keyword is None
            if keyword is None:
                if not positional:
                    raise self.fail("keyword=value after the first keyword")
                if len(arguments) == len(fields):
                    raise InputError(f"{cls.name}: more than {len(fields)} arguments", _signature(cls))
                keyword = fields[len(arguments)].name
            arguments |= self.argument(cls, keyword, arguments)
        return arguments

    def keyword(self) -> str | None:
        start = self.position
        name = self.skip(_NAME)
        if name is not None and self.symbol("="):
            return name
        self.position = start
        return None

    def argument(self, cls: type[Expression], keyword: str, arguments: dict[str, Any]) -> dict[str, Any]:
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if keyword not in fields:
            raise _unknown(f"{cls.name}: parameter", keyword, list(fields))
        value = self.value(fields[keyword])
        if keyword in arguments:
            raise InputError(f"{cls.name}: {keyword}={value!s} is given twice", "each parameter once")
        return {keyword: value}

    def value(self, field: dataclasses.Field[Any]) -> Any:
        if "family" in field.metadata:
            return self.inside(*field.metadata["family"])
        return {"number": self.number, "text": self.word, "law": self.thing, "weighted": self.weighted}[kind(field)]()

    def inside(self, family: type[Expression], checked: Callable[[Any], Any]) -> Expression:
        """A thing of another family, such as the law inside a source; it may stand in quotes."""
        quoted = self.skip(_QUOTED)
        if quoted is not None:
            return read(_unquote(quoted), family, checked)
        inner = _Reader(self.text, family, checked)
        inner.position, inner.depth = self.position, self.depth
        thing = inner.thing()
        self.position = inner.position
        return thing

    def number(self) -> float:
        found = self.skip(_NUMBER)
        if found is None:
            raise self.fail("a number")
        return float(found)

    def word(self) -> str | int:
        quoted = self.skip(_QUOTED)
        if quoted is not None:
            return _unquote(quoted)
        found = self.skip(WORD)
        if found is None:
            raise self.fail("a word, or text in quotes")
        return int(found) if INTEGER.fullmatch(found) and len(found) < 10 else found

    def weighted(self) -> tuple[tuple[float, Thing], ...]:
        parts = [self.part()]
        while self.symbol("+"):
            parts.append(self.part())
        return tuple(parts)

    def part(self) -> tuple[float, Thing]:
        weight = self.skip(_NUMBER)
        if weight is None or not self.symbol("*"):
            raise self.fail(f"weight*{self.what}, such as 0.5*gaussian()")
        return float(weight), self.thing()


def _unquote(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    try:
        return str(json.loads(text))
    except json.JSONDecodeError:
        raise InputError(f"text={text} has an unknown escape", "JSON strings, with \\\\ for a backslash") from None


def _signature(cls: type[Expression]) -> str:
    return f"{cls.name}({', '.join(field.name for field in dataclasses.fields(cls))})"


def _unknown(what: str, name: str, known: list[str]) -> InputError:
    close = difflib.get_close_matches(name.lower(), known, 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return InputError(f"{what} {name!r} is unknown{hint}", ", ".join(known) or "none")
