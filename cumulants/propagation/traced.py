r"""A module's forward pass written down as affine maps and element-wise functions, by running it once on a symbol.

Every call that the symbol meets is tried on random numbers: it is affine where :math:`g(v + w) - g(v) - g(w) + g(0) = 0`, and
element-wise where each output changes with its own input only. So nothing needs to be known about the call but that it does
one or the other. Values whose every function is of one source, as in ``x * sigmoid(x)``, are joined into one function.
"""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from ...errors import InputError, first_line
from .pieces import REACH
from .unit_functions import by_row

TRIALS = 8
MASKS = 16
SCANNED = 4096  # points on which what seems affine is tried where the law of the input is
AFFINE = 1e-9  # of the largest value
# methods that ask for what is known without values
SHAPES = {
    "size",
    "dim",
    "numel",
    "nelement",
    "ndimension",
    "stride",
    "is_floating_point",
    "is_complex",
    "is_contiguous",
}
SHAPES |= {
    "__len__",
    "__hash__",
    "element_size",
    "get_device",
    "storage_offset",
    "is_signed",
    "is_same_size",
    "__repr__",
}
CASTS = {"float", "double", "half", "bfloat16", "to", "type", "type_as", "detach", "contiguous", "clone"}
ALLOWED = "affine maps and element-wise functions"

Function = Callable[..., Tensor]


class UnreadableError(InputError):
    """A part of a network that is neither affine nor element-wise."""


class Value:
    """What one tensor of the forward pass is.

    Attributes:
        kind: ``input``, ``affine`` in other values, or ``unit``: a function of each number of one other value.
        shape: its shape.
        inputs: the values that it is made of.
        function: makes it from their numbers.
        sources: values that it is an element-wise function of, nearest first, with these functions.
        known_as: what its function is called, where it is one of PyTorch's activations without parameters.
        name: what makes it, for a message.
        samples: its numbers at some inputs, which say where its law is.
    """

    known_as: str | None = None

    def __init__(
        self, kind: str, example: Tensor, inputs: Sequence[Value], function: Function, name: str = "the input"
    ) -> None:
        self.name = name
        self.samples: list[Tensor] = []
        self.kind, self.shape, self.dtype = kind, tuple(example.shape), example.dtype
        self.inputs, self.function = list(inputs), function
        self.sources: dict[Value, Function] = {}


class Symbol(Tensor):
    """A tensor whose numbers are not known: it notes what is done with it."""

    value: Value
    tracer: Tracer

    @staticmethod
    def of(value: Value, tracer: Tracer) -> Symbol:
        """A symbol for a value."""
        symbol = torch.zeros((), dtype=value.dtype, device=tracer.device).expand(value.shape).as_subclass(Symbol)
        symbol.value, symbol.tracer = value, tracer
        return symbol

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note the call."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        with torch._C.DisableTorchFunctionSubclass():
            if name in SHAPES:
                return func(*args, **kwargs)
            if name == "__get__":
                known = func(*args, **kwargs)
                if not isinstance(known, Tensor):
                    return known
            if name == "__set__":
                return func(*args, **kwargs)
        symbols = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Symbol)]
        return symbols[0].tracer.call(func, name, args, kwargs)


class InDouble(TorchFunctionMode):
    """While it lasts, casts to another precision leave double precision as it is."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Undo a cast."""
        found = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") not in CASTS or not isinstance(found, Tensor) or not args:
            return found
        lower = found.is_floating_point() and found.dtype != torch.float64
        return args[0].double() if lower and isinstance(args[0], Tensor) else found


