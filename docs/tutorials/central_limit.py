# %% [markdown]
# # Learn the central limit, and look inside
#
# Eight small networks learn the map $y = (x_1 + x_2)/\sqrt 2$ from uniform variables. Do they know it for other laws?
# And what do their layers do to cumulants?

# %%
import logging

import matplotlib.pyplot as plt
import torch
from lightning.pytorch import Trainer

import renorm
from renorm.cumulants import kstat, rg_spectrum
from renorm.datamodules import CLTDataModule, laws

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

# %% [markdown]
# ## The data
#
# A law knows its exact cumulants. The central-limit map multiplies $\kappa_n$ by $b^{1-n/2}$, for blocks of $b$
# variables.

# %%
law = laws.parse("uniform()")
print("of one variable:", law.cumulants(4).tolist())
print("of the target:  ", renorm.maps.CentralLimit().cumulants(law.cumulants(4), block_size=2).tolist())

# %% [markdown]
# ## The fit
#
# `create_model` builds a stack: eight members that see the same batches, and each of which follows the path that it
# would take alone.

# %%
model = renorm.create_model("mlp_tanh_free", width=8, replicas=8)
data = CLTDataModule(train_laws="uniform()", steps_per_epoch=1000)
trainer = Trainer(
    max_epochs=1,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    limit_val_batches=0,
)
trainer.fit(model, data)

# %% [markdown]
# ## Judged on other laws
#
# `relative_mse` is the mean squared error over the variance of the target. A wide Gaussian leaves the range that
# training has seen, and the error grows by orders of magnitude.

# %%
judged = renorm.evaluate(model, ["uniform()", "gaussian()", "exponential()", "gaussian(mean=1, std=3)"])
for name, metrics in judged.results.items():
    print(f"{metrics['relative_mse'].median():.1e}  {name}")

# %% [markdown]
# The learned map, the exact one, and their difference, which is smallest inside the square $|x_i| < \sqrt 3$ of
# training:

# %%
figure, panels = renorm.plot_map(model)
figure

# %% [markdown]
# ## Inside
#
# `trace` returns the values of every layer. Hidden units are skewed, which neither the variables nor the target are;
# at the output the cumulants are near the exact ones.

# %%
x = law.sample((50_000, 2), generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    layers = model.trace(x)
for name, values in layers.items():
    print(name, tuple(values.shape))
_, variance, third, _ = kstat(layers["act0"].flatten(0, 1).T, order=4)  # of all units of all members
skewness = (third / variance**1.5).abs().median()
print(f"skewness of a hidden unit, median of absolute values: {skewness:.2f}")

# %%
exact = renorm.maps.CentralLimit().cumulants(law.cumulants(4), block_size=2)
learned = kstat(layers["out"].T, order=4)  # (4, members)
for n in range(4):
    print(f"k{n + 1}: exact {exact[n]:+.3f}, median of the members {learned[n].median():+.3f}")

# %% [markdown]
# ## Is it an RG step?
#
# At its fixed point, the Gaussian, the exact map has the eigenvalues $b^{1-n/2}$. Those of the learned map follow from
# Gauss quadrature, without noise.

# %%
with torch.no_grad():
    spectrum = rg_spectrum(model.double(), order=6).diagonal(dim1=1, dim2=2)  # (members, 7)
figure, panel = plt.subplots(figsize=(5, 3.2), layout="constrained")
panel.plot(spectrum.T, color="C0", alpha=0.4)
panel.plot(2 ** (1 - torch.arange(7) / 2), "k--", label="exact, $2^{1-n/2}$")
panel.set(xlabel="order n", ylabel="eigenvalue")
panel.legend()
plt.show()

# %% [markdown]
# Not quite. The map was learned on uniform variables, and at the Gaussian the third eigenvalue, which decides how fast
# a skewness is forgotten, is a third too small.
#
# Next: [which symmetry helps](phase_diagram.md).
