r"""Certificates: can an architecture represent the central-limit map for every law at all?

A network :math:`f` represents the map for every law where :math:`f(x) = (x_1 + \dots + x_b)/\sqrt b` for all blocks
:math:`x \in R^b`. Either there are weights, which are then shown and checked, or there is an argument why there are none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..maps import BlockMap, CentralLimit, Decimation, Majority, Maximum, Stable
from ..training.recipe import known_map
from ..training.stack import StackedModel
from ..zoo.architectures import find_architecture, known_names
from ..zoo.gnn import GNN
from ..zoo.mlp import MLP
from ..zoo.registry import create_model
from .bounded_norm import best_errors
from .finding import Finding, undecided
from .graph import examine_graph
from .linear_maps import examine_decimation, examine_stable
from .majority import examine_majority
from .maximum import examine_maximum, is_smooth, not_smooth
from .mlp import Architecture, Nonlinear, examine
from .witnesses import any_map, simple_blocks

TOLERANCE = 1e-9  # of the map, relative to the size of the block
SCALES = (0.01, 1.0, 100.0, 1e4)
ROWS = 256
# RG map -> what is known of it beside the arguments for any map
ARGUMENTS: dict[type[BlockMap], Callable[[MLP, BlockMap], Finding]] = {
    Decimation: examine_decimation,
    Majority: examine_majority,
    Maximum: examine_maximum,
    Stable: examine_stable,
}


@dataclass(frozen=True)
class Certificate:
    """The answer for one architecture.

    Attributes:
        verdict: ``representable``, ``not representable`` or ``undecided``.
        architecture: what was examined, in one line.
        derivation: the argument, line by line.
        infimum: of the error over all weights: ``attained``, ``zero, not attained``, ``positive`` or ``unknown``.
        weights: explicit weights, parameter name -> values of one member; None where there are none.
        check: largest error of these weights on random blocks, relative to the size of the block; None without weights.
        best_errors: pairs of a bound on every weight and the least relative error found within it, for Gaussian inputs.
    """

    verdict: str
    architecture: str
    derivation: tuple[str, ...]
    infimum: str
    weights: dict[str, Tensor] | None = None
    check: float | None = None
    best_errors: tuple[tuple[float, float], ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.architecture}: {self.verdict}", *(f"  {line}" for line in self.derivation)]
        if self.weights is not None:
            lines.append(f"  weights, checked on random blocks (largest relative error {self.check:.0e}):")
            lines += [f"    {name} = {_short(value)}" for name, value in self.weights.items()]
        if self.verdict != "representable":
            lines.append(f"  infimum of the error: {self.infimum}")
        if self.best_errors:
            errors = ", ".join(f"{error:.1e} for |w| <= {bound:g}" for bound, error in self.best_errors)
            errors = errors.replace("0.0e+00", "0 to rounding")
            lines.append(f"  least relative error found, Gaussian inputs: {errors}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and dicts, for JSON."""
        weights = None if self.weights is None else {name: value.tolist() for name, value in self.weights.items()}
        return {**vars(self), "derivation": list(self.derivation), "weights": weights}


def _short(value: Tensor, most: int = 12) -> str:
    numbers = [f"{x:.6g}" for x in value.flatten().tolist()]
    return f"[{', '.join(numbers[:most])}{', …' if len(numbers) > most else ''}]"


def certify(model: StackedModel | str | Path, map: BlockMap | str | None = None) -> Certificate:
    r"""Can an architecture represent an RG map for every law?

    Polynomial activations are settled by elimination, piecewise-linear ones by the cancellation of kinks and by ranges and
    slopes far out, others as far as an argument goes; what no argument settles is ``undecided``. The derivations are in
    ``docs/certificates.md``.

    Args:
        model: a stack, the name of a variant, or the path of a YAML file with ``model: {class_path, init_args}``.
        map: the map; by default the one that the model was trained on, or the central-limit map.

    Returns:
        The certificate; of a network with ``weights="fixed"``, for the first member's weights.

    Raises:
        ValueError: for a stack with a grid of several points, see :func:`certify_grid`, or an unknown name.

    Example:
        >>> certify("mlp_quadratic_full").verdict, certify("mlp_quadratic_free").verdict
        ('not representable', 'representable')
    """
    certificates = certify_grid(model, map)
    if len(certificates) > 1:
        raise InputError(f"model has a grid of {len(certificates)} points", "one point, or certify_grid")
    return next(iter(certificates.values()))


def certify_grid(model: StackedModel | str | Path, map: BlockMap | str | None = None) -> dict[str, Certificate]:
    """One certificate for each grid point of a stack, by the point's label; ``all`` without a grid.

    Example:
        >>> [c.verdict for c in certify_grid(MLP(activation="leaky_relu", negative_slope=[0.5, 1.0], width=1)).values()]
        ['not representable', 'representable']
    """
    stack = model if isinstance(model, StackedModel) else read_model(model)
    block_map = known_map(stack, map)
    block_map.check_block_size(stack.block_size)
    groups = stack.grid_groups()
    return {label: _certify_member(stack, positions[0], block_map) for label, positions in groups.items()}


