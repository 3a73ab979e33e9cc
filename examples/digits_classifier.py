"""Diagnostics of a network that renorm does not know: an image classifier, on the digits of scikit-learn.

    python examples/digits_classifier.py

Cumulants of every layer on images that are held out, and how far the first weights are from a mirror symmetry, go to TensorBoard
and to tables in the run's folder.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from renorm.callbacks import CumulantDiagnostics, SymmetryBreaking
from renorm.zoo.symmetry import SignedPermutation


class Classifier(LightningModule):
    """Images of 8 x 8 pixels -> ten digits."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU())
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))

    def training_step(self, batch: list[Tensor]) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main(root: str = "runs", epochs: int = 10) -> Trainer:
    torch.manual_seed(0)
    digits = load_digits()
    images = TensorDataset(torch.tensor(digits.images / 8 - 1, dtype=torch.float32), torch.tensor(digits.target))
    train, held_out = torch.utils.data.random_split(images, [1500, 297])
    mirror = {0: SignedPermutation(np.arange(64).reshape(8, 8)[:, ::-1].flatten())}  # left to right, for all 64 inputs
    measure = [
        CumulantDiagnostics(layers=["encoder.*", "head"], probe=DataLoader(held_out, batch_size=297)),
        SymmetryBreaking(layers=["encoder.1"], generators={"mirror": [mirror]}),
    ]
    logger = TensorBoardLogger(root, name="digits")
    trainer = Trainer(max_epochs=epochs, logger=logger, callbacks=measure, log_every_n_steps=10)
    trainer.fit(Classifier(), DataLoader(train, batch_size=50, shuffle=True))
    print(f"tensorboard --logdir {logger.log_dir}")
    return trainer


if __name__ == "__main__":
    sys.exit(main() is None)
