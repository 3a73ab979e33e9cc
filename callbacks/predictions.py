"""What ``renorm predict`` leaves behind: blocks, targets and the outputs of every member, as one Parquet file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from ..datamodules import CLTDataModule
from ..zoo.losses import clt_map


class WritePredictions(BasePredictionWriter):
    """Write columns ``law, x1, ..., xb, target, member_0, ...``, one row a block.

    Args:
        path: the Parquet file to write.

    Raises:
        ValueError: where the file's folder does not exist, or under several processes.
    """

    def __init__(self, path: str) -> None:
        super().__init__(write_interval="batch")
        self.path = Path(path)
        if not self.path.resolve().parent.is_dir():
            raise ValueError(f"out={path!r} lies in no folder; allowed: a file in a folder that exists")
        self._writer: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse several processes, of which each would have a part of the rows."""
        if trainer.world_size > 1:
            raise ValueError(f"trainer.devices: {trainer.world_size} processes cannot write one file; allowed: 1")

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: Tensor,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Add one batch of one law."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        data: CLTDataModule = trainer.datamodule  # type: ignore[attr-defined]
        columns: dict[str, Any] = {"law": [str(data.laws[dataloader_idx])] * len(batch)}
        columns |= {f"x{i + 1}": column.cpu().numpy() for i, column in enumerate(batch.T)}
        columns["target"] = clt_map(batch).cpu().numpy()
        columns |= {f"member_{m}": row.float().cpu().numpy() for m, row in enumerate(prediction)}
        table = pa.table(columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._partial, table.schema)
        self._writer.write_table(table)

    @property
    def _partial(self) -> Path:
        return self.path.with_name(self.path.name + ".partial")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave no half of a file."""
        if self._writer is not None:
            self._writer = None
            self._partial.unlink(missing_ok=True)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the whole file in its place."""
        if self._writer is not None:
            self._writer.close()
            os.replace(self._partial, self.path)
