"""Stacked layers: one layer of all members at once, with tied weights."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..seeds import generators
from .symmetry.orbits import Orbits

SELECTED_ENTRIES = 2**20  # of the matrix that selects tied weights in compiled code
FUSED_INPUTS = 16  # of the first layer in compiled code; above it a library's matrix product is faster


class MemberRandom:
    r"""Random numbers that belong to a member, whatever stack it is trained in.

    Replica ``r`` draws from a generator seeded by ``(seed, r)``, so that neither more replicas nor more grid points change
    the others, and members that differ only in their grid value start from the same draws.

    Args:
        seed: seed of the whole stack.
        replicas: replica number of each member.
    """

    def __init__(self, seed: int, replicas: list[int]) -> None:
        distinct, rows = np.unique(np.asarray(replicas), return_inverse=True)
        # not torch.Generator, whose seeds have 32 bits on the CPU: two of 100 000 replicas would be twins
        self._generators = generators(seed, distinct)
        self._row = torch.from_numpy(rows)

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Uniform draws on [0, 1), shape ``(members, *shape)``; float64, so that every precision starts alike."""
        draws = np.empty((len(self._generators), math.prod(shape)))
        for generator, row in zip(self._generators, draws, strict=True):
            generator.random(out=row)
        return torch.from_numpy(draws)[self._row].view(len(self._row), *shape)


class TiedTensor(nn.Module):
    """A weight or bias of all members, ``W = sign * theta[index]``, with ``theta`` the free parameters.

    Args:
        members: number of members ``M``.
        orbits: which entries are equal.

    Shapes:
        ``theta`` is ``(M, count)``; the module's value is ``(M, *shape)``.
    """

    def __init__(self, members: int, orbits: Orbits) -> None:
        super().__init__()
        self.shape = orbits.index.shape
        self.is_free = orbits.is_free
        self.theta = nn.Parameter(torch.zeros(members, orbits.count))
        self._representatives = torch.from_numpy(orbits.representatives)
        self._signed = bool((orbits.sign != 1).any())
        self.register_buffer("index", torch.from_numpy(orbits.index.ravel()), persistent=False)
        self.register_buffer("sign", torch.from_numpy(orbits.sign.ravel()).float(), persistent=False)
        self.index: Tensor
        self.sign: Tensor

    def reset_parameters(self, bound: float, random: MemberRandom) -> None:
        """Draw the whole tensor uniformly on [-bound, bound) and keep the first entry of each orbit."""
        entries = random.uniform((math.prod(self.shape),))[:, self._representatives]
        with torch.no_grad():
            self.theta.copy_((2 * entries - 1) * bound)

    def fill(self, entries: Tensor) -> None:
        """Set the free parameters so that every member's tensor is ``entries``, shape ``shape``.

        Raises:
            ValueError: where the entries do not have the symmetry.
        """
        with torch.no_grad():
            self.theta.copy_(entries.flatten()[self._representatives].to(self.theta))
            if not torch.equal(self()[0], entries.to(self.theta)):
                raise InputError(f"entries={entries.tolist()} do not have the symmetry of this tensor", "its orbits")

    def forward(self) -> Tensor:
        """The tensor itself, shape ``(M, *shape)``."""
        if self.is_free:
            return self.theta.view(-1, *self.shape)
        if torch.compiler.is_compiling() and self.theta.shape[1] * len(self.index) <= SELECTED_ENTRIES:
            return self._selected().view(-1, *self.shape)
        entries = self.theta.index_select(1, self.index)
        if self._signed:
            entries = entries * self.sign
        return entries.view(-1, *self.shape)

    def _selected(self) -> Tensor:
        """The same entries as a matrix product: compilers turn the gradient of an indexing into a scatter, or fail at it."""
        orbit = torch.arange(self.theta.shape[1], device=self.theta.device)
        selection = (self.index == orbit.unsqueeze(1)).to(self.theta.dtype)
        return self.theta @ (selection * self.sign if self._signed else selection)


