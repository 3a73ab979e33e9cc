"""What programs that are forked find imported, also what a fit imports late: pyarrow, for one, loads pandas with a table."""

import contextlib
import gc
import importlib

MODULES = (
    "renorm.cli.fit",
    "renorm.sweep.point",
    "matplotlib.backends.backend_agg",
    "torch.utils.tensorboard",
    "torch.utils.serialization.config",
    "tensorboard.plugins.hparams.api_pb2",
    "pyarrow.parquet",
    "pyarrow.compute",
    "pandas",
    "attrs",
    "tests.forked",
)

for name in MODULES:
    with contextlib.suppress(ImportError):  # the libraries of a library come and go with its versions
        importlib.import_module(name)
# the garbage collector would write into every page that the processes share
gc.collect()
gc.freeze()
