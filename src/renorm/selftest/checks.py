"""The checks of ``renorm selftest``: each compares a result of this machine with a known one and returns the error."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from ..cumulants import kstat, propagate
from ..datamodules import CLTDataModule
from ..runs.quiet_trainer import quiet_trainer
from ..training.compilation import compiled_losses, missing_compiler
from ..zoo import MLP, clt_map

SAMPLE = (1, 2, 4, 8, -3, 5, 0, 7)
STEPS = 40
# mean loss over members after STEPS steps of the training below, in float32 on one thread of an x86-64 CPU
REFERENCE_LOSS = 0.04601454499460173
PRETRAINED = "mlp_quadratic_free.uniform"

VERSIONS = "install the versions of requirements-lock.txt; if it stays, report it with the output of this command"
DEVICE = "try --device cpu; if that is ok, the device or its driver computes something else: look for TF32 and fast-math settings"

COMPILER = "train with --model.compile false, and report the compiler's version"
WEIGHTS = "try --device cpu; if it fails there too, install renorm again: its weights are not as they were"
DISK = "look for a full or failing disk under the folder for temporary files"


class Check(NamedTuple):
    """One comparison.

    Attributes:
        name: what is compared.
        measure: from a device to the deviation; NaN where there is nothing to compare with on this machine.
        tolerance: largest deviation that is ok.
        advice: what to do where it is larger.
    """

    name: str
    measure: Callable[[torch.device], float]
    tolerance: float
    advice: str


def exact_kstatistics(sample: tuple[int, ...]) -> list[Fraction]:
    """The k-statistics of integers, by Fisher's formulas in the sums of powers and exact."""
    n = Fraction(len(sample))
    s1, s2, s3, s4 = (sum(Fraction(x) ** p for x in sample) for p in (1, 2, 3, 4))
    k2 = (n * s2 - s1**2) / (n * (n - 1))
    k3 = (2 * s1**3 - 3 * n * s1 * s2 + n**2 * s3) / (n * (n - 1) * (n - 2))
    k4 = -6 * s1**4 + 12 * n * s1**2 * s2 - 3 * n * (n - 1) * s2**2 - 4 * n * (n + 1) * s1 * s3 + n**2 * (n + 1) * s4
    return [s1 / n, k2, k3, k4 / (n * (n - 1) * (n - 2) * (n - 3))]


def estimators(device: torch.device) -> float:
    """k-statistics of a few integers against their exact values."""
    found = kstat(torch.tensor(SAMPLE, dtype=torch.float64, device=device), 4)
    wanted = torch.tensor([float(k) for k in exact_kstatistics(SAMPLE)], dtype=torch.float64)
    return _relative(found.cpu(), wanted)


def propagation(device: torch.device) -> float:
    """Cumulants of a quadratic network's output: by quadrature over the plane, and exactly."""
    model = MLP(activation="quadratic", width=4, seed=1).double()
    exact, numeric = (
        propagate(model, "uniform()", 4, method=method)["out"].marginal(4) for method in ("exact", "quadrature")
    )
    return _relative(torch.as_tensor(numeric), torch.as_tensor(exact))


@torch.no_grad()
def symmetry(device: torch.device) -> float:
    """A fully symmetric network under exchange of its inputs, and a free one of odd functions under the change of sign."""
    x = torch.randn(256, 3, generator=torch.Generator().manual_seed(0)).to(device)
    full = MLP(block_size=3, symmetry="full", replicas=4, depth=2).to(device)
    odd = MLP(block_size=3, symmetry="odd", activation="tanh", replicas=4).to(device)
    return max(_relative(full(x[:, [2, 0, 1]]), full(x)), _relative(-odd(-x), odd(x)))


