"""Large tensors, one after another, take pages from the system once."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource
from renorm.freed_memory import SETTINGS, keep_freed_memory
print(keep_freed_memory())
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
def once():
    place = library.malloc(64_000_000)
    ctypes.memset(place, 1, 64_000_000)
    library.free(place)
once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    once()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


def kept_and_faults(**variables: str) -> tuple[bool, int]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env=environment | variables, capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    return kept == "True", int(faults)


@glibc
def test_freed_memory_is_used_again() -> None:
    pages = 64_000_000 / os.sysconf("SC_PAGE_SIZE")
    kept, faults = kept_and_faults()
    assert kept
    assert faults < 0.1 * pages


@glibc
def test_what_the_user_has_set_up_stays() -> None:
    kept, _ = kept_and_faults(GLIBC_TUNABLES="glibc.malloc.check=0")
    assert not kept
