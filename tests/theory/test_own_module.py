"""Modules of PyTorch as they are: against stacks of the same weights, samples, and exact results."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
import torch_geometric.nn as gnn
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from renorm.cumulants import GaussianInput, MixtureInput, Residual, law_of_data, power_sums, propagate
from renorm.cumulants.propagation.exact import RationalLaw
from renorm.errors import InputError
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import GNN, MLP

from .modules import Applies

ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": lambda: nn.LeakyReLU(0.1), "tanh": nn.Tanh, "gelu": nn.GELU}


def as_module(stack: MLP, activation: str) -> nn.Sequential:
    """One member of a stack as a plain module."""
    layers: list[nn.Module] = []
    for weight, bias in stack.dense():
        layer = nn.Linear(weight.shape[2], weight.shape[1]).double()
        layer.weight.data, layer.bias.data = weight[0].detach(), bias[0].detach()
        layers += [layer, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("block_size", "how"),
    [(2, {"closed_at": "input"}), (2, {"closed_at": "layers"}), (2, {"method": "quadrature"}), (4, {"closure": 3})],
)
def test_a_module_is_propagated_as_the_stack_of_its_weights(activation: str, block_size: int, how: dict) -> None:
    stack = MLP(width=3, depth=2, activation=activation, block_size=block_size, bias=True, seed=3).double()
    expected = propagate(stack, "gamma(shape=4)", order=3, **how)
    found = propagate(as_module(stack, activation), "gamma(shape=4)", order=3, **how)
    assert list(found) == ["0", "1", "2", "3", "4", "out"]
    for ours, theirs in zip(["0", "1", "2", "3", "out"], expected, strict=True):
        for n in (1, 2, 3):
            assert torch.allclose(found[ours].cumulants(n), expected[theirs].cumulants(n), rtol=1e-10, atol=1e-12)


def covariance(size: int, seed: int = 0) -> Tensor:
    factor = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return factor @ factor.mT / size


@pytest.mark.parametrize("method", ["gaussian", "edgeworth"])
@pytest.mark.parametrize("size", [2, 3, 6])
def test_linear_networks_are_exact_under_a_gaussian(method: str, size: int) -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(size, 4), nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.Dropout()), nn.Linear(5, 2))
    net = net.double().eval().requires_grad_(False)
    mean = torch.arange(size).double()
    found = propagate(net, GaussianInput(mean, covariance(size)), method=method)["out"]
    weight = net[2].weight @ net[1][1].weight @ net[0].weight
    assert torch.allclose(found.cumulants(1)[0], net(mean.unsqueeze(0))[0], rtol=1e-12)
    assert torch.allclose(found.cumulants(2)[0], weight @ covariance(size) @ weight.mT, rtol=1e-12)
    assert not found.cumulants(3).any()
    assert not found.marginal(4).any()


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class ByHand(nn.Module):
    """GELU as people write it: three functions of one source, joined by products."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.erf(x / 2**0.5))


