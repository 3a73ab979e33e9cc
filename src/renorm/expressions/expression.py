"""The base of laws and of maps: a frozen dataclass that is known by its name and written as text."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from ..own_code import check_name
from .fields import LARGEST, checked_number, kind, write_number

WORD = re.compile(r"[\w./\\:~%@+-]+")
INTEGER = re.compile(r"\d+", re.ASCII)


@dataclass(frozen=True)
class Expression:
    """A class with a ``name`` whose fields are its arguments; ``str`` writes it, and a reader of its family reads it back.

    A family, such as the laws, is a subclass with a registry of its own; a class of the family registers itself by being
    defined.

    Raises:
        InputError: for a name that is taken, or a number out of its field's range.
    """

    what: ClassVar[str]  # what messages call a thing of this family
    example: ClassVar[str]  # of its text
    registry: ClassVar[dict[str, type[Expression]]]
    name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            return
        check_name(cls, cls.registry.get(cls.name), "a new name")
        cls.registry[cls.name] = cls

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if kind(field) == "number":
                low, high = field.metadata.get("low", -LARGEST), field.metadata.get("high", LARGEST)
                value = checked_number(f"{self.name}: {field.name}", getattr(self, field.name), low, high)
                object.__setattr__(self, field.name, value)

    def __str__(self) -> str:
        """Canonical text, which the reader of the family reads back as an equal object."""
        # a field that is brief is written only where it differs from its default
        fields = [
            field for field in dataclasses.fields(self) if not field.metadata.get("brief") or self._differs(field)
        ]
        return f"{self.name}({', '.join(write_argument(self, field) for field in fields)})"

    @property
    def short(self) -> str:
        """Text for tables and figures: without arguments that have their default, and numbers to four digits.

        Example:
            >>> from renorm.datamodules import laws
            >>> laws.parse("mixture(0.5*uniform() + 0.5*gaussian(std=0.3333333))").short
            'mixture(0.5*uniform() + 0.5*gaussian(std=0.3333))'
        """
        fields = [field for field in dataclasses.fields(self) if self._differs(field)]
        return f"{self.name}({', '.join(write_argument(self, field, short=True) for field in fields)})"

    def _differs(self, field: dataclasses.Field[Any]) -> bool:
        return bool(getattr(self, field.name) != field.default)


def write_argument(thing: Expression, field: dataclasses.Field[Any], short: bool = False) -> str:
    """One argument of the canonical or of the short text, by keyword; an expression that comes first by position."""

    def write(value: Any) -> str:
        if isinstance(value, Expression):
            return value.short if short else str(value)
        return f"{value:.4g}" if short else write_number(value)

    value = getattr(thing, field.name)
    if kind(field) == "law":
        first = dataclasses.fields(thing)[0].name == field.name
        return write(value) if first else f"{field.name}={write(value)}"
    if kind(field) == "weighted":
        return " + ".join(f"{write(weight)}*{write(part)}" for weight, part in value)
    return f"{field.name}={write(value) if kind(field) == 'number' else _write_text(value)}"


def _write_text(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    bare = WORD.fullmatch(value) and not INTEGER.fullmatch(value)
    return value if bare else json.dumps(value, ensure_ascii=False)
