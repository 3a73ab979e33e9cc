r"""The arguments behind certificates: which architectures hold the map, with weights, and which cannot.

``S`` is the sum of the block, so that the map is ``S / sqrt(b)``. A hidden layer whose units are all tied to each other, or
that has one unit, is a single channel: all that follows is a function of one number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..training.stack import StackedModel
from ..zoo.activations.spline import Spline
from ..zoo.mlp import MLP
from ..zoo.symmetry.orbits import GroupElement, Orbits, SignedPermutation, orbits
from ..zoo.symmetry.symmetry import moves, network_group, orbits_of
from .finding import Finding, undecided

SMALL = 2.0**-10


@dataclass(frozen=True)
class Nonlinear:
    """What is known of one member's activation.

    Attributes:
        name: its registered name.
        polynomial: coefficients, lowest power first, where it is one.
        slope: below 0, where it is a leaky relu with slope 1 above; relu has 0.
        trained_spline: a spline whose coefficients are trained, with its ``extension``; None for others.
        bounded: whether its values are bounded.
    """

    name: str
    polynomial: tuple[float, ...] | None = None
    slope: float | None = None
    trained_spline: str | None = None
    bounded: bool = False

    @staticmethod
    def of(model: StackedModel) -> Nonlinear:
        """Of the first member's first hidden layer; all layers have the same one."""
        activation: Any = model.activations[0]  # type: ignore[index]
        name = str(model.hparams["activation"])
        if isinstance(activation, Spline):
            parameters = model.activation_parameters
            extension, trained = str(parameters["extension"]), parameters["spline"] == "trained"
            return Nonlinear(name, trained_spline=extension if trained else None, bounded=extension != "affine")
        pieces = activation.piecewise()
        if pieces is None:
            return Nonlinear(name, bounded=name == "tanh")
        rows = pieces.coefficients[0, 0].tolist()
        if not len(pieces.breaks):
            row = rows[0]
            while len(row) > 1 and row[-1] == 0:
                row.pop()
            return Nonlinear(name, polynomial=tuple(row))
        if name in ("relu", "leaky_relu"):
            slope = rows[0][1]
            return Nonlinear(name, polynomial=(0.0, 1.0)) if slope == 1 else Nonlinear(name, slope=slope)
        return Nonlinear(name)

    @property
    def is_affine(self) -> bool:
        """A straight line that is not constant."""
        return self.polynomial is not None and len(self.polynomial) == 2

    @property
    def odd_slope(self) -> float | None:
        """``k`` where ``phi(z) - phi(-z) = k z`` for all z and k is not 0; None where that is not so."""
        if self.polynomial is not None:
            odd = self.polynomial[1::2]
            return 2 * odd[0] if odd and odd[0] and not any(odd[1:]) else None
        if self.slope is not None:
            return 1 + self.slope if self.slope != -1 else None
        return {"gelu": 1.0}.get(self.name)

    @property
    def bounded_on_one_side(self) -> str | None:
        """A sentence that says why the values are not all real numbers; None if they are, or if nothing is known."""
        if self.polynomial is not None and len(self.polynomial) % 2 and len(self.polynomial) > 1:
            return "a polynomial of even degree is bounded on one side"
        if self.slope is not None and self.slope <= 0:
            return "its values are never negative"
        return {"gelu": "its values are above -0.17"}.get(self.name)