class Branches(nn.Module):
    """Branches of different depth, a concatenation, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(9, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.first(x))
        z = self.second(h)
        leaky = torch.where(z > 0, z, 0.1 * z)
        return self.last(torch.cat([h, x, leaky], dim=1)).squeeze(-1), h[:, 1:3].mean(dim=1)


NETWORKS = {
    "swish": lambda: nn.Sequential(nn.Linear(3, 4), Swish(), nn.Linear(4, 2)),
    "gelu by hand": lambda: nn.Sequential(nn.Linear(3, 4), ByHand(), nn.Linear(4, 2)),
    "elu": lambda: nn.Sequential(nn.Linear(3, 4), nn.ELU(), nn.Linear(4, 2)),
    "prelu": lambda: nn.Sequential(nn.Linear(3, 4), nn.PReLU(4), nn.Linear(4, 2)),
    "hardswish": lambda: nn.Sequential(nn.Linear(3, 4), nn.Hardswish(), nn.Linear(4, 2)),
    "normalised": lambda: nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.BatchNorm1d(4), nn.Linear(4, 2)
    ),
    "residual": lambda: nn.Sequential(Residual(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(), nn.Linear(5, 3))),
    "residual relu": lambda: Residual(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2), shortcut=nn.Linear(3, 2)),
}


def gaussian() -> GaussianInput:
    return GaussianInput(torch.tensor([0.3, -0.2, 0.5]), covariance(3, seed=2))


def sample(law: GaussianInput, rows: int) -> Tensor:
    noise = torch.randn(rows, len(law.mean), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return law.mean + noise @ torch.linalg.cholesky(law.covariance).mT


@pytest.mark.parametrize("name", NETWORKS)
def test_one_hidden_layer_under_a_gaussian_against_a_million_rows(name: str) -> None:
    torch.manual_seed(3)
    net = NETWORKS[name]().double().eval().requires_grad_(False)
    found = propagate(net, gaussian(), order=2, method="gaussian").marginals("out")[:, 0]
    measured = power_sums(net(sample(gaussian(), 10**6)), 4, dim=0)
    assert bool(((found - measured.kstat(2)).abs() < 5 * measured.kstat_stderr(2)).all())


def test_branches_of_different_depth_and_several_outputs_against_a_million_rows() -> None:
    torch.manual_seed(4)
    net = Branches().double().requires_grad_(False)
    result = propagate(net, gaussian(), order=2)
    first, second = net(sample(gaussian(), 10**6))
    measured = power_sums(torch.stack([first, second], dim=1), 4, dim=0)
    gap = (result.marginals("out")[:, 0] - measured.kstat(2)).abs()
    assert bool((gap < 5 * measured.kstat_stderr(2) + 2e-4).all())  # what the closure of the second layer may add
    assert result["out"].cumulants(2).shape == (1, 2, 2)
    assert list(result) == ["first", "relu", "second", "where", "last", "out"]


@pytest.mark.parametrize(
    ("function", "correlation", "error"),
    [
        (torch.tanh, 0.9, 1e-9),
        (torch.tanh, 0.99, 5e-8),
        (nn.functional.silu, 0.99, 1e-12),
        (nn.functional.elu, 0.9, 1e-7),
        (nn.functional.elu, 0.99, 5e-6),
        (torch.sign, 0.9, 2e-4),
    ],
)
def test_covariances_of_two_units_by_quadrature(
    function: Callable[[Tensor], Tensor], correlation: float, error: float
) -> None:
    law = GaussianInput([0.0, 0.0], [[1.0, correlation], [correlation, 1.0]])
    found = propagate(Applies(function), law, order=2, method="gaussian")["out"].cumulants(2)[0]
    if function is torch.sign:
        exact, variance = 2 / math.pi * math.asin(correlation), 1.0
    else:
        g = torch.linspace(-9, 9, 1801, dtype=torch.float64)
        weights = torch.exp(-0.5 * g**2) * 0.01 / math.sqrt(2 * math.pi)
        first = function(g)
        second = function(correlation * g.unsqueeze(1) + math.sqrt(1 - correlation**2) * g) @ weights
        mean = first @ weights
        exact, variance = float((first * second) @ weights - mean**2), float((first - mean) ** 2 @ weights)
    assert abs(float(found[0, 1]) - exact) < error * variance
    assert float(found[0, 0]) == pytest.approx(variance, rel=1e-6)


@pytest.mark.parametrize("skip", [nn.Identity(), nn.Linear(3, 3)])
def test_what_is_carried_past_a_layer_keeps_its_joint_cumulants(skip: nn.Module) -> None:
    """A branch of zeros leaves the shortcut alone, whose law must be the exact one at every order that is kept."""
    torch.manual_seed(5)
    block = Residual(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3), shortcut=skip).double().requires_grad_(False)
    block.branch[2].weight.zero_()
    net = nn.Sequential(block, Residual(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 3)).double().requires_grad_(False))
    net[1].branch[2].weight.zero_()
    alone = nn.Sequential(skip, nn.Identity()).double()
    alone.requires_grad_(False)
    law = ["gamma(shape=4)", "uniform()", "rademacher()"]
    found, expected = (propagate(network, law)["out"] for network in (net, alone))
    for n in (2, 3, 4):
        assert torch.allclose(found.cumulants(n), expected.cumulants(n), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ["edgeworth", "exact"])
def test_a_quadratic_layer_under_a_gaussian_is_exact(method: str) -> None:
    """Cumulants of a quadratic form: k_n = 2^(n-1) (n-1)! tr (A S)^n for z' A z with centred z."""
    torch.manual_seed(6)
    net = nn.Sequential(nn.Linear(3, 4, bias=False), Square(), nn.Linear(4, 1)).double().requires_grad_(False)
    law = GaussianInput(torch.zeros(3), covariance(3))
    found = propagate(net, law, method=method).marginals("out").flatten()
    form = net[0].weight.mT @ net[2].weight.flatten().diag() @ net[0].weight @ law.covariance
    powers = [torch.linalg.matrix_power(form, n).trace() for n in (1, 2, 3, 4)]
    exact = torch.stack([k * p for k, p in zip((1, 2, 8, 48), powers, strict=True)])
    exact[0] += net[2].bias[0]
    assert torch.allclose(found, exact, rtol=1e-10)


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x**2