class Projection(nn.Module):
    """:func:`project` for one symmetry and many tensors.

    Args:
        orbits: orbits of the entries.

    Shapes:
        ``(M, *shape) -> (M, *shape)``.
    """

    def __init__(self, orbits: Orbits) -> None:
        super().__init__()
        index, sign = (torch.from_numpy(entries).flatten() for entries in (orbits.index, orbits.sign))
        sizes = torch.zeros(orbits.count, dtype=torch.int64).index_add_(0, index[sign != 0], sign[sign != 0].square())
        for name, buffer in (("index", index), ("sign", sign), ("sizes", sizes)):
            self.register_buffer(name, buffer, persistent=False)
        self.index: Tensor
        self.sign: Tensor
        self.sizes: Tensor

    def forward(self, tensor: Tensor) -> Tensor:
        """The nearest tensors with the symmetry."""
        if len(self.sizes) == 0:
            return torch.zeros_like(tensor)
        sign, sizes = self.sign.to(tensor), self.sizes.to(tensor)
        sums = tensor.new_zeros(len(tensor), len(sizes)).index_add_(1, self.index, tensor.flatten(1) * sign)
        return ((sums / sizes)[:, self.index] * sign).view_as(tensor)


def project(tensor: Tensor, orbits: Orbits) -> Tensor:
    r"""Nearest tensor with a symmetry: the mean over each orbit, signs taken into account, and 0 where the sign is 0.

    Args:
        tensor: one tensor a member, shape ``(M, *shape)``.
        orbits: orbits of the entries, shape ``shape``.

    Returns:
        The projections, same shape.

    Example:
        >>> from renorm.zoo.symmetry.symmetry import layer_orbits
        >>> project(torch.tensor([[[1.0, 3.0]]]), layer_orbits("input", [2, 1, 1])[0][0])
        tensor([[[2., 2.]]])
    """
    nearest: Tensor = Projection(orbits).to(tensor.device)(tensor)
    return nearest


class StackedLinear(nn.Module):
    r"""One affine layer of every member, :math:`z_m = W_m h_m + b_m`.

    Args:
        members: number of members ``M``.
        weight: orbits of the weight, shape ``(out, in)``.
        bias: orbits of the bias, shape ``(out,)``, or None for no bias.

    Shapes:
        ``(in, N)``, the same for all members, or ``(M, in, N)`` -> ``(M, out, N)``.
    """

    def __init__(self, members: int, weight: Orbits, bias: Orbits | None) -> None:
        super().__init__()
        self.weight = TiedTensor(members, weight)
        # a symmetry may leave no bias at all: a parameter without elements would upset optimisers and checks alike
        self.bias = TiedTensor(members, bias) if bias is not None and bias.count else None

    def reset_parameters(self, random: MemberRandom) -> None:
        """PyTorch's default for ``nn.Linear``: uniform with bound ``1/sqrt(in)``, drawn member by member."""
        bound = 1 / math.sqrt(self.weight.shape[1])
        self.weight.reset_parameters(bound, random)
        if self.bias is not None:
            self.bias.reset_parameters(bound, random)

    def forward(self, h: Tensor) -> Tensor:
        """Apply the layer."""
        weight: Tensor = self.weight()
        bias = None if self.bias is None else self.bias().unsqueeze(-1)
        if torch.compiler.is_compiling() or h.ndim == 2:
            z = product(weight, h)
            return z if bias is None else z + bias
        return torch.bmm(weight, h) if bias is None else torch.baddbmm(bias, weight, h)


def product(weight: Tensor, h: Tensor) -> Tensor:
    """``weight (M, out, in)`` times ``h (M, in, N)``, or ``(in, N)`` that all members share, in the form that is fastest.

    Eager, that is one call of a matrix product, and so it is between hidden layers. The first layer and the readout are sums
    that a compiler fuses with what lies between them, so that nothing of size ``(M, units, N)`` is ever written to memory.
    """
    inputs = weight.shape[-1]
    fuses = inputs <= FUSED_INPUTS if h.ndim == 2 else weight.shape[-2] == 1
    if not torch.compiler.is_compiling() or not fuses:
        if h.ndim == 2:
            # one matrix product for all members, which share the input
            return (weight.flatten(0, 1) @ h).view(*weight.shape[:2], -1)
        return torch.bmm(weight, h)
    if h.ndim == 2:
        z = weight[:, :, 0, None] * h[0]
        for j in range(1, inputs):
            z = z + weight[:, :, j, None] * h[j]
        return z
    return (weight.unsqueeze(-1) * h.unsqueeze(1)).sum(dim=2)
