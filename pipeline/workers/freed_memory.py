"""Memory that a process has freed stays with it for the next photo."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_MAX_KEPT_BYTES = 64 * 2**20  # at the end of an arena
_MAX_ARRAY_BYTES = 32 * 2**20  # the most that the C library takes


def keep_freed_memory() -> bool:
    """Keep freed arrays of up to 32 MB for the next ones, up to 64 MB, instead of giving them back to the system.

    The system fills every page with zeros that it gives out, which takes as long as some of the arithmetic. The C
    library raises its thresholds to these by itself, but only once an array of 32 MB was freed.

    Returns:
        Whether the C library has such thresholds; glibc has.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _MAX_ARRAY_BYTES) and mallopt(_TRIM_THRESHOLD, _MAX_KEPT_BYTES))