class Quadratic(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * x**2


def test_fractions_of_a_residual_polynomial_network_are_those_of_all_signs() -> None:
    net = nn.Sequential(Residual(nn.Linear(2, 2), Quadratic(), nn.Linear(2, 2)), nn.Linear(2, 1)).double()
    for position, parameter in enumerate(net.parameters()):
        numbers = torch.arange(parameter.numel()).view_as(parameter) + position
        parameter.data = (numbers % 5 - 2).double() / 4
    net.requires_grad_(False)
    found = propagate(net, "rademacher()", order=3, method="exact", rational=True)["out"]
    values = []
    for signs in itertools.product((-1.0, 1.0), repeat=2):  # dyadic numbers: the module itself rounds nothing
        values.append(Fraction(float(net(torch.tensor([signs], dtype=torch.float64)))))
    mean = sum(values) / 4
    central = [sum((v - mean) ** n for v in values) / 4 for n in (2, 3)]
    assert isinstance(found, RationalLaw)
    assert [found.fractions(n).item() for n in (1, 2, 3)] == [mean, *central]


def test_data_are_propagated_without_error_by_the_exact_method() -> None:
    torch.manual_seed(7)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 3)).requires_grad_(
        False
    )
    x = torch.randn(50, 1, 6, 6).double()
    result = propagate(net, x, method="exact")
    for name, h in (("1", net.double()[:2](x).flatten(1)), ("out", net(x))):
        for n in (1, 2, 3) if name == "out" else (1, 2):
            assert torch.allclose(result[name].cumulants(n), law_of_data(h).cumulants(n), rtol=1e-9, atol=1e-12)
    by_cumulants = propagate(net[3:], x[:, :, :2, :4].reshape(50, 8), method="edgeworth")["out"]
    exact = law_of_data(net[3:](x[:, :, :2, :4].reshape(50, 8)))
    for n in (1, 2, 3, 4):  # linear
        assert torch.allclose(by_cumulants.cumulants(n), exact.cumulants(n), rtol=1e-9, atol=1e-12)


# ---- mixtures --------------------------------------------------------------------------------------------------------


def test_a_mixture_of_parts_of_data_is_the_data() -> None:
    torch.manual_seed(8)
    net = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 2)).requires_grad_(False)
    x = torch.randn(30, 2).double() ** 3
    whole = propagate(net, x, method="exact")
    parts = propagate(net, MixtureInput([x[:6], x[6:]], [0.2, 0.8]), method="exact")
    for name in whole:
        for n in (1, 2, 3, 4):
            assert torch.allclose(parts[name].cumulants(n), whole[name].cumulants(n), rtol=1e-9, atol=1e-12)
            assert torch.allclose(parts[name].marginal(n), whole[name].marginal(n), rtol=1e-9, atol=1e-12)
    assert torch.allclose(parts.input_cumulants, whole.input_cumulants)


def test_two_gaussian_components_have_the_cumulants_written_out_by_hand() -> None:
    """A Bernoulli mean and a Bernoulli variance: k4 = k4(m) + 6 k(m, m, v) + 3 k2(v), and so on."""
    (m1, v1), (m2, v2), p = (0.5, 1.5), (-1.0, 0.25), 0.3
    law = MixtureInput([GaussianInput([m], [[v]]) for m, v in ((m1, v1), (m2, v2))], [p, 1 - p])
    bernoulli = [p, p * (1 - p), p * (1 - p) * (1 - 2 * p), p * (1 - p) * (1 - 6 * p * (1 - p))]
    m, v = m1 - m2, v1 - v2
    exact = [
        m2 + m * bernoulli[0],
        m**2 * bernoulli[1] + v2 + v * bernoulli[0],
        m**3 * bernoulli[2] + 3 * m * v * bernoulli[1],
        m**4 * bernoulli[3] + 6 * m**2 * v * bernoulli[2] + 3 * v**2 * bernoulli[1],
    ]
    net = nn.Linear(1, 1, bias=False).double().requires_grad_(False)
    net.weight.data.fill_(1.0)
    found = propagate(net, law)
    assert found.marginals("out").flatten().tolist() == pytest.approx(exact, rel=1e-12)
    assert [float(part["out"].cumulants(2)) for part in found.components] == pytest.approx([v1, v2])


