r"""Cumulants of every layer of a network from the law of its input: exact, or under a stated closure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..kstatistics import check_order
from .closure import MAX_ORDER, ActivatedLaw
from .edgeworth_law import EdgeworthLaw
from .exact import exact, in_fractions
from .inputs import GaussianInput, IdenticalInput, InputLaw, MixtureInput, VectorInput, read_input
from .layout import View
from .memory import check_tensors, tensors_kept
from .mixtures import MixtureLaw
from .network import Network, read_network
from .own_module import OwnNetwork, input_shape, read_module
from .plane import at_points, has_straight_kinks, quadrature
from .tensors import PointLaw, VectorLaw, WithinNodes
from .traced import check_modules

CLOSURES = ("edgeworth", "gaussian", "independent_nodes")
PLACES = ("auto", "layers", "input")
METHODS = (*CLOSURES, "exact", "quadrature")
SAMPLES = 8  # inputs at which a module of one's own is tried, beside random ones
EXACT_ORDER = 8  # highest order of the methods without a closure


@dataclass(frozen=True)
class Gap:
    r"""Prediction and measurement side by side, for one layer.

    Attributes:
        predicted: cumulants of orders 1 to r of every unit, shape ``(r, M, units)``.
        measured: the same, measured or integrated.
        stderr: standard errors of the measurement, same shape; 0 for an integral.
    """

    predicted: Tensor
    measured: Tensor
    stderr: Tensor

    @property
    def gap(self) -> Tensor:
        """Predicted minus measured."""
        return self.predicted - self.measured

    @property
    def relative(self) -> Tensor:
        r"""The gap in units of :math:`\sigma^n`, with the measured :math:`\sigma`."""
        orders = torch.arange(1, len(self.gap) + 1, device=self.gap.device).view(-1, 1, 1)
        return self.gap / self.measured[1].clamp(min=0).sqrt() ** orders


class Propagation(Mapping[str, VectorLaw]):
    """Laws of all layers, by name, as one method predicts them.

    Attributes:
        method: how they were found.
        closure: highest order of the pre-activations' cumulants that was kept; None where nothing was left out.
        order: highest order that was asked for.
        law: the law of the input, as a string.
        input_cumulants: its cumulants of orders 1 to ``order``, on the CPU as all that is of a law alone; shape ``(order,)`` for
            one law for all variables, otherwise ``(order, d)``.
        closed_at: ``layers`` or ``input``.
        components: of a mixture, what is predicted for each of its components.
    """

    def __init__(
        self,
        layers: Mapping[str, VectorLaw],
        method: str,
        closure: int | None,
        order: int,
        law: Any,
        closed_at: str,
        components: Sequence[Propagation] = (),
    ) -> None:
        self._layers = layers
        self.components = list(components)
        self.method, self.closure, self.order, self.law = method, closure, order, str(law)
        self.input_cumulants: Tensor = law.cumulants(order)
        self.closed_at = closed_at

    def __getitem__(self, layer: str) -> VectorLaw:
        if layer not in self._layers:
            raise InputError(f"layer={layer!r} is unknown", ", ".join(self._layers))
        return self._layers[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def marginals(self, layer: str) -> Tensor:
        """Cumulants of orders 1 to ``order`` of every unit of a layer, shape ``(order, M, units)``."""
        law = self[layer]
        return torch.stack([law.marginal(n) for n in range(1, self.order + 1)])

    def compare(self, measured: Mapping[str, Any]) -> dict[str, Gap]:
        """Every prediction beside its measurement.

        Args:
            measured: another :class:`Propagation`, such as ``quadrature``'s, or layer -> anything with ``k`` and ``stderr`` of
                shape ``(r, M, units)``, such as :func:`renorm.callbacks.sampled_cumulants` gives.

        Returns:
            Layer -> :class:`Gap`, to the lower of the two orders.
        """
        gaps = {}
        for layer in (name for name in self if name in measured):
            predicted = self.marginals(layer)
            if isinstance(measured, Propagation):
                found = measured.marginals(layer)
                stderr = torch.zeros_like(found)
            else:
                found, stderr = measured[layer].k, measured[layer].stderr
            order = min(len(predicted), len(found))
            gaps[layer] = Gap(predicted[:order], found[:order].to(predicted), stderr[:order].to(predicted))
        return gaps

    def __str__(self) -> str:
        if self.closure is None:
            how = f"{self.method}, nothing left out"
        else:
            where = "every layer" if self.closed_at == "layers" else "the input"
            how = f"{self.method}, closed at order {self.closure} at {where}"
        return f"cumulants to order {self.order} of {', '.join(self)} under {self.law}: {how}"


def propagate(
    model: Any,
    law: Any,
    order: int = 4,
    closure: int = 4,
    method: str = "edgeworth",
    *,
    closed_at: str = "auto",
    rational: bool = False,
    members: Sequence[int] | None = None,
    shape: Sequence[int] | None = None,
    edge_index: Tensor | None = None,
    edge_weight: Tensor | None = None,
) -> Propagation:
    r"""Predict the cumulants of every layer of a network, and of every member of a stack.

    ``quadrature`` integrates the law of a block of two variables over the plane, split at the network's kinks, and ``exact``
    sums over the law's Gauss points, for polynomial activations: neither leaves anything out. The closures keep at every
    layer the joint cumulants of the pre-activations up to an order: ``gaussian`` two, ``edgeworth`` up to ``closure``, and
    ``independent_nodes``, for graph networks, those within one node only. With ``closed_at="input"`` only the law of the
    input is closed, and what the network makes of it is integrated as ``quadrature`` does: the expansion about the fixed
    point of the central-limit map. That is more accurate for deep networks, and ``auto`` takes it for stacks where it is
    possible: for two hidden layers or more, blocks of two, and straight kinks. For a module of your own ``auto`` is ``layers``,
    which costs a hundredth of it.

    Args:
        model: a stack such as :class:`renorm.zoo.MLP`, a graph network whose layers are linear in the messages, or any
            ``nn.Module`` of affine maps and element-wise functions, in evaluation mode: see ``docs/theory.md``.
        law: law of all variables, :class:`renorm.datamodules.laws.Law` or its string; a list of them, one for each variable;
            :class:`GaussianInput`; :class:`MixtureInput`; joint cumulants such as :func:`law_of_data` has; or data ``(N, ...)``.
        order: highest order of the cumulants: to 4 for closures, to 8 otherwise.
        closure: highest order that ``edgeworth`` and ``independent_nodes`` keep, 2 to 4.
        method: ``edgeworth``, ``gaussian``, ``independent_nodes``, ``exact`` or ``quadrature``.
        closed_at: ``auto``, ``layers`` or ``input``.
        rational: whether ``exact`` works in fractions, see :class:`renorm.cumulants.propagation.exact.RationalLaw`.
        members: positions in the stack of the members that are wanted; all by default.
        shape: of one input of a module of your own, without the batch, where neither the law nor its first layer says it; of a
            graph ``(nodes, features)``.
        edge_index: edges of the graph, shape ``(2, E)``, for modules of PyG.
        edge_weight: their weights, shape ``(E,)``.

    Returns:
        For each of ``pre0, act0, ..., out`` a law with ``cumulants(n)``, shape ``(M, d, ..., d)``, and ``marginal(n)``, shape
        ``(M, d)``, float64, on the model's device and differentiable with respect to its parameters; NaN where a cumulant does
        not exist. Modules of your own have one member, and their layers' own names; all outputs together are ``out``.

    Raises:
        ValueError: for a value out of range, or a model or a law that the method cannot do.

    Source:
        McCullagh, Tensor Methods in Statistics (1987), chapters 3 and 5; the derivation is in ``docs/theory.md``.

    Example:
        >>> from renorm.zoo import MLP
        >>> result = propagate(MLP(activation="quadratic", seed=1), "gamma(shape=2)", method="exact")
        >>> result["pre0"].cumulants(2).shape
        torch.Size([1, 8, 8])
        >>> print(result)
        cumulants to order 4 of pre0, act0, out under gamma(shape=2, scale=1): exact, nothing left out
    """
    if method not in METHODS:
        raise InputError(f"method={method!r} is unknown", ", ".join(METHODS))
    if closed_at not in PLACES:
        raise InputError(f"closed_at={closed_at!r} is unknown", ", ".join(PLACES))
    if closure not in (2, 3, 4) or isinstance(closure, bool):
        raise InputError(f"closure={closure!r} is out of range", f"2 to {MAX_ORDER}")
    check_order(order, MAX_ORDER if method in CLOSURES else EXACT_ORDER)
    given = read_input(law)
    own = _read(model, given, shape, edge_index, edge_weight)
    network = own.network
    if members is not None:
        network = network.part(_checked_members(members, network.members))
    kept = None if method not in CLOSURES else 2 if method == "gaussian" else closure
    _check_input(given, own, order if kept is None else kept, method)
    how = _How(order, method, kept, closed_at, rational)
    return how.propagated(network, own.layers, given)


def _read(
    model: Any, given: InputLaw, shape: Sequence[int] | None, edge_index: Tensor | None, edge_weight: Tensor | None
) -> OwnNetwork:
    """The algebra of a stack, or of any module."""
    if not isinstance(model, nn.Module) or is_stack(model):
        for name, value in (("shape", shape), ("edge_index", edge_index), ("edge_weight", edge_weight)):
            if value is not None:
                raise InputError(
                    f"{name} is given with model={type(model).__name__}, which has its own", f"{name}=None"
                )
        return OwnNetwork(read_network(model), {})
    check_modules(model)
    known = input_shape(model, given.shape, shape, edge_index)
    return read_module(model, known, edge_index, edge_weight, _samples(given, math.prod(known)))


def _samples(given: InputLaw, size: int) -> Tensor:
    """Normal inputs with the means and variances of the law, or of each component of a mixture, ``(samples, size)``."""
    if given.size not in (None, size):
        raise InputError(f"law={given} has {given.size} variables", f"{size}, as the network")
    random = torch.Generator().manual_seed(3)
    rows = []
    for one in given.components if isinstance(given, MixtureInput) else [given]:
        mean, variance = (k.detach().cpu().nan_to_num(0, 0, 0) for k in one.cumulants(2))
        noise = torch.randn(SAMPLES, size, generator=random, dtype=torch.float64)
        rows.append(mean + variance.clamp(min=0).sqrt() * noise)
    return torch.cat(rows)


def is_stack(model: nn.Module) -> bool:
    """Whether a module has members, or says itself what its affine maps are; a layer may be called ``dense`` as well."""
    dense = getattr(model, "dense", None)
    says = callable(dense) and not isinstance(dense, nn.Module) and hasattr(model, "activations")
    return says or hasattr(model, "num_members")


def _check_input(given: InputLaw, own: OwnNetwork, order: int, method: str) -> None:
    network = own.network
    if given.size not in (None, network.block_size):
        raise InputError(f"law={given} has {given.size} variables", f"{network.block_size}, as the network")
    if method == "independent_nodes" and own.layers:
        raise InputError("method='independent_nodes' is for graph networks of renorm.zoo", "gaussian, edgeworth")
    if method == "independent_nodes" and not isinstance(given, IdenticalInput):
        raise InputError(f"law={given} does not fit method='independent_nodes'", "one law for all variables")
    if given.order < order:
        raise InputError(f"law={given} has cumulants to order {given.order}", f"order {order} or more")
    components = given.components if isinstance(given, MixtureInput) else [given]
    for one in components:
        if method in CLOSURES and not bool(one.cumulants(2).isfinite().all()):
            raise InputError(f"law={str(one)!r} has no variance", "laws with one")


@dataclass(frozen=True)
class _How:
    """The arguments of :func:`propagate` that say how."""

    order: int
    method: str
    kept: int | None
    closed_at: str
    rational: bool

    def propagated(self, network: Network, own: Mapping[str, View], given: InputLaw) -> Propagation:
        """All layers; those of a mixture from those of its components."""
        if isinstance(given, MixtureInput):
            parts = [self.propagated(network, own, component) for component in given.components]
            layers: Mapping[str, VectorLaw] = {
                name: MixtureLaw([part[name] for part in parts], given.weights) for name in parts[0]
            }
            return Propagation(layers, self.method, self.kept, self.order, given, parts[0].closed_at, parts)
        closed_at = self._place(network, given, is_stack=not own)
        layers = self._layers(network, given, closed_at)
        if own:
            layers = {name: view.of(self._layer(view.layer, layers, network, given)) for name, view in own.items()}
        return Propagation(layers, self.method, self.kept, self.order, given, closed_at)

    def _place(self, network: Network, given: InputLaw, is_stack: bool) -> str:
        if self.closed_at != "auto":
            return self.closed_at
        identical = isinstance(given, IdenticalInput | GaussianInput)
        can = is_stack and identical and network.block_size == 2 and network.depth > 1 and has_straight_kinks(network)
        return "input" if can and self.method in ("gaussian", "edgeworth") else "layers"

    def _layer(self, name: str, layers: Mapping[str, VectorLaw], network: Network, given: InputLaw) -> VectorLaw:
        if name != "input":
            return layers[name]
        weight = torch.eye(network.block_size, dtype=torch.float64, device=network.device).unsqueeze(0)
        return given.through(weight, weight.new_zeros(1, network.block_size), min(given.order, EXACT_ORDER))

    def _layers(self, network: Network, given: InputLaw, closed_at: str) -> Mapping[str, VectorLaw]:
        if self.rational and self.method != "exact":
            raise InputError(f"rational=True is for method='exact'; allowed with {self.method!r}: rational=False")
        if self.kept is None:
            if closed_at != "layers":
                raise InputError(f"closed_at={closed_at!r} is for closures; allowed with {self.method!r}: layers")
            if isinstance(given, VectorInput) and isinstance(given.law, PointLaw) and not self.rational:
                return at_points(network, given.law, self.order)
            network, law = given.as_identical(network)
            integrated = in_fractions if self.rational else exact if self.method == "exact" else quadrature
            return integrated(network, law, self.order)
        if closed_at == "input":
            if self.method == "independent_nodes":
                raise InputError("closed_at='input' keeps nodes dependent; allowed with 'independent_nodes': layers")
            network, law = given.as_identical(network)
            return quadrature(network, EdgeworthLaw.of(law, self.kept), self.order)
        return layerwise(network, given, self.kept, self.method == "independent_nodes", self.order)


def _checked_members(members: Sequence[int], count: int) -> list[int]:
    chosen = list(members)
    if not chosen or not all(type(m) is int and 0 <= m < count for m in chosen):
        raise InputError(f"members={members!r} is not a choice", f"numbers from 0 to {count - 1}")
    return chosen


def layerwise(
    network: Network, given: InputLaw, closure: int, independent: bool = False, order: int = MAX_ORDER
) -> dict[str, VectorLaw]:
    """Close the law of the pre-activations at every layer.

    Tensors are computed to the order that is asked for, and above it when they are asked for after all.

    Args:
        network: the members.
        given: law of the input.
        closure: highest order that is kept.
        independent: whether nodes of a graph are taken to be independent of each other, too.
        order: highest order that is computed here.

    Raises:
        InputError: where the tensors do not fit into memory, before anything is computed.
    """
    check_tensors(tensors_kept(network, closure, order), network.members)
    pre = given.through(*network.affine[0], MAX_ORDER)
    found: dict[str, VectorLaw] = {}
    for layer, nonlinearity in enumerate(network.nonlinear):
        # what is within a node follows from what is within a node: to part the nodes after the activation is enough
        act: VectorLaw = ActivatedLaw(pre, nonlinearity, closure)
        if independent:
            pre, act = WithinNodes(pre, network.nodes), WithinNodes(act, network.nodes)
        found |= {f"pre{layer}": pre, f"act{layer}": act}
        pre = act.affine(*network.affine[layer + 1])
        for n in range(1, order + 1):
            pre.cumulants(n)  # now, with the weights as they are now
    return found | {"out": pre}
