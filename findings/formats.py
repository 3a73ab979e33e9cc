"""How the page writes numbers: an interval, a share, a factor, a word."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from renorm.errors import InputError

Summary: TypeAlias = Mapping[str, float | None]  # value, low and high, of the 95% interval
WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
NOT_FINITE = "∞"  # claims.json has null for it
ENDS = ("value", "low", "high")
TINY_SHARE, HUGE_SHARE = 1e-4, 10.0
SMALL, LARGE = 1e-3, 1e5  # beyond these numbers have an exponent


def number(value: Any, digits: int = 2) -> str:
    """A number with so many significant digits; whole digits are kept.

    Example:
        >>> number(0.12345), number(-1234.5), number(4.33e-14), number(3.0)
        ('0.12', '−1234', '4.3e−14', '3.0')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return _minus(str(value))
    if value is None:
        return NOT_FINITE
    if value == 0:
        return "0"
    if not SMALL <= abs(value) < LARGE:
        return _minus(f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e"))
    return _minus(f"{value:.{max(0, digits - 1 - _exponent(value))}f}")


def given(value: float) -> str:
    """A number of the settings or the rule, as it was given.

    Example:
        >>> given(0.001), given(2)
        ('0.001', '2')
    """
    return _minus(f"{value:g}")


def interval(found: Summary) -> str:
    """A number with its 95% interval, to two digits of the interval's half width, and at most three of its own.

    Example:
        >>> interval({"value": 8.1123, "low": 4.421, "high": 11.7})
        '8.1 [4.4, 11.7]'
        >>> interval({"value": 4.33e-14, "low": 4e-14, "high": 5e-14})
        '4.3e−14 [4.0e−14, 5.0e−14]'
    """
    value, low, high = (found[name] for name in ENDS)
    if value is None or low is None or high is None:
        return f"{number(value)} [{number(low)}, {number(high)}]"
    largest = max(abs(value), abs(low), abs(high))
    if largest == 0 or not SMALL <= largest < LARGE:
        return f"{number(value)} [{number(low)}, {number(high)}]"
    decimals = 2 - _exponent(value or largest)
    if high > low:
        decimals = min(decimals, 1 - _exponent((high - low) / 2))
    decimals = max(0, decimals)
    return _minus(
        "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(*(_unsigned_zero(v, decimals) for v in (value, low, high)), d=decimals)
    )


def percent(found: Summary | float) -> str:
    """A share, or a share with its interval, in per cent; as a plain number where that would be tiny, or a factor where huge.

    Example:
        >>> percent(0.873), percent(0.0331), percent({"value": 0.5, "low": 0.25, "high": 1.0}), percent(1.1e-7), percent(161.3)
        ('87%', '3.3%', '50% [25%, 100%]', '1.1e−7', '161-fold')
    """
    if isinstance(found, Mapping):
        value, low, high = (percent(found[name] or 0.0) for name in ENDS)
        return f"{value} [{low}, {high}]"
    per_cent = 100 * found
    if per_cent and abs(found) < TINY_SHARE:
        return number(found)
    if abs(found) > HUGE_SHARE:
        return f"{number(found)}-fold"
    if abs(per_cent) >= 9.95 or per_cent == round(per_cent):
        return _minus(f"{per_cent:.0f}%")
    return _minus(f"{number(per_cent, 2)}%")


def power(found: Summary | float) -> Any:
    """What a number in decades is as a factor, ten to it; its interval too.

    Example:
        >>> power(2.0), power({"value": 1.0, "low": 0.0, "high": 2.0})
        (100.0, {'value': 10.0, 'low': 1.0, 'high': 100.0})
    """
    if isinstance(found, Mapping):
        return {name: None if value is None else 10**value for name, value in found.items() if name in ENDS}
    return 10**found


def word(count: int) -> str:
    """A small whole number as a word.

    Example:
        >>> word(5), word(52)
        ('five', '52')
    """
    return WORDS[count] if 0 <= count < len(WORDS) else str(count)


def listed(items: Iterable[Any], last: str = "and") -> str:
    """Items with commas, and a word before the last.

    Example:
        >>> listed(["a", "b", "c"]), listed([1])
        ('a, b and c', '1')
    """
    *most, end = [item if isinstance(item, str) else given(item) for item in items]
    return f"{', '.join(most)} {last} {end}" if most else end


def having(table: Mapping[str, Any], *parts: str) -> dict[str, Any]:
    """The entries of a table whose names hold all of some words.

    Raises:
        InputError: where there are none.

    Example:
        >>> having({"gain, sum": 1.0, "harm, sum": 2.0}, "harm")
        {'harm, sum': 2.0}
    """
    found = {name: value for name, value in table.items() if all(part in name for part in parts)}
    if not found:
        raise InputError(f"no entry has {parts!r}", ", ".join(map(repr, table))[:600])
    return found


def lacking(table: Mapping[str, Any], *parts: str) -> dict[str, Any]:
    """The entries of a table whose names hold none of some words.

    Example:
        >>> lacking({"gain, sum": 1.0, "harm, sum": 2.0}, "harm")
        {'gain, sum': 1.0}
    """
    return {name: value for name, value in table.items() if not any(part in name for part in parts)}


def pick(table: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """Of each entry of a table the one below it at a path.

    Example:
        >>> pick({"free": {"time": {"value": 1.1}}}, "time", "value")
        {'free': 1.1}
    """
    return {name: at(entry, *path) for name, entry in table.items()}


def deviation(table: Any) -> float:
    """By how much the :func:`values` differ from one at most.

    Example:
        >>> deviation([1.25, 0.5])
        0.5
    """
    return max(abs(value - 1) for value in values(table))


def values(table: Mapping[str, Any] | Sequence[Any], key: str = "value") -> list[float]:
    """The numbers of a table, or of a list; of numbers with intervals the estimates, or another ``key`` of them.

    Example:
        >>> values({"a": {"value": 1.0, "low": 0.5}, "b": 2.0})
        [1.0, 2.0]
    """
    entries = table.values() if isinstance(table, Mapping) else table
    found = [one[key] if isinstance(one, Mapping) else one for one in entries]
    return [math.inf if one is None else float(one) for one in found]


def least(table: Any, key: str = "value") -> float:
    """The smallest of :func:`values`."""
    return min(values(table, key))


def largest(table: Any, key: str = "value") -> float:
    """The largest of :func:`values`."""
    return max(values(table, key))


def span(table: Any, form: str = "number", by: str = "none") -> str:
    """From the smallest to the largest of :func:`values`.

    Args:
        table: numbers.
        form: ``number`` or ``percent``.
        by: ``power`` for ten to the numbers, which are decades.

    Example:
        >>> span({"a": {"value": 1.0}, "b": 2.0}), span([0.5, 0.25], "percent"), span([1.0, 2.0], by="power")
        ('1.0 to 2.0', '25% to 50%', '10 to 100')
    """
    ends = [power(one) if by == "power" else one for one in (least(table), largest(table))]
    low, high = (percent(one) if form == "percent" else number(one) for one in ends)
    return low if low == high else f"{low} to {high}"


def intervals(table: Mapping[str, Summary], by: str = "none") -> str:
    """All numbers of a table with their intervals, listed; ``by`` as in :func:`span`.

    Example:
        >>> one = {"value": 2.0, "low": 1.0, "high": 3.0}
        >>> intervals({"a": one, "b": one})
        '2.0 [1.0, 3.0] and 2.0 [1.0, 3.0]'
    """
    return listed(interval(power(one) if by == "power" else one) for one in table.values())


def at(table: Any, *path: str) -> Any:
    """An entry of nested tables.

    Raises:
        InputError: for a path that does not exist, with what there is.

    Example:
        >>> at({"free, 8": {"value": 1.0}}, "free, 8", "value")
        1.0
    """
    found = table
    for depth, key in enumerate(path):
        if not isinstance(found, Mapping) or key not in found:
            there = ", ".join(map(repr, found)) if isinstance(found, Mapping) else "nothing below it"
            raise InputError(f"path {path[: depth + 1]!r} does not exist", there[:600])
        found = found[key]
    return found


def inverse(value: float) -> float:
    """One over a number.

    Example:
        >>> inverse(4.0)
        0.25
    """
    return 1 / value


FILTERS = {
    "at": at,
    "inverse": inverse,
    "number": number,
    "given": given,
    "interval": interval,
    "percent": percent,
    "power": power,
    "word": word,
    "listed": listed,
    "having": having,
    "lacking": lacking,
    "pick": pick,
    "deviation": deviation,
    "values": values,
    "least": least,
    "largest": largest,
    "span": span,
    "intervals": intervals,
}


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def _unsigned_zero(value: float, decimals: int) -> float:
    return round(value, decimals) + 0.0  # -0.0 becomes 0.0


def _minus(text: str) -> str:
    return text.replace("-", "−")
