r"""Do the gradients of a stack pull its members towards one solution, or towards several that compete?

A network of one hidden layer is a set of units, row j being :math:`(w_j, b_j, a_j)`, and an output bias. The order of the units
means nothing, so two networks are compared after the permutation that brings their units closest,
:math:`\min_\pi \sum_j |u_j - v_{\pi(j)}|^2`.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ..errors import InputError
from ..training.losses import clt_map
from ..training.stack import StackedModel


class Networks(NamedTuple):
    """Networks of one hidden layer, or anything with the same shape, such as their gradients.

    Attributes:
        units: rows :math:`(w_j, b_j, a_j)`, shape ``(M, H, b + 2)``; 0 for a bias that does not exist.
        offset: output bias, shape ``(M,)``; 0 where it does not exist.
    """

    units: Tensor
    offset: Tensor

    def flat(self) -> Tensor:
        """All numbers of a network in a row, shape ``(M, H (b + 2) + 1)``."""
        return torch.cat([self.units.flatten(1), self.offset[:, None]], dim=1)


def networks_of(model: StackedModel) -> Networks:
    """The weights of a stack, ties written out, in float64.

    Raises:
        ValueError: for a network of another depth.

    Example:
        >>> from renorm.zoo import MLP
        >>> networks_of(MLP(width=3, symmetry="full", replicas=2)).units.shape
        torch.Size([2, 3, 4])
    """
    layers = model.dense()
    if len(layers) != 2:
        raise InputError(f"depth={len(layers) - 1} is out of range", "1")
    (weight, bias), (readout, offset) = layers
    columns = [weight, (torch.zeros_like(weight[..., 0]) if bias is None else bias)[..., None], readout.mT]
    last = torch.zeros_like(readout[:, 0, 0]) if offset is None else offset[:, 0]
    return Networks(
        torch.cat(columns, dim=2).detach().double(), last.detach().double().clone()
    )  # not a view of the weights


def descent(model: StackedModel, x: Tensor) -> Networks:
    r"""Direction in which gradient descent moves every member, :math:`-\nabla L`, ties written out.

    Tied weights move together: this is the velocity of the written-out weights under gradient flow of the free parameters.

    Args:
        model: the stack.
        x: blocks, shape ``(N, b)``.

    Example:
        >>> from renorm.zoo import MLP
        >>> descent(MLP(width=3, replicas=2), torch.randn(8, 2)).flat().shape
        torch.Size([2, 13])
    """
    # written-out weights are linear in the free ones: a copy that holds velocities for weights writes out velocities
    moving = copy.deepcopy(model)
    free = [parameter for parameter in model.parameters() if parameter.requires_grad]
    x = x.to(free[0])
    gradients = torch.autograd.grad(model.losses(x, clt_map(x)).sum(), free)
    with torch.no_grad():
        for parameter, gradient in zip((p for p in moving.parameters() if p.requires_grad), gradients, strict=True):
            parameter.copy_(-gradient)
    return networks_of(moving)


def matched(networks: Networks, reference: Networks) -> Tensor:
    """The permutation of each network's units that brings them closest to a reference's.

    Args:
        networks: shape ``(M, H, F)``.
        reference: as many networks, compared one to one.

    Returns:
        Shape ``(M, H)``: unit ``permutation[m, j]`` of the network belongs to unit ``j`` of the reference.

    Source:
        Kuhn, Naval Research Logistics Quarterly 2 (1955) 83.

    Example:
        >>> one = Networks(torch.tensor([[[0.0], [5.0]]]), torch.zeros(1))
        >>> matched(one, Networks(torch.tensor([[[4.0], [1.0]]]), torch.zeros(1)))
        tensor([[1, 0]])
    """
    costs = torch.cdist(reference.units, networks.units).square().numpy()
    return torch.stack([torch.from_numpy(linear_sum_assignment(cost)[1]) for cost in costs])


def permuted(networks: Networks, permutation: Tensor) -> Networks:
    """The same networks with their units in another order."""
    rows = permutation.unsqueeze(-1).expand(-1, -1, networks.units.shape[-1])
    return Networks(networks.units.gather(1, rows), networks.offset)


def pulls(weights: Networks, velocity: Networks, solutions: Networks) -> tuple[Tensor, Tensor]:
    r"""Alignment of every member's descent with the direction to every solution, units matched.

    .. math:: c_{mk} = \frac{v_m \cdot (\theta_k - \theta_m)}{|v_m|\,|\theta_k - \theta_m|}

    Args:
        weights: where the members are.
        velocity: where they go, see :func:`descent`.
        solutions: K networks, shape ``(K, H, F)``.

    Returns:
        The cosines, shape ``(M, K)``, and the unit directions, shape ``(M, K, P)``; 0 where a member is at the solution or
        at rest.

    Example:
        >>> here, there = Networks(torch.zeros(1, 1, 2), torch.zeros(1)), Networks(torch.ones(1, 1, 2), torch.zeros(1))
        >>> round(float(pulls(here, there, there)[0]), 6)
        1.0
    """
    moving, start = velocity.flat(), weights.flat()
    directions = []
    for k in range(len(solutions.units)):
        one = Networks(solutions.units[k].expand_as(weights.units), solutions.offset[k].expand_as(weights.offset))
        directions.append(permuted(one, matched(one, weights)).flat() - start)
    ways = _normalised(torch.stack(directions, dim=1))
    return torch.einsum("mp,mkp->mk", _normalised(moving), ways), ways


def frustration(cosines: Tensor, directions: Tensor) -> Tensor:
    r"""Whether the solutions that a member is pulled to lie in one direction, or cancel each other.

    .. math:: F_m = 1 - \frac{\big|\sum_k c^+_{mk}\, \hat d_{mk}\big|}{\sum_k c^+_{mk}}, \qquad c^+ = \max(c, 0)

    Args:
        cosines: see :func:`pulls`, shape ``(M, K)``.
        directions: unit vectors, shape ``(M, K, P)``.

    Returns:
        Shape ``(M,)``: 0 where all pulls agree, 1 where they cancel; NaN for a member that nothing pulls.

    Example:
        >>> up_and_down = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
        >>> frustration(torch.tensor([[0.5, 0.5]]), up_and_down), frustration(torch.tensor([[0.5, -0.5]]), up_and_down)
        (tensor([1.]), tensor([0.]))
    """
    pull = cosines.clamp_min(0)
    together = torch.einsum("mk,mkp->mp", pull, directions).norm(dim=1)
    found: Tensor = 1 - together / pull.sum(dim=1)
    return found


def agreement(weights: Networks, velocity: Networks) -> Tensor:
    r"""Mean cosine of a member's descent with those of the other members, units matched by their weights.

    Args:
        weights: where the members are, two or more of them.
        velocity: where they go.

    Returns:
        Shape ``(M,)``: 1 where all members move alike, 0 or less where they move apart.

    Raises:
        ValueError: for fewer than two members.
    """
    members = len(weights.units)
    if members < 2:
        raise InputError(f"members={members} is too few to compare", "2 or more")
    total = torch.zeros(members, dtype=torch.float64)
    own = _normalised(velocity.flat())
    for shift in range(1, members):
        other = [Networks(of.units.roll(shift, 0), of.offset.roll(shift, 0)) for of in (weights, velocity)]
        total += (own * _normalised(permuted(other[1], matched(other[0], weights)).flat())).sum(dim=1)
    return total / (members - 1)


def distinct(solutions: Networks, apart: float = 0.1) -> list[int]:
    """Members whose networks differ from one another: the competing solutions that a stack has ended in.

    Args:
        solutions: networks at the end of training.
        apart: least distance between two, units matched, relative to the root mean square norm of all.

    Returns:
        Positions, in order; each network is within that distance of one of them.

    Example:
        >>> ends = Networks(torch.tensor([[[1.0, 0.0]], [[1.01, 0.0]], [[-1.0, 0.0]]]), torch.zeros(3))
        >>> distinct(ends)
        [0, 2]
    """
    scale = solutions.flat().square().sum(dim=1).mean().sqrt()
    found: list[int] = []
    for m in range(len(solutions.units)):
        rest = Networks(solutions.units[found], solutions.offset[found])
        one = Networks(solutions.units[m].expand_as(rest.units), solutions.offset[m].expand_as(rest.offset))
        if not found or bool(
            ((permuted(one, matched(one, rest)).flat() - rest.flat()).norm(dim=1) > apart * scale).all()
        ):
            found.append(m)
    return found


def _normalised(vectors: Tensor) -> Tensor:
    length = vectors.norm(dim=-1, keepdim=True)
    return torch.where(length > 0, vectors / length, torch.zeros_like(vectors))
