# %% [markdown]
# # Cumulants of your own network
#
# How far does theory see into a network that renorm knows nothing of? `propagate` predicts the cumulants of every
# layer from those of the input; a sample says what they are.

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn

from renorm.cumulants import Cumulants, kstat, kstat_stderr, propagate

torch.manual_seed(0)
network = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)).double().eval()

# %% [markdown]
# ## Prediction
#
# `gaussian` keeps means and covariances at every layer, `edgeworth` the joint cumulants up to the fourth order.

# %%
law = "gamma(shape=2)"
predicted = {method: propagate(network, law, method=method) for method in ("gaussian", "edgeworth")}
print(predicted["edgeworth"])

# %% [markdown]
# ## Measurement
#
# k-statistics are unbiased, and come with their standard errors.

# %%
from renorm.datamodules import laws

x = laws.parse(law).sample((200_000, 4), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
with torch.no_grad():
    y = network(x)
measured, error = kstat(y, order=4).flatten(), kstat_stderr(y, order=4).flatten()
print("order  measured            gaussian   edgeworth")
for n in range(1, 5):
    theory = [result["out"].marginal(n).item() for result in predicted.values()]
    print(f"{n}      {measured[n - 1]:+.2e} ± {error[n - 1]:.0e}   {theory[0]:+.2e}  {theory[1]:+.2e}")

# %% [markdown]
# ## In batches
#
# `Cumulants` is a metric of torchmetrics: any split into batches and processes gives the same numbers.

# %%
metric = Cumulants(num_features=1, order=4)
for batch in y.split(1000):
    metric.update(batch)
assert torch.allclose(metric.compute().k.flatten(), measured)

# %% [markdown]
# ## Unit by unit
#
# The cumulants of all units of the last hidden layer, predicted against measured:

# %%
with torch.no_grad():
    hidden = network[:4](x)
truth = kstat(hidden, order=3)  # (3, 16)
figure, panels = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for n, panel in enumerate(panels, start=1):
    for method, result in predicted.items():
        panel.scatter(truth[n - 1], result["3"].marginal(n).detach().flatten(), s=14, label=method)
    low, high = float(truth[n - 1].min()), float(truth[n - 1].max())
    panel.plot([low, high], [low, high], "k--", linewidth=0.8)
    panel.set(title=f"$\\kappa_{n}$", xlabel="measured")
panels[0].set_ylabel("predicted")
panels[0].legend()
plt.show()

# %% [markdown]
# [Theory](../theory.md) says how accurate each method is, and what it costs. [Diagnostics of any
# network](../any_network.md) measures all this during training.
#
# Next: [a map of your own](own_map.md).
