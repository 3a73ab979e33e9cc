"""Cost follows the question: tensors of an order are made only for whoever asks for that order, and their size is said before."""

from __future__ import annotations

import logging

import pytest
import torch

from renorm.bench.memory import step_memory
from renorm.cumulants import propagate
from renorm.cumulants.propagation import gaussian, memory
from renorm.cumulants.propagation.inputs import IdenticalInput
from renorm.cumulants.propagation.memory import check_tensors, tensor_memory
from renorm.cumulants.propagation.network import Network, Nonlinearity
from renorm.cumulants.propagation.propagate import layerwise
from renorm.cumulants.propagation.tensors import BlockLaw
from renorm.datamodules import laws
from renorm.zoo import GNN, MLP, activations

WIDE = 120  # whose fourth cumulants are more than a tensor may have


@pytest.mark.parametrize("activation", ["relu", "tanh", "quadratic"])
@pytest.mark.parametrize("method", ["gaussian", "edgeworth"])
def test_two_orders_are_the_leading_part_of_four(activation: str, method: str) -> None:
    model = MLP(width=3, depth=2, block_size=4, activation=activation, seed=1).requires_grad_(False)
    low, high = (propagate(model, "gamma(shape=4)", order, method=method) for order in (2, 4))
    for layer in low:
        assert torch.equal(low.marginals(layer), high.marginals(layer)[:2])
        # and what was not asked for is there all the same
        assert torch.equal(low[layer].cumulants(4), high[layer].cumulants(4))


def test_two_orders_need_no_tensor_of_four() -> None:
    mlp = MLP(width=WIDE, depth=2, block_size=4, seed=1).requires_grad_(False)
    ring = GNN(graph="ring", block_size=WIDE // 4, width=4, depth=2, seed=1).requires_grad_(False)
    for model, method in ((mlp, "gaussian"), (ring, "gaussian"), (ring, "independent_nodes")):
        found = propagate(model, "gaussian()", order=2, closure=2, method=method)
        assert found["act1"].marginal(2).shape == (1, WIDE)
        assert (found["out"].marginal(2) > 0).all()


def test_an_image_classifier_holds_little() -> None:
    """784-100-100-10: what the tensors hold at once is counted to the byte, and is the same at each call."""
    generator = torch.Generator().manual_seed(0)
    affine = [
        (torch.randn(1, out, into, generator=generator, dtype=torch.float64) / into**0.5, torch.zeros(1, out).double())
        for into, out in ((784, 100), (100, 100), (100, 10))
    ]
    relu = Nonlinearity(activations.find("relu")(1, torch.zeros(1, dtype=torch.long)))
    network, law = Network(affine, [relu, relu]), IdenticalInput(laws.parse("uniform()"))
    assert step_memory(lambda: layerwise(network, law, 2, order=2)) < 50 * 2**20
    assert layerwise(network, law, 2, order=2)["out"].cumulants(2).shape == (1, 10, 10)


def test_what_does_not_fit_is_refused_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory", lambda: 1e9)
    model = MLP(width=100, depth=2, block_size=4, seed=1).requires_grad_(False)
    # three tensors of 100^4 numbers, and four for the work
    refused = r"order=4 of layers of 100 units needs at least 5\.6 GB of memory; allowed: .* to fit 1 GB"
    with pytest.raises(ValueError, match=refused):
        propagate(model, "gaussian()", order=4, method="gaussian")
    with pytest.raises(ValueError, match=refused.replace(r"5\.6", "4.8")):
        propagate(model, "gaussian()", order=2, method="edgeworth")
    monkeypatch.setattr(memory, "memory", lambda: 1e99)
    with pytest.raises(ValueError, match="order=4 of d=120 variables has"):
        check_tensors([(WIDE, 4)])


def test_first_layers_on_a_grid_are_not_counted() -> None:
    """Their fourth cumulants go to the output at once, whatever their width."""
    model = MLP(width=WIDE, activation="relu", seed=1).requires_grad_(False)
    assert propagate(model, "gaussian()", method="gaussian").marginals("out").shape == (4, 1, 1)


def test_large_tensors_are_announced(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(memory, "WORTH_SAYING", 1000.0)
    model = MLP(width=5, block_size=4, seed=1).requires_grad_(False)
    with caplog.at_level(logging.WARNING, logger="renorm"):
        propagate(model, "gaussian()", order=4, method="gaussian")
    assert caplog.messages == ["order=4 of layers of 5 units needs at least 25 kB of memory"]
    assert tensor_memory([(5, 4), (1, 4)]) == 8 * (5**4 + 1 + 4 * 5**4)


def test_pairs_of_kinks_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MLP(width=6, block_size=4, activation="spline", replicas=2, seed=1).requires_grad_(False)
    whole = propagate(model, "gaussian()", 2, method="gaussian")["act0"].cumulants(2)
    monkeypatch.setattr(gaussian, "CHUNK_CELLS", 1)
    parts = propagate(model, "gaussian()", 2, method="gaussian")["act0"].cumulants(2)
    assert torch.allclose(whole, parts, rtol=1e-14, atol=0)


@pytest.mark.parametrize("order", range(2, 7))
def test_images_of_independent_variables_are_sums_of_products(order: int) -> None:
    weight = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(order), dtype=torch.float64)
    kappas = torch.arange(1.0, order + 1, dtype=torch.float64)
    found = BlockLaw(kappas, weight, torch.ones(2, 3, dtype=torch.float64)).cumulants(order)
    letters = "abcdef"[:order]
    sums = torch.einsum(",".join(f"m{letter}j" for letter in letters) + f"->m{letters}", *[weight] * order)
    assert torch.allclose(found, order * sums, rtol=1e-12, atol=1e-12)
