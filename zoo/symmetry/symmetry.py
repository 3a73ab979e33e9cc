r"""Symmetries: one class is one group that acts on a network, given by its generators.

A generator says how each axis of the network moves: axis 0 is the block, 1, 2, ... are the units of the hidden layers, and
the last one is the output. To add a symmetry, write one class:

    >>> class Reversal(Symmetry):
    ...     '''Invariant under reading the block backwards.'''
    ...     name = "reversal_example"
    ...     def generators(self, sizes):
    ...         return [{0: SignedPermutation(np.arange(sizes[0])[::-1])}]
    >>> [weight.index.tolist() for weight, _ in layer_orbits("reversal_example", [3, 1, 1])]
    [[[0, 1, 0]], [[0]]]
    >>> del REGISTRY["reversal_example"]
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, first_line
from ...own_code import check_name
from .orbits import GroupElement, Orbits, SignedPermutation, orbits

REGISTRY: dict[str, type[Symmetry]] = {}
Key = tuple[tuple[int, int, tuple[int, ...]], ...]


class DoesNotFitError(InputError):
    """A symmetry that cannot act on axes of these sizes."""


class Symmetry:
    """Base of all symmetries; the first line of its docstring says what it is.

    Raises:
        ValueError: where a subclass takes the name of another one, by which checkpoints know it.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            return
        check_name(cls, REGISTRY.get(cls.name))
        REGISTRY[cls.name] = cls

    def generators(self, sizes: list[int]) -> list[GroupElement]:
        """Generators of the group; an axis that an element does not name stays as it is.

        Args:
            sizes: length of every axis: block, hidden layers, output.

        Raises:
            ValueError: where the group cannot act on axes of these sizes.
        """
        raise NotImplementedError(f"{type(self).__name__} must say what generates it")


def list_symmetries() -> list[str]:
    """Names of all registered symmetries of an MLP, the user's own included."""
    return list(REGISTRY)


def find(name: str) -> type[Symmetry]:
    """The class of a symmetry.

    Raises:
        ValueError: for an unknown name.
    """
    if not isinstance(name, str) or name not in REGISTRY:
        raise InputError(f"symmetry={name!r} is unknown", f"{', '.join(REGISTRY)}, or a list of them")
    return REGISTRY[name]


def describe(name: str) -> str:
    """What a symmetry is, as part of a sentence.

    Example:
        >>> describe("free"), describe("odd")
        ('no weights tied', 'f(-x) = -f(x) through sign-flipped pairs of units')
    """
    line = (find(name).__doc__ or name).strip().partition("\n")[0].rstrip(".")
    return line[:1].lower() + line[1:]


def action(name: str, sizes: list[int]) -> list[GroupElement]:
    """Generators of a symmetry on axes of these sizes, after a check that they act there.

    Raises:
        DoesNotFitError: for sizes that the symmetry cannot act on.
        ValueError: for an unknown name, or what is not a group of signed permutations.

    Example:
        >>> action("hidden", [2, 3, 1])[0][1].image.tolist()
        [1, 0, 2]
    """
    symmetry = find(name)()
    try:
        group = symmetry.generators(list(sizes))
    except ValueError as error:
        says_why = "allowed: " in str(error)
        problem = (
            str(error) if says_why else f"symmetry={name!r} does not fit the sizes {sizes}: {error}; allowed: others"
        )
        raise DoesNotFitError(problem) from None
    except (RuntimeError, TypeError, LookupError, AttributeError, ArithmeticError) as error:  # NotImplementedError too
        raise InputError(
            f"symmetry={name!r} fails on the sizes {sizes}: {type(error).__name__}: {first_line(error)}",
            "generators(sizes) that returns a list of group elements",
        ) from error
    return check_group(name, group, sizes)


