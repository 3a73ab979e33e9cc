"""The law of a file's numbers: all formats, all mistakes, cumulants in exact fractions."""

from __future__ import annotations

import math
import os
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from renorm.datamodules import laws
from renorm.datamodules.laws.empirical import _Values

VALUES = [3.0, 0.1, -2.5, 0.1, 7.25]


def exact_cumulants(values: list[float]) -> list[Fraction]:
    """n! times the coefficients of log(1 + m_1 t + m_2 t²/2 + …), by the series of the logarithm, in fractions."""
    n = len(values)
    a = [Fraction(0)] + [sum(Fraction(x) ** p for x in values) / n / math.factorial(p) for p in range(1, 9)]
    power, result = [Fraction(1), *[Fraction(0)] * 8], [Fraction(0)] * 9
    for j in range(1, 9):
        power = [sum((power[i] * a[p - i] for i in range(p + 1)), Fraction(0)) for p in range(9)]
        result = [r + Fraction((-1) ** (j - 1), j) * c for r, c in zip(result, power, strict=True)]
    return [math.factorial(p) * result[p] for p in range(1, 9)]


def write(folder: Path, name: str) -> Path:
    path = folder / name
    table = {"day": [1, 2, 3, 4, 5], "r": VALUES}
    if path.suffix == ".csv":
        path.write_text("day,r\n" + "".join(f"{d},{x!r}\n" for d, x in zip(*table.values(), strict=True)))
    elif path.suffix == ".npy":
        np.save(path, np.array([table["day"], VALUES]).T)
    else:
        parquet.write_table(pa.table(table), path)
    return path


@pytest.mark.parametrize(
    ("name", "column"), [("a.csv", "r"), ("a.csv", 1), ("a.CSV", 1), ("a.npy", 1), ("a.parquet", "r"), ("a.parquet", 1)]
)
def test_columns_of_every_format(tmp_path: Path, name: str, column: str | int) -> None:
    path = write(tmp_path, name.lower())
    law = laws.Empirical(str(path.rename(tmp_path / name)), column)
    assert law.values.tolist() == VALUES
    assert law.cumulants(8).tolist() == [float(k) for k in exact_cumulants(VALUES)]
    assert law.support() == (-2.5, 7.25)
    assert law.atoms() == [
        (Fraction(-2.5), Fraction(1, 5)),
        (Fraction(0.1), Fraction(2, 5)),
        (Fraction(3), Fraction(1, 5)),
        (Fraction(7.25), Fraction(1, 5)),
    ]
    again = laws.parse(str(law))
    assert again == law
    assert str(again) == str(law)
    assert pickle.loads(pickle.dumps(law)).values.tolist() == VALUES
    assert len(pickle.dumps(law)) < 1000


@pytest.mark.parametrize(
    "array",
    [
        np.array(VALUES),
        np.array(VALUES)[:, None],
        np.array(VALUES, dtype=np.float32),
        np.array([1, 2, 3], dtype=np.int16),
        np.asfortranarray(np.array(VALUES)[:, None]),
    ],
)
def test_npy_arrays(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    np.save(tmp_path / "x.npy", array)
    assert laws.Empirical(str(tmp_path / "x.npy")).values.tolist() == array.ravel().tolist()


def test_csv_without_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,2\n3,4\n")
    assert laws.Empirical(str(tmp_path / "x.csv"), 1).values.tolist() == [2, 4]


def test_csv_with_numbers_for_names_and_two_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('2019,"a, b",r,r\n1,2,3,4\n5,6,7,8\n')
    path = str(tmp_path / "x.csv")
    assert laws.Empirical(path, "2019").values.tolist() == [1, 5]
    assert laws.Empirical(path, "a, b").values.tolist() == [2, 6]
    assert laws.Empirical(path, 3).values.tolist() == [4, 8]
    for column in ("2019", "a, b"):
        law = laws.Empirical(path, column)
        assert laws.parse(str(law)) == law
    with pytest.raises(laws.LawError, match="is the name of 2 columns"):
        laws.Empirical(path, "r")


def test_csv_with_bom_quotes_and_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b'\xef\xbb\xbfr,s\r\n"1.5",a\r\n2,b\r\n')
    assert laws.Empirical(str(tmp_path / "x.csv"), "r").values.tolist() == [1.5, 2]


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a,b(1)=2",
        'c\'est "x"',
        "ünïcode-§",
        "back\\slash",
        "a+b*c",
        "line\nbreak",
        "1",
    ],
)
def test_paths_round_trip(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    law = laws.Empirical(str(write(folder, "x.csv")), "r")
    assert len(str(law).splitlines()) == 1
    assert laws.parse(str(law)) == law
    assert str(laws.parse(str(law))) == str(law)
    mixed = laws.Mixture(((1, law), (2, laws.Standardised(law))))
    assert laws.parse(str(mixed)) == mixed


def test_relative_paths_start_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "returns.csv")
    monkeypatch.chdir(tmp_path)
    law = laws.parse("empirical(path=returns.csv, column=r)")
    assert str(law) == "empirical(path=returns.csv, column=r)"
    assert laws.parse("empirical('returns.csv', \"r\")") == law
    assert law.sample(3).shape == (3,)


