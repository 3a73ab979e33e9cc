"""Delimited text in many dialects: the right numbers, or a refusal."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from renorm.datamodules import laws

DELIMITERS = [",", ";", "\t", "|", " "]


@dataclass(frozen=True)
class Written:
    """A file as some program writes it, and what a column of it holds."""

    text: str
    column: str | int
    values: tuple[float, ...]
    delimiter: str | None
    decimal: str
    header: bool
    thousands: str


def number_text(value: float, places: int, decimal: str, thousands: str) -> str:
    return f"{value:,.{places}f}".translate({ord("."): decimal, ord(","): thousands})


@st.composite
def files(draw: st.DrawFn) -> Written:
    decimal = draw(st.sampled_from(".,"))
    delimiter = draw(st.sampled_from([mark for mark in [None, *DELIMITERS] if mark != decimal]))
    thousands = draw(st.sampled_from(["", "", "", *(mark for mark in ".,' " if mark not in (decimal, delimiter))]))
    # a comma that divides cells says that the decimal mark is a point: 1.234 has three decimals there
    if delimiter == "," and thousands == ".":
        thousands = ""
    width = 1 if delimiter is None else draw(st.integers(1, 3))
    rows = draw(st.integers(1, 4))
    asked = draw(st.integers(0, width - 1))
    places = draw(st.integers(0, 4))
    numbers = draw(st.lists(st.integers(-(10**7), 10**7), min_size=rows, max_size=rows))
    values = [float(f"{n / 10**places:.{places}f}") for n in numbers]
    names = draw(
        st.sampled_from(
            [
                None,
                ["x", "a b", "r"],
                ["Price, EUR", "y", "z"],
                ["2019", "x", "n2"],
                ["0", "1", "2"],
                ["#x", "p;q", "c"],
            ]
        )
    )
    # whole numbers above whole numbers are data: only their writer knows that they are names
    if names is not None and names[asked].isdecimal() and (width == 1 or names[0] == "2019") and places == 0:
        names = ["x", "y", "z"]
    columns = []
    for i in range(width):
        if i == asked:
            columns.append([number_text(value, places, decimal, thousands) for value in values])
        elif draw(st.booleans()):
            columns.append([draw(st.sampled_from(["a", "up; down", "1;2", "5,x", "2020-01-01"])) for _ in range(rows)])
        else:
            other = draw(st.integers(0, 3))
            columns.append(
                [number_text(draw(st.integers(-50, 5000)) / 8, other, decimal, thousands) for _ in range(rows)]
            )
    table = [list(row) for row in zip(*columns, strict=True)]
    quoting = draw(st.sampled_from(["needed", "all", "header", "texts"]))
    if names is not None:
        table.insert(0, names[:width])
    lines = []
    for i, row in enumerate(table):
        head = i == 0 and names is not None
        quote = [
            quoting == "all"
            or (quoting == "header" and head)
            or (quoting == "texts" and any(letter.isalpha() for letter in cell))
            or (delimiter or "\x1f") in cell
            for cell in row
        ]
        cells = [f'"{cell}"' if quoted else cell for cell, quoted in zip(row, quote, strict=True)]
        lines.append((delimiter or "").join(cells))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = draw(st.sampled_from(["", "\ufeff"])) + end.join(lines) + draw(st.sampled_from(["", end]))
    column = names[asked] if names is not None and draw(st.booleans()) else asked
    return Written(text, column, tuple(values), delimiter, decimal, names is not None, thousands)


def load(text: str, column: str | int, **how: str | int | None) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(text.encode())
        law = laws.Empirical(str(path), column, **how)  # type: ignore[arg-type]
        assert laws.parse(str(law)) == law
        return law.values.tolist()  # type: ignore[no-any-return]


@settings(max_examples=100, deadline=None)
@given(files())
@example(Written("1,5;2,5\n", 0, (1.5,), ";", ",", False, ""))
def test_any_dialect_gives_the_right_numbers_or_is_refused(written: Written) -> None:
    refusal = "one line; allowed: another dialect"
    try:
        found = load(written.text, written.column)
    except laws.LawError as error:
        refusal, found = str(error), list(written.values)
    assert found == list(written.values)
    assert len(refusal.splitlines()) == 1
    assert "; allowed: " in refusal


@settings(max_examples=60, deadline=None)
@given(files())
def test_what_is_said_of_the_dialect_is_enough(written: Written) -> None:
    how = {"decimal": written.decimal, "header": 0 if written.header else None}
    try:
        found = load(written.text, written.column, delimiter=written.delimiter or "infer", **how)
    except laws.LawError:
        assert written.thousands or written.delimiter is None or written.header
    else:
        assert found == list(written.values)


READ = [
    ("1,5;2,5\n", 1, [2.5]),
    ("a;b\n1,5;2,5\n", "b", [2.5]),
    ("a;b\n1,5;2,5\n", 0, [1.5]),
    ("a\tb\n1.5\t2\n", 1, [2]),
    ("a|b\n1.5|2\n", 1, [2]),
    ("Wert\n1,5\n2\n", 0, [1.5, 2]),
    ("\ufeffWert;Name\r\n-1,5;x\r\n+2,25e1;y\r\n", "Wert", [-1.5, 22.5]),
    ('"Preis, EUR";"x"\n"1,5";"a"\n', 0, [1.5]),
    ("1,2\n3,4\n", 1, [2, 4]),
    ("2019,x\n1.5,2\n", 0, [1.5]),
    (",x\n0,1.5\n", "x", [1.5]),
    ('x,"say ""a"", b"\n1,"two\nlines"\n', "x", [1]),
    ("0.123\n1.234\n", 0, [0.123, 1.234]),
    ("x\n1\n\n2\n", "x", [1, 2]),
]


@pytest.mark.parametrize(("text", "column", "values"), READ)
def test_recognised(text: str, column: str | int, values: list[float]) -> None:
    assert load(text, column) == values


REFUSED = [
    ("1,2\n3,4\n", 0, "in two ways (delimiter=',' decimal='.' header=none: 1, 3; decimal=',' header=none: 1.2, 3.4)"),
    ("Preis, EUR\n1,5\n2,5\n", 0, "in two ways"),
    ("1.234;x\n5.678;y\n", 0, "in two ways"),
    ("v;w\n1.234;x\n5.678;y\n", "v", "three digits behind each '.', which may divide thousands"),
    ("1.234\n5.678\n", 0, "three digits behind each '.'"),
    ("1,234.5\n2,345.6\n", 0, "one number each if ',' or '.' divides thousands"),
    ("1.234,5\n9.999,0\n", 0, "one number each if"),
    ("1.234,5\n12\n", 0, "in its first line"),
    ("v\n1.234,5\n", 0, "is not numeric"),
    ("v\n1 234\n", 0, "is not numeric"),
    ("v\n$5\n", 0, "is not numeric"),
    ("$5\n6\n", 0, "'$5' in its first line, which may be a name or a number"),
    ("1,x\n2,y\n", 0, "in two ways"),
    ("1,x\n", 0, "in its first line"),
    ("0,1,2\n5,6,7\n", 2, "in two ways"),
    ("0\n1.5\n2.5\n", 0, "in two ways"),
    ('"1","2","3"\n4,5,6\n', 0, "in two ways"),
    ("1 2\n3 4\n", 0, "is not numeric"),
    ("a;b\n1,5\n", 0, "cannot be read"),
    ("v\n1,5\nNA\n", 0, "has 1 missing"),
    ("v\n1_000\n", 0, "is not numeric"),
    ("v\n0x10\n", 0, "is not numeric"),
]


@pytest.mark.parametrize(("text", "column", "fragment"), REFUSED)
def test_refused(text: str, column: str | int, fragment: str) -> None:
    with pytest.raises(laws.LawError) as caught:
        load(text, column)
    assert fragment in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "how", "values"),
    [
        ("1,2\n3,4\n", {"delimiter": ","}, [1, 3]),
        ("1,2\n3,4\n", {"decimal": ","}, [1.2, 3.4]),
        ("1.234;2\n", {"decimal": "."}, [1.234]),
        ("1 2\n3 4\n", {"delimiter": " "}, [1, 3]),
        ("0,1,2\n5,6,7\n", {"header": 0}, [5]),
        ("0,1,2\n5,6,7\n", {"header": None}, [0, 5]),
        ("1,x\n2,y\n", {"header": "none"}, [1, 2]),
        ("1,5\t2\n", {"delimiter": r"\t"}, [1.5]),
    ],
)
def test_asked_for(tmp_path: Path, text: str, how: dict[str, str | int | None], values: list[float]) -> None:
    assert load(text, 0, **how) == values
    (tmp_path / "x.csv").write_text(text)
    law = laws.Empirical(str(tmp_path / "x.csv"), 0, **how)  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(law)) == law
    assert str(laws.parse(str(law))) == str(law)


def test_the_law_names_only_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_text("a;b\n1,5;2,5\n")
    assert str(laws.parse("empirical(path=x.csv)")) == "empirical(path=x.csv, column=0)"
    text = 'empirical(path=x.csv, column=0, delimiter=";", decimal=",", header=0)'
    assert str(laws.parse(text)) == text
    assert laws.parse(text).cumulants(1).tolist() == [1.5]


@pytest.mark.parametrize(
    ("path", "how", "fragment"),
    [
        ("x.csv", {"delimiter": "::"}, "delimiter='::' is unknown; allowed: 'infer', ','"),
        ("x.csv", {"decimal": ";"}, "decimal=';' is unknown; allowed: 'infer', '.', ','"),
        ("x.csv", {"header": 1}, "header=1 is unknown; allowed: 'infer', 0, 'none'"),
        ("x.csv", {"header": False}, "header=False is unknown"),
        ("x.csv", {"delimiter": ",", "decimal": ","}, "allowed: two different marks"),
        ("x.csv", {"column": "a", "header": None}, "allowed: an index, or header=0"),
        ("x.npy", {"decimal": ","}, "has no meaning; allowed: files with suffix .csv"),
    ],
)
def test_odd_formats_are_refused(path: str, how: dict[str, str | int | None], fragment: str) -> None:
    with pytest.raises(laws.LawError) as caught:
        laws.Empirical(path, **how)  # type: ignore[arg-type]
    assert fragment in str(caught.value)
