"""The contract of a symmetry."""

from __future__ import annotations

from typing import Any

import torch

from ..zoo.mlp import MLP
from ..zoo.symmetry.symmetry import Symmetry, action, moves

ROWS, MEMBERS = 20, 2


def check_symmetry(cls: type[Symmetry], block_size: int = 4, width: int = 8, depth: int = 2) -> None:
    r"""Hold a symmetry to what it says of itself: networks that have it are invariant under its generators.

    For every generator :math:`g`, :math:`f(g x) = \pm f(x)` with the sign with which it acts on the output, whatever the
    weights; and the symmetry is among the model's symmetric subspaces, where these networks are at distance 0.

    Args:
        cls: the class.
        block_size: number of variables of the blocks on which it is tried.
        width: units of a hidden layer.
        depth: number of hidden layers.

    Raises:
        AssertionError: naming what does not hold.

    Example:
        >>> from renorm.zoo.symmetry.built_in import Cyclic
        >>> check_symmetry(Cyclic)
    """
    sizes = [block_size, *[width] * depth, 1]
    try:
        group = action(cls.name, sizes)
        # signs go through an odd activation only
        signs = any(moved.sign == -1 for element in group for moved in element.values())
        activation = "tanh" if signs else "gelu"
        shape: dict[str, Any] = {"block_size": block_size, "width": width, "depth": depth}
        model = MLP(symmetry=cls.name, activation=activation, replicas=MEMBERS, **shape).double()
    except ValueError as error:
        raise AssertionError(str(error)) from error
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
    x = torch.randn(ROWS, block_size, dtype=torch.float64, generator=generator)
    y = model(x)
    for element in group:
        block, output = moves(element, 0, block_size), moves(element, len(sizes) - 1, 1)
        moved = torch.empty_like(x)
        moved[:, torch.from_numpy(block.image)] = block.sign * x
        message = f"{cls.__name__}: a generator changes the output of networks that have the symmetry"
        torch.testing.assert_close(model(moved), output.sign * y, rtol=1e-9, atol=1e-9, msg=message)
    assert not group or cls.name in model.symmetric_subspaces(), f"{cls.__name__} is not among the symmetric subspaces"
