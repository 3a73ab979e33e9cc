"""What the diagnostics need of a model, and how any LightningModule gives it: forward hooks on named modules.

A diagnostic asks for the members (``num_members``, ``grid_groups``, ``divergence``, ...) and for the values of the layers on a
probe (``trace``). A stack of renorm has all of this; :class:`HookedNetwork` gives any other module the same. Its hooks are
there only while a probe passes through, so that training never meets them, and none is left when a fit ends or fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_leaves

from ..checks import described, did_you_mean
from ..datamodules.blocks import Blocks, as_blocks
from ..errors import InputError, in_one_line
from ..training.divergence import Divergence
from ..training.members import Members
from ..training.stack import StackedModel
from ..zoo.module_stack import ModuleStack
from .probe import CopiesOfGraph, Graphs, Probe, copied, describe_batch, graphs_of, input_of, not_finite, rows_of

FEWEST_ROWS = 4  # of which a fourth cumulant can be estimated
SHOWN = 8  # names of modules in a message


class Measured(Protocol):
    """What the diagnostics of layers ask of a model; :class:`renorm.zoo.StackedModel` and :class:`HookedNetwork` have it."""

    divergence: Divergence

    @property
    def num_members(self) -> int:
        """Number of networks, ``M``."""
        ...

    @property
    def grid_axes(self) -> list[str]:
        """Names of the parameters in which they differ."""
        ...

    @property
    def member_table(self) -> list[dict[str, Any]]:
        """A row for each network."""
        ...

    def grid_groups(self) -> dict[str, list[int]]:
        """Positions of the networks at each grid point."""
        ...

    def trace(self, x: Any) -> dict[str, Tensor]:
        """Values of the layers on blocks or a probe: ``(M, units, ..., N)``."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights, whose device the probe goes to."""
        ...