def test_a_mixture_through_a_nonlinear_network_against_a_million_rows() -> None:
    torch.manual_seed(9)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).double().requires_grad_(False)
    laws = [gaussian(), GaussianInput(torch.tensor([-2.0, 1.0, 0.0]), torch.eye(3))]
    found = propagate(net, MixtureInput(laws, [0.25, 0.75]), order=2, method="gaussian").marginals("out").flatten()
    x = torch.cat([sample(laws[0], 250_000), sample(laws[1], 750_000)])
    measured = power_sums(net(x), 4, dim=0)
    assert bool(((found - measured.kstat(2)[:, 0]).abs() < 5 * measured.kstat_stderr(2)[:, 0]).all())


# ---- graphs ----------------------------------------------------------------------------------------------------------

EDGES = torch.tensor([[0, 1, 2, 3, 0, 1, 2], [1, 2, 3, 0, 2, 0, 0]])
CONVS = {
    "gcn": lambda: gnn.GCNConv(2, 3),
    "graph": lambda: gnn.GraphConv(2, 3, aggr="mean"),
    "sage": lambda: gnn.SAGEConv(2, 3),
    "gin": lambda: gnn.GINConv(nn.Linear(2, 3), train_eps=True),
}


class GraphNetwork(nn.Module):
    def __init__(self, conv: nn.Module, weighted: bool, activation: nn.Module) -> None:
        super().__init__()
        self.conv, self.weighted, self.activation = conv, weighted, activation
        self.last = nn.Linear(3, 2)

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None, batch: Tensor | None = None
    ) -> Tensor:
        h = self.conv(x, edge_index, edge_weight) if self.weighted else self.conv(x, edge_index)
        return self.last(gnn.global_mean_pool(self.activation(h), batch))


@pytest.mark.parametrize(("name", "weighted"), [*((name, False) for name in CONVS), ("gcn", True), ("graph", True)])
def test_graph_layers_of_pyg_are_the_linear_maps_that_they_compute(name: str, weighted: bool) -> None:
    torch.manual_seed(10)
    net = GraphNetwork(CONVS[name](), weighted, nn.Identity()).double().requires_grad_(False)
    edge_weight = torch.rand(7, dtype=torch.float64) if weighted else None
    law = GaussianInput(torch.randn(4, 2), covariance(8))
    found = propagate(net, law, order=2, edge_index=EDGES, edge_weight=edge_weight)
    conv = lambda x: net.conv(x, EDGES, *[edge_weight] * weighted)  # noqa: E731
    mean = law.mean.view(4, 2)
    dense = torch.autograd.functional.jacobian(conv, mean).reshape(12, 8)
    assert torch.allclose(found["conv"].cumulants(1)[0], conv(mean).flatten(), rtol=1e-11, atol=1e-12)
    assert torch.allclose(found["conv"].cumulants(2)[0], dense @ law.covariance @ dense.mT, rtol=1e-11, atol=1e-12)
    out = net(mean, EDGES, edge_weight, torch.zeros(4, dtype=torch.long))
    assert torch.allclose(found["out"].cumulants(1), out, rtol=1e-11)


def test_a_graph_network_of_pyg_is_propagated_as_the_stack_of_its_weights() -> None:
    stack = GNN(
        graph="ring", block_size=4, width=3, activation="relu", layer="graph_conv", readout="mean", seed=2
    ).double()
    adjacency = stack.layers[0].neighbours if hasattr(stack, "layers") else None
    dense = stack.dense()
    assert adjacency is None or adjacency.shape == (4, 4)

    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = gnn.GraphConv(1, 3).double()

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            h = torch.relu(self.conv(x, edge_index))
            return h.T.flatten() @ dense[1][0][0].T + dense[1][1][0]

    net = Same()
    weight = dense[0][0][0].view(3, 4, 4)
    net.conv.lin_root.weight.data = weight[:, 0, :1].clone()
    net.conv.lin_rel.weight.data = weight[:, 0, 1:2].clone()
    net.conv.lin_rel.bias.data = dense[0][1][0].view(3, 4)[:, 0].clone()
    ring = torch.tensor([[0, 1, 2, 3, 1, 2, 3, 0], [1, 2, 3, 0, 0, 1, 2, 3]])
    found = propagate(net, "gamma(shape=4)", edge_index=ring, method="gaussian")
    expected = propagate(stack, "gamma(shape=4)", method="gaussian")
    for n in (1, 2, 3):
        assert torch.allclose(found["out"].cumulants(n), expected["out"].cumulants(n), rtol=1e-9, atol=1e-12)