def compilation(device: torch.device) -> float:
    """Losses and gradients of compiled code against those of PyTorch's own operations; NaN without a compiler."""
    if missing_compiler(device) is not None:
        return float("nan")
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(1)).to(device)
    found: list[list[Tensor]] = []
    for compile_ in (True, False):
        model = MLP(replicas=2, seed=5, compile=compile_).to(device)
        losses = compiled_losses(model, steps=1, rows=64)(x, clt_map(x))
        losses.sum().backward()  # type: ignore[no-untyped-call]
        found.append([losses.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    return max(_relative(a, b) for a, b in zip(*found, strict=True))


def training(device: torch.device) -> float:
    """The loss after a short training with fixed seeds, against the value that was recorded."""
    return abs(short_training(device) / REFERENCE_LOSS - 1)


def short_training(device: torch.device) -> float:
    """Mean loss over members, on fixed blocks, after STEPS steps."""
    model = MLP(activation="quadratic", replicas=4, seed=3, compile=False)
    _trainer(device).fit(model, CLTDataModule(batch_size=64, steps_per_epoch=STEPS, seed=3))
    x = torch.linspace(-1.5, 1.5, 128, dtype=torch.float64).view(64, 2)
    with torch.no_grad():
        return float((model.cpu().double()(x) - clt_map(x)).square().mean())


def pretrained(device: torch.device) -> float:
    """Outputs of a pretrained entry against those that were stored with it."""
    from ..pretrained.hub import load_pretrained, output_difference
    from ..pretrained.manifest import find_entry

    check = find_entry(PRETRAINED)["check"]
    model = load_pretrained(PRETRAINED, members="all").to(device)
    if device.type == "cpu":
        return output_difference(model, check)
    with torch.no_grad():
        outputs = model(torch.tensor(check["inputs"], device=device))
    return _relative(outputs.cpu(), torch.tensor(check["outputs"]))


def round_trip(device: torch.device) -> float:
    """Weights of a checkpoint that is written and read again; infinite where a flipped bit in it goes unnoticed."""
    from ..runs.checkpoint import load_checkpoint, load_model

    model = MLP(replicas=3, compile=False)
    model.recipe = {"model": {"class_path": "renorm.zoo.MLP", "init_args": {"replicas": 3}}, "data": {}}
    trainer = _trainer(device)
    trainer.fit(model, CLTDataModule(batch_size=16, steps_per_epoch=STEPS))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "selftest.ckpt"
        trainer.save_checkpoint(path)
        read = load_model(path).state_dict()
        content = bytearray(path.read_bytes())
        content[content.index(model.affine_layers()[0].weight.theta.detach().cpu().numpy().tobytes())] ^= 1
        path.write_bytes(content)
        try:
            load_checkpoint(path)
            return float("inf")
        except ValueError:
            return max(float((read[key] - value.cpu()).abs().max()) for key, value in model.state_dict().items())


CHECKS = (
    Check("k-statistics against exact values", estimators, 1e-12, DEVICE),
    Check("propagation: quadrature against exact", propagation, 1e-9, VERSIONS),
    Check("symmetry of constrained networks", symmetry, 1e-4, DEVICE),
    Check("compiled against eager", compilation, 1e-3, COMPILER),
    Check("short training against its record", training, 0.02, VERSIONS),
    Check("pretrained outputs against stored ones", pretrained, 1e-4, WEIGHTS),
    Check("checkpoint written and read", round_trip, 0.0, DISK),
)


def _relative(computed: Tensor, wanted: Tensor) -> float:
    """Largest difference relative to 1 + |wanted|; infinite where one of the two is not finite."""
    computed, wanted = computed.double().cpu(), wanted.double().cpu()
    if computed.shape != wanted.shape or not torch.equal(computed.isfinite(), wanted.isfinite()):
        return float("inf")
    return float(((computed - wanted).abs() / (1 + wanted.abs())).nan_to_num().max())


def _trainer(device: torch.device) -> Trainer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quiet_trainer(STEPS, accelerator="cpu" if device.type == "cpu" else "gpu")