def test_samples_are_drawn_from_the_file(tmp_path: Path) -> None:
    law = laws.Empirical(str(write(tmp_path, "x.npy")), 1)
    for dtype in (torch.float32, torch.float64):
        x = law.sample((50_000, 2), generator=torch.Generator().manual_seed(0), dtype=dtype)
        values, counts = x.unique(return_counts=True)
        assert torch.equal(values, torch.tensor(sorted(set(VALUES)), dtype=dtype))
        assert torch.allclose(counts / 1e5, torch.tensor([0.2, 0.4, 0.2, 0.2]), atol=0.01)
        assert torch.equal(x, law.sample((50_000, 2), generator=torch.Generator().manual_seed(0), dtype=dtype))
    assert law.values.flags.writeable is False


def test_standardised_file(tmp_path: Path) -> None:
    law = laws.Empirical(str(write(tmp_path, "x.npy")), 1).standardised()
    assert str(law).startswith("standardised(empirical(path=")
    assert law.cumulants(2).tolist() == [0, 1]
    atoms = law.atoms()
    assert atoms is not None
    assert sum(float(x) * float(p) for x, p in atoms) == pytest.approx(0, abs=1e-15)
    assert sum(float(x) ** 2 * float(p) for x, p in atoms) == pytest.approx(1, rel=1e-15)
    sample = law.sample(10_000, dtype=torch.float64).unique()
    torch.testing.assert_close(sample, torch.tensor([float(x) for x, _ in atoms], dtype=torch.float64))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=8))
def test_cumulants_of_any_numbers_are_exact(values: list[float]) -> None:
    centre, moments = _Values(np.array(values)).moments
    n = len(values)
    assert moments == [sum((Fraction(x) - centre) ** p for x in values) / n for p in range(9)]


@pytest.mark.parametrize("offset", [0, 1e6, 1e9, 1e12])
def test_large_offset_costs_no_digits(tmp_path: Path, offset: float) -> None:
    values = offset + np.random.default_rng(0).normal(size=500)
    np.save(tmp_path / "x.npy", values)
    computed = laws.Empirical(str(tmp_path / "x.npy")).cumulants(8).tolist()
    assert computed == [float(k) for k in exact_cumulants(values.tolist())]


def test_constant_file_has_zero_cumulants(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full(7, 0.1))
    law = laws.Empirical(str(tmp_path / "x.npy"))
    assert law.cumulants(8).tolist() == [0.1, 0, 0, 0, 0, 0, 0, 0]
    with pytest.raises(laws.LawError, match="has zero variance"):
        law.standardised()


def test_file_is_read_once_and_again_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(3))
    loads = []
    load = np.load
    monkeypatch.setattr(np, "load", lambda *a, **k: loads.append(a) or load(*a, **k))
    first = laws.Empirical(str(path))
    laws.Empirical(str(path)).sample(10)
    assert len(loads) == 1
    np.save(path, np.ones(4))
    os.utime(path, ns=(1, 1))
    assert laws.Empirical(str(path)).values.tolist() == [1, 1, 1, 1]
    assert first.values.tolist() == [0, 0, 0]


def bad_file(folder: Path, name: str, content: Any) -> str:
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content)
    elif path.suffix == ".npy":
        np.save(path, content, allow_pickle=True)
    elif content is not None:
        parquet.write_table(pa.table(content), path)
    return str(path)