def check_group(name: str, group: Any, sizes: list[int]) -> list[GroupElement]:
    """Refuse what does not act on axes of these sizes; leave out the axes on which an element does nothing.

    Raises:
        ValueError: naming the symmetry, what it does and what is allowed.

    Example:
        >>> check_group("mine", [{0: SignedPermutation(np.array([0, 0]))}], [2, 4, 1])
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: symmetry='mine' takes axis 0 to image=[0, 0]; allowed: a permutation of 0 to 1
    """
    if not isinstance(group, list) or not all(isinstance(element, dict) for element in group):
        raise InputError(
            f"symmetry={name!r} has generators={group!r}", "a list of dicts from axes to SignedPermutation"
        )
    checked = []
    for element in group:
        kept: GroupElement = {}
        for axis, moved in element.items():
            if type(axis) is not int or not 0 <= axis < len(sizes):
                last = len(sizes) - 1
                raise InputError(f"symmetry={name!r} moves axis {axis!r}", f"0, the block, to {last}, the output")
            if not isinstance(moved, SignedPermutation):
                raise InputError(
                    f"symmetry={name!r} moves axis {axis} by a {type(moved).__name__}", "a SignedPermutation"
                )
            image = np.asarray(moved.image)
            if image.dtype.kind not in "iu" or image.ndim != 1 or not _is_permutation(image, sizes[axis]):
                raise InputError(
                    f"symmetry={name!r} takes axis {axis} to image={image.tolist()}",
                    f"a permutation of 0 to {sizes[axis] - 1}",
                )
            if not isinstance(moved.sign, int | np.integer) or moved.sign not in (1, -1):
                raise InputError(f"symmetry={name!r} has sign={moved.sign!r} on axis {axis}", "1, -1")
            if moved.sign == -1 or (image != np.arange(sizes[axis])).any():
                kept[axis] = SignedPermutation(image.astype(np.int64), int(moved.sign))
        checked.append(kept)
    return checked


def _is_permutation(image: NDArray[np.int64], size: int) -> bool:
    return np.array_equal(np.sort(image), np.arange(size))


def network_group(symmetry: str | list[str], sizes: list[int]) -> list[GroupElement]:
    """Generators of the symmetry group of a whole network.

    Args:
        symmetry: one name, or one for each hidden layer; see :func:`combine`.
        sizes: length of every axis: block, hidden layers, output.

    Raises:
        ValueError: for an unknown name, sizes that it does not fit, or a list that means nothing.
    """
    if not isinstance(symmetry, list | tuple):
        return action(symmetry, sizes)
    names, depth = list(symmetry), len(sizes) - 2
    if len(names) != depth:
        raise InputError(f"symmetry={names} names {len(names)} layers", f"one name, or one for each of {depth}")
    groups = [action(name, sizes) for name in names]
    for position, group in enumerate(groups):
        if position and any(0 in element and not _hidden(element, sizes) for element in group):
            later = ", ".join(name for name in REGISTRY if _may_come_later(name, sizes))
            raise InputError(
                f"symmetry[{position}]={names[position]!r} ties the columns of the block, which only the first hidden "
                "layer sees",
                later,
            )
    return combine(groups, names, sizes)


def combine(groups: list[list[GroupElement]], names: list[str], sizes: list[int]) -> list[GroupElement]:
    """The group of a network whose hidden layers have symmetries of their own.

    An element acts on the units of those layers whose symmetry has it; the others stay as they are. The block moves as the
    first layer's symmetry says.

    Args:
        groups: generators of each hidden layer's symmetry.
        names: what to call them.
        sizes: length of every axis.

    Raises:
        ValueError: where an element of a later layer moves the block and the first layer's does not, or where one changes
            the sign of the output and not all layers have it.
    """
    output = len(sizes) - 1
    owners: dict[Key, tuple[GroupElement, list[int]]] = {}
    for axis, group in enumerate(groups, start=1):
        for element in group:
            owners.setdefault(_key(element), (element, []))[1].append(axis)
    combined = []
    for element, axes in owners.values():
        if output in element and len(set(axes)) < len(groups):
            raise InputError(f"symmetry={names} mixes odd layers with others", "odd in every layer or in none")
        if 0 in element and 1 not in axes:
            position = axes[0] - 1
            raise InputError(
                f"symmetry[{position}]={names[position]!r} moves its units along with the block, and symmetry[0]={names[0]!r} "
                "does not",
                f"{names[position]!r} in the layers before it too",
            )
        restricted = {axis: moved for axis, moved in element.items() if axis in (0, output, *axes)}
        combined += [restricted] if restricted else []
    return combined


