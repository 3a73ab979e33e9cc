"""The base of all RG maps, and their text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..checks import check_at_least
from ..datamodules.laws import Law
from ..errors import InputError, first_line
from ..expressions.expression import Expression
from ..expressions.reader import read
from .basis import Basis

TAIL_METRICS = ("quantile_distance", "characteristic_distance")  # which exist for laws without a variance
ROWS = 3  # of the blocks on which a map is tried
OURS = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class BlockMap(Expression):
    r"""A renormalisation-group step :math:`y = R(x_1, \dots, x_b)` on blocks of ``b`` variables.

    A new map is one frozen dataclass with a ``name`` and :meth:`__call__`; its fields are its parameters, and
    :func:`parse` knows it from then on. What is exact for some maps only, such as the recursion of cumulants, is a method
    that returns None unless the map overrides it: where it does, nothing that is called exact is logged, drawn or written.

    Attributes:
        metrics: names of metrics by which a learned map is judged beside the ordinary ones, see
            :class:`renorm.training.metrics.MemberMetric`.
        parity: ``"odd"`` where :math:`R(-x) = -R(x)`, ``"even"`` where :math:`R(-x) = R(x)`, else None.
        permutation_symmetric: whether the order of the variables does not matter.
        basis: the polynomials at its fixed point in which the spectrum of a learned map is measured, see
            :class:`renorm.maps.Basis`; None where there are none.
        values: those that variables take, where the map is for a few; None for all real numbers.

    Example:
        >>> @dataclass(frozen=True)
        ... class Midrange(BlockMap):
        ...     '''The middle between the largest and the smallest.'''
        ...     name, parity, permutation_symmetric = "midrange_example", "odd", True
        ...     def __call__(self, x):
        ...         return (x.amax(dim=-1) + x.amin(dim=-1)) / 2
        >>> parse("midrange_example()")(torch.tensor([0.0, 1.0, 4.0]))
        tensor(2.)
        >>> del BlockMap.registry["midrange_example"]
    """

    what, example = "map", "central_limit()"
    registry: ClassVar[dict[str, type[BlockMap]]] = {}  # type: ignore[assignment]
    metrics: ClassVar[tuple[str, ...]] = ()
    parity: ClassVar[str | None] = None
    permutation_symmetric: ClassVar[bool] = False
    basis: ClassVar[Basis | None] = None
    values: ClassVar[tuple[float, ...] | None] = None

    # --- what a map must define ---------------------------------------------------------------------------------------

    def __call__(self, x: Tensor) -> Tensor:
        """The target of each block, shape ``(..., b) -> (...)``."""
        raise NotImplementedError(f"{type(self).__name__} must say how it maps a block")

    # --- what a map may define ----------------------------------------------------------------------------------------

    def check_block_size(self, block_size: int) -> None:
        """Refuse blocks that the map does not act on; every map acts on 2 variables or more by default.

        Raises:
            InputError: naming the block size and what is allowed.
        """
        check_at_least("block_size", block_size, 2)

    def cumulants(self, kappa: Tensor, block_size: int) -> Tensor | None:
        """Exact cumulants of the target of i.i.d. variables from theirs, both ``(r, ...)``; None where no formula is known."""
        return None

    def flow(self, kappa: Tensor, steps: int, block_size: int) -> Tensor | None:
        """Exact cumulants after 0 to ``steps`` steps, shape ``(steps + 1, r, ...)``, float64; None where there is no formula."""
        found = [kappa.double()]
        for _ in range(steps):
            following = self.cumulants(found[-1], block_size)
            if following is None:
                return None
            found.append(following)
        return torch.stack(found)

    def weights(self, block_size: int) -> Tensor | None:
        """Weights w of a linear map, y = w_1 x_1 + ... + w_b x_b, shape ``(b,)``, float64; None for other maps.

        With them the cumulants of the target are exact for blocks of dependent variables too, see
        :meth:`renorm.datamodules.block_sources.BlockSource.sum_cumulants`.
        """
        return None

    def spectrum(self, order: int, block_size: int) -> Tensor | None:
        """Exact eigenvalues of the linearised step at its fixed point, orders 0 to ``order``, float64; None where unknown."""
        return None

    def measured_in(self, block_size: int) -> tuple[Basis, int] | None:
        """The basis of a learned map's spectrum, and how many nodes; None without a basis, or where blocks are too large."""
        nodes = None if self.basis is None else self.basis.nodes_for(block_size)
        return None if self.basis is None or nodes is None else (self.basis, nodes)

    def fixed_point(self, block_size: int) -> Law | None:
        """A law that the step reproduces; None where none is known."""
        return None

    def formula(self, block_size: int) -> str:
        """How figures write the map, in LaTeX or plain text."""
        return str(self)


def parse(text: str) -> BlockMap:
    """Read a map from its text; the inverse of ``str``: ``parse(str(map)) == map``.

    Args:
        text: one map, such as ``maximum(xi=0.5)``; ``maximum`` alone is ``maximum()``.

    Raises:
        InputError: where it is unknown, a parameter is out of range, or the class breaks the contract of a map.

    Example:
        >>> str(parse("stable(1.5)"))
        'stable(alpha=1.5)'
    """
    return read(text, BlockMap, checked)


def names() -> list[str]:
    """The names of all maps, in alphabetical order.

    Example:
        >>> names()
        ['central_limit', 'decimation', 'majority', 'maximum', 'stable']
    """
    return sorted(BlockMap.registry)


def checked(block_map: BlockMap) -> BlockMap:
    """The map itself, where it takes blocks to one number each; it is tried on a few, the package's own are known to.

    Raises:
        InputError: naming the class, what it returned and what is allowed.
    """
    if type(block_map).__module__.startswith(f"{OURS}."):
        return block_map
    x = torch.linspace(-1.0, 1.0, 3 * ROWS, dtype=torch.float64).reshape(ROWS, 3)
    for blocks in (x, x.float()):
        _try(block_map, blocks)
    _try_exact(block_map, x)
    return block_map


def _try(block_map: BlockMap, x: Tensor) -> Tensor:
    who = f"map class {type(block_map).__name__}"
    try:
        y: Any = block_map(x.clone())
    except InputError:
        raise
    except Exception as error:  # anything may come from a stranger's code
        raise InputError(
            f"{who} fails with {type(error).__name__}: {first_line(error)}", "from (..., b) to (...)"
        ) from error
    if not isinstance(y, Tensor):
        raise InputError(f"{who} returned a {type(y).__name__}", "a tensor")
    if y.shape != x.shape[:-1] or y.dtype != x.dtype:
        raise InputError(
            f"{who} takes {x.dtype} of shape {tuple(x.shape)} to {y.dtype} of shape {tuple(y.shape)}",
            "(..., b) to (...), same dtype",
        )
    return y


def _try_exact(block_map: BlockMap, x: Tensor) -> None:
    """What is to be exact must have the right form, and weights must be those of the map."""
    who, b = f"map class {type(block_map).__name__}", x.shape[-1]
    weights, y = block_map.weights(b), _try(block_map, x)
    if weights is not None and (weights.shape != (b,) or not torch.allclose(x @ weights.double(), y)):
        raise InputError(
            f"{who} has weights={weights.tolist()} for block_size={b}, which are not the map",
            "y = x @ weights, or None",
        )
    kappa = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    cumulants = block_map.cumulants(kappa, b)
    if cumulants is not None and cumulants.shape != kappa.shape:
        raise InputError(
            f"{who} takes {len(kappa)} cumulants to shape {tuple(cumulants.shape)}", "as many cumulants, or None"
        )
