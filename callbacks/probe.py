"""Probes: what is sent through a network in order to measure it, the same at every epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeGuard, runtime_checkable

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ..checks import described
from ..errors import InputError

NAME = "probe"  # in the place of a law's text, in tags and tables


class Probe:
    """A batch, or the first batches of a loader, read once and then kept.

    Args:
        source: a batch as the network's own loader gives it (a tensor, a tuple or list, a dictionary, graphs of
            torch_geometric), or a loader of such batches.

    Raises:
        InputError: for anything else.

    Example:
        >>> len(list(Probe(torch.zeros(5, 2)).batches()))
        1
    """

    def __init__(self, source: Any) -> None:
        if source is None or isinstance(source, str | bytes | bool | int | float):
            raise InputError(f"probe={source!r} is not a batch", "a batch that the network takes, or a loader of such")
        self._kept: list[Any] = [] if is_loader(source) else [source]
        self._rest: Iterable[Any] | Iterator[Any] = source if is_loader(source) else ()

    def batches(self) -> Iterator[Any]:
        """Its batches, one after the other; a loader is read no further than these are asked for."""
        yield from self._kept
        if not isinstance(self._rest, Iterator):
            self._rest = iter(self._rest)
        for batch in self._rest:
            self._kept.append(batch)
            yield batch

    def close(self) -> None:
        """Read no more of the loader, and release it: the batches read so far are the probe."""
        self._rest = ()


class ProbeData:
    """What diagnostics ask of a data module, where there is a probe in the place of laws: nothing exact is known.

    Args:
        probe: the probe.
    """

    map = None
    independent = False
    train_laws = (NAME,)
    laws = (NAME,)

    def __init__(self, probe: Probe | None) -> None:
        self._probe = probe

    def probe(self, law: Any, rows: int) -> Any:
        """The probe, as ``Blocks`` are given: under ``x``, without targets."""
        return Probed(self._probe)

    def target_cumulants(self, law: str) -> None:
        """None: they are not known."""


class Probed(NamedTuple):
    """A probe in the place of ``Blocks``."""

    x: Probe | None

    def to(self, parameter: Tensor) -> Probed:
        """The same: batches are moved one by one."""
        return self


class Graphs(NamedTuple):
    """The graphs of a batch of torch_geometric.

    Attributes:
        nodes: number of nodes of each graph, shape ``(N,)``.
        owner: the graph of each node, shape ``(nodes,)``: the batch vector.
    """

    nodes: Tensor
    owner: Tensor

    def by_graph(self, values: Tensor) -> Tensor:
        """Values of nodes, ``(nodes, ...)``, as ``(N, nodes of a graph, ...)``, for graphs of one size."""
        order = self.owner.argsort(stable=True)
        return values[order].reshape(len(self.nodes), -1, *values.shape[1:])


@dataclass
class CopiesOfGraph:
    """Draws of the features of one graph, as one large graph without edges between the copies.

    Attributes:
        x: features, shape ``(N * nodes, features)``.
        batch: the copy of each node, shape ``(N * nodes,)``.
        arguments: what else ``forward`` takes, such as ``edge_index``.
    """

    x: Tensor
    batch: Tensor
    arguments: dict[str, Tensor]

    @classmethod
    def of(cls, x: Tensor, arguments: Mapping[str, Tensor]) -> CopiesOfGraph:
        """As many copies as there are draws.

        Args:
            x: shape ``(N, nodes, features)``.
            arguments: of ``forward`` for one graph.

        Example:
            >>> edges = torch.tensor([[0, 1], [1, 0]])
            >>> CopiesOfGraph.of(torch.zeros(2, 3, 1), {"edge_index": edges}).arguments["edge_index"].tolist()
            [[0, 1, 3, 4], [1, 0, 4, 3]]
        """
        count, nodes = x.shape[:2]
        owner = torch.arange(count, device=x.device).repeat_interleave(nodes)
        of_all = {}
        for name, value in arguments.items():
            value = value.to(x.device)
            if name == "edge_index":
                start = nodes * torch.arange(count, device=x.device)
                of_all[name] = (value.unsqueeze(1) + start[:, None]).flatten(1)
            else:
                of_all[name] = owner if name == "batch" else value.to(x.dtype).repeat(count)
        return cls(x.flatten(0, 1), owner, of_all)

    @property
    def num_nodes(self) -> int:
        """Number of nodes of all copies."""
        return len(self.x)


@runtime_checkable
class _Cloneable(Protocol):
    """A tensor, or a graph of torch_geometric."""

    def clone(self) -> Any: ...


def copied(batch: Any) -> Any:
    """A batch that may be written into.

    Example:
        >>> x = torch.zeros(2)
        >>> copied({"x": x})["x"].add_(1), x
        (tensor([1., 1.]), tensor([0., 0.]))
    """
    return apply_to_collection(batch, _Cloneable, lambda one: one.clone())


def not_finite(batch: Any) -> int:
    """How many numbers that go into ``forward`` are not finite.

    Example:
        >>> not_finite((torch.tensor([1.0, torch.nan]), torch.tensor([torch.nan])))
        1
    """
    x = input_of(batch)
    tensors = tree_leaves(x.to_dict() if hasattr(x, "to_dict") else x)
    return sum(int((~one.isfinite()).sum()) for one in tensors if isinstance(one, Tensor) and one.is_floating_point())


def is_loader(source: Any) -> bool:
    """Whether this gives batches, and is not one itself; graphs and dictionaries can be iterated over, too."""
    one = isinstance(source, Tensor | Mapping | tuple | list) or hasattr(source, "to")
    return isinstance(source, Iterable) and not one


def input_of(batch: Any) -> Any:
    """What of a batch goes into ``forward``: its first part if it is a tuple or a list, as ``(x, y)`` is."""
    return batch[0] if isinstance(batch, tuple | list) and len(batch) else batch


def graphs_of(batch: Any) -> Graphs | None:
    """The graphs of a batch; None if it is not one of torch_geometric's, or has no batch vector."""
    owner = getattr(input_of(batch), "batch", None)
    return Graphs(torch.bincount(owner), owner) if _is_vector(owner) else None


def _is_vector(owner: Any) -> TypeGuard[Tensor]:
    return isinstance(owner, Tensor) and owner.ndim == 1 and len(owner) > 0 and not owner.is_floating_point()


def rows_of(batch: Any) -> int | None:
    """Rows of a batch: the length of its input, or the number of nodes; None where it does not say.

    Example:
        >>> rows_of((torch.zeros(5, 2), torch.zeros(5))), rows_of({"ids": torch.zeros(3)})
        (5, 3)
    """
    x = input_of(batch)
    if isinstance(x, Mapping):
        x = next((value for value in x.values() if isinstance(value, Tensor)), None)
    nodes = getattr(x, "num_nodes", None)
    if isinstance(nodes, int):
        return nodes
    return len(x) if isinstance(x, Tensor) and x.ndim else None


def describe_batch(batch: Any) -> str:
    """A batch for a message: what goes into ``forward``.

    Example:
        >>> describe_batch([torch.zeros(5, 2), torch.zeros(5)])
        'shape (5, 2)'
    """
    return described(input_of(batch))
