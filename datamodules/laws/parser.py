r"""The text of a law, read by recursive descent and never evaluated, and written in one canonical form.

.. code-block:: text

    law       = name [ "(" [ argument { "," argument } ] ")" ]
    argument  = [ keyword "=" ] value
    value     = number | text | law | weighted        (the law's field says which)
    weighted  = number "*" law { "+" number "*" law }
    text      = bare word | "JSON string" | 'verbatim'
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from dataclasses import Field
from typing import Any

from .base import REGISTRY, Law, LawError, kind, write_number
from .contract import checked

MAX_DEPTH = 50

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|infinity|inf|nan)(?![\w.])", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"\d+", re.ASCII)
_WORD = re.compile(r"[\w./\\:~%@+-]+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


def parse(text: str) -> Law:
    r"""Read a law, such as ``gamma(shape=2)`` or ``mixture(0.5*gaussian(mean=-1) + 0.5*laplace())``.

    Arguments are numbers by keyword or by position, in the order of the law's parameters; those left out have
    defaults, and ``gaussian`` alone is ``gaussian()``. Nothing is evaluated. The inverse of ``str``:
    ``parse(str(law)) == law``.

    Args:
        text: one law.

    Returns:
        The law; two that are written alike are equal.

    Raises:
        LawError: a ``ValueError`` of one line, with the argument, its value and what is allowed.

    Example:
        >>> parse("gaussian(1, std=3)")
        Gaussian(mean=1.0, std=3.0)
        >>> str(parse(" student_t ( df = 1e1 ) "))
        'student_t(df=10)'
    """
    if not isinstance(text, str):
        raise LawError(f"law={text!r} is not a string", 'text such as "gaussian(mean=0, std=1)"')
    reader = _Reader(text)
    law = reader.law()
    reader.end()
    return law


def names() -> list[str]:
    """The names of all laws, in alphabetical order.

    Example:
        >>> "gaussian" in names()
        True
    """
    return sorted(REGISTRY)


def write_argument(law: Law, field: Field[Any]) -> str:
    """One argument of a law's canonical text: numbers and texts by keyword, laws by position."""
    value = getattr(law, field.name)
    if kind(field) == "law":
        return str(value)
    if kind(field) == "weighted":
        return " + ".join(f"{write_number(weight)}*{part}" for weight, part in value)
    return f"{field.name}={write_number(value) if kind(field) == 'number' else _write_text(value)}"


def _write_text(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    bare = _WORD.fullmatch(value) and not _INTEGER.fullmatch(value)
    return value if bare else json.dumps(value, ensure_ascii=False)


class _Reader:
    """A place in a text, and one method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
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

    def fail(self, expected: str) -> LawError:
        found = repr(self.text[self.position : self.position + 20]) if self.position < len(self.text) else "the end"
        return LawError(f"law={self.text!r} has {found} at position {self.position}", expected)

    def end(self) -> None:
        if self.position < len(self.text):
            raise self.fail("the end of the law")

    def law(self) -> Law:
        name = self.skip(_NAME)
        if name is None:
            raise self.fail(f"the name of a law ({', '.join(names())})")
        if name not in REGISTRY:
            raise _unknown("law", name, names())
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise LawError(f"law={name!r} is nested {self.depth} deep", f"up to {MAX_DEPTH} laws inside each other")
        law = checked(self.build(REGISTRY[name]))
        self.depth -= 1
        return law

    def build(self, cls: type[Law]) -> Law:
        arguments = self.arguments(cls) if self.symbol("(") else {}
        for field in dataclasses.fields(cls):
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and field.name not in arguments:
                raise LawError(f"{cls.name}: {field.name} is missing", _signature(cls))
        return cls(**arguments)

    def arguments(self, cls: type[Law]) -> dict[str, Any]:
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
                    raise LawError(f"{cls.name}: more than {len(fields)} arguments", _signature(cls))
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

    def argument(self, cls: type[Law], keyword: str, arguments: dict[str, Any]) -> dict[str, Any]:
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if keyword not in fields:
            raise _unknown(f"{cls.name}: parameter", keyword, list(fields))
        value = self.value(kind(fields[keyword]))
        if keyword in arguments:
            raise LawError(f"{cls.name}: {keyword}={value!s} is given twice", "each parameter once")
        return {keyword: value}

    def value(self, wanted: str) -> Any:
        return {"number": self.number, "text": self.word, "law": self.law, "weighted": self.weighted}[wanted]()

    def number(self) -> float:
        found = self.skip(_NUMBER)
        if found is None:
            raise self.fail("a number")
        return float(found)

    def word(self) -> str | int:
        quoted = self.skip(_QUOTED)
        if quoted is not None:
            return _unquote(quoted)
        found = self.skip(_WORD)
        if found is None:
            raise self.fail("a word, or text in quotes")
        return int(found) if _INTEGER.fullmatch(found) and len(found) < 10 else found

    def weighted(self) -> tuple[tuple[float, Law], ...]:
        parts = [self.part()]
        while self.symbol("+"):
            parts.append(self.part())
        return tuple(parts)

    def part(self) -> tuple[float, Law]:
        weight = self.skip(_NUMBER)
        if weight is None or not self.symbol("*"):
            raise self.fail("weight*law, such as 0.5*gaussian()")
        return float(weight), self.law()


def _unquote(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    try:
        return str(json.loads(text))
    except json.JSONDecodeError:
        raise LawError(f"text={text} has an unknown escape", "JSON strings, with \\\\ for a backslash") from None


def _signature(cls: type[Law]) -> str:
    return f"{cls.name}({', '.join(field.name for field in dataclasses.fields(cls))})"


def _unknown(what: str, name: str, known: list[str]) -> LawError:
    close = difflib.get_close_matches(name.lower(), known, 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return LawError(f"{what} {name!r} is unknown{hint}", ", ".join(known) or "none")
