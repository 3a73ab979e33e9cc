r"""The central-limit map as a recursion of cumulants: exact, diagonal, with the Gaussian as its fixed point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..checks import check_at_least, check_tensor, check_tensors
from ..errors import InputError
from ..maps import CentralLimit

CENTRAL_LIMIT = CentralLimit()


def clt_eigenvalues(order: int, block_size: int = 2) -> Tensor:
    r"""Eigenvalues of the map on cumulants, :math:`b^{1 - n/2}` for :math:`n = 1, \dots, r`, shape ``(r,)``, float64.

    Args:
        order: highest order ``r``.
        block_size: number of variables ``b`` in a block.

    Raises:
        ValueError: for a block size below 2.

    Source:
        Jona-Lasinio, Il Nuovo Cimento B 26 (1975) 99.

    Example:
        >>> clt_eigenvalues(4)
        tensor([1.4142, 1.0000, 0.7071, 0.5000], dtype=torch.float64)
    """
    check_at_least("block_size", block_size, 2)
    return CENTRAL_LIMIT.spectrum(order, block_size)[1:]


def clt_step(kappa: Tensor, block_size: int = 2) -> Tensor:
    r"""Cumulants after one step of the map on blocks of i.i.d. variables, :math:`\kappa_n \to b^{1 - n/2} \kappa_n`.

    Args:
        kappa: cumulants of orders 1 to ``r``, shape ``(r, ...)``.
        block_size: number of variables ``b`` in a block.

    Raises:
        ValueError: for a block size below 2.

    Example:
        >>> clt_step(torch.tensor([0.0, 1.0, 2.0, 6.0]))
        tensor([0.0000, 1.0000, 1.4142, 3.0000], dtype=torch.float64)
    """
    return clt_flow(kappa, 1, block_size)[1]


def clt_flow(kappa: Tensor, steps: int, block_size: int = 2) -> Tensor:
    r"""Cumulants along the flow, :math:`\kappa_n(t) = b^{t (1 - n/2)} \kappa_n`, shape ``(steps + 1, r, ...)``, float64.

    Args:
        kappa: cumulants of orders 1 to ``r``, shape ``(r, ...)``.
        steps: number of steps, 0 or more.
        block_size: number of variables ``b`` in a block.

    Raises:
        ValueError: for a block size below 2, or a negative number of steps.

    Example:
        >>> clt_flow(torch.tensor([0.0, 1.0, 2.0]), steps=2)[:, 2]
        tensor([2.0000, 1.4142, 1.0000], dtype=torch.float64)
    """
    check_tensor("kappa", kappa, axes=1)
    check_at_least("steps", steps, 0)
    check_at_least("block_size", block_size, 2)
    return CENTRAL_LIMIT.flow(kappa, steps, block_size)


def clt_fixed_point(kappa: Tensor) -> Tensor:
    r"""The Gaussian that a law of mean 0 flows to: its variance, and no other cumulant; float64.

    A mean that is not 0 grows by :math:`\sqrt b` a step and has no limit: it is kept as NaN.

    Args:
        kappa: cumulants of orders 1 to ``r >= 2``, shape ``(r, ...)``.

    Raises:
        ValueError: for other shapes.

    Example:
        >>> clt_fixed_point(torch.tensor([0.0, 3.0, 2.0]))
        tensor([0., 3., 0.], dtype=torch.float64)
    """
    check_tensor("kappa", kappa, axes=1)
    if len(kappa) < 2:
        raise InputError(f"kappa has shape {tuple(kappa.shape)}", "(r, ...) with r >= 2")
    limit = torch.zeros_like(kappa, dtype=torch.float64)
    limit[0] = torch.where(kappa[0] == 0, 0.0, torch.nan)
    limit[1] = kappa[1]
    return limit


def clt_step_joint(joint: Sequence[Tensor]) -> Tensor:
    r"""Cumulants of the map's output where the variables of a block depend on each other.

    .. math:: \kappa_n' = b^{-n/2} \sum_{i_1 \dots i_n} \kappa(x_{i_1}, \dots, x_{i_n})

    Args:
        joint: joint cumulants of a block, tensors of shapes ``(b,)``, ``(b, b)``, and so on.

    Returns:
        Shape ``(r,)``, float64.

    Raises:
        ValueError: for a block of fewer than 2 variables, or other shapes.

    Example:
        >>> clt_step_joint([torch.zeros(2), torch.tensor([[1.0, 0.5], [0.5, 1.0]])])
        tensor([0.0000, 1.5000], dtype=torch.float64)
    """
    check_tensors("joint", joint)
    shapes = [tuple(tensor.shape) for tensor in joint]
    b = shapes[0][0] if shapes and shapes[0] else 0
    check_at_least("block_size", b, 2)
    if shapes != [(b,) * n for n in range(1, len(joint) + 1)]:
        raise InputError(f"joint has shapes {shapes}", "(b,), (b, b), ..., with the same b")
    return torch.stack([tensor.double().sum() / b ** (n / 2) for n, tensor in enumerate(joint, start=1)])


def recursion_residual(model: Any, law: Any, order: int = 4, method: str = "quadrature") -> Tensor:
    r"""How far a network's own cumulant map is from the recursion, order by order.

    .. math:: r_n = \kappa_n(f(x_1, \dots, x_b)) - b^{1 - n/2} \kappa_n(x)

    Args:
        model: a stack with ``block_size``, see :func:`renorm.cumulants.propagate`.
        law: law of the variables, or its string.
        order: highest order ``r``.
        method: how the output's cumulants are found; ``quadrature`` needs ``b = 2``, ``exact`` polynomial activations.

    Returns:
        Shape ``(r, M)``, float64, differentiable with respect to the model's parameters: 0 for a network that is the map.

    Raises:
        ValueError: for a value out of range, or a model or a law that the method cannot do.

    Example:
        >>> from renorm.zoo import MLP
        >>> recursion_residual(MLP(activation="linear", replicas=3), "gamma(shape=2)").shape
        torch.Size([4, 3])
    """
    from .propagation import propagate  # which imports this module's neighbours

    result = propagate(model, law, order, method=method)
    found = result.marginals("out")[:, :, 0]
    wanted = clt_step(result.input_cumulants.to(found.device), model.block_size)
    return found - wanted.unsqueeze(1)
