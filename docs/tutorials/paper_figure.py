# %% [markdown]
# # From a pretrained model to a figure for a paper
#
# 168 trained stacks come with renorm. This notebook takes three of them and makes one figure of two panels, at the
# width of a column, as a PDF.

# %%
import matplotlib.pyplot as plt
import torch

import renorm
from renorm.cumulants import rg_spectrum

# %% [markdown]
# ## Load
#
# A name is `arch.tag`; `members="all"` loads the whole stack of 16. `renorm zoo list --pretrained` and
# [the cards](../zoo.md) say what there is.

# %%
NAMES = {
    "free": "mlp_leaky_relu_free.uniform",
    "odd": "mlp_leaky_relu_odd.uniform",
    "full": "mlp_leaky_relu_full.uniform",
}
models = {label: renorm.load_pretrained(name, members="all") for label, name in NAMES.items()}

# %% [markdown]
# ## Measure
#
# Errors under laws of growing width: how far beyond the training law does each symmetry hold?

# %%
WIDTHS = [0.5, 1.0, 2.0, 4.0]


def error(model, width):
    """Relative MSE of every member under the Gaussian of a width."""
    (metrics,) = renorm.evaluate(model, f"gaussian(mean=0, std={width})", samples=4096).results.values()
    return metrics["relative_mse"]


errors = {
    label: torch.stack([error(model, width) for width in WIDTHS])  # (widths, members)
    for label, model in models.items()
}

# %% [markdown]
# And the eigenvalues at the Gaussian, by quadrature in double precision:

# %%
with torch.no_grad():
    spectra = {label: rg_spectrum(model.double(), order=4).diagonal(dim1=1, dim2=2) for label, model in models.items()}

# %% [markdown]
# ## Draw
#
# Medians over members, with bands from the 10% to the 90% quantile. The style is that of a two-column journal: 3.4
# inches, type of eight points.

# %%
plt.rcParams |= {"font.size": 8, "axes.labelsize": 8, "legend.fontsize": 7, "lines.linewidth": 1, "pdf.fonttype": 42}
figure, (left, right) = plt.subplots(1, 2, figsize=(3.4, 1.9), layout="constrained")
for label, values in errors.items():
    low, middle, high = values.double().quantile(torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), dim=1)
    left.plot(WIDTHS, middle, marker="o", markersize=2, label=label)
    left.fill_between(WIDTHS, low, high, alpha=0.2)
left.set(xscale="log", yscale="log", xlabel=r"width $\sigma$", ylabel="relative MSE")
left.set_xticks(WIDTHS, [f"{width:g}" for width in WIDTHS])
left.minorticks_off()
left.legend(frameon=False)
orders = torch.arange(5)
for shift, (label, values) in enumerate(spectra.items()):
    middle = values.median(dim=0).values
    right.plot(orders + 0.12 * (shift - 1), middle, linestyle="", marker="o", markersize=3, label=label)
right.plot(orders, 2 ** (1 - orders / 2), "k--", linewidth=0.8, label="exact")
right.set(xlabel="order n", ylabel="eigenvalue")
figure.savefig("figure.pdf")
plt.show()

# %% [markdown]
# ## Say what it is
#
# What a reader needs to make the figure again: the entries, their checksums, and the versions.

# %%
from renorm.pretrained import find_entry

for name in NAMES.values():
    entry = find_entry(name)
    print(name, entry["file"]["sha256"][:12], entry["versions"])
