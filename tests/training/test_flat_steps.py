"""Steps on one row of numbers are those of PyTorch's optimisers, bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from renorm.training.flat_adam import FlatSteps
from renorm.training.rows import row_of

OPTIMIZERS = {
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.03),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.03, weight_decay=0.1),
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.03, momentum=0.9),
}


@pytest.mark.parametrize("handed_over", [False, True], ids=["held", "handed over"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_same_bits_as_the_optimizer(name: str, handed_over: bool) -> None:
    shapes = [(3, 2), (5,), (2, 2, 2)]
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for shape in shapes]
    ours = [nn.Parameter(part.clone()) for part in start]
    theirs = [nn.Parameter(part.clone()) for part in start]
    step, optimizer = FlatSteps(OPTIMIZERS[name](ours), ours), OPTIMIZERS[name](theirs)
    for _ in range(20):
        gradients = [torch.randn(shape, generator=generator) for shape in shapes]
        for mine, other, gradient in zip(ours, theirs, gradients, strict=True):
            other.grad = gradient
            mine.grad = None if handed_over else gradient.clone()
        step(row_of(gradients) if handed_over else None)
        optimizer.step()
        assert torch.equal(row_of(ours), row_of(theirs))
    assert not torch.equal(row_of(ours), row_of(start))
