"""Memory that is freed stays with the process, for the next tensor."""

from __future__ import annotations

import ctypes
import os

# of <malloc.h>
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
MOST = 2**31 - 1  # bytes; a C integer
SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory, up to 2 GB, where it is glibc and the user has not set it up otherwise.

    By default glibc gives a large tensor back to the system as soon as it is freed, and gets the next one page by page, each of
    which the system fills with zeros first. An uncompiled pass through a large stack makes one tensor after another: with this it
    takes a third of the time.

    Returns:
        Whether it was set.

    Source:
        mallopt(3), M_MMAP_MAX and M_TRIM_THRESHOLD.
    """
    if any(name in os.environ for name in SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # Windows, macOS, musl
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, MOST))