@dataclass(frozen=True)
class Carriers:
    """How the units of a hidden layer can carry z = S/sqrt(b), or -z, so that every symmetry of the network is kept.

    Units of one orbit carry the same, up to the sign by which the symmetry takes one to the other.

    Attributes:
        orbit: which orbit each unit belongs to, shape ``(width,)``.
        sign: 1, -1, or 0 for a unit that can carry nothing, shape ``(width,)``.
    """

    orbit: NDArray[np.int64]
    sign: NDArray[np.int64]

    @staticmethod
    def of(group: list[GroupElement], axis: int, width: int) -> Carriers:
        """Of the layer at ``axis``; the sum of a block changes its sign where the block does."""
        elements = [moves(element, axis, width) for element in group]
        signs = [element[0].sign if 0 in element else 1 for element in group]
        carried = [SignedPermutation(e.image, e.sign * s) for e, s in zip(elements, signs, strict=True)]
        carriers = orbits((width,), [(element,) for element in carried])
        return Carriers(carriers.index, carriers.sign)

    @property
    def pair(self) -> tuple[Tensor, Tensor] | None:
        """Units for z and units for -z, as masks: of one orbit that has both signs, or of two orbits; None without."""
        numbers = np.unique(self.orbit[self.sign != 0])
        if not len(numbers):
            return None
        first = self.orbit == numbers[0]
        if (self.sign[first] < 0).any():
            return _mask(first & (self.sign > 0)), _mask(first & (self.sign < 0))
        return (_mask(first), _mask(self.orbit == numbers[1])) if len(numbers) > 1 else None

    @property
    def single(self) -> Tensor | None:
        """Units for z alone, as a mask; None where the symmetry allows none."""
        same = self.sign > 0
        first = same & (self.orbit == self.orbit[same].min(initial=len(same)))
        return _mask(first) if first.any() and not (self.sign < 0).any() else None


