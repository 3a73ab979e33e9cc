"""What programs that are forked find imported, also what a fit imports late: pyarrow, for one, loads pandas with a table."""

# ruff: noqa: F401

import contextlib
import gc
import importlib

import matplotlib.backends.backend_agg
import pyarrow.compute
import pyarrow.parquet
import tensorboard.plugins.hparams.api_pb2
import torch.utils.serialization.config
import torch.utils.tensorboard

import renorm.cli.fit
import renorm.sweep.point

from . import forked

for name in ("attrs", "pandas"):  # of libraries that use them where they are there
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
# the garbage collector would write into every page that the processes share
gc.collect()
gc.freeze()
