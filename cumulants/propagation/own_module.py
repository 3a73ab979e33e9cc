"""Any module of PyTorch or PyG as a chain of affine maps and functions of single units, checked against the module itself."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...checks import described
from ...errors import InputError, first_line
from .layout import Layout, View, views
from .network import Network
from .traced import ALLOWED, Tracer, where

CHECKS = (0.1, 1.0, 10.0)  # standard deviations of the points at which the chain must equal the module
AGREEMENT = 1e-8  # of the outputs' size


@dataclass(frozen=True)
class OwnNetwork:
    """A module that was read.

    Attributes:
        network: the chain, with one member.
        layers: the module's own layers as parts of it.
    """

    network: Network
    layers: Mapping[str, View]


def read_module(
    net: nn.Module,
    shape: Sequence[int],
    edge_index: Tensor | None = None,
    edge_weight: Tensor | None = None,
    samples: Tensor | None = None,
) -> OwnNetwork:
    """Read a module by running it once on a symbol; see :mod:`renorm.cumulants.propagation.traced`.

    Args:
        net: the module, in evaluation mode.
        shape: of one input, without the batch; for a graph ``(nodes, features)``.
        edge_index: edges of the graph, shape ``(2, E)``, for modules that take them.
        edge_weight: their weights, shape ``(E,)``.
        samples: inputs as their law has them, shape ``(samples, size)``: the module is tried there as well.

    Raises:
        ValueError: naming the part that cannot be read, and what can.

    Example:
        >>> own = read_module(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), (2,))
        >>> own.network.names(), list(own.layers)
        (['pre0', 'act0', 'out'], ['0', '1', '2', 'out'])
    """
    arguments = graph_arguments(net, shape, edge_index, edge_weight)
    batched = tuple(shape) if edge_index is not None else (1, *shape)
    tracer = Tracer(net, batched, samples)
    arguments = {name: value.to(tracer.device) for name, value in arguments.items()}
    outputs = tracer.run(arguments)
    try:
        layout = Layout(tracer.values, outputs, tracer.device)
        network = layout.network()
        _check(tracer, network, arguments)
    except InputError:
        raise
    except Exception as error:  # whatever the module's code may raise
        raise InputError(f"{where('', net)} cannot be read: {first_line(error)}", ALLOWED) from error
    if edge_index is None:
        _check_rows(tracer, shape)
    return OwnNetwork(network, views(layout, tracer.layers, outputs))


def check_shape(shape: Any) -> tuple[int, ...]:
    """The shape of one input.

    Raises:
        InputError: unless it is a list of whole numbers >= 1.

    Example:
        >>> check_shape([3, 2])
        (3, 2)
    """
    if not isinstance(shape, Sequence) or not shape or not all(type(size) is int and size > 0 for size in shape):
        raise InputError(f"shape={shape!r} is not a shape", "whole numbers >= 1, as [4]")
    return tuple(shape)


def input_shape(
    net: nn.Module, known: tuple[int, ...] | None, shape: Sequence[int] | None, edge_index: Tensor | None
) -> tuple[int, ...]:
    """The shape of one input: as given, as the input's law knows it, or as the first layer says.

    Raises:
        ValueError: where none of them says it.

    Example:
        >>> input_shape(nn.Sequential(nn.Linear(3, 1)), None, None, None)
        (3,)
    """
    if shape is not None:
        return check_shape(shape)
    if known is not None and (edge_index is None or len(known) == 2):
        return known
    sizes = (getattr(module, name, None) for module in net.modules() for name in ("in_features", "in_channels"))
    inputs = next((size for size in sizes if isinstance(size, int) and size > 0), None)
    convolves = any(isinstance(module, nn.modules.conv._ConvNd) for module in net.modules())
    if inputs is None or convolves:
        raise InputError(
            "shape=None: neither the law nor the network says it", "the shape of one input, without the batch"
        )
    if edge_index is None:
        return (inputs,)
    check_edges(edge_index, None, 2**31)
    nodes = int(edge_index.max()) + 1 if known is None else known[0] // inputs
    return nodes, inputs


def _check(tracer: Tracer, network: Network, arguments: Mapping[str, Any]) -> None:
    """Raise a ValueError where the chain is not the module: code may hide what it does from the symbol."""
    random = torch.Generator().manual_seed(1)
    points = [scale * torch.randn(tracer.input.shape, generator=random, dtype=torch.float64) for scale in CHECKS]
    for seed, x in enumerate([*(point.to(tracer.device) for point in points), *tracer.input.samples]):
        expected = torch.cat([leaf.flatten() for leaf in tracer.outputs(x, arguments, seed)])
        with torch.no_grad():
            found = network.walk(x.reshape(1, -1, 1))[-1].flatten()
        scale = expected.abs().nan_to_num(0.0, 0.0, 0.0).max().clamp(min=1e-12)
        if not torch.allclose(found, expected, rtol=0, atol=AGREEMENT * float(scale), equal_nan=True):
            name = where("", tracer.model)
            raise InputError(
                f"{name} does not do what its parts were read to do, such as write in place or depend on the numbers",
                "affine maps and element-wise functions",
            )


def _check_rows(tracer: Tracer, shape: Sequence[int]) -> None:
    """Raise a ValueError where the rows of a batch are not mapped one by one."""
    rows = torch.randn(3, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(tracer.device)
    name = where("", tracer.model)
    try:
        together = tracer.outputs(rows, {}, 0)
        alone = [tracer.outputs(row.unsqueeze(0), {}, 0) for row in rows]
        expected = [torch.cat(leaves) for leaves in zip(*alone, strict=True)]
        same = all(
            a.shape == b.shape and torch.allclose(a, b, equal_nan=True) for a, b in zip(together, expected, strict=True)
        )
    except Exception as error:  # whatever the module's code may raise
        raise InputError(f"{name} fails on a batch of 3 rows: {first_line(error)}", "modules that map rows") from error
    if not same:
        raise InputError(f"{name} mixes the rows of a batch", "modules that map each row by itself")


def graph_arguments(
    net: nn.Module, shape: Sequence[int], edge_index: Tensor | None, edge_weight: Tensor | None
) -> dict[str, Tensor]:
    """What ``forward`` takes besides the nodes' features, by name.

    Raises:
        ValueError: for edges that are not edges between the nodes, or a module that takes none.
    """
    if edge_index is None:
        if edge_weight is not None:
            raise InputError("edge_weight is given without edge_index", "both, or edge_index alone")
        return {}
    if len(shape) != 2:
        raise InputError(f"shape={tuple(shape)} is not that of a graph", "(nodes, features)")
    check_edges(edge_index, edge_weight, shape[0])
    names = _parameter_names(net)
    if "edge_index" not in names:
        raise InputError(f"{where('', net)} takes no edge_index in forward", "modules that do, or no edge_index")
    arguments = {"edge_index": edge_index}
    if edge_weight is not None:
        if "edge_weight" not in names:
            raise InputError(f"{where('', net)} takes no edge_weight in forward", "modules that do, or none")
        arguments["edge_weight"] = edge_weight.double()
    if "batch" in names:
        arguments["batch"] = torch.zeros(shape[0], dtype=torch.long)
    return arguments


def _parameter_names(net: nn.Module) -> list[str]:
    signature = getattr(net, "signature", None)  # torch_geometric.nn.Sequential is told its arguments in words
    names = getattr(signature, "param_names", None)
    return list(inspect.signature(net.forward).parameters) if names is None else list(names)


def check_edges(edge_index: Any, edge_weight: Any, nodes: int) -> None:
    """Raise a ValueError for edges of another shape or type, or out of range."""
    if not isinstance(edge_index, Tensor) or edge_index.ndim != 2 or len(edge_index) != 2:
        raise InputError(f"edge_index={described(edge_index)} is not a list of edges", "a tensor of shape (2, edges)")
    if edge_index.dtype not in (torch.int64, torch.int32):
        raise InputError(f"edge_index has dtype {edge_index.dtype}", "whole numbers")
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < nodes:
        low, high = int(edge_index.min()), int(edge_index.max())
        raise InputError(f"edge_index has nodes from {low} to {high}, out of range", f"0 to {nodes - 1}")
    if edge_weight is None:
        return
    if not isinstance(edge_weight, Tensor) or edge_weight.shape != edge_index.shape[1:]:
        raise InputError(f"edge_weight={described(edge_weight)} does not fit", f"shape ({edge_index.shape[1]},)")
    if not bool(edge_weight.isfinite().all()):
        raise InputError("edge_weight is not finite", "finite numbers")
