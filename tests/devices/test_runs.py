"""Fits, tests, commands and files on a GPU: the numbers are the CPU's, within tolerances, and a resumed run is the whole one.

The first case of every test also runs on the CPU, against itself, so that a machine without a GPU runs all of this code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

import renorm
from renorm.callbacks import Generalization
from renorm.cli import main
from renorm.cumulants import GaussianInput, MixtureInput, Residual, propagate
from renorm.datamodules import CLTDataModule
from renorm.pretrained.export import TOLERANCE, WRITERS, export, largest_difference
from renorm.pretrained.manifest import find_entry
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.training.losses import LOSSES
from renorm.training.member_metric import OWN_METRICS
from renorm.zoo import GNN, MLP, StackedModel

from ..conftest import NO_FIGURES
from ..reliability.runs import assert_equal, load

pytestmark = [
    # the CPU's numbers are computed on purpose, and in whole single precision
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores"),
    pytest.mark.filterwarnings("ignore:The '.*' does not have many workers"),
]
# weights after STEPS steps of Adam: sums come in another order, and Adam divides small gradients by their own size
TOLERANCES = {"64-true": {"rtol": 1e-7, "atol": 1e-9}, "32-true": {"rtol": 1e-2, "atol": 1e-3}}
MEASURED = {"rtol": 1e-3, "atol": 1e-5}  # metrics and scalars of the same weights, in single precision
STEPS = 20
DATA: dict[str, Any] = {"batch_size": 64, "steps_per_epoch": 10, "val_samples": 256, "test_samples": 512}
MODELS: dict[str, tuple[type[StackedModel], dict[str, Any]]] = {
    "MLP": (MLP, {"width": 4, "replicas": 2, "negative_slope": [0.1, 0.5], "seed": 3}),
    "GNN": (GNN, {"width": 3, "replicas": 2, "graph": "ring", "block_size": 4, "depth": 2, "readout": "mean"}),
}
LAWS = ["uniform()", "gamma(shape=2)"]


def everywhere(cases: Sequence[Any]) -> list[Any]:
    """All cases on the GPU, and the first on the CPU."""
    return [("cpu", cases[0]), *(pytest.param("gpu", case, marks=pytest.mark.gpu) for case in cases)]


@pytest.fixture(autouse=True)
def _needs_its_accelerator(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device")


def build(name: str, **more: Any) -> StackedModel:
    cls, arguments = MODELS[name]
    return cls(**arguments | {"compile": False} | more)


def data_of(model: StackedModel) -> CLTDataModule:
    return CLTDataModule(**DATA, train_laws=LAWS, held_out_laws=["gaussian()"], block_size=model.block_size)


def fit(model: StackedModel, accelerator: str, **settings: Any) -> Any:
    trainer = quiet_trainer(STEPS, accelerator=accelerator, **settings)
    trainer.fit(model, data_of(model))
    return trainer


def on_the_cpu(model: StackedModel) -> dict[str, Tensor]:
    return {key: value.detach().cpu() for key, value in model.state_dict().items()}


FITS = [
    (name, loss, precision, compile_)
    for name in MODELS
    for loss in LOSSES
    if not loss.endswith("_example")
    for precision in TOLERANCES
    for compile_ in (False, True)
]


@pytest.mark.parametrize(("accelerator", "case"), everywhere(FITS))
def test_a_fit_follows_the_cpus(accelerator: str, case: tuple[str, str, str, bool]) -> None:
    name, loss, precision, compile_ = case
    here, there = build(name, loss=loss), build(name, loss=loss, compile=compile_)
    before = on_the_cpu(here)
    fit(here, "cpu", precision=precision)
    trainer = fit(there, accelerator, precision=precision)
    assert trainer.strategy.root_device.type == ("cuda" if accelerator == "gpu" else "cpu")
    found = on_the_cpu(there)
    for key, value in on_the_cpu(here).items():
        torch.testing.assert_close(
            found[key], value, **TOLERANCES[precision], msg=lambda text, key=key: f"{key}: {text}"
        )
    assert any(not torch.equal(value.to(before[key]), before[key]) for key, value in found.items())


@pytest.mark.parametrize(("accelerator", "name"), everywhere(list(MODELS)))
def test_every_metric_is_the_cpus(accelerator: str, name: str) -> None:
    """Of ``trainer.test``, ``trainer.validate`` and :func:`renorm.evaluate`, for the same weights."""
    own = [metric for metric in OWN_METRICS if not metric.endswith("_example")]
    measured = []
    for where in ("cpu", accelerator):
        model, judge = build(name), Generalization(figure_every_n_validations=0, metrics=own)
        trainer = quiet_trainer(1, accelerator=where, callbacks=[judge], limit_val_batches=None)
        (validated, *_) = trainer.validate(model, data_of(model), verbose=False)
        trainer.test(model, data_of(model), verbose=False)
        model.to("cuda" if where == "gpu" else "cpu")
        evaluated = renorm.evaluate(model, LAWS, samples=512).results
        measured.append((validated, judge.results, evaluated))
    assert len(measured[0][1]) == 3
    assert all({"mse", "k4_error", *own} <= metrics.keys() for metrics in measured[0][1].values())
    for here, there in zip(*measured, strict=True):
        compare(here, there, name)


def compare(here: Any, there: Any, where: str) -> None:
    """Nested dicts of numbers and tensors agree."""
    if isinstance(here, dict):
        assert here.keys() == there.keys(), where
        for key in here:
            compare(here[key], there[key], f"{where}/{key}")
    else:
        found, wanted = (torch.as_tensor(value).detach().cpu().double() for value in (there, here))
        torch.testing.assert_close(found, wanted, **MEASURED, equal_nan=True, msg=lambda text: f"{where}: {text}")


COMMAND = [
    *("--data.steps_per_epoch", "8", "--data.batch_size", "64", "--data.val_samples", "64"),
    *("--data.test_samples", "128", "--data.held_out_laws", '["gaussian()"]', "--model.replicas", "2"),
    *(
        "--cumulants.samples",
        "256",
        "--rg_flow.samples",
        "256",
        "--rg_flow.steps",
        "2",
        "--rg_flow.every_n_epochs",
        "1",
    ),
    *("--theory_gap.every_n_epochs", "1", "--theory_gap.samples", "256", "--theory_gap.members", "1"),
    *("--trainer.log_every_n_steps", "4", "--trainer.enable_progress_bar", "false"),
]
CONFIGS = ["mlp_leaky_relu_free", "gnn_graph_conv_leaky_relu_free"]


@pytest.mark.parametrize(
    ("accelerator", "case"), everywhere([(c, name) for c in ("false", "true") for name in CONFIGS])
)
def test_a_resumed_fit_is_the_whole_one(accelerator: str, case: tuple[str, str], tmp_path: Path) -> None:
    """Stopped in the middle of an epoch: weights and optimiser, bit for bit."""
    compile_, config = case
    words = ["fit", "--config", config, "--name", "run", *COMMAND, *NO_FIGURES, "--model.compile", compile_]
    words += ["--trainer.accelerator", accelerator, "--trainer.max_epochs", "2"]
    whole, parts = ([*words, "--trainer.default_root_dir", str(tmp_path / name)] for name in ("whole", "parts"))
    assert main(whole) == 0
    assert main([*parts, "--trainer.max_steps", "5"]) == 0
    assert main([*parts, "--ckpt_path", "last"]) == 0
    ends = [load(tmp_path / name / "run/version_0/checkpoints/last.ckpt") for name in ("whole", "parts")]
    assert ends[0]["global_step"] == 16
    for key in ("global_step", "state_dict", "optimizer_states"):
        assert_equal(*(end[key] for end in ends), key)


@pytest.mark.parametrize(("accelerator", "config"), everywhere(CONFIGS))
def test_commands_with_every_callback_measure_what_they_measure_on_the_cpu(
    accelerator: str, config: str, tmp_path: Path
) -> None:
    """``renorm fit``, to be resumed, with all callbacks, figures and tables, ``validate`` and ``test``."""
    runs = []
    for where in ("cpu", accelerator):
        root = tmp_path / where
        place = ["--trainer.accelerator", where, "--trainer.default_root_dir", str(root)]
        words = ["fit", "--config", config, "--name", "run", *COMMAND, *place, "--trainer.max_epochs"]
        if not root.exists():
            assert main([*words, "1"]) == 0
            assert main([*words, "2", "--ckpt_path", "last"]) == 0
        last = root / "run" / "version_0" / "checkpoints" / "last.ckpt"
        judged = ["--ckpt_path", str(tmp_path / "cpu" / last.relative_to(root)), *place[:2]]  # the same weights
        assert main(["validate", *judged, *place[2:]]) == 0
        assert main(["test", *judged]) == 0
        runs.append(json.loads((tmp_path / "cpu" / last.relative_to(root)).with_name("test_results.json").read_text()))
    compare(*(numbers(run["results"]) for run in runs), config)
    here, there = (scalars(tmp_path / where / "run" / "version_0") for where in ("cpu", accelerator))
    assert here.keys() == there.keys()
    assert {tag.partition("/")[0] for tag in here} >= {"generalization", "cumulants", "symmetry", "rg", "theory_gap"}
    torch.testing.assert_close(there["loss/train"], here["loss/train"], rtol=1e-2, atol=1e-4)


def numbers(results: dict[str, dict[str, list[float | None]]]) -> dict[str, dict[str, list[float]]]:
    """What could not be measured as NaN."""
    return {
        law: {name: [torch.nan if value is None else value for value in values] for name, values in metrics.items()}
        for law, metrics in results.items()
    }


def scalars(run: Path) -> dict[str, Tensor]:
    """Everything that a run logged by tag, over steps."""
    events = EventAccumulator(str(run)).Reload()
    return {tag: torch.tensor([event.value for event in events.Scalars(tag)]) for tag in events.Tags()["scalars"]}


@pytest.mark.parametrize(("accelerator", "kind"), everywhere(list(WRITERS)))
def test_an_exported_file_computes_the_same_there(accelerator: str, kind: str, tmp_path: Path) -> None:
    name, out = "mlp_spline_free.uniform", tmp_path / f"model.{kind}"
    export(name, kind, out, members="all")
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    model = renorm.load_pretrained(name, members="all").to(device)
    if kind == "safetensors":
        found = renorm.load_pretrained(str(out), members="all").to(device)
    elif kind == "torch_export":
        from torch.export.passes import move_to_device_pass

        found = move_to_device_pass(torch.export.load(out), str(device)).module()
    else:  # ONNX Runtime's own GPU build is another package: the file's outputs on the CPU against ours on the GPU
        _, read_back = WRITERS[kind](name, find_entry(name), renorm.load_pretrained(name, members="all"))
        session = read_back(out.read_bytes())

        def found(x: Tensor) -> Tensor:
            return session(x.cpu()).to(device)

    assert largest_difference(model, found) <= 10 * TOLERANCE


def own_network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = Residual(nn.Tanh(), nn.Linear(3, 3))
        return nn.Sequential(nn.Linear(2, 3), block, nn.ReLU(), nn.Linear(3, 2))


@pytest.mark.parametrize(("accelerator", "method"), everywhere(["gaussian", "edgeworth", "quadrature"]))
def test_a_module_of_ones_own_is_propagated_there(accelerator: str, method: str) -> None:
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    parts = [GaussianInput(mean, torch.eye(2)) for mean in ([0.0, 1.0], [1.0, 0.0])]
    found, expected = (
        propagate(own_network().to(place), MixtureInput(parts, [0.3, 0.7]), order=2, method=method)
        for place in (device, "cpu")
    )
    for layer in expected:
        assert found.marginals(layer).device.type == device.type
        torch.testing.assert_close(found.marginals(layer).cpu(), expected.marginals(layer), rtol=1e-9, atol=1e-12)
