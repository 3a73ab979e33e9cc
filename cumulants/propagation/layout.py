r"""From the values of a forward pass to a chain: affine map, functions of the units, affine map, ...

Values of different depth meet where branches join. What a later layer still needs of an earlier one is carried to it by units
whose function is the identity, so that the joint law of all branches is that of one layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from .network import Network
from .tensors import VectorLaw, contract
from .traced import Value
from .unit_functions import Group, UnitFunctions

COLUMNS = 256  # images that are computed at a time


@dataclass(frozen=True)
class Form:
    """A value as an affine function of the units of one level: those of the input, or behind a layer's functions.

    Attributes:
        level: 0 for the input.
        weight: shape ``(size, units)``; units that the level gets later have no part in it.
        bias: shape ``(size,)``.
        units: where the value consists of neighbouring units, which.
    """

    level: int
    weight: Tensor
    bias: Tensor
    units: slice | None = None


@dataclass
class Level:
    """Units behind a layer's functions.

    Attributes:
        size: how many.
        rows: weights and biases of what comes before the functions.
        groups: the functions.
        carried: where units of the level before are carried to.
    """

    size: int = 0
    rows: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    carried: dict[int, int] = field(default_factory=dict)

    def add(self, weight: Tensor, bias: Tensor, group: Group) -> slice:
        """More units."""
        self.rows.append((weight, bias))
        self.groups.append(group)
        self.size += group.units
        return slice(self.size - group.units, self.size)


class Layout:
    """Puts values into levels.

    Args:
        values: all of the forward pass, in their order; the input first.
        outputs: those that the module returns.
        device: where the numbers are.
    """

    def __init__(self, values: Sequence[Value], outputs: Sequence[Value], device: torch.device) -> None:
        self._device = device
        self.levels: list[Level] = []
        self.forms: dict[Value, Form] = {}
        self.before: dict[Value, tuple[int, slice]] = {}  # the layer and rows of what comes before functions
        self._lifted: dict[tuple[Value, int], Form] = {}
        needed = _ancestors(outputs)
        for value in values:
            if value in needed:
                self.forms[value] = self._form(value)
        depth = max(self.forms[value].level for value in outputs)
        at_end = [self._lift(value, depth) for value in outputs]
        size = self.levels[depth].size
        self.output = Form(
            depth,
            torch.cat([_padded(form.weight, size) for form in at_end]),
            torch.cat([form.bias for form in at_end]),
        )

    def network(self) -> Network:
        """The chain, with one member."""
        affine = []
        for before, level in zip(self.levels, self.levels[1:], strict=False):
            weights = [_padded(weight, before.size) for weight, _ in level.rows]
            affine.append((torch.cat(weights).unsqueeze(0), torch.cat([bias for _, bias in level.rows]).unsqueeze(0)))
        affine.append((self.output.weight.unsqueeze(0), self.output.bias.unsqueeze(0)))
        return Network(affine, [UnitFunctions(level.groups) for level in self.levels[1:]])

    def _form(self, value: Value) -> Form:
        if value.kind == "input":
            size = torch.Size(value.shape).numel()
            self.levels.append(Level(size))
            identity = torch.eye(size, dtype=torch.float64, device=self._device)
            return Form(0, identity, identity.new_zeros(size), slice(0, size))
        if value.kind == "unit":
            source = value.inputs[0]
            form = self.forms[source]
            units = self._at(form.level + 1).add(
                form.weight, form.bias, Group(value.function, source.shape, self._device, value.known_as, value.name)
            )
            self.before.setdefault(source, (form.level, units))
            return self._selection(form.level + 1, units)
        level = max(self.forms[given].level for given in value.inputs)
        return self._image(value, [self._lift(given, level) for given in value.inputs], level)

    def _at(self, level: int) -> Level:
        if level == len(self.levels):
            self.levels.append(Level())
        return self.levels[level]

    def _selection(self, level: int, units: slice) -> Form:
        like = self.levels[level].rows[-1][0]
        weight = torch.eye(self.levels[level].size, dtype=like.dtype, device=like.device)[units]
        return Form(level, weight, weight.new_zeros(len(weight)), units)

    def _image(self, value: Value, forms: Sequence[Form], level: int) -> Form:
        size = self.levels[level].size
        weights = [_padded(form.weight, size) for form in forms]
        used = torch.stack([weight.ne(0).any(dim=0) for weight in weights]).any(dim=0).nonzero().flatten()
        shapes = [given.shape for given in value.inputs]
        columns = [w[:, used].mT.reshape(-1, *shape) for w, shape in zip(weights, shapes, strict=True)]
        bias = value.function(*(form.bias.reshape(shape) for form, shape in zip(forms, shapes, strict=True))).flatten()
        weight = bias.new_zeros(len(bias), size)
        if len(used):
            weight = weight.index_copy(1, used, linear_part(value.function, columns).flatten(1).mT)
        return Form(level, weight, bias)

    def _lift(self, value: Value, level: int) -> Form:
        """The same value from the units of a later level."""
        if self.forms[value].level == level:
            return self.forms[value]
        if (value, level) not in self._lifted:
            self._lifted[value, level] = self._carry(self._lift(value, level - 1))
        return self._lifted[value, level]

    def _carry(self, form: Form) -> Form:
        level = self._at(form.level + 1)
        used = form.weight.ne(0).any(dim=0).nonzero().flatten().tolist()
        if len(used) > len(form.weight):  # the value has fewer numbers than the units that it is made of
            units = level.add(
                form.weight, form.bias, Group(_same, (len(form.weight),), self._device, "same", "what is carried")
            )
            return self._selection(form.level + 1, units)
        new = [unit for unit in used if unit not in level.carried]
        if new:
            rows = torch.eye(form.weight.shape[1], dtype=torch.float64, device=form.weight.device)[new]
            units = level.add(
                rows, rows.new_zeros(len(new)), Group(_same, (len(new),), self._device, "same", "what is carried")
            )
            level.carried |= dict(zip(new, range(units.start, units.stop), strict=True))
        weight = form.weight.new_zeros(len(form.weight), level.size)
        if used:
            places = torch.tensor([level.carried[unit] for unit in used], device=weight.device)
            weight = weight.index_copy(1, places, form.weight[:, used])
        return Form(form.level + 1, weight, form.bias)


def linear_part(function: Callable[..., Tensor], columns: Sequence[Tensor]) -> Tensor:
    r"""The linear part of an affine function of one or more tensors, without the rounding of :math:`g(x) - g(0)`.

    Args:
        function: the function.
        columns: for each of its arguments ``(C, ...)``, directions.

    Returns:
        Its images, shape ``(C, ...)``.

    Example:
        >>> linear_part(lambda x: 3 * x + 1e9, [torch.tensor([[0.1], [0.2]]).double()])
        tensor([[0.3000],
                [0.6000]], dtype=torch.float64)
    """
    zeros = tuple(torch.zeros_like(column[0]) for column in columns)

    def image(*direction: Tensor) -> Tensor:
        derivative: Tensor = torch.func.jvp(function, zeros, direction)[1]
        return derivative

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's advice about what it maps slowly
        try:
            mapped: Tensor = torch.func.vmap(image, chunk_size=COLUMNS)(*columns)
        except (RuntimeError, NotImplementedError):  # code without forward derivatives, or that cannot be mapped
            constant = function(*zeros)
            mapped = torch.stack([function(*direction) - constant for direction in zip(*columns, strict=True)])
    return mapped


def _same(z: Tensor) -> Tensor:
    return z


def _padded(weight: Tensor, size: int) -> Tensor:
    return functional.pad(weight, (0, size - weight.shape[1]))


def _ancestors(outputs: Sequence[Value]) -> set[Value]:
    needed: set[Value] = set()
    waiting = list(outputs)
    while waiting:
        value = waiting.pop()
        if value not in needed:
            needed.add(value)
            waiting += value.inputs
    return needed


class ImageLaw(VectorLaw):
    """The law of an affine function of a layer, whose tensors are made when they are asked for.

    Args:
        law: of the layer.
        weight: shape ``(M, out, d)``.
        bias: shape ``(M, out)``.
    """

    def __init__(self, law: VectorLaw, weight: Tensor, bias: Tensor) -> None:
        self.members, self.units, self.order = law.members, weight.shape[1], law.order
        self._law, self._weight, self._bias = law, weight, bias

    def cumulants(self, n: int) -> Tensor:
        """The layer's, contracted with the map along every axis."""
        tensor = contract(self._law.cumulants(n), self._weight)
        return tensor + self._bias if n == 1 else tensor


