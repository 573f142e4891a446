"""Sessions of worker processes on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.local.fork_server import ForkServer
from pipeline.local.process_pool import LocalWorkerPool
from pipeline.workers import PoolSession


@contextmanager
def local_session(*, fork: bool = False) -> Iterator[PoolSession[LocalWorkerPool]]:
    """Open a session whose workers are processes on this machine, without Ray.

    Args:
        fork: whether processes may be forked from this one, which has not computed anything with PyTorch yet; then the
            session starts in milliseconds.
    """
    server = ForkServer(fork=fork)
    session = PoolSession(lambda job, allow_code: LocalWorkerPool(job, allow_code, server))
    try:
        yield session
    finally:
        session.close()
        server.close()
