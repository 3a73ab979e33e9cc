r"""How long a leaky-ReLU network takes to lose its kinks under gradient descent, derived from its linear solution.

With :math:`\varepsilon = (1 - s)/2` the activation is :math:`(1 - \varepsilon) z + \varepsilon |z|`, and a network of one
hidden layer is an affine function plus :math:`\varepsilon \sum_j a_j |z_j|`, :math:`z_j = w_j \cdot x + b_j`. Let P take away
the best affine function under the law. Up to what the affine part of the residual has left, the loss is

.. math:: L = \varepsilon^2 K(\theta), \qquad K = E\Big[\Big(P \sum_j a_j |z_j|\Big)^2\Big]

The affine part relaxes in a time of order 1, the kinks in a time of order :math:`\varepsilon^{-2}`. So for
:math:`\varepsilon \to 0` weights first come to rest on the manifold of linear solutions,
:math:`A(\theta) = (\sum_j a_j w_j, \sum_j a_j b_j + c)` equal to the target's coefficients, and then slide along it,

.. math:: \dot\theta = -\varepsilon^2 \, \Pi \nabla K, \qquad \Pi = 1 - J^T (J J^T)^{-1} J, \quad J = \partial A / \partial\theta

which has no parameter but the time :math:`\varepsilon^2 t`: :math:`L(s, t) = \varepsilon^2 K_*(\varepsilon^2 t)`, hence the
collapse exponent 1/2 of gradient descent, and a rate at the start of
:math:`\varepsilon^2 |\Pi\nabla K|^2 / K`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from ..training.stack import StackedModel


class Units(NamedTuple):
    """Weights of networks of one hidden layer.

    Attributes:
        weight: shape ``(M, H, b)``.
        bias: shape ``(M, H)``.
        readout: shape ``(M, H)``.
        offset: bias of the output, shape ``(M,)``.
    """

    weight: Tensor
    bias: Tensor
    readout: Tensor
    offset: Tensor


def units_of(model: StackedModel) -> Units:
    """Weights of a stack, in float64.

    Raises:
        ValueError: for a network of another depth.

    Example:
        >>> from renorm.zoo import MLP
        >>> units_of(MLP(width=3, replicas=2)).weight.shape
        torch.Size([2, 3, 2])
    """
    layers = model.dense()
    if len(layers) != 2:
        raise InputError(f"depth={len(layers) - 1} is out of range", "1")
    copied = [[None if part is None else part.detach().double().clone() for part in layer] for layer in layers]
    (weight, bias), (readout, offset) = copied
    assert weight is not None
    assert readout is not None
    return Units(
        weight,
        weight.new_zeros(weight.shape[:2]) if bias is None else bias,
        readout[:, 0],
        weight.new_zeros(len(weight)) if offset is None else offset[:, 0],
    )


def kink_energy(units: Units, x: Tensor) -> Tensor:
    r"""What the kinks add to the loss, :math:`K = E[(P \sum_j a_j |z_j|)^2]`, in units of :math:`\varepsilon^2`.

    Args:
        units: the networks.
        x: blocks of equal weight, shape ``(N, b)``, float64.

    Returns:
        Shape ``(M,)``.

    Example:
        >>> parts = ([[[1.0]]], [[9.0]], [[1.0]], [0.0])
        >>> one = Units(*(torch.tensor(part, dtype=torch.float64) for part in parts))
        >>> bool(kink_energy(one, torch.linspace(-1, 1, 5).double()[:, None]) < 1e-20)  # no block on its other side
        True
    """
    z = units.weight @ x.mT + units.bias.unsqueeze(-1)
    kinks = (units.readout.unsqueeze(-1) * z.abs()).sum(dim=1)
    affine = torch.linalg.qr(torch.cat([torch.ones_like(x[:, :1]), x], dim=1)).Q
    left = kinks - (kinks @ affine) @ affine.mT
    energy: Tensor = left.square().mean(dim=-1)
    return energy


def slow_velocity(units: Units, x: Tensor) -> tuple[Tensor, Units]:
    r"""The kinks' energy, and the velocity :math:`-\Pi \nabla K` along the manifold of linear solutions.

    Args:
        units: networks on the manifold.
        x: see :func:`kink_energy`.
    """
    weight, bias, readout, offset = units
    free = [part.detach().requires_grad_() for part in (weight, bias, readout)]
    energy = kink_energy(Units(free[0], free[1], free[2], offset), x)
    gradients = [*torch.autograd.grad(energy.sum(), free), torch.zeros_like(offset)]
    members, hidden, block = weight.shape
    gradient = torch.cat([part.flatten(1) if part.ndim > 1 else part[:, None] for part in gradients], dim=1)
    # rows: d(sum_j a_j w_jk) for each k, then d(sum_j a_j b_j + c); columns: w, b, a, c
    by_weight = weight.new_zeros(members, block + 1, hidden, block)
    for k in range(block):
        by_weight[:, k, :, k] = readout
    by_bias = weight.new_zeros(members, block + 1, hidden)
    by_bias[:, -1] = readout
    by_readout = torch.cat([weight.mT, bias[:, None]], dim=1)
    by_offset = weight.new_zeros(members, block + 1, 1)
    by_offset[:, -1] = 1.0
    jacobian = torch.cat([by_weight.flatten(2), by_bias, by_readout, by_offset], dim=2)
    normal = torch.linalg.lstsq(jacobian.mT, gradient.unsqueeze(-1)).solution
    velocity = (jacobian.mT @ normal).squeeze(-1) - gradient
    parts = velocity.split([hidden * block, hidden, hidden, 1], dim=1)
    return energy.detach(), Units(parts[0].view_as(weight), parts[1], parts[2], parts[3][:, 0])


def slide(units: Units, x: Tensor, times: Sequence[float], step: float = 0.05) -> Tensor:
    r"""The reduced flow's energy :math:`K_*(\tau)` at times :math:`\tau = \varepsilon^2 t`, by Runge-Kutta steps of fourth order.

    Args:
        units: networks on the manifold of linear solutions.
        x: see :func:`kink_energy`.
        times: increasing, from 0 on.
        step: longest step.

    Returns:
        Shape ``(len(times), M)``.
    """
    now, found = 0.0, []
    for time in times:
        count = max(1, int(-(-(time - now) // step))) if time > now else 0
        for _ in range(count):
            units = _runge_kutta(units, x, (time - now) / count)
        now = time
        found.append(kink_energy(units, x))
    return torch.stack(found)


def _runge_kutta(units: Units, x: Tensor, h: float) -> Units:
    def moved(by: Units, share: float) -> Units:
        return Units(*(part + share * change for part, change in zip(units, by, strict=True)))

    one = slow_velocity(units, x)[1]
    two = slow_velocity(moved(one, h / 2), x)[1]
    three = slow_velocity(moved(two, h / 2), x)[1]
    four = slow_velocity(moved(three, h), x)[1]
    mean = Units(*((a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(one, two, three, four, strict=True)))
    return moved(mean, h)


def lattice(low: float, high: float, points: int, block_size: int = 2) -> Tensor:
    """Midpoints of equal cells of the cube on which a uniform law lives: the one batch of a full-batch descent.

    Returns:
        Shape ``(points**block_size, block_size)``, float64.

    Example:
        >>> lattice(-1, 1, 2)[0].tolist()
        [-0.5, -0.5]
    """
    axis = low + (high - low) * (torch.arange(points, dtype=torch.float64) + 0.5) / points
    return torch.cartesian_prod(*[axis] * block_size)
