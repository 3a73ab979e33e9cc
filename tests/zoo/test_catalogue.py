"""The list of variants that needs no PyTorch is that of the registry."""

from __future__ import annotations

import subprocess
import sys

from renorm.zoo.catalogue import make_catalogue, read_catalogue


def test_the_file_is_the_registry() -> None:
    assert read_catalogue() == make_catalogue(), "write it again: python -m renorm.zoo.catalogue"


def test_to_list_variants_imports_no_pytorch() -> None:
    code = (
        "import sys; from renorm.cli import main; main(['zoo', 'list', 'mlp_*']); "
        "main(['zoo', 'list', '--pretrained']); main(['zoo', 'show', 'mlp_relu_free.uniform']); "
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"
