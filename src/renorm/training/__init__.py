"""Training of stacked members: the LightningModule, its losses and metrics, compilation, divergence."""
