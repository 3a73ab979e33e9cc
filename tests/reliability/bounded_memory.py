"""Read every file of a folder with one GiB of memory more than the imports took.

Prints which were refused in one line, and how much memory was added at most, in KiB.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import pyarrow.parquet
import torch

from renorm.cli.plot import read_results
from renorm.datamodules.laws.empirical import Empirical
from renorm.runs.checkpoint import load_checkpoint
from renorm.runs.configs import find_config
from renorm.sweep.table import read_table

READERS = {
    ".ckpt": [load_checkpoint],
    ".yaml": [lambda path: find_config(str(path))],
    ".json": [lambda path: read_results(str(path))],
    ".parquet": [read_table, lambda path: Empirical(str(path), "r")],
    ".npy": [lambda path: Empirical(str(path))],
}

assert pyarrow.parquet
assert torch.ones(1).sum() == 1


def peak() -> int:
    """The most that was resident so far; ``getrusage`` would count the process that started this one."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1])


before = peak()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))

outcome = {}
for file in Path(sys.argv[1]).iterdir():
    refused = []
    for read in READERS[file.suffix]:
        try:
            read(file)
            refused.append(False)
        except ValueError as error:
            refused.append(file.name in str(error))
    outcome[file.name] = all(refused)
print(json.dumps({"refused": outcome, "added": peak() - before}))
