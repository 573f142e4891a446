"""Workers on this machine without Ray: processes that are forked in milliseconds and replaced when they die."""

from pipeline.local.process_pool import LocalWorkerPool
from pipeline.local.session import local_session

__all__ = [
    "LocalWorkerPool",
    "local_session",
]
