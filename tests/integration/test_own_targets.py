"""What a batch may be, what a data module may draw, and what a model remembers of what it learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import renorm
from renorm.datamodules import Blocks, CLTDataModule
from renorm.datamodules.blocks import BlockData, as_blocks
from renorm.maps import Maximum
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import MLP

SMALL: dict[str, Any] = {"train_laws": "gaussian()", "steps_per_epoch": 5, "batch_size": 16, "val_samples": 16}


class AR1(CLTDataModule):
    """Correlated blocks."""

    def draw(self, law: Any, rows: int, generator: torch.Generator) -> Tensor:
        """Both variables alike."""
        return law.blocks(rows, self.block_size, generator)[:, :1].expand(-1, self.block_size)


class Drawn(CLTDataModule):
    """What ``found`` makes of the blocks of a law."""

    found: Any = None

    def draw(self, law: Any, rows: int, generator: torch.Generator) -> Any:
        """Blocks, or something else."""
        return type(self).found(law.blocks(rows, self.block_size, generator))


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(4, 2),
        (torch.zeros(4, 2), torch.zeros(4, 1)),
        Blocks(torch.zeros(4, 2), torch.zeros(3)),
        "blocks",
        [1, 2],
    ],
    ids=["no targets", "columns", "fewer", "text", "numbers"],
)
def test_targets_are_neither_guessed_nor_broadcast(batch: Any) -> None:
    with pytest.raises(ValueError, match=r"batch .*; allowed: "):
        as_blocks(batch)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (lambda x: x[::3], r"gave shape \(6, 2\); allowed: shape \(16, 2\)"),
        (lambda x: x[:, :1], r"gave shape \(16, 1\); allowed: shape \(16, 2\)"),
        (lambda x: (x, x.prod(dim=1, keepdim=True)), r"gave shape \(16, 1\); allowed: shape \(16,\)"),
        (lambda x: x.numpy(), "gave a ndarray"),
        (lambda x: None, "gave nothing"),
    ],
)
def test_what_is_drawn_is_checked(found: Any, message: str) -> None:
    data = type("Mine", (Drawn,), {"found": staticmethod(found)})(**SMALL)
    with pytest.raises(ValueError, match=message):
        data.batch("train", 0, 0)


def test_own_targets_are_no_map(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(200, 2))
    np.save(tmp_path / "products.npy", np.column_stack([x, x.prod(axis=1)]))
    source = f"blocks(path={tmp_path / 'products.npy'}, target=last"
    data = CLTDataModule(**SMALL | {"train_laws": f"{source}, rows=0:100)", "held_out_laws": f"{source}, rows=100:)"})
    assert data.own_targets
    assert not data.independent
    model = MLP(activation="relu")
    trainer = quiet_trainer(5)
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    again = MLP.load_from_checkpoint(tmp_path / "own.ckpt")
    for call in (renorm.certify, renorm.plot_map, renorm.evaluate):
        with pytest.raises(ValueError, match="targets that come with its data"):
            call(again)
    assert renorm.evaluate(again, "gaussian()", samples=16, map="central_limit()").results
    with pytest.raises(ValueError, match="is trained on"):
        CLTDataModule(**SMALL | {"train_laws": f"{source}, rows=0:100)", "held_out_laws": f"{source}, rows=50:150)"})


def test_the_map_of_any_data_module_is_remembered(tmp_path: Path) -> None:
    class Foreign(LightningDataModule):
        map = Maximum()

        def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
            x = torch.randn(32, 2)
            return DataLoader(TensorDataset(x, self.map(x)), batch_size=8)

        def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
            return self.train_dataloader()

    model, trainer = MLP(activation="relu"), quiet_trainer(4)
    trainer.fit(model, Foreign())
    trainer.save_checkpoint(tmp_path / "foreign.ckpt")
    again = MLP.load_from_checkpoint(tmp_path / "foreign.ckpt")
    assert again.learned_map == "maximum(xi=0)"
    # blocks alone are of the map that the model knows
    assert again.test_step(torch.tensor([[0.0, 1.0]]), 0)["target"].item() == pytest.approx(1 - np.log(2))


def test_dependent_blocks_are_known_as_such() -> None:
    data = AR1(**SMALL)
    assert isinstance(data, BlockData)
    assert not data.independent
    assert data.target_cumulants("gaussian(mean=0, std=1)") is None
    independent = CLTDataModule(**SMALL)
    assert independent.independent
    independent.draw = lambda law, rows, generator: torch.zeros(rows, 2)  # type: ignore[method-assign]
    assert not independent.independent


def test_a_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    trainer = quiet_trainer(5)
    trainer.fit(MLP(), AR1(**SMALL))
    trainer.save_checkpoint(tmp_path / "ar1.ckpt")
    with pytest.raises(ValueError, match=r"data='.*CLTDataModule' contradicts the checkpoint .*, which has '.*AR1'"):
        quiet_trainer(10).fit(MLP(), CLTDataModule(**SMALL), ckpt_path=tmp_path / "ar1.ckpt", weights_only=True)
