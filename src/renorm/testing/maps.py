"""The contract of an RG map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..cumulants import kstat, kstat_stderr
from ..datamodules.laws import Law, parse
from ..errors import InputError
from ..maps import BlockMap
from ..maps import parse as parse_map

ROWS = 50_000
ORDER = 4
SIGMAS = 6.0  # of the sampling error; a right map fails once in a thousand million comparisons


def check_map(
    block_map: BlockMap, block_sizes: Sequence[int] = (2, 3), laws: Sequence[str] = ("gaussian()", "gamma()")
) -> None:
    """Hold a map to what it says of itself: text, shapes, parity, permutations, cumulants, fixed point, shape of the spectrum.

    Args:
        block_map: the map, with its parameters.
        block_sizes: on which it is tried; those that it refuses must be refused in one line.
        laws: of i.i.d. variables, for whose blocks exact cumulants are compared with a sample's.

    Raises:
        AssertionError: naming what does not hold.

    Example:
        >>> from renorm.maps import CentralLimit
        >>> check_map(CentralLimit())
    """
    assert parse_map(str(block_map)) == block_map, f"{block_map} is not read back from its text"
    tried = 0
    for block_size in block_sizes:
        try:
            block_map.check_block_size(block_size)
        except InputError:
            continue
        tried += 1
        x = torch.randn(ROWS, block_size, dtype=torch.float64, generator=torch.Generator().manual_seed(block_size))
        _check_values(block_map, x)
        for law in map(parse, laws):
            _check_cumulants(block_map, law, block_size)
        spectrum = block_map.spectrum(4, block_size)
        assert spectrum is None or spectrum.shape == (5,), f"{block_map}.spectrum(4, {block_size}) is not of shape (5,)"
        fixed = block_map.fixed_point(block_size)
        if fixed is not None:
            _check_fixed_point(block_map, fixed, block_size)
    assert tried, f"{block_map} acts on none of block_sizes={list(block_sizes)}"


def _check_values(block_map: BlockMap, x: Tensor) -> None:
    y = block_map(x.clone())
    assert y.shape == x.shape[:-1], f"{block_map} takes shape {tuple(x.shape)} to {tuple(y.shape)}"
    assert y.dtype == x.dtype, f"{block_map} takes {x.dtype} to {y.dtype}"
    members = x.view(2, -1, x.shape[-1])
    torch.testing.assert_close(block_map(members), y.view(2, -1), msg=f"{block_map} mixes the blocks of a batch")
    if block_map.parity is not None:
        sign = {"odd": -1, "even": 1}[block_map.parity]
        torch.testing.assert_close(block_map(-x), sign * y, msg=f"{block_map} is not {block_map.parity}")
    assert block_map(x.float()).dtype == torch.float32, f"{block_map} takes torch.float32 to another type"
    weights = block_map.weights(x.shape[-1])
    if weights is not None:
        torch.testing.assert_close(x @ weights.double(), y, msg=f"{block_map}.weights are not those of the map")
    swapped = x.clone()
    swapped[:, :2] = x[:, :2].flip(-1)  # with a turn of all variables, this generates every permutation
    turned = torch.allclose(block_map(x.roll(1, dims=-1)), y) and torch.allclose(block_map(swapped), y)
    assert turned or not block_map.permutation_symmetric, f"{block_map} is not permutation symmetric"


def _sample(law: Law, block_size: int) -> Tensor:
    return law.sample((ROWS, block_size), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _check_cumulants(block_map: BlockMap, law: Law, block_size: int) -> None:
    exact = block_map.cumulants(law.cumulants(ORDER), block_size)
    flow = block_map.flow(law.cumulants(ORDER), 2, block_size)
    if exact is None:
        assert flow is None, f"{block_map} has a flow of cumulants and no recursion"
        return
    steps = torch.stack([law.cumulants(ORDER), exact, torch.as_tensor(block_map.cumulants(exact, block_size))])
    torch.testing.assert_close(flow, steps, msg=f"{block_map}.flow is not its cumulants, step by step")
    y = block_map(_sample(law, block_size))
    measured, error = kstat(y, order=ORDER), kstat_stderr(y, order=ORDER)
    for n in range(ORDER):
        gap = float((measured[n] - exact[n]).abs())
        assert not gap > SIGMAS * float(error[n]), (
            f"{block_map}.cumulants: k{n + 1} of {law}, b = {block_size}, is {float(exact[n]):.5g}, "
            f"a sample has {float(measured[n]):.5g} with an error of {float(error[n]):.2g}"
        )


def _check_fixed_point(block_map: BlockMap, law: Law, block_size: int) -> None:
    """Two-sample Kolmogorov-Smirnov distance between the law and its image."""
    x = law.sample(ROWS, generator=torch.Generator().manual_seed(1), dtype=torch.float64).sort().values
    y = block_map(_sample(law, block_size)).sort().values
    levels = torch.cat([x, y])
    distance = float((torch.searchsorted(x, levels) - torch.searchsorted(y, levels)).abs().max()) / ROWS
    # exceeded with a probability of 1e-9: sqrt(-ln(1e-9 / 2) / 2) sqrt(2 / n)
    assert distance < 3.27 * (2 / ROWS) ** 0.5, f"{block_map}: {law} is not fixed (distance {distance:.3g})"