class HookedNetwork:
    """Any LightningModule as the diagnostics see it: a network, or a stack, whose named modules are measured.

    Args:
        module: the module that is trained, or one of its own.
        trainer: its trainer, which knows the precision.
        layers: names of modules, with the wildcards of :mod:`fnmatch`, as ``["encoder.*"]``; of a module that is called several
            times all calls, or one, as ``["relu@2"]``; None for every module without
            modules of its own that returns a tensor with one row for each of the probe's, or, for a stack, its own layers.
        rows: so many rows of a loader are enough.
        hooked: the modules themselves, by name, in the place of ``layers``.

    Raises:
        InputError: for a name that no module has.
    """

    def __init__(
        self,
        module: nn.Module,
        trainer: Trainer,
        layers: Sequence[str] | None = None,
        rows: int = 256,
        hooked: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.module = module
        self._trainer = trainer
        self._rows = rows
        self._by_default = layers is None and hooked is None
        self._patterns = layers or ()
        self._stack = module if isinstance(module, StackedModel) else None
        named = leaves(module) if layers is None else find_modules(module, [_call(one)[0] for one in layers])
        self._hooked = named if hooked is None else hooked
        self._members = Members.of_grid({}, 1)
        self.divergence = Divergence(1) if self._stack is None else self._stack.divergence

    @property
    def num_members(self) -> int:
        """Number of networks: those of a stack, else 1."""
        return len(self.member_table)

    @property
    def is_stack(self) -> bool:
        """Whether the module is a stack of renorm, with members on the first axis."""
        return self._stack is not None

    @property
    def grid_axes(self) -> list[str]:
        """Names of the parameters in which the members of a stack differ."""
        return (self._members if self._stack is None else self._stack).grid_axes

    @property
    def member_table(self) -> list[dict[str, Any]]:
        """A row for each network."""
        return self._members.table if self._stack is None else self._stack.member_table

    def grid_groups(self) -> dict[str, list[int]]:
        """Positions of the networks at each grid point; one group ``all`` for a single network."""
        return self._members.groups() if self._stack is None else self._stack.grid_groups()

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights, or, of a module without any, an empty one on the trainer's device."""
        some = None
        for some in self.module.parameters():
            yield some
        if some is None:
            yield nn.Parameter(torch.empty(0, device=self._trainer.strategy.root_device))

    def part(self, name: str | None) -> HookedNetwork:
        """The same of one of its modules.

        Args:
            name: of the module; None for all of it.

        Raises:
            InputError: for a name that no module has.
        """
        if name is None:
            return self
        part = next(iter(find_modules(self.module, [name], "network").values()))
        return HookedNetwork(part, self._trainer, None, self._rows)

    def with_layers(self, names: Sequence[str]) -> HookedNetwork:
        """The same with those of its modules that have these names; ``out`` is the output of all.

        Args:
            names: that of a second call is ``act@2``.
        """
        known = dict(self.module.named_modules()) | {"out": self.module}
        modules = dict.fromkeys(_call(name)[0] for name in names)
        chosen = {name: known[name] for name in modules if name in known}
        return HookedNetwork(self.module, self._trainer, None, self._rows, chosen)

    def width(self) -> int:
        """Number of inputs: that one of the affine maps' with which a vector passes.

        Raises:
            InputError: if none or several do, or there are convolutions, which take channels.
        """
        known = [getattr(one, name, None) for one in self.module.modules() for name in ("in_features", "in_channels")]
        sizes = list(dict.fromkeys(size for size in known if isinstance(size, int) and size > 0))
        passed = []
        if not any(isinstance(one, nn.modules.conv._ConvNd) for one in self.module.modules()):
            passed = [size for size in sizes if self.takes(torch.zeros(FEWEST_ROWS, size))]
        if len(passed) == 1:
            return passed[0]
        what = (
            f"{self._name} takes vectors of {' and '.join(map(str, passed))}"
            if passed
            else f"{self._name} does not say"
        )
        raise InputError(f"shape=None: {what}", "the shape of one input, without the batch, as shape=[4]")

    def takes(self, x: Tensor) -> bool:
        """Whether inputs pass, in evaluation mode."""
        try:
            with self.undisturbed():
                self._run(x.to(next(self.parameters())).clone())
        except InputError:
            return False
        return True

    def trace(self, x: Any) -> dict[str, Tensor]:
        """Values of the layers on a probe or blocks.

        The probe goes through ``predict_step`` if the module has one of its own, else through ``forward``, which gets the
        batch, or its first part if it is a tuple or list; in evaluation mode, at the trainer's precision, without gradients.
        Modes and random numbers are as before.

        Returns:
            Layer -> ``(M, units, N)``, units being what follows the batch axis. Graphs of one size of torch_geometric, whose
            nodes the batch vector tells apart: ``(1, features, nodes, N)``; of several sizes, or one graph alone:
            ``(1, features, nodes of all graphs)``.

        Raises:
            InputError: for a module that returns anything but a tensor with one row for each of the probe's.
        """
        if x is None:
            raise InputError(f"probe=None says nothing of what {self._name} takes", "a batch, or a loader of batches")
        with self.undisturbed():
            parts, graphs = self._parts(x if isinstance(x, Probe) else Probe(x))
        if self._stack is not None:
            return {name: torch.cat(values, dim=-1) for name, values in parts.items()}
        return {name: _joined(values, graphs) for name, values in parts.items()}

    def try_probe(self, data: Any, laws: Sequence[Any], samples: int) -> None:
        """Pass every probe through before training: what is wrong with module or probe is said now.

        Args:
            data: gives the probes, as a data module gives blocks.
            laws: of the probes.
            samples: rows of each.

        Raises:
            InputError: see :meth:`trace`; or naming what ``forward`` has raised.
        """
        for law in laws:
            x = data.probe(law, samples).to(next(self.parameters())).x
            traced = self.trace(x)
            for pattern in self._patterns:
                if not any(_picks(pattern, name) for name in traced):
                    problem = f"layers={pattern!r} matches no module that returns a tensor (N, ...)"
                    raise InputError(problem, ", ".join(traced))
            missing = sum(not_finite(batch) for batch in x.batches()) if isinstance(x, Probe) else 0
            wrong = [name for name, value in traced.items() if not bool(value.isfinite().all())]
            if missing and wrong:
                found = f"probe has {missing} numbers that are not finite, and then so has {wrong[0]}"
                raise InputError(found, "finite numbers")
            rows = next(iter(traced.values())).shape[-1]
            if rows < FEWEST_ROWS:
                raise InputError(f"probe has {rows} rows", f"{FEWEST_ROWS} or more")

    @property
    def _name(self) -> str:
        return type(self.module).__name__

    def _parts(self, probe: Probe) -> tuple[dict[str, list[Tensor]], list[Graphs | None]]:
        """Values of the layers, batch by batch, and the graphs of each batch."""
        parts: dict[str, list[Tensor]] = {}
        graphs: list[Graphs | None] = []
        rows = 0
        for batch in probe.batches():
            batch = move_data_to_device(batch, next(self.parameters()).device)
            values, of_batch = self._values(batch), graphs_of(batch)
            for name, value in values.items():
                parts.setdefault(name, []).append(value)
            graphs.append(of_batch)
            rows += len(of_batch.nodes) if of_batch is not None else rows_of(batch) or self._rows
            if rows >= self._rows:
                break
        probe.close()
        if not parts:
            raise InputError("probe is a loader without batches", "a batch, or a loader of batches")
        return parts, graphs

    def _values(self, batch: Any) -> dict[str, Tensor]:
        """What the modules return for one batch: of a stack ``(M, units, ..., N)``, else ``(N, ...)``."""
        batch = copied(batch)  # the network may write into it
        calls: dict[str, list[Any]] = {name: [] for name in self._hooked}
        with contextlib.ExitStack() as hooks:
            for name, module in self._hooked.items():
                hooks.callback(module.register_forward_hook(_keeping(calls[name])).remove)
            own = self._run(batch)
        if self._stack is not None:
            return own if self._by_default else self._of_stack(calls, own["out"].shape[-1])
        return self._of_network(calls, batch)

    def _of_network(self, calls: Mapping[str, list[Any]], batch: Any) -> dict[str, Tensor]:
        rows, graphs = rows_of(batch), graphs_of(batch)
        lengths = {n for n in (rows, None if graphs is None else len(graphs.nodes)) if n is not None}
        shown = f" for a probe of {' or '.join(map(str, sorted(lengths)))} rows" if lengths else ""
        found = {}
        for name, value in self._picked(calls):
            value = _together(value) if self._hooked.get(_call(name)[0]) is self.module else value
            problem = _problem(value, lambda value: not lengths or len(value) in lengths)
            if problem is None:
                found[name] = value
            elif self._must_fit(name, value):
                raise InputError(f"layers: {name!r} returns {problem}{shown}", "modules that return a tensor (N, ...)")
        if not found:
            problem = f"layers: the probe passes no module of {self._name} that returns a tensor (N, ...)"
            raise InputError(problem, "modules of its own, such as nn.Linear")
        return found

    def _of_stack(self, calls: Mapping[str, list[Any]], rows: int) -> dict[str, Tensor]:
        members = self.num_members
        if isinstance(self.module, ModuleStack):  # each member's network by itself: (N, ...)
            calls = {name: _by_member(values, members) for name, values in calls.items()}
        found = {}
        for name, value in self._picked(calls):
            problem = _problem(value, lambda v: v.ndim > 1 and (len(v), v.shape[-1]) == (members, rows))
            if problem is None:
                found[name] = value if value.ndim < 5 else value.flatten(1, -2)
            elif self._must_fit(name, value):
                allowed = f"modules that return a tensor ({members}, ..., {rows}): members first, blocks last"
                raise InputError(f"layers: {name!r} returns {problem}", allowed)
        if not found:
            raise InputError(
                f"layers: the blocks pass none of these modules of {self._name}", "modules that are called"
            )
        return found

    def _picked(self, calls: Mapping[str, list[Any]]) -> Iterator[tuple[str, Any]]:
        """What those calls returned that are to be measured.

        Raises:
            InputError: for a name whose modules are not called, or not so often.
        """
        called = dict(numbered(calls))
        for pattern in self._patterns:
            if not any(_picks(pattern, name) for name in called):
                module, call = _call(pattern)
                names = [name for name in called if _picks(module, name)]
                often = "not called" if not names else f"called {len(names)} times, not {call}"
                shown = ", ".join(names or called) or "modules that forward calls"
                raise InputError(f"layers={pattern!r} is {often} when the probe passes", shown)
        for name, value in called.items():
            if not self._patterns or any(_picks(pattern, name) for pattern in self._patterns):
                yield name, value

    def _must_fit(self, name: str, value: Any) -> bool:
        """Whether a module that cannot be measured is refused: one that was named, or a tuple, and not just a weight's module."""
        if self._by_default:
            return False
        wild = self._patterns and not {name, _call(name)[0]} & set(self._patterns)
        return not (wild and isinstance(value, Tensor))

    # ---- passing a batch through ---------------------------------------------------------------------------------

    def _run(self, batch: Any) -> dict[str, Tensor]:
        """Pass one batch through the module; of a stack, return its own layers."""
        module, plugin = self.module, self._trainer.precision_plugin
        if self._stack is not None:
            blocks = batch if not isinstance(batch, Blocks | tuple | list) else as_blocks(batch).x
            return self._stack.trace(blocks)
        batch = plugin.convert_input(batch)
        with plugin.forward_context():
            try:
                if isinstance(module, LightningModule) and is_overridden("predict_step", module, LightningModule):
                    module.predict_step(batch, 0)
                elif isinstance(batch, CopiesOfGraph):
                    module(batch.x, **batch.arguments)
                else:
                    module(input_of(batch))
            except InputError:
                raise
            except Exception as error:  # whatever the user's own code raises
                problem = f"probe of {describe_batch(batch)} fails in {self._name}: {type(error).__name__}"
                raise InputError(f"{problem}: {in_one_line(error)}", "a batch that the network takes") from error
        return {}

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Evaluation mode without gradients; afterwards modes and random numbers are as before."""
        modes = {module: module.training for module in self.module.modules()}
        device = next(self.parameters()).device
        vectorized = self.module.vectorized if isinstance(self.module, ModuleStack) else None
        try:
            if isinstance(self.module, ModuleStack) and not self._by_default:
                self.module.vectorized = False  # inside vmap no hook sees a tensor
            self.module.eval()
            with torch.no_grad(), isolate_rng(include_cuda=device.type == "cuda"):
                yield
        finally:
            for module, mode in modes.items():
                module.training = mode
            if isinstance(self.module, ModuleStack):
                self.module.vectorized = bool(vectorized)


# ---- which modules ---------------------------------------------------------------------------------------------------


def named_parts(module: nn.Module, aliases: bool = False) -> dict[str, nn.Module]:
    """All modules by name, without those that make a weight of another, as :mod:`torch.nn.utils.parametrize` adds them.

    Args:
        module: the module that has them.
        aliases: whether a module with several names has all of them, or its first one.

    Example:
        >>> from torch.nn.utils.parametrizations import spectral_norm
        >>> list(named_parts(nn.Sequential(spectral_norm(nn.Linear(2, 3)))))
        ['', '0']
    """
    makers = {
        id(maker)
        for one in module.modules()
        if parametrize.is_parametrized(one)
        for maker in one.parametrizations.modules()  # type: ignore[union-attr]
    }
    named = module.named_modules(remove_duplicate=not aliases)
    return {name: one for name, one in named if id(one) not in makers}


def leaves(module: nn.Module) -> dict[str, nn.Module]:
    """The modules without modules of their own, by name.

    Example:
        >>> list(leaves(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU()))))
        ['0', '1.0']
    """
    return {name: one for name, one in named_parts(module).items() if name and len(named_parts(one)) == 1}


def affine_maps(module: nn.Module) -> dict[str, nn.Module]:
    """The affine maps of vectors, by name: ``nn.Linear``, and torch_geometric's.

    Example:
        >>> list(affine_maps(nn.Sequential(nn.Embedding(9, 2), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))))
        ['1', '3']
    """
    return {
        name: one
        for name, one in leaves(module).items()
        # to read a weight that is made anew each time may change how it is made
        if (parametrize.is_parametrized(one, "weight") or isinstance(getattr(one, "weight", None), Tensor))
        and (hasattr(one, "in_features") or hasattr(one, "in_channels"))
    }


def find_modules(
    module: nn.Module, patterns: Sequence[str], argument: str = "layers", called: bool = True
) -> dict[str, nn.Module]:
    """The modules whose names match, in the order of their definition.

    Args:
        module: the module that has them.
        patterns: names, with the wildcards of :mod:`fnmatch`; a star stands for dots, too, and finds a module of several
            names once.
        argument: what to call the patterns.
        called: whether only modules are wanted that can be called.

    Raises:
        InputError: for a pattern that matches none, with the nearest names, or only modules that are never called, such as
            ``nn.ModuleList``.

    Example:
        >>> list(find_modules(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), ["*"]))
        ['0', '1']
    """
    known = {name: one for name, one in named_parts(module, aliases=True).items() if name}
    usable = {name: one for name, one in known.items() if not called or _has_forward(one)}
    for pattern in patterns:
        matching = [name for name in known if fnmatchcase(name, pattern)]
        if not matching:
            near = did_you_mean(pattern, known, cutoff=0.3)
            problem = f"{argument}={pattern!r} matches no module of {type(module).__name__}{near}"
            raise InputError(problem, _listed(known))
        if not any(name in usable for name in matching):
            kind = type(known[matching[0]]).__name__
            parts = [name for name in usable if name.startswith(f"{matching[0]}.")]
            raise InputError(f"{argument}={pattern!r} is a {kind}, which has no forward", _listed(parts or usable))
    chosen: dict[str, nn.Module] = {}
    for name, one in usable.items():
        for pattern in (pattern for pattern in patterns if fnmatchcase(name, pattern)):
            again = any(one is other and fnmatchcase(first, pattern) for first, other in chosen.items())
            if name == pattern or not again:
                chosen[name] = one
    return chosen


def _has_forward(module: nn.Module) -> bool:
    return getattr(module.forward, "__func__", None) is not nn.Module.forward


def _listed(names: Collection[str]) -> str:
    return ", ".join(list(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def check_patterns(layers: Any, argument: str = "layers") -> list[str] | None:
    """The argument ``layers`` of a diagnostic as a list; None stands for the default.

    Raises:
        InputError: unless it is a name, or a list of names.

    Example:
        >>> check_patterns("encoder.*")
        ['encoder.*']
    """
    patterns = [layers] if isinstance(layers, str) else layers
    if patterns is None:
        return None
    if not isinstance(patterns, list | tuple) or not patterns or not all(isinstance(one, str) for one in patterns):
        raise InputError(f"{argument}={layers!r} is not a list of names", "names of modules, as ['encoder.*']")
    return list(patterns)


# ---- what they return ------------------------------------------------------------------------------------------------


def numbered(calls: Mapping[str, list[Any]]) -> Iterator[tuple[str, Any]]:
    """What the modules returned, by name; a module that was called again has a number, as ``relu@2``.

    Example:
        >>> list(numbered({"relu": [1, 2], "unused": []}))
        [('relu', 1), ('relu@2', 2)]
    """
    for name, values in calls.items():
        for call, value in enumerate(values, start=1):
            yield (name if call == 1 else f"{name}@{call}"), value


def _call(name: str) -> tuple[str, int | None]:
    """A module's name and the number of its call, as ``relu@2`` has one."""
    module, at, number = name.rpartition("@")
    return (module, int(number)) if at and number.isdecimal() else (name, None)


