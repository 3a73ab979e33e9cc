r"""Fully tied quadratic networks: what they compute, and why their cumulants cannot follow the recursion.

All units of such a network see the same number, so that with :math:`S = x_1 + \dots + x_b` it is :math:`f = A + B S + C S^2`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..cumulants import recursion_residual
from ..datamodules import CLTDataModule, laws
from ..datamodules.held_out import SEVEN_LAWS
from ..training.stack import StackedModel
from .fits import errors_of, make_model, train

RECURSION = (
    "With all weights tied every unit sees S = x₁ + … + x_b only, and the network is f = A + B·S + C·S², with A "
    "= d + a·H·(c + αc²), "
    "B = a·H·w·(1 + 2αc), C = a·H·α·w² for inner weight w, inner bias c, outer weight a, outer bias d and H "
    "units. With the cumulants κₙ "
    "of S, the first two of the output are κ₁(f) = A + B·κ₁ + C·(κ₂ + κ₁²) and κ₂(f) = B²·κ₂ + 2BC·(κ₃ + 2κ₁κ₂) + "
    "C²·(κ₄ + 4κ₁κ₃ + 2κ₂² + 4κ₁²κ₂).",
    "The recursion asks for κ₂(f) = κ₂/b under every law. Laws differ in κ₁, κ₃ and κ₄ at the same κ₂, so their "
    "coefficients must vanish: "
    "C = 0 and B² = 1/b. But C = a·H·α·w² = 0 means a = 0 or w = 0, and then B = 0: the inconsistency stands in "
    "the second cumulant "
    "already. It is one of finite weights. With w = ε and a·H·ε = 1/√b at c = 0, C = αε/√b falls with ε, and the "
    "outer weight "
    "grows like 1/ε: the error has infimum 0, which no network attains.",
)


def tied_coefficients(model: StackedModel) -> Tensor:
    r"""A, B and C of :math:`f = A + B S + C S^2`, of fully tied networks with one hidden layer and the activation ``quadratic``.

    Args:
        model: the stack.

    Returns:
        Shape ``(3, M)``, float64.

    Example:
        >>> model = make_model("mlp_quadratic_full", replicas=2)
        >>> x = torch.randn(5, 2)
        >>> a, b, c = tied_coefficients(model).unsqueeze(-1)
        >>> bool(torch.allclose(model(x).double(), a + b * x.sum(1) + c * x.sum(1) ** 2, atol=1e-5))
        True
    """
    with torch.no_grad():
        (weight, bias), (readout, offset) = (
            (w.double(), torch.zeros_like(w[..., 0]).double() if b is None else b.double()) for w, b in model.dense()
        )
    shared = model.activation_parameters["alpha"]
    alpha = torch.tensor([member.get("alpha", shared) for member in model.member_table], dtype=torch.float64)
    w, c, outer = weight[:, 0, 0], bias[:, 0], readout[:, 0].sum(dim=1)
    return torch.stack(
        [offset[:, 0] + outer * (c + alpha * c**2), outer * w * (1 + 2 * alpha * c), outer * alpha * w**2]
    )


def mean_and_variance(coefficients: Tensor, kappa: Tensor) -> Tensor:
    r"""First two cumulants of :math:`A + B S + C S^2`, in the form that the report writes out.

    Args:
        coefficients: A, B, C, shape ``(3, M)``.
        kappa: the first four cumulants of S, shape ``(4,)``.

    Returns:
        Shape ``(2, M)``.

    Example:
        >>> mean_and_variance(torch.tensor([[0.0], [0.0], [1.0]]), torch.tensor([0.0, 1.0, 0.0, 0.0])).flatten()  # chi-square
        tensor([1., 2.])
    """
    a, b, c = coefficients
    k1, k2, k3, k4 = kappa
    mean = a + b * k1 + c * (k2 + k1**2)
    square = k4 + 4 * k1 * k3 + 2 * k2**2 + 4 * k1**2 * k2
    return torch.stack([mean, b**2 * k2 + 2 * b * c * (k3 + 2 * k1 * k2) + c**2 * square])


def tied_recursion(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train fully tied quadratic networks and say what they are: coefficients, and residuals of the recursion under some laws.

    Args:
        settings: ``width``, ``replicas``, ``steps``, ``laws``, ``seed``.

    Returns:
        ``coefficients``, A, B and C over members; ``residuals``, law -> order -> residual over members in units of the target's
        standard deviation to that power; ``outer``, the largest outer weight of every member; ``held_out``, its worst error, of
        seven laws.
    """
    size = {name: settings[name] for name in ("width", "replicas", "seed")}
    model = make_model("mlp_quadratic_full", **size, compile=False)
    data = CLTDataModule(held_out_laws=[*SEVEN_LAWS], seed=settings["seed"])
    for _ in train(model, data, [settings["steps"]]):
        pass
    residuals: dict[str, Any] = {}
    for text in settings["laws"]:
        law = laws.parse(text)
        scale = float(law.cumulants(2)[1]) ** (torch.arange(1, 5, dtype=torch.float64) / 2)
        residual = recursion_residual(model, law, method="exact").detach() / scale[:, None]
        residuals[str(law)] = residual.tolist()
    outer = model.dense()[1][0].detach().abs().amax(dim=(1, 2))
    held_out = errors_of(model, data)["held_out"]
    found = {"coefficients": tied_coefficients(model).tolist(), "outer": outer.tolist(), "held_out": held_out}
    return {**found, "residuals": residuals}