def _mask(units: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(units.astype(np.float64))


def count_channels(weight: Orbits, bias: Orbits) -> int:
    """How many units of a layer may differ: 1 where all have the same weights and the same bias."""
    columns = (weight.index, weight.sign, bias.index[:, None], bias.sign[:, None])
    return len(np.unique(np.concatenate(columns, axis=1), axis=0))


@dataclass(frozen=True)
class Architecture:
    """What an argument needs to know of a network.

    Attributes:
        symmetry: what to call it.
        width: units of a hidden layer.
        channels: how many of them may differ, for each layer: 1 where all are tied.
        carriers: how the units of each layer can hand a number on.
        opposite_signs: whether the symmetry changes the sign of the block, or of the output, without the other.
        bias: whether layers have a bias.
        block_size: number of variables.
        nonlinear: the activation.
        fixed_weights: whether the weights stay at their initial values.
    """

    symmetry: str
    width: int
    channels: tuple[int, ...]
    carriers: tuple[Carriers, ...]
    opposite_signs: bool
    bias: bool
    block_size: int
    nonlinear: Nonlinear
    fixed_weights: bool

    @staticmethod
    def of(model: MLP) -> Architecture:
        """Read it from a model."""
        symmetry, width, depth = model.hparams["symmetry"], int(model.hparams["width"]), int(model.hparams["depth"])
        sizes = [model.block_size, *[width] * depth, 1]
        group = network_group(symmetry, sizes)
        channels = tuple(count_channels(*layer) for layer in orbits_of(group, sizes)[:-1])
        carriers = tuple(Carriers.of(group, axis, width) for axis in range(1, depth + 1))
        signs = [(moves(e, 0, sizes[0]).sign, moves(e, depth + 1, 1).sign) for e in group]
        return Architecture(
            symmetry="/".join(
                [symmetry] if isinstance(symmetry, str) else symmetry[:1] if len(set(symmetry)) == 1 else symmetry
            ),
            width=width,
            channels=channels,
            carriers=carriers,
            opposite_signs=any(block != output for block, output in signs),
            bias=bool(model.hparams["bias"]),
            block_size=model.block_size,
            nonlinear=Nonlinear.of(model),
            fixed_weights=model.hparams["weights"] == "fixed",
        )

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return len(self.channels)

    @property
    def is_single_channel(self) -> bool:
        """Whether every hidden layer is one channel."""
        return all(count == 1 for count in self.channels)

    def __str__(self) -> str:
        phi = self.nonlinear
        detail = ""
        if phi.polynomial is not None and phi.name == "quadratic":
            detail = f"(alpha={(*phi.polynomial, 0.0, 0.0)[2]:g})"
        elif phi.name == "leaky_relu":
            detail = f"(negative_slope={1.0 if phi.slope is None else phi.slope:g})"
        shape = "-".join(map(str, [self.block_size, *[self.width] * self.depth, 1]))
        notes = [] if self.bias else ["no bias"]
        notes += ["fixed weights"] if self.fixed_weights else []
        return ", ".join([f"MLP {shape}", phi.name + detail, self.symmetry, *notes])


def examine(architecture: Architecture, model: MLP) -> Finding:
    """Find weights, which are stored in ``model``, or a reason why there are none, or neither."""
    phi = architecture.nonlinear
    if architecture.opposite_signs:
        return _opposite_signs()
    if architecture.fixed_weights:
        return _fixed_weights(architecture, model)
    if phi.bounded:
        return _bounded(architecture)
    if phi.is_affine or phi.trained_spline is not None:
        return _through_identity(architecture, model)
    if phi.slope == -1:
        return _absolute_value(architecture)
    if phi.slope is not None and phi.slope > 0:
        return _leaky(architecture, model)
    if min(architecture.channels) == 1:
        return _one_channel(architecture)
    if phi.odd_slope is not None and all(carriers.pair is not None for carriers in architecture.carriers):
        return _pairs(architecture, model)
    return _no_argument(architecture)


def _no_argument(architecture: Architecture) -> Finding:
    what = f"{architecture.nonlinear.name} with {architecture.width} units"
    if any(carriers.pair is None for carriers in architecture.carriers):
        what += f" under {architecture.symmetry}"
    return undecided(what)


# ---- representable ---------------------------------------------------------------------------------------------------


def _through_identity(architecture: Architecture, model: MLP) -> Finding:
    """Every layer hands the map's value on through straight lines."""
    lines = ["Affine activations pass a number on unchanged: all units carry S/sqrt(b), and the output is their mean."]
    constant, gain = 0.0, 1.0
    if architecture.nonlinear.trained_spline is not None:
        lines = ["A trained spline with affine extension can be the identity; then as for linear networks:", *lines]
        for activation in model.activations:
            assert isinstance(activation, Spline)
            with torch.no_grad():
                activation.theta.copy_(activation.greville.to(activation.theta).expand_as(activation.theta))
    else:
        assert architecture.nonlinear.polynomial is not None
        constant, gain = architecture.nonlinear.polynomial
    if constant:
        return undecided("activations that are not 0 at 0")
    # where the symmetry takes a unit to another with the opposite sign, they carry opposite numbers
    signs = [torch.from_numpy(carriers.sign).double() for carriers in architecture.carriers]
    counts = [int(sign.abs().sum()) for sign in signs]
    if not all(counts):
        return _no_argument(architecture)
    matrices = [signs[0].unsqueeze(1).expand(-1, architecture.block_size) / math.sqrt(architecture.block_size)]
    for before, after, count in zip(signs, signs[1:], counts, strict=False):
        matrices.append(torch.outer(after, before) / (count * gain))
    matrices.append(signs[-1].unsqueeze(0) / (counts[-1] * gain))
    set_weights(model, matrices)
    return Finding("representable", tuple(lines), "attained")


def _pairs(architecture: Architecture, model: MLP) -> Finding:
    """Two units carry z and -z, and their difference is z again."""
    gain = architecture.nonlinear.odd_slope
    assert gain is not None
    _set_chain(architecture, model, ["pair"] * architecture.depth)
    lines = (
        f"{_carriers(architecture)} carry z and -z, where z = S/sqrt(b): phi(z) - phi(-z) = {gain:g} z for all z.",
        "Opposite outgoing weights give z back, layer by layer; all other weights and all biases are 0.",
    )
    return Finding("representable", lines, "attained")


def _carriers(architecture: Architecture) -> str:
    pairs = [carriers.pair for carriers in architecture.carriers]
    return "Two units" if all(pair is None or float(pair[0].sum()) == 1 for pair in pairs) else "Two groups of units"


def _leaky(architecture: Architecture, model: MLP) -> Finding:
    """Slopes between 0 and 1, or above 1: two single channels undo each other, and so does a pair."""
    s = architecture.nonlinear.slope
    assert s is not None
    can_pair = [carriers.pair is not None for carriers in architecture.carriers]
    modes = ["pair" if can else "single" for can in can_pair]
    if modes.count("single") % 2 and any(can_pair):
        modes[can_pair.index(True)] = "single"
    if modes.count("single") % 2 and architecture.is_single_channel:
        return _odd_number_of_kinks(architecture)
    singles = [carriers.single for carriers, mode in zip(architecture.carriers, modes, strict=True) if mode == "single"]
    if len(singles) % 2 or any(single is None for single in singles):
        return _no_argument(architecture)
    _set_chain(architecture, model, modes)
    lines = []
    if "pair" in modes:
        lines.append(
            f"{_carriers(architecture)} carry z and -z, where z = S/sqrt(b): phi(z) - phi(-z) = {1 + s:g} z for all z."
        )
    if "single" in modes:
        lines.append(f"A single unit bends z, and a second one unbends it: phi(-phi(z)) = -{s:g} z for all z.")
    return Finding("representable", (*lines, "All other weights and all biases are 0."), "attained")


def _set_chain(architecture: Architecture, model: MLP, modes: list[str]) -> None:
    """Hand a number on by two groups of units with opposite signs in some layers, and by one group in others."""
    phi, b = architecture.nonlinear, architecture.block_size
    # reads the number that a layer carries from its units' outputs
    read = torch.full((1, b), 1 / math.sqrt(b), dtype=torch.float64)
    matrices, bent = [], False
    for mode, carriers in zip(modes, architecture.carriers, strict=True):
        if mode == "pair":
            assert carriers.pair is not None
            plus, minus = carriers.pair
            # squares cancel to rounding only where several units are summed: small numbers have smaller squares
            size = SMALL if phi.polynomial is not None and max(plus.sum(), minus.sum()) > 1 else 1.0
            matrices.append(size * (plus - minus).unsqueeze(1) @ read)
            assert phi.odd_slope is not None
            read = ((plus / plus.sum() - minus / minus.sum()) / (size * phi.odd_slope)).unsqueeze(0)
            continue
        assert carriers.single is not None
        # the second of two bends takes the first one's output with the opposite sign
        matrices.append(carriers.single.unsqueeze(1) @ (-read if bent else read))
        read = (carriers.single / carriers.single.sum()).unsqueeze(0)
        if bent:
            assert phi.slope is not None
            read = -read / phi.slope
        bent = not bent
    matrices.append(read)
    set_weights(model, matrices)


def set_weights(model: MLP, matrices: list[Tensor]) -> None:
    """Give all layers these weights, and no bias."""
    for layer, matrix in zip(model.affine_layers(), matrices, strict=True):
        layer.weight.fill(matrix)
        if layer.bias is not None:
            layer.bias.fill(torch.zeros(layer.bias.shape, dtype=torch.float64))


def _fixed_weights(architecture: Architecture, model: MLP) -> Finding:
    """Splines on random directions: straight lines of the right slopes, where the directions span that of the sum."""
    first = model.activations[0]
    if architecture.depth > 1 or architecture.nonlinear.trained_spline != "affine" or not isinstance(first, Spline):
        return undecided("these fixed weights")
    (weight, bias), (out, out_bias) = ((w[0].detach(), None if c is None else c[0].detach()) for w, c in model.dense())
    orbits = first.units
    count = first.theta.shape[1]
    tie = torch.nn.functional.one_hot(orbits, count).to(weight)
    # the gradient is sum_u a_u s_u w_u, with one slope s for each spline
    directions = (out.T * weight).T @ tie
    target = torch.full((architecture.block_size, 1), 1 / math.sqrt(architecture.block_size), dtype=torch.float64)
    slopes = torch.linalg.lstsq(directions, target, driver="gelsd").solution.squeeze(1)
    if float((directions @ slopes.unsqueeze(1) - target).abs().max()) > 1e-12 * (1 + float(slopes.abs().max())):
        lines = (
            "Straight splines of slopes s_u have the gradient sum_u a_u s_u w_u, and no slopes give (1, ..., 1)/sqrt(b);",
            "whether bent splines could is not known.",
        )
        return Finding("undecided", lines, "unknown")
    shift = torch.zeros(weight.shape[0]).to(weight) if bias is None else bias
    by_unit = slopes[orbits]
    constant = float((out[0] * by_unit * shift).sum()) + (0.0 if out_bias is None else float(out_bias[0]))
    reach = (out @ tie).squeeze(0)
    strongest = int(reach.abs().argmax())
    theta = slopes.unsqueeze(1) * first.greville.to(slopes)
    theta[strongest] -= constant / reach[strongest]
    with torch.no_grad():
        first.theta.copy_(theta.unsqueeze(0))
    lines = (
        "The weights are fixed, the splines are not: straight lines of slopes s_u give the gradient sum_u a_u s_u w_u.",
        "For these weights slopes exist that make it (1, ..., 1)/sqrt(b); a constant in one spline takes up the biases.",
    )
    return Finding("representable", lines, "attained")


# ---- not representable -----------------------------------------------------------------------------------------------


def _opposite_signs() -> Finding:
    lines = (
        "The symmetry moves the block to one whose sum is S or -S, and leaves the output with the other sign:",
        "f(gx) = -f(x) where S(gx) = S(x), or f(gx) = f(x) where S(gx) = -S(x). The map does not.",
    )
    return Finding("not representable", lines, "positive")


def _bounded(architecture: Architecture) -> Finding:
    phi = architecture.nonlinear
    lines = [f"|phi| is bounded for {phi.name}, so the last hidden layer, and with it f, is bounded on all of R^b,"]
    lines.append("while S/sqrt(b) is not: they differ for every law without bounds.")
    if phi.trained_spline is not None:
        lines.append(
            "For a law with bounds f can equal the map: inside its knots a trained spline can be the identity."
        )
    else:
        lines.append("Nor for a law with a density on an interval: f is analytic, and would be linear everywhere.")
    lines.append("Weights w = eps inside and 1/eps outside come as near as one likes: phi is straight near 0.")
    analytic = phi.name == "tanh" or phi.trained_spline is not None
    return Finding("not representable", tuple(lines), "zero, not attained" if analytic else "unknown")


def _one_channel(architecture: Architecture) -> Finding:
    """A layer of one channel whose activation does not take all values."""
    phi = architecture.nonlinear
    where = architecture.channels.index(1)
    lines = []
    if phi.polynomial is not None and architecture.is_single_channel and architecture.depth == 1:
        lines += eliminate(phi.polynomial, architecture.bias)
    if phi.bounded_on_one_side is None:
        if phi.polynomial is not None and architecture.is_single_channel:
            degree = (len(phi.polynomial) - 1) ** architecture.depth
            lines.append(f"f is a polynomial of degree {degree} in w.x, or constant: never linear.")
            return Finding("not representable", tuple(lines), _infimum(architecture))
        return undecided(f"{phi.name} with one channel")
    if phi.slope is not None and architecture.is_single_channel and architecture.depth == 1:
        lines += _one_kink(phi.slope)
    elif not lines:
        lines += [
            f"Hidden layer {where} is one channel: f = F(phi(t(x))) with one number t, and {phi.bounded_on_one_side}.",
            "F is continuous and has one limit where phi(t) grows without bounds, so f is bounded on one side:",
            "but S/sqrt(b) takes all real values.",
        ]
    return Finding("not representable", tuple(lines), _infimum(architecture))


def _odd_number_of_kinks(architecture: Architecture) -> Finding:
    s = architecture.nonlinear.slope
    assert s is not None
    if architecture.depth == 1:
        lines = _one_kink(s)
    else:
        lines = (
            "Every layer is one channel: f = F(w.x), where F bends a line once in each layer and stays monotone.",
            f"A bend multiplies the ratio of F's outer slopes, F'(+inf)/F'(-inf), by {s:g} or by 1/{s:g}.",
            f"After {architecture.depth} layers, an odd number, the ratio is an odd power of {s:g}; a line has ratio 1.",
        )
    return Finding("not representable", lines, _infimum(architecture))


def _one_kink(slope: float) -> tuple[str, ...]:
    jump = f"A (1 - {slope:g}) w" if slope else "A w"
    return (
        f"All units share the hyperplane w.x + c = 0, where the gradient of f jumps by {jump},",
        "A the sum of the outgoing weights. No other kink can cancel it, and the map has none:",
        "A = 0 or w = 0. Then f is constant, and not S/sqrt(b).",
    )


def _absolute_value(architecture: Architecture) -> Finding:
    lines = (
        "phi(z) = |z|. Along a line x = t v every unit grows like a|t| + const for t -> +inf and -inf with one a:",
        "|w.v t + c| does, sums do, and so does the absolute value of a sum, layer by layer.",
        "f too then grows alike on both sides, while S/sqrt(b) changes sign.",
    )
    return Finding("not representable", lines, "zero, not attained" if architecture.bias else "positive")


def _infimum(architecture: Architecture) -> str:
    """Of one-channel networks: smooth ones are straight on a small scale, kinks can be pushed away by a bias."""
    phi = architecture.nonlinear
    if phi.slope is not None:
        return (
            "zero, not attained" if architecture.bias else "positive" if architecture.is_single_channel else "unknown"
        )
    if phi.polynomial is not None:
        return "zero, not attained" if phi.polynomial[1] else "unknown"
    return "zero, not attained" if phi.name == "gelu" else "unknown"


def eliminate(polynomial: tuple[float, ...], bias: bool) -> list[str]:
    r"""Show by elimination that one unit with a polynomial activation cannot be the map.

    .. math:: A\,\phi(w S + c) + d = S

    for all S gives one equation for each power of S; their Gröbner basis is {1} exactly where no numbers, not even complex
    ones, solve them (the factor :math:`\sqrt b` is put into A and d).

    Args:
        polynomial: coefficients, lowest power first, of degree 2 or more.
        bias: whether c and d may differ from 0.

    Returns:
        Sentences with the equations and the conclusion.

    Raises:
        AssertionError: where the equations have a solution after all.

    Source:
        Hilbert's Nullstellensatz; Cox, Little and O'Shea, Ideals, Varieties, and Algorithms, chapter 4.

    Example:
        >>> eliminate((0.0, 1.0, 0.5), bias=False)[1]
        '  S^2:  A*w**2/2 = 0'
    """
    import sympy

    a, w, c, d, s = sympy.symbols("A w c d S")
    shift, offset = (c, d) if bias else (sympy.Integer(0), sympy.Integer(0))
    coefficients = [sympy.Rational(Fraction(value).numerator, Fraction(value).denominator) for value in polynomial]
    output = a * sum(value * (w * s + shift) ** n for n, value in enumerate(coefficients)) + offset
    powers = sympy.Poly(sympy.expand(output - s), s)
    equations = [powers.coeff_monomial(s**n) for n in range(len(polynomial) - 1, -1, -1)]
    unknowns = [a, w, c, d] if bias else [a, w]
    basis = sympy.groebner([equation for equation in equations if equation != 0], *unknowns, order="grevlex")
    assert basis.exprs == [1], basis
    lines = ["One channel: on blocks of equal values sqrt(b) f = A phi(w S + c) + d, to be S. Power by power:"]
    for n, equation in zip(range(len(polynomial) - 1, -1, -1), equations, strict=True):
        wanted = 1 if n == 1 else 0
        side = sympy.expand(equation + wanted)
        if side != 0 or wanted:
            lines.append(f"  S^{n}:  {side} = {wanted}")
    lines.append("The first needs A = 0 or w = 0, and then S^1 fails; elimination says so too: Gröbner basis {1}.")
    return lines