def _picks(pattern: str, name: str) -> bool:
    """Whether a pattern stands for a call; without a number for all calls of the modules that it matches."""
    (modules, wanted), (module, call) = _call(pattern), _call(name)
    return fnmatchcase(module, modules) and wanted in (None, call or 1)


def _keeping(values: list[Any]) -> Callable[[nn.Module, Any, Any], None]:
    """A forward hook that keeps what its module returns, before the next one changes it in place."""

    def keep(module: nn.Module, inputs: Any, value: Any) -> None:
        values.append(value.detach().clone() if isinstance(value, Tensor) else value)

    return keep


def _problem(value: Any, fits: Callable[[Tensor], bool]) -> str | None:
    """What is wrong with a module's output, as part of a sentence; None if it can be measured."""
    if not isinstance(value, Tensor):
        return described(value)
    if not value.is_floating_point():
        return f"numbers of {str(value.dtype).removeprefix('torch.')}"
    return None if value.ndim and value.numel() and fits(value) else described(value)


def _together(value: Any) -> Any:
    """Several outputs of a network as one, in the order in which :func:`renorm.cumulants.propagate` has them."""
    outputs = [leaf for leaf in tree_leaves(value) if leaf is not None]
    if isinstance(value, Tensor) or not all(isinstance(leaf, Tensor) and leaf.ndim for leaf in outputs):
        return value
    if len({len(leaf) for leaf in outputs}) != 1:
        return value
    return torch.cat([leaf.reshape(len(leaf), -1) for leaf in outputs], dim=1)