# ---- what is left as it was, and what is refused ---------------------------------------------------------------------


def test_predictions_are_differentiable_and_the_module_is_left_as_it_was() -> None:
    torch.manual_seed(11)
    net = nn.Sequential(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 1))
    before = {name: parameter.clone() for name, parameter in net.named_parameters()}
    propagate(net, gaussian(), order=2, method="gaussian").marginals("out")[1].sum().backward()
    assert all(
        parameter.grad is not None and bool(parameter.grad.any()) for parameter in (net[0].weight, net[1].weight)
    )
    assert all(torch.equal(parameter, before[name]) for name, parameter in net.named_parameters())
    assert net[0].weight.dtype == torch.float32
    assert all("forward" not in vars(module) for module in net.modules())
    step = 1e-4
    variances = []
    for sign in (1, -1):
        moved = copy.deepcopy(net).double()
        moved[1].weight.data += sign * step
        moved.requires_grad_(False)
        variances.append(float(propagate(moved, gaussian(), order=2, method="gaussian").marginals("out")[1]))
    assert float(net[1].weight.grad) == pytest.approx((variances[0] - variances[1]) / (2 * step), rel=1e-4)


class Named(LightningModule):
    """A layer may be called as a method of a stack is."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.activations = nn.Linear(3, 2), nn.ModuleList([nn.Tanh()])

    def forward(self, x: Tensor) -> Tensor:
        return self.activations[0](self.dense(x))


def test_a_lightning_module_is_read_while_a_trainer_holds_it() -> None:
    net = Named().requires_grad_(False)
    net.trainer = quiet_trainer(1)
    result = propagate(net, gaussian(), order=2, method="gaussian")
    assert list(result) == ["dense", "activations.0", "out"]
    assert net.trainer is not None
    plain = nn.Sequential(net.dense, net.activations[0])
    expected = propagate(plain, gaussian(), order=2, method="gaussian")
    assert torch.equal(result.marginals("out"), expected.marginals("out"))


class Decides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class WritesInPlace(nn.Module):
    """Hides from the symbol what it does: a view is written into."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.linear(x).relu()
        view = h[:, :1]
        view += 1.0
        return h


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (nn.Softmax(dim=1), r"net.1 \(Softmax\) calls softmax, which is neither affine nor element-wise"),
        (nn.LayerNorm(4), r"net.1 \(LayerNorm\) calls layer_norm, which is neither"),
        (nn.Sequential(nn.MaxPool1d(2)), r"net.1.0 \(MaxPool1d\) calls max_pool1d, which is neither"),
        (Decides(), r"net.1 \(Decides\) (makes a decision|calls)"),
        (WritesInPlace(), r"forward of Sequential, does not do what its parts were read to do"),
        (nn.Linear(3, 2), r"net.1 \(Linear\) fails on shape \(1, 4\)"),
    ],
)
def test_parts_that_cannot_be_read_are_named(part: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        propagate(nn.Sequential(nn.Linear(3, 4), part), "gaussian()")
    assert "\n" not in str(caught.value)
    assert "; allowed: " in str(caught.value)


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.BatchNorm1d(4), nn.RReLU()])
def test_layers_in_training_mode_are_refused(layer: nn.Module) -> None:
    with pytest.raises(InputError, match=rf"net.1 \({type(layer).__name__}\) is in training mode; allowed: .*eval"):
        propagate(nn.Sequential(nn.Linear(3, 4), layer), "gaussian()")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: GaussianInput([0.0, 0.0], [[1.0, 0.5], [0.4, 1.0]]),
            "covariance is not symmetric: entries differ by 0.1;",
        ),
        (
            lambda: GaussianInput([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]),
            "covariance has correlations with the eigenvalue -1; allowed: ",
        ),
        (
            lambda: GaussianInput([0.0, 0.0], torch.eye(3)),
            r"covariance has shape \(3, 3\), mean \(2,\); allowed: \(2, 2\)",
        ),
        (lambda: GaussianInput([0.0, float("nan")], torch.eye(2)), "mean has numbers that are not finite"),
        (
            lambda: MixtureInput(["gaussian()", "uniform()"], [0.5, 0.6]),
            r"weights=\[0.5, 0.6\] has the sum 1.1; allowed: ",
        ),
        (lambda: MixtureInput(["gaussian()", "uniform()"], [1.5, -0.5]), r"weights=\[1.5, -0.5\] has the sum 1"),
        (lambda: MixtureInput(["gaussian()"], [0.5, 0.5]), "weights has 2 numbers; allowed: 1"),
        (lambda: MixtureInput([]), "components=.. is empty"),
        (lambda: propagate(nn.Linear(2, 1), 3), "law=a int is not a law; allowed: "),
        (lambda: propagate(nn.Linear(2, 1), ["gaussian()"] * 3), "has 3 variables|forward of Linear, fails on shape"),
        (lambda: propagate(MLP(), ["gaussian()"] * 3), "law=.* has 3 variables; allowed: 2"),
        (
            lambda: propagate(nn.Linear(2, 1), "gaussian()", method="independent_nodes"),
            "is for graph networks of renorm.zoo",
        ),
        (lambda: propagate(MLP(), "gaussian()", shape=(2,)), "shape is given with model=MLP, which has its own"),
        (lambda: propagate(nn.Conv2d(1, 1, 3), "gaussian()"), "shape=None: neither the law nor the network says it"),
        (lambda: propagate(nn.Linear(2, 1), "cauchy()"), "law='cauchy.*' has no variance"),
        (
            lambda: propagate(gnn.GCNConv(1, 1), "gaussian()"),
            r"forward of GCNConv, fails on shape \(1, 1\): .*edge_index",
        ),
        (
            lambda: propagate(gnn.GCNConv(1, 1), "gaussian()", edge_index=EDGES, shape=(3, 1)),
            "edge_index has nodes from 0 to 3, out of range; allowed: 0 to 2",
        ),
        (
            lambda: propagate(gnn.GCNConv(1, 1), "gaussian()", edge_index=EDGES.float()),
            "edge_index has dtype torch.float32",
        ),
        (
            lambda: propagate(gnn.GCNConv(1, 1), "gaussian()", edge_index=EDGES[0]),
            r"edge_index=shape \(7,\) is not a list",
        ),
        (
            lambda: propagate(gnn.GCNConv(1, 1), "gaussian()", edge_index=EDGES, edge_weight=torch.ones(3)),
            r"edge_weight=shape \(3,\) does not fit; allowed: shape \(7,\)",
        ),
        (
            lambda: propagate(nn.Linear(1, 1), "gaussian()", edge_index=EDGES),
            "forward of Linear, takes no edge_index in forward",
        ),
    ],
)
def test_bad_input_is_answered_in_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn(x.shape[0], x.shape[1])


