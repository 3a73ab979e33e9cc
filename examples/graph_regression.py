"""Diagnostics of a graph network of PyG: how many triangles are there at each node of a random graph?

    python examples/graph_regression.py

The nodes of a batch are told apart by its batch vector: as all graphs have 8 nodes, units are the features of each node, and the
cumulants between nodes are measured, too.
"""

from __future__ import annotations

import sys

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GraphConv, global_mean_pool

from renorm.callbacks import CumulantDiagnostics, SymmetryBreaking

NODES = 8


class Triangles(LightningModule):
    """Graphs -> the mean number of triangles at a node."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = GraphConv(1, 8), GraphConv(8, 8)
        self.readout = nn.Linear(8, 1)

    def forward(self, graphs: Batch) -> Tensor:
        h = self.first(graphs.x, graphs.edge_index).relu()
        h = self.second(h, graphs.edge_index).relu()
        return self.readout(global_mean_pool(h, graphs.batch)).squeeze(1)

    def training_step(self, graphs: Batch) -> Tensor:
        return nn.functional.mse_loss(self(graphs), graphs.y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def random_graph() -> Data:
    """A graph in which half of all edges are there, with the degree of each node as its feature."""
    upper = (torch.rand(NODES, NODES) < 0.5).triu(1)
    edges = (upper | upper.T).float()
    triangles = (edges @ edges @ edges).diagonal().mean() / 2
    return Data(x=edges.sum(1, keepdim=True), edge_index=edges.nonzero().T, y=triangles.view(1), num_nodes=NODES)


def main(root: str = "runs", epochs: int = 10) -> Trainer:
    torch.manual_seed(0)
    train, held_out = [random_graph() for _ in range(512)], [random_graph() for _ in range(256)]
    measure = [
        CumulantDiagnostics(layers=["first", "second", "readout"], probe=DataLoader(held_out, batch_size=64)),
        SymmetryBreaking(layers=["*.lin_rel", "readout"], generators=["hidden"]),
    ]
    logger = CSVLogger(root, name="triangles")
    trainer = Trainer(max_epochs=epochs, logger=logger, callbacks=measure, log_every_n_steps=10)
    trainer.fit(Triangles(), DataLoader(train, batch_size=32, shuffle=True))
    print(f"curves, tables and figures: {logger.log_dir}")
    return trainer


if __name__ == "__main__":
    sys.exit(main() is None)