BAD = [
    ("x.csv", None, 0, "does not exist; allowed: an existing file"),
    ("x.txt", "1\n", 0, "has an unsupported suffix; allowed: .csv, .npy, .parquet"),
    ("x", "1\n", 0, "has an unsupported suffix"),
    ("x.csv", "a,b\n1,2\n", "c", "does not exist; allowed: 0 to 1, or 'a', 'b'"),
    ("x.csv", "a,b\n1,2\n", 2, "does not exist; allowed: 0 to 1, or 'a', 'b'"),
    ("x.csv", "a,b\n1,2\n", -1, "does not exist"),
    ("x.csv", "", 0, "is empty"),
    ("x.csv", "a,b\n", "a", "is empty"),
    ("x.csv", "a,b\n1,x\n", "b", "is not numeric"),
    ("x.csv", "a,b\n1,\n", "b", "has 1 missing, NaN or infinite values"),
    ("x.csv", "a\n1\nnan\ninf\n", "a", "has 2 missing, NaN or infinite values"),
    ("x.csv", "a\n1e31\n", "a", "has values out of range; allowed: -1e+30 to 1e+30"),
    ("x.csv", "a,b\n1,2\n3\n", "a", "cannot be read"),
    ("x.csv", b"a\n\xff\xfe\n", "a", "cannot be read"),
    ("x.csv", b"\xff\xfe\n", 0, "cannot be read"),
    ("x.npy", np.zeros((2, 2)), 2, "does not exist; allowed: 0 to 1"),
    ("x.npy", np.zeros((2, 2)), "a", "does not exist; allowed: 0 to 1"),
    ("x.npy", np.zeros((2, 2, 2)), 0, "has shape (2, 2, 2); allowed: arrays of one or two dimensions"),
    ("x.npy", np.zeros(()), 0, "has shape ()"),
    ("x.npy", np.zeros(0), 0, "is empty"),
    ("x.npy", np.array([1.0, np.nan, np.inf]), 0, "has 2 missing, NaN or infinite values"),
    ("x.npy", np.array(["a"]), 0, "is not numeric (it holds <U1)"),
    ("x.npy", np.array([True]), 0, "is not numeric (it holds bool)"),
    ("x.npy", np.array([1j]), 0, "is not numeric (it holds complex128)"),
    ("x.npy", np.array([print], dtype=object), 0, "cannot be read"),
    ("x.npy", b"not an array", 0, "cannot be read"),
    ("x.npy", b"", 0, "cannot be read"),
    ("x.parquet", {"a": [1.0]}, "b", "does not exist; allowed: 0 to 0, or 'a'"),
    ("x.parquet", {"a": ["u"]}, "a", "is not numeric (it holds string)"),
    ("x.parquet", {"a": [1.0, None]}, "a", "has 1 missing, NaN or infinite values"),
    ("x.parquet", {"a": [1, None]}, "a", "has 1 missing, NaN or infinite values"),
    ("x.parquet", {"a": pa.array([], pa.float64())}, "a", "is empty"),
    ("x.parquet", b"not parquet", "a", "cannot be read"),
]


@pytest.mark.parametrize(("name", "content", "column", "fragment"), BAD)
def test_bad_files_are_one_clear_line(tmp_path: Path, name: str, content: Any, column: Any, fragment: str) -> None:
    path = bad_file(tmp_path, name, content)
    with pytest.raises(laws.LawError) as caught:
        laws.Empirical(path, column)
    message = str(caught.value)
    assert fragment in message
    assert "; allowed: " in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("column", [1.5, None, True, ["a"]])
def test_bad_columns(column: Any) -> None:
    with pytest.raises(laws.LawError, match="is neither name nor index"):
        laws.Empirical("x.csv", column)


def test_parsing_fails_early() -> None:
    with pytest.raises(laws.LawError, match=r"path='no\.csv' does not exist"):
        laws.parse("mixture(1*gaussian() + 1*empirical(path=no.csv))")


def test_parquet_decimals_and_integers(tmp_path: Path) -> None:
    table = pa.table({"d": pa.array([1, 2], pa.decimal128(10, 2)), "i": pa.array([1, -2], pa.int32())})
    parquet.write_table(table, tmp_path / "x.parquet")
    assert laws.Empirical(str(tmp_path / "x.parquet"), "d").values.tolist() == [1, 2]
    assert laws.Empirical(str(tmp_path / "x.parquet"), "i").values.tolist() == [1, -2]