class Centred(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


class Shared(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / len(x)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), Noise()), "forward of Sequential, does not do what its parts were read to do"),
        (
            nn.Sequential(nn.Linear(2, 2), Centred()),
            "forward of Sequential, returns a Tensor that does not depend on its input",
        ),
        (nn.Sequential(nn.Linear(2, 2), Shared()), "forward of Sequential, mixes the rows of a batch"),
    ],
)
def test_noise_and_mixed_rows_are_not_taken_for_maps_of_rows(net: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        propagate(net.double(), "gaussian()", order=2)


def test_weights_that_are_not_finite_are_named() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    net[1].bias.data.fill_(torch.nan)
    with pytest.raises(InputError, match=r"net\.1\.bias has numbers that are not finite"):
        propagate(net, "gaussian()", order=2)


@pytest.mark.parametrize("size", [1.0, 1e8])
def test_a_variance_or_an_asymmetry_that_is_small_beside_others_is_seen(size: float) -> None:
    with pytest.raises(InputError, match="covariance has the variance -50"):
        GaussianInput(torch.zeros(2), torch.diag(torch.tensor([size, -50.0])))
    tilted = torch.diag(torch.tensor([size, 1.0, 1.0]))
    tilted[1, 2] = 0.5
    with pytest.raises(InputError, match=r"covariance is not symmetric: entries differ by 0\.5"):
        GaussianInput(torch.zeros(3), tilted)
    GaussianInput(torch.zeros(2), torch.diag(torch.tensor([size, 0.0])))