class Tracer:
    """Runs a module on a symbol.

    Args:
        model: the module; it is left as it is.
        shape: shape of its input, with the axis of the batch, or of the nodes.
        samples: inputs as their law has them, shape ``(samples, size)``; standard normal ones by default.

    Attributes:
        values: all values, in the order in which they were made.
        layers: names of modules and functions, and their values.
    """

    def __init__(self, model: nn.Module, shape: Sequence[int], samples: Tensor | None = None) -> None:
        check_modes(model)
        self.model = _copied(model)
        named = {name.replace("_orig_mod.", ""): tensor for name, tensor in _tensors(model).items()}
        buffers = {name.replace("_orig_mod.", "") for name, _ in model.named_buffers()}
        self.tensors = {name: _in_double(t.detach().clone() if name in buffers else t) for name, t in named.items()}
        self.device = next((tensor.device for tensor in self.tensors.values()), torch.device("cpu"))
        self.values: list[Value] = []
        self.layers: dict[str, Value] = {}
        self._path: list[tuple[str, nn.Module]] = []
        self._random = torch.Generator().manual_seed(0)
        example = torch.zeros(tuple(shape), dtype=torch.float64, device=self.device)
        self.input = self._add("input", example, [], _first)
        self.input.sources[self.input] = _first
        if samples is None:
            samples = torch.randn(TRIALS, example.numel(), generator=self._random, dtype=torch.float64)
        self.input.samples = [sample.to(example).view(example.shape) for sample in samples]

    def run(self, arguments: Mapping[str, Any]) -> list[Value]:
        """The values of the outputs.

        Args:
            arguments: of ``forward``, apart from its first one.

        Raises:
            ValueError: for a part that is neither affine nor element-wise, or code that fails.
        """
        with self._watched(), torch.random.fork_rng(devices=[]), eagerly():
            try:
                found = functional_call(self.model, self.tensors, (Symbol.of(self.input, self),), dict(arguments))
            except InputError:
                raise
            except Exception as error:  # whatever the module's code may raise
                raise UnreadableError(f"{self._where()} cannot be read: {_reason(error)}", ALLOWED) from error
        outputs = [leaf for leaf in tree_flatten(found)[0] if leaf is not None]
        for leaf in outputs:
            if not isinstance(leaf, Symbol):
                raise UnreadableError(
                    f"{self._where()} returns a {type(leaf).__name__} that does not depend on its input",
                    "tensors made of it",
                )
        if not outputs:
            raise UnreadableError(f"{self._where()} returns {found!r}", "a tensor, or several")
        return [leaf.value for leaf in outputs]

    def outputs(self, x: Tensor, arguments: Mapping[str, Any], seed: int) -> list[Tensor]:
        """The module's own outputs at numbers, in double precision; random numbers that it draws are those of the seed."""
        with torch.no_grad(), torch.random.fork_rng(devices=[]), eagerly(), InDouble():
            torch.manual_seed(seed)
            found = functional_call(self.model, self.tensors, (x,), dict(arguments))
        return [leaf for leaf in tree_flatten(found)[0] if leaf is not None]

    @contextmanager
    def _watched(self) -> Iterator[None]:
        modules = list(self.model.named_modules())
        for name, module in modules:
            module.__dict__["forward"] = functools.partial(self._forward, name, module, module.forward)
        try:
            yield
        finally:
            for _, module in modules:
                del module.__dict__["forward"]

    def _forward(self, name: str, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A module's call: tried as a whole where it has no parts, else part by part."""
        if not any(isinstance(leaf, Symbol) for leaf in tree_flatten((args, kwargs))[0]):
            return forward(*args, **kwargs)
        self._path.append((name, module))
        layers = dict(self.layers)
        try:
            whole = functools.partial(_call_module, module, dict(_tensors(module)))
            if type(module) is nn.Linear and isinstance(args[0], Symbol):
                found = self._affine(whole, args[0].value)  # known to be, which saves its trials
            elif _is_whole(module):
                found = self.tried(whole, args, kwargs)
                if found is None and _is_message_passing(module) and not self._is_finite(whole, args, kwargs):
                    raise UnreadableError(
                        f"{self._where()} gives numbers that are not finite",
                        "edges and weights with which it does not, as positive ones for GCNConv",
                    )
                _note_activation(module, args, found)
                found = forward(*args, **kwargs) if found is None else found
            else:
                try:
                    found = forward(*args, **kwargs)
                except UnreadableError as inner:
                    self.layers = layers
                    found = self._as_whole(whole, args, kwargs, inner)
        finally:
            self._path.pop()
        if isinstance(found, Symbol) and name:
            self._name(name, found.value)
        return found

    def _affine(self, function: Function, value: Value) -> Symbol:
        """An affine map of a value."""
        with torch.no_grad():
            found = self._add("affine", self._example(function, [value]), [value], function)
        found.sources = {found: _first}
        return Symbol.of(found, self)

    def _as_whole(self, whole: Callable[..., Any], args: Any, kwargs: Any, inner: UnreadableError) -> Any:
        """A module of which a part cannot be read may be affine or element-wise as a whole."""
        try:
            found = self.tried(whole, args, kwargs)
        except UnreadableError:
            raise inner from None
        if found is None:
            raise inner
        return found

    def _name(self, name: str, value: Value) -> None:
        """Note a layer; names that return are numbered, and so are those that the output's would hide."""
        count, numbered = 1, name
        while numbered in self.layers or numbered == "out":
            count += 1
            numbered = f"{name}@{count}"
        self.layers[numbered] = value

    # ---- calls -----------------------------------------------------------------------------------------------------

    def call(self, func: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
        """One call of a function of PyTorch."""
        calls = f"{self._where()} calls {name}"
        if name in CASTS and isinstance(args[0], Symbol):
            with torch._C.DisableTorchFunctionSubclass():
                to_float = func(*args, **kwargs).is_floating_point()
            if to_float and args[0].value.dtype.is_floating_point:
                return Symbol.of(args[0].value, self)  # all is computed in double precision
            if to_float:
                func, args, kwargs = Tensor.double, args[:1], {}
        in_place = name.endswith("_") and not name.endswith("__")
        if name in ("__setitem__", "copy_"):
            raise UnreadableError(f"{calls}, which writes into a tensor", "functions that return what they make")
        before = len(self.values)
        found = self.tried(_on_copies(func) if in_place else func, args, kwargs)
        if found is None:
            raise UnreadableError(f"{calls}, which is neither affine nor element-wise", ALLOWED)
        if in_place and isinstance(args[0], Symbol) and isinstance(found, Symbol):
            args[0].value = found.value
            return args[0]
        if isinstance(found, Symbol) and found.value.kind == "unit" and len(self.values) > before:
            self._name(".".join(filter(None, [self._path[-1][0] if self._path else "", name])), found.value)
        return found

    def _where(self) -> str:
        name, module = self._path[-1] if self._path else ("", self.model)
        return where(name, module)

    def tried(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What a call gives, as symbols; None where it is neither affine nor element-wise."""
        leaves, structure = tree_flatten((args, kwargs))
        # now, because a symbol that is written into gets another value
        values = [leaf.value if isinstance(leaf, Symbol) else None for leaf in leaves]
        inputs = list(dict.fromkeys(value for value in values if value is not None))

        def outcome(*numbers: Tensor) -> Any:
            # copies, because the call may write into them
            table = dict(zip(inputs, (x.clone() for x in numbers), strict=True))
            filled = [leaf if value is None else table[value] for leaf, value in zip(leaves, values, strict=True)]
            filled_args, filled_kwargs = tree_unflatten(filled, structure)
            with InDouble():
                return func(*filled_args, **filled_kwargs)

        with torch.no_grad():
            examples, outer = tree_flatten(self._example(outcome, inputs))
        if not all(isinstance(example, Tensor) for example in examples):
            raise UnreadableError(
                f"{self._where()} makes a decision that depends on the numbers", "one that depends on shapes"
            )
        if all(example.dtype != torch.bool for example in examples) and self._is_constant(outcome, inputs, examples):
            function = functools.partial(_output, outcome, 0)
            if len(examples) != 1 or len(inputs) != 1 or not self._bends(function, inputs[0]):
                return tree_unflatten(examples, outer)
        functions = [functools.partial(_output, outcome, position) for position in range(len(examples))]
        made = [self._classified(inputs, f, e) for f, e in zip(functions, examples, strict=True)]
        if any(value is None for value in made):
            return None
        return tree_unflatten([Symbol.of(value, self) for value in made if value is not None], outer)

    def _is_finite(self, func: Callable[..., Any], args: Any, kwargs: Any) -> bool:
        """Whether a call gives finite numbers, at one input."""
        leaves, structure = tree_flatten((args, kwargs))
        numbers = [leaf.value.samples[0] if isinstance(leaf, Symbol) else leaf for leaf in leaves]
        filled_args, filled_kwargs = tree_unflatten(numbers, structure)
        with torch.no_grad(), InDouble():
            found = tree_flatten(func(*filled_args, **filled_kwargs))[0]
        return all(bool(leaf.isfinite().all()) for leaf in found if isinstance(leaf, Tensor))

    def _example(self, outcome: Callable[..., Any], inputs: list[Value]) -> Any:
        numbers = self._consistent(inputs)
        try:
            return outcome(*numbers)
        except InputError:
            raise
        except Exception as error:  # whatever the module's code may raise
            shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
            raise UnreadableError(
                f"{self._where()} fails on shape {shapes}: {_reason(error)}", "another shape"
            ) from error

    def _is_constant(self, outcome: Callable[..., Any], inputs: list[Value], examples: list[Tensor]) -> bool:
        trials = [self._consistent(inputs) for _ in range(TRIALS)]
        for numbers in (*trials, *zip(*(value.samples for value in inputs), strict=True)):
            again = tree_flatten(outcome(*numbers))[0]
            if not all(torch.equal(a, b) for a, b in zip(examples, again, strict=True)):
                return False
        return True

    def _consistent(self, inputs: list[Value]) -> list[Tensor]:
        """Numbers that values may have together."""
        roots: dict[Value, Tensor] = {}
        numbers = []
        for value in inputs:
            root, function = list(value.sources.items())[-1]
            if root not in roots:
                roots[root] = self._numbers(root)
            numbers.append(function(roots[root]))
        return numbers

    def _numbers(self, value: Value) -> Tensor:
        """Random numbers of all sizes from 0.01 to 1000."""
        exponent = torch.rand(value.shape, generator=self._random, dtype=torch.float64) * 5 - 2
        sign = torch.randint(0, 2, value.shape, generator=self._random) * 2 - 1
        return (sign * 10**exponent).to(self.device)

    @torch.no_grad()
    def _classified(self, inputs: list[Value], function: Function, example: Tensor) -> Value | None:
        # nearest source first
        common = [z for z in inputs[0].sources if all(z in value.sources for value in inputs)]
        joint = {z: functools.partial(_composed, function, [value.sources[z] for value in inputs]) for z in common}
        source = next((z for z in common if self._is_unitwise(joint[z], z)), None)
        floating = example.dtype.is_floating_point and all(value.dtype.is_floating_point for value in inputs)
        affine = floating and self._is_affine(function, inputs)
        affine = affine and not (len(inputs) == 1 and self._bends(function, inputs[0]))
        if affine and len(inputs) == 1 and source is not None and self._is_identity(function, inputs[0]):
            return inputs[0]
        joined = affine and len(inputs) > 1 and source is not None and not self._is_affine(joint[source], [source])
        if affine and not joined:
            value = self._add("affine", example, inputs, function)
            value.sources = {value: _first}
        elif source is not None:
            value = self._add("unit", example, [source], joint[source])
        else:
            return None
        if source is not None:
            value.sources |= {z: joint[z] for z in common[common.index(source) :]}
        return value

    def _add(self, kind: str, example: Tensor, inputs: Sequence[Value], function: Function) -> Value:
        value = Value(kind, example, inputs, function, self._where())
        if inputs:
            with torch.no_grad():
                value.samples = [function(*numbers) for numbers in zip(*(v.samples for v in inputs), strict=True)]
        self.values.append(value)
        return value

    # ---- trials ----------------------------------------------------------------------------------------------------

    def _is_affine(self, function: Function, inputs: list[Value]) -> bool:
        zero = function(*(torch.zeros(value.shape, dtype=torch.float64, device=self.device) for value in inputs))
        if not bool(zero.isfinite().all()):
            return False
        for _ in range(TRIALS):
            v, w = ([self._numbers(value) for value in inputs] for _ in range(2))
            total = function(*(a + b for a, b in zip(v, w, strict=True)))
            parts = [function(*v), function(*w), function(*(-a for a in v))]
            scale = max(float(part.abs().max()) if part.numel() else 0.0 for part in (*parts, total, zero))
            additive = (total - parts[0] - parts[1] + zero).abs()
            mirrored = (parts[0] + parts[2] - 2 * zero).abs()
            if not bool(((additive <= AFFINE * scale) & (mirrored <= AFFINE * scale)).all()):
                return False
        samples = [list(numbers) for numbers in zip(*(value.samples for value in inputs), strict=True)]
        for v, w in itertools.pairwise(samples):
            middle = function(*((a + b) / 2 for a, b in zip(v, w, strict=True)))
            ends = [function(*v), function(*w)]
            scale = max(float(part.abs().max()) if part.numel() else 0.0 for part in (*ends, middle))
            if not bool(((ends[0] + ends[1]) / 2 - middle).abs().le(AFFINE * scale).all()):
                return False
        return True

    def _is_unitwise(self, function: Function, source: Value) -> bool:
        trials = [(self._numbers(source), self._numbers(source)) for _ in range(MASKS)]
        for v, w in (*trials, *itertools.pairwise(source.samples)):
            kept = (torch.rand(source.shape, generator=self._random) < 0.5).to(self.device)
            before, after = function(v), function(torch.where(kept, v, w))
            if before.shape != v.shape or not _same(function(v)[kept], before[kept], 0.0):
                return False
            if not _same(before[kept], after[kept], 1e-12):
                return False
        return True

    @torch.no_grad()
    def _bends(self, function: Function, value: Value) -> bool:
        """Whether a function that random numbers showed as affine is element-wise, and is not affine between them."""
        if not value.dtype.is_floating_point or not value.samples[0].numel() or not self._is_unitwise(function, value):
            return False
        samples = torch.stack(value.samples)
        spread = REACH * float(samples.std(dim=0).max())
        low, high = float(samples.mean(dim=0).min()) - spread, float(samples.mean(dim=0).max()) + spread
        sizes = torch.logspace(-3, 3, SCANNED // 8, dtype=torch.float64)
        points = torch.cat([torch.linspace(low, high, SCANNED, dtype=torch.float64), sizes, -sizes]).to(samples)
        rows = -(-len(points) // samples[0].numel())
        filled = torch.nn.functional.pad(points, (0, rows * samples[0].numel() - len(points)))
        z = filled.view(-1, rows).mT.reshape(rows, *value.shape)  # neighbouring points go to different rows
        found = by_row(function, z)
        constant = function(torch.zeros_like(z[0]))
        slope = function(torch.ones_like(z[0])) - constant
        expected = constant + slope * z
        size = torch.maximum(constant.abs(), slope.abs() * z.abs()).clamp(min=1.0)
        return not bool(((found - expected).abs() <= AFFINE * size).all())

    def _is_identity(self, function: Function, value: Value) -> bool:
        v = self._numbers(value)
        found = function(v)
        return found.shape == v.shape and torch.equal(found, v)


def where(name: str, module: nn.Module) -> str:
    """A module's name, for a message.

    Example:
        >>> where("2.act", nn.ReLU())
        'net.2.act (ReLU)'
        >>> where("", nn.ReLU())
        'the network itself, forward of ReLU,'
    """
    kind = type(module).__name__
    return f"net.{name} ({kind})" if name else f"the network itself, forward of {kind},"


def check_modules(model: nn.Module) -> None:
    """Raise a ValueError for TorchScript, and weights that are not there yet, not real or not finite."""
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(f"{where(name, module)} is TorchScript", "the module that it was made from")
        for own, tensor in (*module._parameters.items(), *module._buffers.items()):
            if is_lazy(tensor):
                raise InputError(f"{where(name, module)} has no weights yet", "a module that has seen data once")
            if tensor is not None and tensor.is_complex():
                raise InputError(f"{where(name, module)} has complex numbers in {own}", "real weights")
            if tensor is not None and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                part = f"{name}.{own}" if name else own
                raise InputError(f"net.{part} has numbers that are not finite", "finite weights")


def check_modes(model: nn.Module) -> None:
    """Raise a ValueError for a layer that would be random, would mix the rows of a batch, or would change itself."""
    kinds = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase, nn.RReLU, _SpectralNorm)
    for name, module in model.named_modules():
        if isinstance(module, kinds) and module.training:
            raise InputError(f"{where(name, module)} is in training mode", "evaluation mode, by net.eval()")


def _note_activation(module: nn.Module, args: Any, found: Any) -> None:
    plain = type(module).__module__ == "torch.nn.modules.activation" and not _tensors(module)
    if (
        plain
        and isinstance(found, Symbol)
        and found.value.kind == "unit"
        and args
        and found.value.inputs == [args[0].value]
    ):
        found.value.known_as = repr(module)


def _same(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return torch.allclose(a.double(), b.double(), rtol=tolerance, atol=0, equal_nan=True)


def _first(z: Tensor) -> Tensor:
    return z


def _composed(function: Function, parts: Sequence[Function], z: Tensor) -> Tensor:
    return function(*(part(z) for part in parts))


def _output(outcome: Callable[..., Any], position: int, *numbers: Tensor) -> Tensor:
    """One of the tensors that a call returns."""
    output: Tensor = tree_flatten(outcome(*numbers))[0][position]
    return output


def _on_copies(func: Callable[..., Any]) -> Callable[..., Any]:
    """The same function without writing into its first argument."""
    return lambda first, *args, **kwargs: func(first.clone(), *args, **kwargs)


def _call_module(module: nn.Module, tensors: dict[str, Tensor], *args: Any, **kwargs: Any) -> Any:
    return functional_call(module, tensors, args, kwargs) if tensors else module(*args, **kwargs)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _in_double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _is_whole(module: nn.Module) -> bool:
    """Whether a module is tried as a whole first: those without parts, and the layers of PyG, whose parts are their own."""
    return not any(True for _ in module.children()) or _is_message_passing(module)


def _is_message_passing(module: nn.Module) -> bool:
    return any(base.__module__.startswith("torch_geometric.nn.conv") for base in inspect.getmro(type(module)))


def _copied(model: nn.Module) -> nn.Module:
    """A copy, without the trainer that a LightningModule may be attached to, and without torch.compile."""
    trainer = getattr(model, "_trainer", None)
    try:
        copied: nn.Module = copy.deepcopy(model, {} if trainer is None else {id(trainer): None})
    except Exception as error:  # whatever the module's code may raise
        raise UnreadableError(
            f"{where('', model)} cannot be copied: {_reason(error)}", "modules that copy.deepcopy copies"
        ) from error
    return _without_compile(copied).requires_grad_(False)


def _without_compile(module: nn.Module) -> nn.Module:
    """The module that torch.compile was given, in its own place and in those of its parts."""
    inner = module._modules.get("_orig_mod")
    if inner is not None:
        return _without_compile(inner)
    for name, child in module._modules.items():
        if child is not None:
            module._modules[name] = _without_compile(child)
    return module


def eagerly() -> Any:
    """While it lasts, what torch.compile made runs as it was written."""
    return torch.compiler.set_stance("force_eager")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
