"""Train leaky-ReLU networks of every slope side by side and keep what finite-size scaling needs, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..datamodules import CLTDataModule
from ..training.stack import StackedModel
from ..zoo.symmetry.order_parameter import asymmetries
from .fits import make_model, residuals, train
from .kinks import Units, kink_energy, lattice, slide, units_of
from .seeded import fresh_blocks, relative_errors, scale_weights
from .trained_networks import MAP

LONGEST = 15.0  # scaled time to which the reduced flow is integrated: a few per cent of the loss are left by then


def stack(settings: Mapping[str, Any]) -> tuple[StackedModel, CLTDataModule]:
    """One member for each distance from slope 1 and each replica, the linear network (distance 0) last.

    Args:
        settings: ``distances`` (positive, increasing), ``width``, ``members``, ``optimizer``, ``lr``; ``law`` of training,
            ``batch``; ``scale`` of the initial weights and biases; ``seed`` of data and weights; ``compile``.
    """
    slopes = [1 - u for u in [*settings["distances"], 0.0]]
    model = make_model(
        "mlp_leaky_relu_free",
        settings["optimizer"],
        settings["lr"],
        width=settings["width"],
        negative_slope=slopes,
        replicas=settings["members"],
        seed=settings["seed"],
        compile=settings.get("compile", "auto"),
    )
    scale_weights(model, [settings["scale"]], settings["members"])
    law, rows = settings["law"], settings["batch"]
    return model, CLTDataModule(train_laws=law, held_out_laws=[], batch_size=rows, seed=settings["seed"])


def train_slopes(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Errors and asymmetries at every budget, of all slopes and members.

    Args:
        settings: those of :func:`stack`; ``stops``, the budgets; ``tests``, laws, and ``rows``, how many blocks of each.

    Returns:
        ``errors``: law -> mean squared error over the variance of the target; ``asymmetry``, of the readout to permutations of
        the units; each budget x slope x member. The last slope is that of the linear network.
    """
    model, data = stack(settings)
    members = settings["members"]
    tests = {law: fresh_blocks(law, {**MAP, **settings}) for law in settings["tests"]}
    errors: dict[str, list[Any]] = {law: [] for law in tests}
    asymmetry = []
    for _ in train(model, data, settings["stops"]):
        for law, (x, y) in tests.items():
            errors[law].append(relative_errors(model, x, y).nan_to_num(nan=torch.inf).view(-1, members).tolist())
        asymmetry.append(asymmetries(model)["out"]["hidden"].view(-1, members).tolist())
    return {"errors": errors, "asymmetry": asymmetry}


def descend(settings: Mapping[str, Any]) -> dict[str, Any]:
    r"""Full-batch descent on a lattice of blocks, beside what the reduced flow of :mod:`.kinks` predicts for the same members.

    Args:
        settings: those of :func:`stack`, with SGD, and ``stops``, and ``points``, the lattice's points a variable.

    Returns:
        ``energy``: :math:`L / \varepsilon^2`, budget x slope x member; ``predicted``: the same from the linear solution alone;
        ``linear``: loss of the linear network at the last budget; ``start``: the kinks' energy at the linear solution, by member.
    """
    model, data = stack(settings)
    law, members, lr = data.train_laws[0], settings["members"], settings["lr"]
    low, high = law.support()
    x = lattice(low, high, settings["points"], model.block_size)
    epsilon = torch.tensor(settings["distances"], dtype=torch.float64) / 2
    energies, loss = [], torch.zeros(0)
    for _ in train(model, data, settings["stops"], batch=x.float()):
        loss = residuals(model, x).square().mean(dim=1).view(-1, members)
        energies.append(loss[:-1] / epsilon[:, None] ** 2)
    solution = Units(*(part[-members:] for part in units_of(model)))
    times = lr * torch.tensor(settings["stops"], dtype=torch.float64)[:, None] * epsilon**2
    return {
        "energy": torch.stack(energies).tolist(),
        "predicted": predicted(solution, x, times).tolist(),
        "linear": loss[-1].tolist(),
        "start": kink_energy(solution, x).tolist(),
    }


def predicted(solution: Units, x: Tensor, times: Tensor, longest: float = LONGEST) -> Tensor:
    r"""The reduced flow's energy at scaled times of any shape, ``(*times.shape, M)``; NaN for times that are too long."""
    ordered, places = torch.unique(times.flatten(), return_inverse=True)
    energies = slide(solution, x, [float(time) for time in ordered if time <= longest])
    missing = energies.new_full((len(ordered) - len(energies), energies.shape[1]), torch.nan)
    return torch.cat([energies, missing])[places].view(*times.shape, -1)
