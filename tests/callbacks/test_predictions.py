"""The file of predictions: what is wrong with its place is one line."""

from pathlib import Path

import pyarrow as pa
import pytest

from renorm.callbacks.predictions import WritePredictions
from renorm.errors import InputError


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_folder_that_has_gone_is_named(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    writer = WritePredictions(str(folder / f"x{suffix}"))
    folder.rmdir()
    with pytest.raises(InputError, match=r"out='.*gone/x.*' cannot be written; allowed: a folder in which"):
        writer._open(pa.schema([("x", pa.float32())]))
