"""What the joint cumulants of wide layers take: said, or refused, before anything is computed."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ...errors import InputError
from ...limits import memory, readable
from ..joint import check_entries
from .grid import NODES
from .network import Network

NUMBER = 8  # bytes of float64
WORKING = 4  # copies of the largest tensor while its diagrams are summed
WORTH_SAYING = 2.0**30  # bytes

log = logging.getLogger("renorm")


def tensors_kept(network: Network, closure: int, order: int) -> list[tuple[int, int]]:
    """Units and order of the largest tensors that a closure at every layer computes and keeps.

    Args:
        network: the members.
        closure: highest order of the pre-activations that is used.
        order: highest order that is asked for.
    """
    before_last = max(order, closure)
    kept = [(network.affine[-1][0].shape[1], order)]
    for layer, nonlinearity in enumerate(network.nonlinear):
        units = network.affine[layer][0].shape[1]
        highest = order if layer == network.depth - 1 else before_last
        # a grid goes to the next layer's units at once
        on_grid = layer == 0 and network.block_size in NODES and nonlinearity.polynomial() is None
        kept.append((units, min(highest, 2) if on_grid else highest))
        if layer:
            kept.append((units, before_last))
    return kept


def tensor_memory(tensors: Sequence[tuple[int, int]], members: int = 1) -> float:
    r"""Bytes that joint cumulants take, :math:`8 M (\sum_i d_i^{n_i} + 4 \max_i d_i^{n_i})`: a lower bound.

    Args:
        tensors: units ``d`` and order ``n`` of each tensor that is kept.
        members: how many networks ``M`` there are.

    Example:
        >>> tensor_memory([(100, 2), (10, 2)])
        400800.0
    """
    entries = [float(units) ** order for units, order in tensors]
    return NUMBER * members * (sum(entries) + WORKING * max(entries))


def check_tensors(tensors: Sequence[tuple[int, int]], members: int = 1) -> None:
    """Refuse tensors that cannot fit into memory, and say of those that take a gigabyte or more how much it is.

    Args:
        tensors: units and order of each tensor that is kept.
        members: how many networks there are.

    Raises:
        InputError: with the estimate.

    Example:
        >>> check_tensors([(100, 2)])
        >>> check_tensors([(10**6, 4)])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: order=4 of layers of 1000000 units needs at least 4e+13 TB of memory; allowed: ...
    """
    needed = tensor_memory(tensors, members)
    units, order = max(tensors, key=lambda tensor: tensor[0] ** tensor[1])
    what = f"order={order} of layers of {units} units needs at least {readable(needed)} of memory"
    if needed > memory():
        raise InputError(what, f"a lower order or closure, or fewer units or members, to fit {readable(memory())}")
    for width, n in tensors:
        check_entries(width, n)
    if needed >= WORTH_SAYING:
        log.warning(what)
