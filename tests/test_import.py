"""One import package, whatever the folder one stands in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("folder", ["zoo", "datamodules", "callbacks", "cumulants", "maps"])
def test_a_folder_of_the_checkout_is_no_package_of_its_own(folder: str) -> None:
    command = [sys.executable, "-c", f"import {folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"this folder is the package renorm.{folder}" in done.stderr


def test_importing_renorm_imports_nothing_heavy() -> None:
    code = "import sys, renorm; print({'torch', 'lightning', 'numpy'} & {*sys.modules}, 'create_model' in dir(renorm))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() True"


def test_cumulants_alone_need_pytorch_and_nothing_heavy() -> None:
    """Estimates, joint ones, bootstrap and a closure; what is loaded is asked, never how long it took."""
    heavy = {"lightning", "torchmetrics", "torch_geometric", "scipy", "sympy", "matplotlib", "pyarrow", "pandas"}
    heavy |= {"tensorboard", "jsonargparse", "rich", "torch._dynamo"}
    code = f"""
import sys
import renorm.cumulants as c
assert "torch" not in sys.modules
import torch
x = torch.arange(20, dtype=torch.float64).view(10, 2) ** 1.5
assert c.kstat(x).shape == c.kstat_stderr(x).shape == (4, 2)
assert c.joint_kstat(x, 3).shape == (2, 2, 2)
assert c.merge(c.power_sums(x[:3], 4), c.power_sums(x[3:], 4)).kstat(4).allclose(c.kstat(x))
c.kstat_bootstrap(x, 2, resamples=50), c.clt_step(torch.ones(4)), c.law_of_data(x).cumulants(2), c.propagate
print(sorted({heavy} & {{*sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_all_names_of_cumulants_resolve() -> None:
    import renorm.cumulants

    assert dir(renorm.cumulants) == sorted(renorm.cumulants.__all__)
    for name in renorm.cumulants.__all__:
        assert getattr(renorm.cumulants, name).__module__.startswith("renorm.cumulants")
    with pytest.raises(AttributeError, match=r"module 'renorm.cumulants' has no attribute 'nonsense'"):
        _ = renorm.cumulants.nonsense


def test_public_names_resolve() -> None:
    import renorm

    for name in renorm.__all__:
        assert getattr(renorm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = renorm.nonsense


# for own architectures, files, certificates and reports; matplotlib, sympy and torch._dynamo come with Lightning and PyTorch
HEAVY = (
    "scipy.signal scipy.stats scipy.optimize scipy.interpolate pyarrow pandas torch_geometric ray onnx onnxruntime "
    "huggingface_hub transformers sklearn torchvision wandb"
)


def test_the_command_line_imports_nothing_that_a_fit_does_not_need(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\nfrom renorm.cli.quick_imports import without_scipy_signal\n"
        "with without_scipy_signal():\n    import renorm.cli.fit\n"
        f"print(sorted({{*{HEAVY.split()!r}}} & {{*sys.modules}}))\n"
        "import numpy as np\nfrom renorm.callbacks.tables import concatenated, write_epoch\n"
        "table = concatenated([{'law': 'uniform()', 'k': np.ones(3), 'step': 1}])\n"
        f"write_epoch(pathlib.Path({str(tmp_path)!r}), 0, table)\nprint('pandas' in sys.modules)\n"
        "import scipy.signal\nprint(scipy.signal.hilbert is not None, scipy.signal is sys.modules['scipy.signal'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == ["[]", "False", "True True"]


def test_imports_of_a_command_are_not_searched_for_garbage_again_and_again() -> None:
    code = (
        "import gc\nfrom renorm.cli.quick_imports import without_garbage_collection\n"
        "before = gc.get_stats()[2]['collections']\n"
        "with without_garbage_collection():\n    import torch\n    assert not gc.isenabled()\n"
        "print(gc.get_stats()[2]['collections'] - before, gc.isenabled(), gc.get_freeze_count() > 10_000)\n"
        "frozen = gc.get_freeze_count()\n"
        "with without_garbage_collection():\n    assert gc.isenabled()\n"
        "print(gc.get_freeze_count() == frozen)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["1 True True", "True"]
