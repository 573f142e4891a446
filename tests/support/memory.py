"""How much memory reading takes: of Python's objects, and of pyarrow's buffers."""

import tracemalloc
from contextlib import contextmanager
from types import SimpleNamespace

import pyarrow as pa

_POOLS = [pa.default_memory_pool()]
"""Every pool that was ever used: buffers may outlive a test, and must not outlive their pool."""


@contextmanager
def measure_memory():
    """Yield an object whose `bytes`, after the block, is what the block took at most."""
    _POOLS.append(pa.proxy_memory_pool(_POOLS[0]))
    pa.set_memory_pool(_POOLS[-1])
    tracemalloc.start()
    measured = SimpleNamespace(bytes=0)
    try:
        yield measured
    finally:
        measured.bytes = tracemalloc.get_traced_memory()[1] + _POOLS[-1].max_memory()
        tracemalloc.stop()
        pa.set_memory_pool(_POOLS[0])