def _hidden(element: GroupElement, sizes: list[int]) -> list[int]:
    return [axis for axis in element if 0 < axis < len(sizes) - 1]


def _may_come_later(name: str, sizes: list[int]) -> bool:
    try:
        return all(0 not in element or _hidden(element, sizes) for element in action(name, sizes))
    except DoesNotFitError:
        return False


def _key(element: GroupElement) -> Key:
    return tuple(sorted((axis, moved.sign, tuple(moved.image.tolist())) for axis, moved in element.items()))


def is_odd(group: list[GroupElement], sizes: list[int]) -> bool:
    """Whether some element changes the sign of the output."""
    return any(element[len(sizes) - 1].sign < 0 for element in group if len(sizes) - 1 in element)


def orbits_of(group: list[GroupElement], sizes: list[int]) -> list[tuple[Orbits, Orbits]]:
    """Orbits of the weight ``(out, in)`` and the bias ``(out,)`` of every layer under a group.

    Args:
        group: its generators.
        sizes: length of every axis: block, hidden layers, output.
    """
    result = []
    for into in range(len(sizes) - 1):
        out = into + 1
        acting = [element for element in group if out in element or into in element]
        both = [(moves(element, out, sizes[out]), moves(element, into, sizes[into])) for element in acting]
        alone = [(element[out],) for element in group if out in element]
        result.append((orbits((sizes[out], sizes[into]), both), orbits((sizes[out],), alone)))
    return result


def moves(element: GroupElement, axis: int, size: int) -> SignedPermutation:
    """How an element moves an axis, also where it leaves it alone."""
    return element.get(axis, SignedPermutation.identity(size))


def layer_orbits(symmetry: str | list[str], sizes: list[int]) -> list[tuple[Orbits, Orbits]]:
    """Orbits of the weight ``(out, in)`` and the bias ``(out,)`` of every layer.

    Args:
        symmetry: one name, or one for each hidden layer.
        sizes: length of every axis: block, hidden layers, output.

    Returns:
        For each layer, the orbits of its weight and of its bias.

    Raises:
        ValueError: see :func:`network_group`, and for a symmetry that leaves a layer no weights.

    Example:
        >>> [(w.count, b.count) for w, b in layer_orbits("full", [2, 8, 1])]
        [(1, 1), (1, 1)]
        >>> [(w.count, b.count) for w, b in layer_orbits("odd", [2, 8, 1])]
        [(8, 4), (4, 0)]
        >>> [(w.count, b.count) for w, b in layer_orbits("permutation", [4, 8, 1])]
        [(4, 2), (2, 1)]
    """
    layers = orbits_of(network_group(symmetry, sizes), sizes)
    for position, (weight, _) in enumerate(layers):
        if not weight.count:
            raise DoesNotFitError(
                f"symmetry={symmetry!r} forces all weights of layer {position} to be 0; allowed: one that leaves some free"
            )
    return layers


def subspaces(sizes: list[int]) -> dict[str, list[Orbits]]:
    """Orbits of every layer's weight under each registered symmetry that fits these sizes and ties anything.

    Args:
        sizes: length of every axis: block, hidden layers, output.

    Raises:
        ValueError: for a symmetry whose generators are not signed permutations of the axes.

    Example:
        >>> list(subspaces([2, 3, 1]))
        ['input', 'hidden', 'full']
    """
    found = {}
    for name in REGISTRY:
        try:
            weights = [weight for weight, _ in layer_orbits(name, sizes)]
        except DoesNotFitError:
            continue
        if not all(weight.is_free for weight in weights):
            found[name] = weights
    return found
