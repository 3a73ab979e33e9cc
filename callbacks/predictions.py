"""The file that ``renorm predict`` writes: blocks, targets and the outputs of every member, as Parquet or CSV."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from ..datamodules.blocks import as_blocks
from ..errors import InputError
from ..files.whole import whole_file

FORMATS = (".parquet", ".csv")


class WritePredictions(BasePredictionWriter):
    """Write columns ``law, x1, ..., xb, target, member_0, ...``, one row per block.

    Args:
        path: the file to write; its suffix selects Parquet or CSV.

    Raises:
        InputError: for another suffix, a folder that does not exist, or several processes.
    """

    def __init__(self, path: str) -> None:
        super().__init__(write_interval="batch")
        self.path = Path(path)
        if self.path.suffix not in FORMATS or self.path.is_dir():
            raise InputError(
                f"out={path!r} is not a file of a known format", f"names that end in {' or '.join(FORMATS)}"
            )
        if not self.path.resolve().parent.is_dir():
            raise InputError(f"out={path!r} is not in an existing folder", "a file in a folder that exists")
        self._opened = contextlib.ExitStack()
        self._writer: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Reject several processes, each of which would have only a part of the rows."""
        if trainer.world_size > 1:
            raise InputError(f"trainer.devices: {trainer.world_size} processes cannot write one file", "1")

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the rows of one batch."""
        import pyarrow as pa

        blocks = as_blocks(batch)
        columns: dict[str, Any] = {"law": [blocks.law] * len(blocks.x)}
        columns |= {f"x{i + 1}": column.cpu().numpy() for i, column in enumerate(blocks.x.T)}
        columns["target"] = blocks.y.cpu().numpy()
        columns |= {f"member_{m}": row.float().cpu().numpy() for m, row in enumerate(prediction)}
        table = pa.table(columns)
        if self._writer is None:
            self._writer = self._open(table.schema)
        self._writer.write_table(table)

    def _open(self, schema: Any) -> Any:
        import pyarrow.csv
        import pyarrow.parquet

        writer = pyarrow.csv.CSVWriter if self.path.suffix == ".csv" else pyarrow.parquet.ParquetWriter
        try:
            partial = self._opened.enter_context(whole_file(self.path))
            return self._opened.enter_context(writer(partial, schema))
        except OSError as error:  # pyarrow's does not say which file
            raise InputError(
                f"out={str(self.path)!r} cannot be written", "a folder in which files may be made"
            ) from error

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the incomplete file."""
        # the file's context sees the error and removes the file; the error itself is raised elsewhere
        with contextlib.suppress(BaseException):
            self._opened.__exit__(type(exception), exception, exception.__traceback__)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete the file and move it into place."""
        self._opened.close()
