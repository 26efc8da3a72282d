"""What happens to memory that this process has freed: glibc keeps it for later, or returns it to the system."""

import ctypes
import functools
import sys

import numpy as np

_MALLOC_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
LARGEST_KEPT = (32 << 20) - (128 << 10)  # bytes; glibc maps a block of 32 MiB on its own, whatever was freed before


@functools.cache
def keep_freed_memory() -> None:
    """Let this process keep up to 64 MB of memory that it has freed, and use it again for blocks of up to 32 MB.

    glibc keeps twice the largest block that was freed so far (mallopt(3), M_MMAP_THRESHOLD), up to these limits. The
    arrays of a frame are smaller than that, but larger together: their memory would be returned and requested again
    with every frame, and the system clears it page by page. A block is allocated and freed here for its size only;
    none of its pages is touched. Does nothing with other C libraries, or if the environment sets these limits.
    """
    np.empty(LARGEST_KEPT, np.uint8)


def release_freed_memory() -> None:
    """Return memory that this process has freed to the system.

    Between blocks that are still in use, it cannot be used again for larger ones. Does nothing with other C libraries.
    """
    if _MALLOC_TRIM is not None:
        _MALLOC_TRIM(0)
