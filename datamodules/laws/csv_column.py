"""A column of numbers in delimited text: every way to read the file is tried, and only one answer is taken."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import LawError
from .table_columns import position

DELIMITERS = (",", ";", "\t", "|")  # those that are recognised
ALL_DELIMITERS = (*DELIMITERS, " ")  # a blank has to be asked for: it also divides thousands
NO_DELIMITER = "\x1f"  # in no file: the whole line is one cell
DECIMALS = (".", ",")
INFER, NO_HEADER = "infer", "none"
WAYS = "a delimiter=, decimal= or header= that says how"
# what pandas and Arrow take for a missing value, and numbers that no law holds
MISSING = {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN", "<NA>", "N/A", "n/a", "NA"}
MISSING |= {"NULL", "null", "None"}
MISSING |= {
    sign + word
    for sign in ("", "+", "-")
    for word in ("nan", "NaN", "NAN", "inf", "Inf", "INF", "infinity", "Infinity")
}
NUMBER = {
    ".": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII),
    ",": re.compile(r"[+-]?(\d+(,\d+)?|,\d+)([eE][+-]?\d+)?", re.ASCII),
}
# a mark before each group of three digits: 1.234 is one number to some, and a thousand times as much to others
GROUPED = {mark: rf"^[+-]?(0|[1-9][0-9]{{0,2}}({re.escape(mark)}[0-9]{{3}})?)$" for mark in DECIMALS}
# lines with commas that may be one number each: 1,234.5 or 1.234,5
GROUPED_LINES = (r"^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?$", r"^[+-]?[0-9]{1,3}(\.[0-9]{3})*,[0-9]+$")
NAME = re.compile(r"[\W_]*[^\W\d_]")  # a letter comes before any digit


@dataclass(frozen=True)
class Format:
    """How delimited text is written; what is ``infer`` is recognised."""

    delimiter: str = INFER
    decimal: str = INFER
    header: str | int | None = INFER


@dataclass(frozen=True)
class Reading:
    """One way to read a file: what it gives, or why it fails, or why it may be wrong."""

    sheet: _Sheet
    decimal: str = "."
    header: bool = False
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    problem: LawError | None = None
    doubt: str = ""

    def __str__(self) -> str:
        delimiter = self.sheet.delimiter
        parts = [] if delimiter == NO_DELIMITER else [f"delimiter={delimiter!r}"]
        parts += [f"decimal={self.decimal!r}", f"header={0 if self.header else NO_HEADER}"]
        numbers = ", ".join(f"{x:.12g}" for x in self.values[:2]) + (", …" if len(self.values) > 2 else "")
        return f"{' '.join(parts)}: {numbers}"


class _Sheet:
    """A file whose lines are divided in one way."""

    def __init__(self, file: str, lines: list[str], delimiter: str) -> None:
        self.file = file
        self.lines = lines
        self.delimiter = delimiter
        self.names = _divided(lines[0], delimiter)

    def cells(self, index: int) -> Any:
        """The texts of a column without the blanks around them, first line included, as an Arrow array."""
        return self._columns([index])[0]

    def all_numbers(self, reading: Reading) -> bool:
        """Whether all columns hold numbers."""
        columns = self._columns(range(len(self.names)))
        return all(_numbers(cells[int(reading.header) :], reading.decimal) is not None for cells in columns)

    def names_above_numbers(self, decimal: str) -> bool:
        """Whether the first line has a name in some column that holds numbers below it."""
        named = [i for i, name in enumerate(self.names) if _is_name(name)]
        bodies = [cells[1:] for cells in self._columns(named)]
        return any(len(body) > 0 and _numbers(body, decimal) is not None for body in bodies)

    def thousands(self) -> str:
        """Why all lines may be one number each, in which commas or points divide thousands."""
        from pyarrow import compute

        if not any(re.match(pattern, self.lines[-1]) for pattern in GROUPED_LINES) or _names_divided(self.lines[0]):
            return ""
        lines = _Sheet(self.file, self.lines, NO_DELIMITER).cells(0)
        lines = lines[int(any(map(_is_name, self.names))) :]
        commas, points = (compute.all(compute.match_substring_regex(lines, p)).as_py() for p in GROUPED_LINES)
        one = commas or (points and compute.any(compute.match_substring(lines, ".")).as_py())
        return "has lines that are one number each if ',' or '.' divides thousands" if one else ""

    def _columns(self, indices: Iterable[int]) -> list[Any]:
        import pyarrow
        from pyarrow import compute
        from pyarrow import csv as arrow_csv

        # by position, because two columns may have one name
        wanted = [str(i) for i in indices]
        table = arrow_csv.read_csv(
            self.file,
            read_options=arrow_csv.ReadOptions(column_names=[str(i) for i in range(len(self.names))]),
            parse_options=arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pyarrow.string()), strings_can_be_null=False
            ),
        )
        return [compute.utf8_trim_whitespace(table.column(i)) for i in range(len(wanted))]


def read_column(file: str, where: str, column: str | int, how: Format) -> NDArray[np.float64]:
    """The numbers of one column; missing ones are NaN.

    All delimiters, decimal marks and kinds of first line that ``how`` leaves open are tried. A reading that fails on any
    row is dropped, and one that finds texts in some column gives way to one that finds numbers everywhere.

    Args:
        file: path of the file.
        where: the law's arguments, for messages.
        column: name, or index from 0.
        how: what is known of the format.

    Raises:
        LawError: for a file that cannot be read in any way, or in two ways that give different numbers.
    """
    lines = _first_lines(file)
    if not lines or not lines[0].strip():
        raise LawError(f"{where} is empty", "one number or more")
    sheets = [_Sheet(file, lines, delimiter) for delimiter in _delimiters(lines, how)]
    readings = [reading for sheet in sheets for reading in _readings(sheet, where, column, how)]
    good = [reading for reading in readings if reading.problem is None]
    if not good:
        widest = max(readings, key=lambda reading: len(reading.sheet.names))
        raise widest.problem or LawError(f"{where} cannot be read", WAYS)
    if len(_distinct(good)) > 1:
        good = [reading for reading in good if reading.sheet.all_numbers(reading)] or good
    found = _distinct(good)
    if len(found) > 1:
        raise LawError(f"{where} can be read in two ways ({found[0]}; {found[1]})", WAYS)
    if doubts := [reading.doubt for reading in good if reading.doubt]:
        raise LawError(f"{where} {doubts[0]}", WAYS)
    return found[0].values


def _first_lines(file: str) -> list[str]:
    """The first two rows as they stand in the file; a quoted line break does not end a row."""
    with open(file, newline="", encoding="utf-8-sig") as stream:
        lines = [""]
        for line in itertools.islice((line for line in stream if line.strip()), 1000):
            lines[-1] += line
            if lines[-1].count('"') % 2 == 0:
                lines.append("")
            if len(lines) > 2:
                break
    return [line.strip("\r\n") for line in lines if line]


def _delimiters(lines: list[str], how: Format) -> list[str]:
    """The one that is asked for, or those that divide the first line, and none."""
    if how.delimiter != INFER:
        return [how.delimiter]
    dividing = [delimiter for delimiter in DELIMITERS if len(_divided(lines[0], delimiter)) > 1]
    whole = _is_number(_divided(lines[-1], NO_DELIMITER)[0], ",") and not _names_divided(lines[0])
    return [*dividing, NO_DELIMITER] if whole or not dividing else dividing


def _divided(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [""])]


def _is_number(cell: str, decimal: str) -> bool:
    return cell in MISSING or NUMBER[decimal].fullmatch(cell) is not None


def _is_name(cell: str) -> bool:
    return cell not in MISSING and NAME.match(cell) is not None


def _distinct(readings: list[Reading]) -> list[Reading]:
    """The first of those that give the same numbers."""
    found: list[Reading] = []
    for reading in readings:
        if not any(np.array_equal(reading.values, other.values, equal_nan=True) for other in found):
            found.append(reading)
    return found


def _readings(sheet: _Sheet, where: str, column: str | int, how: Format) -> list[Reading]:
    """All readings with one delimiter."""
    decimals = [decimal for decimal in DECIMALS if how.decimal in (INFER, decimal) and decimal != sheet.delimiter]
    try:
        index = position(where, column, sheet.names)
        cells = sheet.cells(index)
    except LawError as error:
        return [Reading(sheet, problem=error)]
    except Exception as error:  # Arrow fails in many ways, e.g. on rows of different lengths
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return [
            Reading(sheet, problem=LawError(f"{where} cannot be read ({reason})", f"rows of one length, or {WAYS}"))
        ]
    if isinstance(column, str) or how.header != INFER:
        kinds = {decimal: [(how.header != NO_HEADER, "")] for decimal in decimals}
    else:
        kinds = {decimal: _headers(sheet, index, decimal, cells) for decimal in decimals}
    # a name, or a second column, leaves no doubt that commas divide cells
    grouped = sheet.thousands() if sheet.delimiter == "," and column == 0 else ""
    return [
        _reading(Reading(sheet, decimal, header, doubt=doubt or grouped), where, cells, how)
        for decimal in decimals
        for header, doubt in kinds[decimal]
    ]


def _reading(reading: Reading, where: str, cells: Any, how: Format) -> Reading:
    """The reading with its numbers, or with its problem."""
    cells = cells[1:] if reading.header else cells
    values = _numbers(cells, reading.decimal)
    if values is None:
        problem = LawError(f"{where} is not numeric", f"integers or floating-point numbers, or {WAYS}")
        return replace(reading, problem=problem)
    if len(values) == 0:
        return replace(reading, problem=LawError(f"{where} is empty", "one number or more"))
    comma = reading.sheet.delimiter == ","
    doubt = reading.doubt or ("" if comma else _thousands(cells, reading.decimal))
    known = how.decimal != INFER or (comma and how.delimiter == ",")
    return replace(reading, values=values, doubt=("" if known else doubt) or _rival(reading, how))


def _rival(reading: Reading, how: Format) -> str:
    """Why another delimiter may be the true one: it divides the first two lines alike."""
    if how.delimiter != INFER:
        return ""
    for other in DELIMITERS:
        widths = {len(_divided(line, other)) for line in reading.sheet.lines}
        if other not in (reading.sheet.delimiter, reading.decimal) and len(widths) == 1 and max(widths) > 1:
            return f"is divided by {reading.sheet.delimiter!r} and by {other!r}"
    return ""


def _numbers(cells: Any, decimal: str) -> NDArray[np.float64] | None:
    """Doubles, NaN for missing ones; None where some cell is neither."""
    import pyarrow
    from pyarrow import compute

    missing = compute.is_in(cells, value_set=pyarrow.array(sorted(MISSING)))
    good = compute.or_(missing, compute.match_substring_regex(cells, f"^(?:{NUMBER[decimal].pattern})$"))
    if not compute.all(good, min_count=0).as_py():
        return None
    digits = compute.if_else(missing, "nan", compute.replace_substring(cells, decimal, "."))
    return np.asarray(digits.cast(pyarrow.float64()).to_numpy(), dtype=np.float64)


def _thousands(cells: Any, decimal: str) -> str:
    """Why the marks may divide thousands, if each has three digits behind it."""
    from pyarrow import compute

    marked = compute.any(compute.match_substring(cells, decimal)).as_py()
    if marked and compute.all(compute.match_substring_regex(cells, GROUPED[decimal])).as_py():
        return f"has three digits behind each {decimal!r}, which may divide thousands or decimals"
    return ""


def _headers(sheet: _Sheet, index: int, decimal: str, cells: Any) -> list[tuple[bool, str]]:
    """Whether the first line has names: yes, no, or both where nobody can say; each with a doubt, or none."""
    numeric = [_is_number(cell, decimal) for cell in sheet.names]
    if not numeric[index]:
        name = sheet.names[index]
        doubt = "" if _is_name(name) else f"has {name[:40]!r} in its first line, which may be a name or a number"
        return [(True, doubt)]
    if not all(numeric):
        if sheet.names_above_numbers(decimal):
            return [(True, "")]
        doubt = "has numbers and texts in its first line, which may be names or not"
        return [(True, doubt), (False, doubt)]
    if _like_names(sheet, cells[1:], decimal):
        return [(False, ""), (True, "")]
    return [(False, "")]


def _names_divided(line: str) -> bool:
    """Whether the first line has several names: ``a,b`` are two, but ``Price, EUR`` may be one."""
    names = [next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [""]) for delimiter in DELIMITERS]
    return any(
        len(row) > 1 and any(map(_is_name, row)) and not any(name.startswith(" ") for name in row) for row in names
    )


def _like_names(sheet: _Sheet, cells: Any, decimal: str) -> bool:
    """Whether numbers may be names: 0, 1, 2 and so on, whole ones above others, or quoted ones above others."""
    from pyarrow import compute

    names = sheet.names
    if len(names) > 1 and names == [str(i) for i in range(len(names))]:
        return True
    if len(sheet.lines) > 1 and '"' in sheet.lines[0] and '"' not in sheet.lines[1]:
        return True
    marked = compute.match_substring_regex(cells, rf"[{decimal}eE]")
    return all(name.isdecimal() for name in names) and len(cells) > 0 and bool(compute.all(marked).as_py())
