"""Laws of the MLP, for every activation and symmetry, before and after training."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import Tensor, nn

from renorm.training.losses import LOSSES, clt_map
from renorm.training.optimizers import COUPLING_OPTIMIZERS
from renorm.zoo import MLP, list_activations
from renorm.zoo.symmetry.symmetry import list_symmetries

GRIDS: dict[str, dict[str, Any]] = {"quadratic": {"alpha": [0.2, 0.6]}, "leaky_relu": {"negative_slope": [0.1, 0.9]}}
ACTIVATIONS = list_activations()
# on blocks of two, cyclic, dihedral and permutation are one group
SYMMETRIES = [name for name in list_symmetries() if name not in ("cyclic", "dihedral")]
PATHS = [*itertools.product(ACTIVATIONS, SYMMETRIES, (1, 2, 3))]
PATHS += [("tanh", ("input", "hidden"), 2), ("relu", ("full", "free", "hidden"), 3), ("gelu", ("odd_input", "odd"), 2)]
every_network = pytest.mark.parametrize(("activation", "symmetry", "depth"), PATHS)

adam = lambda parameters: torch.optim.Adam(parameters, lr=0.02)  # noqa: E731
momentum = lambda parameters: torch.optim.SGD(parameters, lr=0.02, momentum=0.9)  # noqa: E731


def build(activation: str, symmetry: Any, depth: int = 1, **arguments: Any) -> MLP:
    arguments = GRIDS.get(activation, {}) | {"width": 4, "replicas": 2, "seed": 3} | arguments
    return MLP(activation=activation, symmetry=symmetry, depth=depth, **arguments).double()


def blocks(n: int, b: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, b, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def train(model: MLP, steps: int, clip: float | None = None, kick: Callable[[int], None] = lambda step: None) -> None:
    """A plain loop: nothing of Lightning."""
    optimizer = model.configure_optimizers()
    for step in range(steps):
        x = blocks(32, model.block_size, seed=100 + step)
        optimizer.zero_grad()
        model.loss(model(x), clt_map(x)).sum().backward()
        model.configure_gradient_clipping(optimizer, clip, "norm")
        optimizer.step()
        kick(step)


def first(symmetry: Any) -> str:
    return symmetry if isinstance(symmetry, str) else symmetry[0]


def jacobian(model: MLP, x: Tensor) -> Tensor:
    """df_m(x_i)/dx_ij, shape (M, N, b)."""
    x = x.clone().requires_grad_()
    return torch.stack([torch.autograd.grad(f.sum(), x, retain_graph=True)[0] for f in model(x)])


def assert_symmetric(model: MLP, symmetry: Any) -> None:
    depth, b = len(model.hidden), model.block_size
    names = [symmetry] + ["hidden" if symmetry == "full" else symmetry] * (depth - 1)
    names = names if isinstance(symmetry, str) else list(symmetry)
    x, dense = blocks(20, b, seed=1), model.dense()
    y = model(x)
    close = {"rtol": 1e-11, "atol": 1e-11}
    if names[0] in ("input", "full", "odd_input"):
        assert all(torch.equal(dense[0][0][..., 0], dense[0][0][..., j]) for j in range(b))
    if names[0] in ("input", "full", "odd_input", "permutation"):
        slopes = jacobian(model, x)
        for order in itertools.permutations(range(b)):
            torch.testing.assert_close(model(x[:, order]), y, **close)
            # df/dx1 (x1, x2) == df/dx2 (x2, x1)
            torch.testing.assert_close(jacobian(model, x[:, order]), slopes[..., order], **close)
    if names[0] in ("odd", "odd_input"):
        torch.testing.assert_close(model(-x), -y, **close)
        assert model.readout.bias is None
        assert float(model(torch.zeros(1, b, dtype=torch.float64)).detach().abs().max()) < 1e-11
    for layer, name in enumerate(names):
        if name in ("hidden", "full"):
            weight, bias = dense[layer]
            outgoing = dense[layer + 1][0]
            for order in ([1, 0, 2, 3], [1, 2, 3, 0]):
                assert torch.equal(weight[:, order], weight)
                assert bias is None or torch.equal(bias[:, order], bias)
                assert torch.equal(outgoing[:, :, order], outgoing)


@every_network
@pytest.mark.parametrize("optimizer", [adam, momentum], ids=["adam", "sgd_momentum"])
def test_symmetry_holds_before_and_after_training(activation: str, symmetry: Any, depth: int, optimizer: Any) -> None:
    # the units hold whole copies of the block under a permutation
    b = 3 if depth == 1 and symmetry != "permutation" else 2
    model = build(activation, symmetry, depth, optimizer=optimizer, block_size=b)
    start = [p.detach().clone() for p in model.parameters()]
    assert_symmetric(model, symmetry)
    train(model, 4)
    assert not all(torch.equal(p, before) for p, before in zip(model.parameters(), start, strict=True))
    assert all(p.isfinite().all() for p in model.parameters())
    assert_symmetric(model, symmetry)


@pytest.mark.parametrize("symmetry", ["free", "hidden", "odd"])
@torch.no_grad()
def test_networks_without_the_symmetry_do_not_have_it(symmetry: str) -> None:
    model, x = build("tanh", symmetry), blocks(20)
    assert float((model(x) - model(x.flip(1))).abs().amax(dim=1).min()) > 1e-2
    if symmetry != "odd":
        assert float((model(x) + model(-x)).abs().amax(dim=1).min()) > 1e-2


def without_gradient(activation: str, symmetry: Any, name: str) -> bool:
    """The one exact exception: hidden biases of an odd network with an odd linear activation cancel in the output."""
    return activation == "linear" and first(symmetry).startswith("odd") and name.endswith("bias.theta")


@every_network
def test_every_parameter_gets_a_gradient_and_moves(activation: str, symmetry: Any, depth: int) -> None:
    model = build(activation, symmetry, depth, replicas=6)
    x = 6 * blocks(400)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    LOSSES["mse"](model(x), clt_map(x)).sum().backward()
    optimizer.step()
    assert all(p.numel() for p in model.parameters())
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        if without_gradient(activation, symmetry, name):
            assert float(p.grad.abs().max()) < 1e-10, name
        elif ".activations" in name or name.startswith("activations"):
            assert p.grad.flatten(1).any(dim=1).all(), name  # cells of a deep spline may see no data
        else:
            assert p.grad.any(dim=0).all(), name  # a unit of relu may be dead in some members
            assert (p != before[name]).any(dim=0).all(), name


class Quadratic(nn.Module):
    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, z: Tensor) -> Tensor:
        return z + self.alpha * z**2


class ScipySpline(nn.Module):
    """The default spline of each unit: cubic, nine knots on [-3, 3], continued by its tangents."""

    def __init__(self, coefficients: Tensor) -> None:
        super().__init__()
        knots = np.r_[[-3.0] * 3, np.linspace(-3, 3, 9), [3.0] * 3]
        self.splines = [BSpline(knots, c.detach().double().numpy(), 3) for c in coefficients]

    def forward(self, z: Tensor) -> Tensor:
        columns = []
        for spline, column in zip(self.splines, z.detach().double().numpy().T, strict=True):
            inside = np.clip(column, -3, 3)
            columns.append(spline(inside) + spline.derivative()(inside) * (column - inside))
        return torch.from_numpy(np.stack(columns, axis=1)).to(z)


def ordinary(model: MLP, m: int) -> nn.Sequential:
    """Member m as a torch.nn network with the same weights."""
    name, modules = model.hparams["activation"], list[nn.Module]()
    for i, (weight, bias) in enumerate(model.dense()):
        layer = nn.Linear(weight.shape[2], weight.shape[1], bias=bias is not None).to(weight.dtype)
        layer.weight.data = weight[m].detach()
        if bias is not None:
            layer.bias.data = bias[m].detach()
        modules.append(layer)
        if i < len(model.hidden):
            member = model.member_table[m]
            modules.append(
                {
                    "linear": nn.Identity,
                    "quadratic": lambda member=member: Quadratic(member["alpha"]),
                    "relu": nn.ReLU,
                    "leaky_relu": lambda member=member: nn.LeakyReLU(member["negative_slope"]),
                    "tanh": nn.Tanh,
                    "gelu": nn.GELU,
                    "spline": lambda i=i: ScipySpline(model.activations[i].theta[m][model.activations[i].units]),
                }[name]()
            )
    return nn.Sequential(*modules)


@every_network
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
def test_stack_equals_ordinary_networks(activation: str, symmetry: Any, depth: int, bias: bool) -> None:
    model = build(activation, symmetry, depth, bias=bias)
    x = (2 * blocks(50)).float().double()
    exact = model(x)
    assert exact.shape == (model.num_members, 50)
    single = build(activation, symmetry, depth, bias=bias).float()
    outputs = single(x.float()).detach()
    for m in range(model.num_members):
        expected = ordinary(model, m)(x).squeeze(1).detach()
        scale = 1 + float(expected.abs().max())
        torch.testing.assert_close(exact[m], expected, rtol=1e-12, atol=1e-12 * scale)
        # processors round float32 in different orders: an ordinary network's own error is the measure
        error = (ordinary(single, m)(x.float()).squeeze(1).detach() - expected).abs().max()
        assert float((outputs[m] - expected).abs().max()) <= 10 * float(error) + 1e-6 * scale


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("symmetry", "depth"), [("free", 1), ("full", 2), ("odd_input", 1)])
@pytest.mark.parametrize("clip", [None, 0.05], ids=["plain", "clipped"])
def test_a_member_of_a_stack_trains_as_if_alone(activation: str, symmetry: str, depth: int, clip: float | None) -> None:
    stack = build(activation, symmetry, depth)
    train(stack, 50, clip)
    m = stack.num_members - 1
    alone = build(activation, symmetry, depth, members=[m])
    start = [p.detach().clone() for p in alone.parameters()]
    if clip is not None:  # an independent reference: torch's own clipping

        def clipped(optimizer: Any, value: float, algorithm: str) -> None:
            nn.utils.clip_grad_norm_(alone.parameters(), value)

        alone.configure_gradient_clipping = clipped  # type: ignore[method-assign,assignment]
    train(alone, 50, clip)
    assert any(float((p - q).detach().abs().max()) > 0.05 for p, q in zip(alone.parameters(), start, strict=True))
    for (name, one), value in zip(alone.named_parameters(), stack.parameters(), strict=True):
        torch.testing.assert_close(value[m : m + 1], one, rtol=1e-9, atol=1e-10, msg=name)


@pytest.mark.parametrize("loss", LOSSES)
def test_members_stay_independent_under_every_loss(loss: str) -> None:
    stack, alone = build("quadratic", "free", loss=loss), build("quadratic", "free", loss=loss, members=[2])
    train(stack, 20)
    train(alone, 20)
    for value, one in zip(stack.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(value[2:3], one, rtol=1e-9, atol=1e-10)


OPTIMIZERS = [
    name
    for name, cls in vars(torch.optim).items()
    if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer) and cls is not torch.optim.Optimizer
]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_of_torch_is_refused_or_leaves_members_independent(name: str) -> None:
    chosen: Any = lambda parameters: getattr(torch.optim, name)(list(parameters), lr=0.01)  # noqa: E731
    stack = build("tanh", "free", optimizer=chosen)
    if name in COUPLING_OPTIMIZERS:
        with pytest.raises(
            ValueError, match=rf"optimizer={name} couples the members of a stack; allowed: .*one member"
        ):
            stack.configure_optimizers()
        if name != "Muon":
            assert build("tanh", "free", optimizer=chosen, replicas=1).configure_optimizers()
        return
    alone = build("tanh", "free", optimizer=chosen, members=[1])
    train(stack, 10)
    train(alone, 10)
    for value, one in zip(stack.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(value[1:2], one, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("clip", [None, 0.05], ids=["plain", "clipped"])
def test_a_member_that_diverges_hurts_no_other(activation: str, clip: float | None) -> None:
    healthy, broken = (build(activation, "free", replicas=3) for _ in range(2))

    def poison(step: int) -> None:
        if step == 1:
            with torch.no_grad():
                for p in broken.parameters():
                    p[1] = torch.nan

    train(healthy, 5, clip)
    train(broken, 5, clip, poison)
    others = [m for m in range(healthy.num_members) if m != 1]
    for p, q in zip(broken.parameters(), healthy.parameters(), strict=True):
        assert p[1].isnan().all()
        assert torch.equal(p[others], q[others])


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_clipping_is_that_of_each_member(algorithm: str) -> None:
    model = build("tanh", "free", replicas=3)
    clip = nn.utils.clip_grad_norm_ if algorithm == "norm" else nn.utils.clip_grad_value_
    gradients = [
        10 ** torch.arange(-2.0, 1.0).double().view(-1, *[1] * (p.ndim - 1)) * torch.randn_like(p)
        for p in model.parameters()
    ]
    for p, g in zip(model.parameters(), gradients, strict=True):
        p.grad = g.clone()
    model.configure_gradient_clipping(model.configure_optimizers(), 0.5, algorithm)
    for m in range(3):
        alone = [nn.Parameter(g[m]) for g in gradients]
        for q, g in zip(alone, gradients, strict=True):
            q.grad = g[m].clone()
        clip(alone, 0.5)
        for p, q in zip(model.parameters(), alone, strict=True):
            assert p.grad is not None
            torch.testing.assert_close(p.grad[m], q.grad, rtol=1e-12, atol=0)
    assert not torch.equal(next(model.parameters()).grad[2], gradients[0][2])  # type: ignore[index]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("symmetry", ["free", "full", "odd"])
def test_autocast_is_finite_and_close(activation: str, symmetry: str) -> None:
    model = build(activation, symmetry, depth=2).float()
    x = blocks(64).float()
    exact = model(x).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(x)
        loss = model.loss(y.to(x.dtype), clt_map(x)).sum()
    loss.backward()
    torch.testing.assert_close(y.float(), exact, rtol=0.05, atol=0.05 * (1 + float(exact.abs().max())))
    for p in model.parameters():
        assert p.grad is not None
        assert p.grad.dtype == torch.float32
        assert p.grad.isfinite().all()


def test_double_precision_keeps_exact_slopes() -> None:
    model = MLP(negative_slope=[0.9, 0.1], replicas=2)
    assert model.double().activations[0].negative_slope.tolist() == [0.9, 0.9, 0.1, 0.1]
    assert copy.deepcopy(model).float().double().activations[0].negative_slope.tolist() == [0.9, 0.9, 0.1, 0.1]


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("b", [2, 5])
@pytest.mark.parametrize("n", [0, 1, 7])
@pytest.mark.parametrize("activation", ["tanh", "spline"])
def test_shape_is_members_by_blocks(replicas: int, b: int, n: int, activation: str) -> None:
    model = MLP(activation=activation, depth=2, replicas=replicas, block_size=b)
    assert model(torch.zeros(n, b)).shape == (replicas, n)


@pytest.mark.parametrize("shape", [(2,), (5, 3), (5, 1), (2, 5, 2), (1, 5, 3), (2, 5), ()])
@pytest.mark.parametrize("method", ["forward", "trace"])
def test_wrong_shapes_are_refused_in_one_line(shape: tuple[int, ...], method: str) -> None:
    with pytest.raises(ValueError, match=r"x has shape \(.*\); allowed: \(N, 2\), one block a row") as error:
        getattr(MLP(), method)(torch.zeros(shape))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_trace_names_every_layer(depth: int) -> None:
    model = build("gelu", "free", depth, replicas=3)
    x = blocks(5)
    values = model.trace(x)
    names = [f"{kind}{i}" for i in range(depth) for kind in ("pre", "act")]
    assert list(values) == [*names, "out"]
    assert {values[name].shape for name in names} == {(3, 4, 5)}
    assert torch.equal(values["out"], model(x))
    first_weight, first_bias = model.dense()[0]
    assert first_bias is not None
    expected = torch.einsum("moi,ni->mon", first_weight, x) + first_bias[:, :, None]
    torch.testing.assert_close(values["pre0"], expected)
    torch.testing.assert_close(values["act0"], nn.functional.gelu(expected))


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_dense_weights_are_written_out(symmetry: str) -> None:
    shapes = [
        (weight.shape, None if bias is None else bias.shape) for weight, bias in build("relu", symmetry, 2).dense()
    ]
    last_bias = None if symmetry.startswith("odd") else (2, 1)
    assert shapes == [((2, 4, 2), (2, 4)), ((2, 4, 4), (2, 4)), ((2, 1, 4), last_bias)]


def test_no_bias_is_no_bias() -> None:
    model = build("relu", "free", 2, bias=False)
    assert not any("bias" in name for name in model.state_dict())
    assert not model(torch.zeros(3, 2, dtype=torch.float64)).any()