def read_model(source: str | Path) -> StackedModel:
    """A model from the name of a variant, or from the section ``model`` of a YAML file, without what only training needs.

    Raises:
        ValueError: where it is neither, or has another class, or arguments that it does not take.
    """
    from ..files.untrusted import read_yaml

    if not isinstance(source, str | Path):
        raise InputError(f"model is of type {type(source).__name__}", "a stack, the name of a variant, or a YAML file")
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        return create_model(str(source))
    if not path.is_file():
        raise InputError(f"config={str(source)!r} is not a file", "a YAML file, or the name of a variant")
    content = read_yaml(path, f"config={str(source)!r}")
    section = content.get("model") if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise InputError(f"config={str(source)!r} has no section 'model'", "model: {class_path, init_args}")
    name = str(section.get("class_path", "renorm.zoo.MLP"))
    cls = find_architecture(name)
    if cls is None:
        raise InputError(f"class_path={name!r} is unknown", known_names())
    training = ("optimizer", "lr_scheduler", "lr_scheduler_interval")
    arguments = {key: value for key, value in (section.get("init_args") or {}).items() if key not in training}
    try:
        return cls(**arguments)
    except TypeError as error:
        raise InputError(f"init_args={sorted(arguments)} do not fit {cls.__name__} ({error})") from None


def _certify_member(stack: StackedModel, position: int, block_map: BlockMap) -> Certificate:
    if not (_computes_as(stack, GNN) or _computes_as(stack, MLP)):
        raise InputError(
            f"model={type(stack).__name__} cannot be examined: arguments are known for the networks of MLP and GNN only",
            "MLP, GNN, and subclasses that compute what they do",
        )
    single = type(stack)(**{**stack.arguments(), "members": [stack.member_table[position]["member"]]}).double()
    single.load_state_dict({name: value[position : position + 1] for name, value in stack.state_dict().items()})
    bounded: tuple[tuple[float, float], ...] = ()
    if isinstance(single, GNN):
        architecture, finding = graph_line(single), _examine_graph(single, block_map)
    else:
        assert isinstance(single, MLP)
        shape = Architecture.of(single)
        architecture, finding = str(shape), _examine(shape, single, block_map)
        if isinstance(block_map, CentralLimit) and finding.verdict == "not representable":
            bounded = best_errors(shape)
    check = None
    if finding.verdict == "representable":
        check = largest_error(single, block_map)
        if not check < TOLERANCE:  # our own mistakes must not become certificates
            raise AssertionError(f"{architecture}: the weights that were found are wrong by {check}")
    weights = {n: p.detach()[0].clone() for n, p in single.named_parameters()} if check is not None else None
    line = architecture if isinstance(block_map, CentralLimit) else f"{architecture}, for {block_map}"
    if block_map.values is not None:
        line += f" of variables in {{{', '.join(f'{value:g}' for value in block_map.values)}}}"
    return Certificate(finding.verdict, line, finding.derivation, finding.infimum, weights, check, bounded)


def _examine(shape: Architecture, model: MLP, block_map: BlockMap) -> Finding:
    """By the arguments of the map; of the central limit, or of any map, then its own."""
    if isinstance(block_map, CentralLimit):
        return examine(shape, model)
    if (finding := any_map(model, block_map)) is not None:
        return finding
    own = next((argument for kind, argument in ARGUMENTS.items() if isinstance(block_map, kind)), None)
    return undecided(str(block_map)) if own is None else own(model, block_map)


def _examine_graph(model: GNN, block_map: BlockMap) -> Finding:
    """Graph networks: arguments for the central limit, and for maps that bend where networks do not."""
    if isinstance(block_map, CentralLimit):
        return examine_graph(model)
    phi = Nonlinear.of(model)
    if isinstance(block_map, Maximum) and model.not_affine is None and is_smooth(phi):
        return not_smooth(phi)
    return undecided(f"graph networks and {block_map}")


def _computes_as(model: StackedModel, cls: type[StackedModel]) -> bool:
    """Whether a model is of a class, or of a subclass that changes neither its layers nor what they compute."""
    methods = ("walk", "outputs", "forward", "affine_layers", "dense")
    return isinstance(model, cls) and all(getattr(type(model), name) is getattr(cls, name) for name in methods)


def graph_line(model: GNN) -> str:
    """What a graph network is, in one line."""
    h = model.hparams
    symmetry = h["symmetry"] if isinstance(h["symmetry"], str) else "/".join(h["symmetry"])
    graph = h["graph"] if isinstance(h["graph"], str) else f"{len(model.edges)} edges"
    sizes = f"{h['depth']} x {h['width']} features on {graph} of {model.block_size} nodes"
    notes = [f"aggregation {h['aggregation']}"] if h["aggregation"] else []
    notes += [] if h["bias"] else ["no bias"]
    return ", ".join([f"GNN {h['layer']}, {sizes}, {h['readout']}", str(h["activation"]), str(symmetry), *notes])


@torch.no_grad()
def largest_error(model: StackedModel, block_map: BlockMap = CentralLimit()) -> float:  # noqa: B008  (frozen, without state)
    r"""Largest :math:`|f(x) - y| / \max_j |x_j|` over random blocks of many sizes, of the first member.

    Of a map whose variables take few values, the largest error over such blocks.
    """
    if block_map.values is not None:
        x = simple_blocks(block_map, model.block_size)
        return float((model(x)[0] - block_map(x)).abs().max())
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for scale in SCALES:
        x = scale * torch.randn(ROWS, model.block_size, generator=generator, dtype=torch.float64)
        error = (model(x)[0] - block_map(x)).abs() / (x.abs().amax(dim=1) + abs(float(block_map(0 * x[:1]))))
        worst = max(worst, float(error.max()))
    return worst if math.isfinite(worst) else math.inf
