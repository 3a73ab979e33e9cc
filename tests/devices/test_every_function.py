"""Every public function takes tensors and models of another device, and answers there with the CPU's numbers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import renorm
from renorm import callbacks, cumulants, datamodules, maps, testing, zoo
from renorm.callbacks import CumulantDiagnostics, Diagnostic, RGFlow, TheoryGap
from renorm.callbacks.layer_cumulants import integrated_cumulants, sampled_cumulants
from renorm.certificates.certificate import certify_grid
from renorm.certificates.mlp import Architecture
from renorm.cumulants import propagate, propagation
from renorm.datamodules import Blocks, CLTDataModule, laws
from renorm.pretrained.export import largest_difference
from renorm.training.losses import LOSSES
from renorm.training.metrics import MemberMean, generalization_metrics
from renorm.zoo import GNN, MLP, StackedModel
from renorm.zoo.gnn import blocks_of
from renorm.zoo.layers import project
from renorm.zoo.symmetry.order_parameter import asymmetries, order_parameter

from .pretend_device import pretend_device

Case = Callable[[torch.device], Any]
CASES: dict[str, Case] = {}
COVERED: set[str] = set()
# public names that neither take nor return tensors: commands' duties, text, and data that Lightning moves
WITHOUT_TENSORS = {
    "renorm.list_models",
    "renorm.zoo.list_activations",
    "renorm.zoo.list_symmetries",
    "renorm.zoo.Symmetry",
    "renorm.cumulants.map_spectrum",
    "renorm.maps.names",
    "renorm.maps.number",
    "renorm.maps.positive",
    *(f"renorm.testing.check_{what}" for what in ("activation", "law", "map", "metric", "symmetry")),
    *(f"renorm.datamodules.{name}" for name in ("BlockData", "CLTDataModule", "HELD_OUT_LAWS", "SEVEN_LAWS")),
    *("renorm.callbacks.band", "renorm.callbacks.lines"),
    *(f"renorm.callbacks.{name}" for name in ("BestCheckpoint", "DivergedMembers", "EventFiles", "Interrupted")),
    *(f"renorm.callbacks.{name}" for name in ("LastCheckpoint", "LogHyperparameters", "ProgressBar", "ProgressLines")),
    *(f"renorm.callbacks.{name}" for name in ("ScalarLayout", "StopBetweenSteps", "TestReport", "WholeCheckpointIO")),
    *(
        f"renorm.callbacks.{name}"
        for name in ("ChooseThreads", "CSVRows", "LeanSteps", "WritePredictions", "default_callbacks")
    ),
}
# a matter of the law alone: they know of no device
ON_THE_CPU = {"renorm.cumulants.clt_eigenvalues", "renorm.cumulants.law_of_block", "renorm.certify"}
ACTIVATIONS = {
    "linear": {},
    "quadratic": {"alpha": [0.2, 0.5]},
    "relu": {},
    "leaky_relu": {"negative_slope": [0.5, -0.9]},
    "tanh": {},
    "gelu": {},
    "spline": {"degree": 1},
}
LAYERS = ("graph_conv", "gcn", "sage", "gin", "edge_conv", "gat")
LAW = "gamma(shape=2)"


def case(*names: str) -> Callable[[Case], Case]:
    """Register a case: from a device to results, made of what lies there."""
    COVERED.update(names)

    def register(function: Case) -> Case:
        CASES[names[0] if len(names) == 1 else function.__name__] = function
        return function

    return register


def sample(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=dtype)


def mlp(device: torch.device, **arguments: Any) -> MLP:
    return MLP(**({"width": 3, "replicas": 2} | arguments)).to(device)


# ---- cumulants -------------------------------------------------------------------------------------------------------


def of_tensor(name: str, *tensors: Tensor, **arguments: Any) -> None:
    function = getattr(cumulants, name)
    case(f"renorm.cumulants.{name}")(lambda device: function(*(t.to(device) for t in tensors), **arguments))


of_tensor("kstat", sample(50, 2))
of_tensor("kstat_stderr", sample(50, 2))


@case("renorm.cumulants.kstat_bootstrap", "renorm.cumulants.Interval")
def bootstrap(device: torch.device) -> Any:
    # the generator of random numbers is the device's own: what it draws is not the CPU's
    found = cumulants.kstat_bootstrap(sample(50, 2).to(device), order=2, resamples=20)
    return [torch.isfinite(value) for value in found]


of_tensor("joint_kstat", sample(50, 3), order=3)
of_tensor("power_sums", sample(50, 2), nan_policy="omit")
of_tensor("joint_sums", sample(50, 2), order=4, nan_policy="omit")
of_tensor("cumulants_to_moments", sample(4, 2))
of_tensor("moments_to_cumulants", sample(4, 2))
of_tensor("clt_step", sample(4, 2))
of_tensor("clt_flow", sample(4, 2), steps=3)
of_tensor("clt_fixed_point", sample(4, 2))
of_tensor("eigenvalues", sample(2, 3, 3))
case("renorm.cumulants.clt_eigenvalues")(lambda _: cumulants.clt_eigenvalues(4, 3))


@case(
    "renorm.cumulants.PowerSums", "renorm.cumulants.merge", "renorm.cumulants.JointSums", "renorm.cumulants.merge_joint"
)
def summaries(device: torch.device) -> Any:
    x, y = sample(40, 2).to(device), sample(20, 2).to(device)
    merged = cumulants.merge(cumulants.power_sums(x, 8), cumulants.power_sums(y, 8))
    joint = cumulants.merge_joint(cumulants.joint_sums(x, 4), cumulants.joint_sums(y, 4))
    return (
        merged.kstat(4),
        merged.kstat_stderr(4),
        merged.moved_to(x[0].double()),
        joint.kstat(2),
        joint.kstat_stderr(2),
    )


@case("renorm.cumulants.Cumulants", "renorm.cumulants.JointCumulants", "renorm.cumulants.CumulantResult")
def metrics_of_samples(device: torch.device) -> Any:
    found = []
    for metric in (cumulants.Cumulants(2), cumulants.JointCumulants(2, order=2, stderr=True, nan_policy="omit")):
        metric, other = metric.to(device), metric.clone().to(device)
        metric.update(sample(30, 2).to(device))
        other.update(sample(20, 2).to(device))
        metric.merge_state(other)
        result = metric.compute()
        metric.plot(result)
        found += [result.k, result.stderr, result.n, result.dominated]
    return found


@case("renorm.cumulants.clt_step_joint")
def clt_step_joint(device: torch.device) -> Any:
    return cumulants.clt_step_joint([sample(2).to(device), sample(2, 2).to(device)])


def of_law(law: Any, orders: int = 4) -> list[Tensor]:
    return [t for n in range(1, orders + 1) for t in (law.cumulants(n), law.marginal(n))]


@case("renorm.cumulants.law_of_data")
def law_of_data(device: torch.device) -> Any:
    return of_law(cumulants.law_of_data(sample(2, 20, 3).to(device)))


@case("renorm.cumulants.law_of_block")
def law_of_block(_: torch.device) -> Any:
    return of_law(cumulants.law_of_block(laws.parse(LAW), 2, 4))


@case("renorm.cumulants.recursion_residual")
def recursion_residual(device: torch.device) -> Any:
    return cumulants.recursion_residual(mlp(device), LAW)


def propagated(model: StackedModel, law: str, method: str, **arguments: Any) -> Any:
    result = propagate(model, law, method=method, **arguments)
    found = (
        [result.marginals(layer) for layer in result]
        + of_law(result["out"], result.order)
        + of_law(result["act0"], min(3, result.order))
    )
    gaps = result.compare(sampled_cumulants(model, sample(100, model.block_size).to(next(model.parameters()).device)))
    gradients = (
        []
        if arguments.get("rational")
        else torch.autograd.grad(
            sum(result.marginals("out")[n].sum() for n in range(2)), [p for p in model.parameters() if p.requires_grad]
        )
    )
    return found, [(gap.gap, gap.relative) for gap in gaps.values()], gradients


def propagation_cases() -> None:
    def add(label: str, make: Case, law: str, method: str, **arguments: Any) -> None:
        CASES[f"propagate {method} {label}"] = lambda device: propagated(make(device), law, method, **arguments)

    for activation, own in ACTIVATIONS.items():

        def make(device: torch.device, activation: str = activation, own: Any = own) -> StackedModel:
            return mlp(device, activation=activation, **own)

        for method in ("gaussian", "edgeworth", "quadrature"):
            add(activation, make, LAW, method)
        if activation in ("linear", "quadratic"):
            add(activation, make, LAW, "exact")
            add(f"{activation} in fractions", make, LAW, "exact", rational=True)
    for law in ("rademacher()", "poisson(rate=2)"):
        add(law, mlp, law, "quadrature")

    def deep(device: torch.device) -> StackedModel:
        return mlp(device, depth=2)

    add("closed at the input", deep, LAW, "edgeworth", closed_at="input", members=[1])
    add("closed at every layer", deep, LAW, "gaussian", closed_at="layers")
    add("deep, curved", lambda device: mlp(device, depth=2, activation="tanh"), LAW, "quadrature")
    add("three variables", lambda device: mlp(device, block_size=3), LAW, "edgeworth")
    add("four variables", lambda device: mlp(device, block_size=4), LAW, "gaussian")

    def graph(device: torch.device) -> StackedModel:
        return GNN(graph="path", block_size=3, width=1, readout="mean", activation="quadratic").to(device)

    for method in ("independent_nodes", "edgeworth", "exact"):
        add("of a graph", graph, LAW, method, order=2)
    add("of a graph", graph, "rademacher()", "quadrature", order=2)


COVERED |= {"renorm.cumulants.propagate", "renorm.cumulants.Propagation"}
COVERED |= {f"renorm.cumulants.propagation.{name}" for name in propagation.__all__}
propagation_cases()
# in test_runs.py: a module is read by forward-mode derivatives, which the pretended device does not have
COVERED |= {f"renorm.cumulants.{name}" for name in ("GaussianInput", "MixtureInput", "Residual")}


@case("renorm.cumulants.rg_flow", "renorm.cumulants.rg_spectrum", "renorm.cumulants.RGFlowResult")
def renormalisation(device: torch.device) -> Any:
    model = mlp(device)
    flow = cumulants.rg_flow(model, sample(64), 2, torch.Generator().manual_seed(0))
    again = cumulants.rg_flow(model, sample(64).to(device), 2, torch.Generator().manual_seed(0))
    return flow, again, cumulants.rg_spectrum(model, 3, 8), cumulants.rg_spectrum(model.double_copy(), 3, 8)


@case(*(f"renorm.maps.{name}" for name in ("Basis", "Hermite", "Laguerre", "Signs")))
def bases(device: torch.device) -> Any:
    model = mlp(device).double_copy()
    return [
        (basis.polynomials(sample(16).double().to(device), 1), cumulants.rg_spectrum(model, 3, 8, basis))
        for basis in (maps.Hermite(), maps.Laguerre(), maps.Signs())
    ]


# ---- models ----------------------------------------------------------------------------------------------------------


def used(model: StackedModel) -> Any:
    """Everything that a stack can do with blocks and with its own weights."""
    device = next(model.parameters()).device
    x = sample(16, model.block_size).to(device)
    target = zoo.clt_map(x)
    loss = model.losses(x, target).sum()
    with torch.no_grad():
        own = model(x.expand(model.num_members, -1, -1))
        plain = model(x), own, list(model.trace(x).values()), model.double_copy()(x.double())
    projected = {
        name: [project(weight, orbits) for weight, orbits in zip(model.tied_weights(), layers, strict=True)]
        for name, layers in model.symmetric_subspaces().items()
    }
    measured = {
        layer: {name: torch.tensor(order_parameter(values), device=device) for name, values in found.items()}
        for layer, found in asymmetries(model).items()
    }
    gradients = torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
    return plain, loss, gradients, projected, measured


COVERED |= {
    "renorm.zoo.MLP",
    "renorm.zoo.GNN",
    "renorm.zoo.StackedModel",
    "renorm.zoo.Activation",
    "renorm.zoo.clt_map",
}
COVERED |= {"renorm.create_model", "renorm.maps.BlockMap"}


def _small() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))


@case("renorm.stack", "renorm.zoo.ModuleStack")
def stack_of_modules(device: torch.device) -> Any:
    return used(renorm.stack(_small, 2, 2).to(device))


@case("renorm.datamodules.Blocks")
def blocks(device: torch.device) -> Any:
    return list(Blocks(sample(5, 2), sample(5)).to(device)[:2])


@case(*(f"renorm.maps.{name}" for name in ("CentralLimit", "Decimation", "Majority", "Maximum", "Stable", "parse")))
def block_maps(device: torch.device) -> Any:
    x, kappa = sample(5, 2).to(device), sample(4, 2).to(device)
    values = [
        maps.parse(text)(x) for text in ("central_limit()", "stable()", "maximum()", "maximum(xi=0.5)", "decimation()")
    ]
    recursions = [maps.parse(text).cumulants(kappa, 2) for text in ("central_limit()", "stable()", "decimation()")]
    spins = maps.parse("majority()").cumulants(torch.tensor([0.0, 1.0, 0.0, -2.0]).to(device), 3)
    return [*values, maps.parse("majority()")(x[:3].T), *recursions, spins]


for _activation, _own in ACTIVATIONS.items():
    CASES[f"mlp {_activation}"] = lambda device, activation=_activation, own=_own: used(
        mlp(device, activation=activation, symmetry="free", **own)
    )
for _symmetry in ("input", "hidden", "full", "odd"):
    CASES[f"mlp {_symmetry}"] = lambda device, symmetry=_symmetry: used(mlp(device, width=4, symmetry=symmetry))
for _layer in LAYERS:
    CASES[f"gnn {_layer}"] = lambda device, layer=_layer: used(
        GNN(graph="ring", block_size=4, layer=layer, depth=2, width=2, replicas=2).to(device)
    )


@case("dense equivalents")
def dense(device: torch.device) -> Any:
    graphs = [
        GNN(graph="ring", block_size=4, layer=layer).to(device).dense()
        for layer in ("graph_conv", "gcn", "sage", "gin")
    ]
    return [[(w, b) for w, b in layers] for layers in (*graphs, mlp(device, bias=False).dense())]


@case("batches of graphs")
def graphs(device: torch.device) -> Any:
    from torch_geometric.data import Batch, Data

    model = GNN(graph="ring", block_size=4).to(device)
    edges = torch.tensor(model.edges).T
    batch = Batch.from_data_list([Data(x=row.unsqueeze(1), edge_index=edges) for row in sample(3, 4)])
    batch.x, batch.edge_index = batch.x.to(device), batch.edge_index.to(device)
    return model(batch), model.trace(batch), blocks_of(batch, model.edges, 4)


@case("losses and metrics")
def losses(device: torch.device) -> Any:
    prediction, target = sample(3, 40).to(device), sample(40).to(device)
    metrics = generalization_metrics(laws.parse(LAW).cumulants(4)).to(device)
    metrics.update(prediction, target)
    mean = MemberMean(3).to(device)
    mean.update(prediction[:, 0], 2.0)
    return [loss(prediction, target) for loss in LOSSES.values()], metrics.compute(), mean.compute()


@case("renorm.certify")
def certificates(device: torch.device) -> Any:
    found = []
    for arguments in (
        {"activation": "linear"},
        {"activation": "relu", "width": 4},
        {"activation": "quadratic"},
        {"activation": "tanh"},
        {"activation": "spline"},
        {"activation": "spline", "weights": "fixed", "width": 4},
        {"negative_slope": [0.5, 1.0], "symmetry": "full"},
        {"negative_slope": 0.5, "symmetry": "full", "depth": 2},
    ):
        model = MLP(**{"width": 2} | arguments).to(device)
        certificate = list(certify_grid(model).values())[-1]
        found += [torch.tensor(certificate.check or 0.0), *(certificate.weights or {}).values()]
        assert str(Architecture.of(model)) or certificate.verdict
    for layer in LAYERS:
        certificate = renorm.certify(GNN(graph="pair", layer=layer, width=2).to(device))
        found += [torch.tensor(certificate.check or 0.0), *(certificate.weights or {}).values()]
    return found


@case("renorm.load_pretrained")
def pretrained(device: torch.device) -> Any:
    model = renorm.load_pretrained("mlp_spline_free.uniform").to(device)
    assert largest_difference(model, model) == 0.0
    return used(model.unfreeze())


# ---- what callbacks measure ------------------------------------------------------------------------------------------


@case("renorm.callbacks.CumulantDiagnostics", "renorm.callbacks.RGFlow", "renorm.callbacks.TheoryGap")
def measurements(device: torch.device) -> Any:
    model, data, law = mlp(device), CLTDataModule(), laws.parse("uniform()")
    model.divergence.steps = {1: 3}
    found: list[Any] = []
    for method in ("sampling", "quadrature"):
        layers = CumulantDiagnostics(method=method, samples=64).layers_under(law, model, data)
        found += [(layer.k, layer.stderr, layer.covariance) for layer in layers.values()]
        found += [(layer.without_diverged(model).k, layer.skewness) for layer in layers.values()]
    found += [RGFlow(samples=64, steps=2).flow(model, law, 0)]
    for method in ("edgeworth", "quadrature"):
        gaps = TheoryGap(method=method, samples=64).compare(model, law, data)
        found += [(gap.predicted, gap.measured, gap.stderr, gap.relative) for gap in gaps.values()]
    graph = GNN(graph="path", block_size=3, layer="gat", readout="mean").to(device)
    return found, [(layer.k, layer.across_nodes) for layer in integrated_cumulants(graph, law).values()]


@case("renorm.evaluate")
def evaluation(device: torch.device) -> Any:
    return renorm.evaluate(mlp(device), ["gaussian()", "exponential()"], samples=32).results


@case("renorm.plot_map")
def drawn(device: torch.device) -> Any:
    figures = [renorm.plot_map(mlp(device, block_size=b))[0] for b in (2, 3)]
    return torch.tensor([len(figure.axes) for figure in figures], device=device)


@case("renorm.callbacks.Diagnostic")
def own_diagnostic(device: torch.device) -> Any:
    model, data, own = mlp(device), CLTDataModule(), Diagnostic()
    model.divergence.steps = {1: 3}
    own.results = {"mean": model(data.probe(data.laws[0], 64).x.to(device)).mean(dim=1)}
    assert own.scalars(model, data).keys() == {"Diagnostic/mean", "Diagnostic/mean_q10", "Diagnostic/mean_q90"}
    return [part["value"] for part in own.columns(model, data)]


@case("renorm.callbacks.SymmetryBreaking")
def symmetry_breaking(device: torch.device) -> Any:
    found = asymmetries(mlp(device, symmetry="free", width=4))
    assert all(value.device.type == "cpu" for values in found.values() for value in values.values())
    return torch.zeros(1, device=device)


@case("renorm.callbacks.Generalization")
def judged(device: torch.device) -> Any:
    model = mlp(device)
    return [step(sample(8, 2).to(device), 0) for step in (model.test_step, model.predict_step)]


# ---- the tests -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["pretended", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        yield torch.device("cuda", 0)
        return
    with pretend_device() as device:
        yield device


def tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]


@pytest.mark.parametrize("name", CASES)
def test_answers_there_with_the_same_numbers(name: str, device: torch.device) -> None:
    here, there = tensors(CASES[name](torch.device("cpu"))), tensors(CASES[name](device))
    assert len(here) == len(there) > 0
    for wanted, found in zip(here, there, strict=True):
        assert found.device.type == ("cpu" if name in ON_THE_CPU else device.type)
        torch.testing.assert_close(found.detach().cpu(), wanted.detach(), rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("module", [renorm, cumulants, propagation, zoo, callbacks, datamodules, maps, testing])
def test_no_public_name_is_forgotten(module: Any) -> None:
    names = {f"{module.__name__}.{name}" for name in module.__all__ if not name.startswith("_")}
    submodules = {name for name in names if is_module(name)}
    assert names - submodules <= COVERED | WITHOUT_TENSORS


def is_module(name: str) -> bool:
    parent, _, own = name.rpartition(".")
    return type(getattr(importlib.import_module(parent), own)).__name__ == "module"
