"""The contract of an activation."""

from __future__ import annotations

import torch

from ..zoo.activations import Activation, check_contract

UNITS = 3


def check_activation(cls: type[Activation], members: int = 2, **parameters: object) -> None:
    """Hold an activation to what it says of itself: shapes, one member and one unit at a time, parity, pieces, gradients.

    Args:
        cls: the class.
        members: members of the stack on which it is tried.
        parameters: its own.

    Raises:
        AssertionError: naming what does not hold.

    Example:
        >>> from renorm.zoo.activations import LeakyReLU
        >>> check_activation(LeakyReLU, negative_slope=[0.1, 0.5])
    """
    activation = cls(members, torch.arange(UNITS), **parameters).double()
    activation.reset_parameters(lambda shape: torch.rand(members, *shape, generator=torch.Generator().manual_seed(0)))
    try:
        check_contract(activation)
    except ValueError as error:
        raise AssertionError(str(error)) from error
    z = torch.linspace(-4, 4, 101, dtype=torch.float64).expand(members, UNITS, -1).clone().requires_grad_()
    value = activation(z)
    nodes = activation(z.detach()[:, :, None, :].expand(-1, -1, 2, -1))
    torch.testing.assert_close(
        nodes[:, :, 1], value.detach(), msg=f"{cls.__name__} depends on the axes between units and blocks"
    )
    (slope,) = torch.autograd.grad(value.sum(), z)
    assert bool(slope.isfinite().all()), f"{cls.__name__} has gradients that are not finite"
    if cls.parity is not None:
        sign = {"odd": -1, "even": 1}[cls.parity]
        torch.testing.assert_close(activation(-z), sign * value, msg=f"{cls.__name__} is not {cls.parity}")
    pieces = activation.piecewise()
    if pieces is not None:
        cells = torch.bucketize(z.detach()[0, 0], pieces.breaks)
        powers = (z.detach()[0, 0] - pieces.origins[cells])[:, None] ** torch.arange(pieces.coefficients.shape[-1])
        exact = (pieces.coefficients[:, :, cells] * powers).sum(dim=-1).expand(members, UNITS, -1)
        torch.testing.assert_close(exact, value.detach(), msg=f"{cls.__name__}.piecewise is another function")
