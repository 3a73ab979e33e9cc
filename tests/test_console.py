"""Tables and long lines on the screen."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.table import Table

from renorm.console import print_table, print_wrapped, without

WIDTH = 80
words = st.text("abcdefghij(=,)[]/µ", min_size=1, max_size=12)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))


def table_of(columns: list[list[str]]) -> Table:
    table = Table(*(f"column {i}" for i in range(len(columns))), box=None, pad_edge=False)
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    return table


@given(st.lists(st.lists(words, min_size=3, max_size=3), min_size=1, max_size=9), st.integers(0, 9))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_fits_and_no_cell_is_cut(
    capsys: pytest.CaptureFixture[str], columns: list[list[str]], fixed: int
) -> None:
    headings = [f"column {i}" for i in range(len(columns))]
    table, least = table_of(columns), headings[:fixed:-1]
    shown = print_table(table, least)
    lines = capsys.readouterr().out.splitlines()
    kept = [str(column.header) for column in shown.columns]
    dropped = [heading for heading in headings if heading not in kept]
    assert dropped[::-1] == least[: len(dropped)], "the least important ones go first"
    for row, line in zip(zip(*columns, strict=True), lines[1:], strict=False):
        assert line.split() == [cell for heading, cell in zip(headings, row, strict=True) if heading in kept]
    widest = max(map(len, lines))
    assert widest <= WIDTH or len(dropped) == len(least)
    if dropped:
        assert " ".join(" ".join(lines).split()).endswith("(--wide has all columns)")
        assert len(without(table, dropped[1:]).columns) == len(kept) + 1
    print_table(table, least, wide=True)
    assert all(heading in capsys.readouterr().out.splitlines()[0] for heading in headings[:1])


def test_wide_prints_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    table = table_of([["a" * 30]] * 4)
    print_table(table, ["column 3", "column 2"])
    narrow = capsys.readouterr().out.splitlines()
    assert narrow[0].split() == ["column", "0", "column", "1"]
    assert narrow[-1] == "left out: column 3; column 2 (--wide has all columns)"
    print_table(table, ["column 3", "column 2"], wide=True)
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["column", "0", "column", "1", "column", "2", "column", "3"]
    assert row.split() == ["a" * 30] * 4


@given(st.lists(st.lists(words, min_size=1, max_size=40), min_size=1, max_size=3), st.integers(0, 6))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_long_lines_are_wrapped_between_words(
    capsys: pytest.CaptureFixture[str], lines: list[list[str]], indent: int
) -> None:
    print_wrapped("\n".join(" " * indent + " ".join(line) for line in lines))
    printed = capsys.readouterr().out
    assert printed.split() == [word for line in lines for word in line]
    assert max(map(len, printed.splitlines())) <= WIDTH
    assert printed.splitlines()[0].startswith(" " * indent + lines[0][0])
