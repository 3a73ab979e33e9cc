# %% [markdown]
# # Symmetry against expressivity: a phase diagram
#
# Weights are free, tied by an odd symmetry, or tied in full; the slope of a leaky ReLU says how far a unit is from
# linear. Which of these networks learn the central-limit map for laws that training never saw?

# %%
import logging

import matplotlib.pyplot as plt
import torch
from lightning.pytorch import Trainer

import renorm
from renorm.datamodules import CLTDataModule

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

# %% [markdown]
# The slope is a grid: one fit trains a member for each slope and replica. Symmetries change the shapes of weights, so
# that each is a fit of its own.

# %%
SLOPES = [0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0]
SYMMETRIES = ["free", "odd", "full"]


def trained(symmetry: str) -> renorm.zoo.MLP:
    """A stack of 7 slopes x 6 replicas, after 600 steps."""
    model = renorm.zoo.MLP(activation="leaky_relu", negative_slope=SLOPES, symmetry=symmetry, replicas=6)
    trainer = Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(model, CLTDataModule(train_laws="uniform()", steps_per_epoch=600))
    return model


stacks = {symmetry: trained(symmetry) for symmetry in SYMMETRIES}

# %% [markdown]
# `evaluate` judges every member. Its table has a row for each law and member, with the member's place in the grid.

# %%
HELD_OUT = "gaussian(mean=1, std=3)"
errors = {}
for symmetry, model in stacks.items():
    table = renorm.evaluate(model, HELD_OUT).to_arrow()
    slope, error = torch.tensor(table["negative_slope"].to_pylist()), torch.tensor(table["relative_mse"].to_pylist())
    errors[symmetry] = torch.stack([error[slope == value].median() for value in slope.unique()])
    print(symmetry, [f"{value:.0e}" for value in errors[symmetry].tolist()])

# %% [markdown]
# ## The diagram

# %%
figure, panel = plt.subplots(figsize=(6, 2.4), layout="constrained")
image = panel.imshow(
    torch.stack([errors[name] for name in SYMMETRIES]).log10(), aspect="auto", cmap="viridis_r", vmin=-5, vmax=0
)
panel.set_xticks(range(len(SLOPES)), [str(slope) for slope in SLOPES])
panel.set_yticks(range(len(SYMMETRIES)), SYMMETRIES)
panel.set_xlabel("negative slope")
figure.colorbar(image, label="log10 relative MSE", extend="min")
plt.show()

# %% [markdown]
# At slope 1 all networks are linear, and symmetry does not matter. Below it full symmetry costs one to two decades on
# this law, and the symmetry that the map has, oddness, costs nothing. [The findings](../findings.md) say what is
# known about the line between, and why it is not a phase transition.
#
# The same as a sweep over a whole plane, in parallel and kept on disk:
#
# ```
# renorm sweep --config symmetry_expressivity
# ```
#
# Next: [cumulants of your own network](cumulants_of_a_network.md).