class SelectedLaw(VectorLaw):
    """The law of some of a layer's units.

    Args:
        law: of the layer.
        units: which.
    """

    def __init__(self, law: VectorLaw, units: slice) -> None:
        self.members, self.units, self.order = law.members, units.stop - units.start, law.order
        self._law, self._units = law, units

    def cumulants(self, n: int) -> Tensor:
        """Theirs of the layer's."""
        return self._law.cumulants(n)[(slice(None), *[self._units] * n)]

    def marginal(self, n: int) -> Tensor:
        """Theirs of the layer's."""
        return self._law.marginal(n)[:, self._units]


@dataclass(frozen=True)
class View:
    """One of the module's own layers, as a part of the chain's.

    Attributes:
        layer: name of the chain's layer: ``pre0, act0, ...``, ``out``, or ``input``.
        units: which of its units the layer consists of.
        weight: what else makes it from them, shape ``(size, units)``.
        bias: shape ``(size,)``.
    """

    layer: str
    units: slice | None
    weight: Tensor | None = None
    bias: Tensor | None = None

    def of(self, law: VectorLaw) -> VectorLaw:
        """The law of the view, from that of the chain's layer."""
        if self.units is not None:
            return law if self.units == slice(0, law.units) else SelectedLaw(law, self.units)
        assert self.weight is not None
        assert self.bias is not None
        members = law.members
        weight = functional.pad(self.weight, (0, law.units - self.weight.shape[1]))
        return ImageLaw(law, weight.expand(members, -1, -1), self.bias.expand(members, -1))


def views(layout: Layout, layers: Mapping[str, Value], outputs: Sequence[Value]) -> dict[str, View]:
    """Where the module's named layers are in the chain; those that its output does not depend on are left out."""
    found: dict[str, View] = {}
    for name, value in layers.items():
        form = layout.forms.get(value)
        if form is None:
            continue
        if [value] == list(outputs):
            found[name] = View("out", slice(0, len(layout.output.bias)))
        elif value in layout.before:
            level, units = layout.before[value]
            found[name] = View(f"pre{level}", units)
        else:
            layer = f"act{form.level - 1}" if form.level else "input"
            found[name] = View(layer, form.units, form.weight, form.bias)
    return found | {"out": View("out", slice(0, len(layout.output.bias)))}
