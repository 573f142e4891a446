"""Workers as the shard scheduler sees them: the pool protocol and its exceptions."""

from typing import Protocol

from pipeline.errors import ErrorCode
from pipeline.runs import ManifestFile
from pipeline.workers.shard_worker import WorkItem
from pipeline.workers.watchdog import ImageTimeoutError


class WorkerDiedError(Exception):
    """The process that had the work is gone."""

    code = ErrorCode.WORKER_DIED


class WorkerOutOfMemoryError(WorkerDiedError):
    """It was ended because there was too little memory left."""

    code = ErrorCode.OUT_OF_MEMORY


class WorkerPool(Protocol):
    """Workers that take work and give parts back, in any order."""

    def free_slots(self) -> int:
        """How much more work it takes now."""

    def submit(self, item: WorkItem, *, exclusive: bool = False) -> None:
        """Hand over work; `exclusive`: to a worker that has nothing else, so that a death has one cause."""

    def wait(self) -> tuple[WorkItem, ManifestFile | WorkerDiedError | ImageTimeoutError]:
        """The next finished work, and its part, the worker's death or its image that hangs; raises what it raised."""
