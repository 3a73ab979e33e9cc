"""Members out of tables: the right rows, and those that diverged."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from renorm.report.samples import compared, described, least, sample

TABLE = pa.table(
    {
        "symmetry": ["free", "free", "full", "full"],
        "width": [4, 8, 4, 8],
        "held_out/relative_mse": [1.0, 2.0, float("nan"), None],
    }
)


def test_rows_are_chosen_by_axes_and_what_is_no_number_is_infinite() -> None:
    assert sample(TABLE, symmetry="free").tolist() == [1.0, 2.0]
    assert sample(TABLE, symmetry="free", width=8).tolist() == [2.0]
    assert sample(TABLE, symmetry="full").tolist() == [np.inf, np.inf]
    with pytest.raises(ValueError, match="no member has"):
        sample(TABLE, symmetry="odd")


def test_a_sample_is_described_with_its_divergences() -> None:
    found = described(np.array([1.0, 2.0, 3.0, np.inf, np.inf]), seed=0)
    assert (found["median"], found["diverged"], found["members"], found["q90"]) == (3.0, 2, 5, np.inf)


def test_comparisons_are_in_decades() -> None:
    first, second = np.full(8, 1e-2), np.full(8, 1e-5)
    found = compared(first, second, seed=0)
    assert found == {"decades": pytest.approx(3), "low": pytest.approx(3), "high": pytest.approx(3)}
    assert least({"a": found, "b": compared(first, first, seed=0)})["decades"] == 0