def _by_member(values: list[Any], members: int) -> list[Any]:
    """Outputs ``(N, ...)`` of all members, one after the other, as ``(M, units, N)`` for each call."""
    calls = len(values) // members
    by_call = [[values[member * calls + call] for member in range(members)] for call in range(calls)]
    stackable = [all(isinstance(value, Tensor) and value.ndim for value in one) for one in by_call]
    return [torch.stack([_units(v) for v in one]) if ok else one[0] for one, ok in zip(by_call, stackable, strict=True)]


def _units(value: Tensor) -> Tensor:
    """``(N, ...)`` as ``(units, N)``."""
    return value.flatten(1).mT if value.ndim > 1 else value.unsqueeze(0)


def _joined(values: list[Tensor], graphs: Sequence[Graphs | None]) -> Tensor:
    """Batches of one layer as ``(1, units, N)``, or ``(1, features, nodes, N)`` for the nodes of graphs of one size."""
    of_nodes = [
        g for v, g in zip(values, graphs, strict=True) if g is not None and len(v) == len(g.owner) != len(g.nodes)
    ]
    sizes = {int(size) for g in of_nodes for size in g.nodes}
    if len(of_nodes) == len(values) and len(sizes) == 1:
        by_graph = [g.by_graph(_units(value).mT) for value, g in zip(values, of_nodes, strict=True)]
        return torch.cat(by_graph).permute(2, 1, 0).unsqueeze(0)
    return torch.cat([_units(value) for value in values], dim=1).unsqueeze(0)
