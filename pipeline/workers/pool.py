"""Workers as the shard scheduler sees them: the pool protocol and its exceptions."""

from typing import Protocol

from pipeline.errors import Code
from pipeline.runs.commits import Part
from pipeline.workers.shard_worker import Work
from pipeline.workers.watchdog import ImageHangsError


class WorkerDiedError(Exception):
    """The process that had the work is gone."""

    code = Code.WORKER_DIED


class OutOfMemoryError(WorkerDiedError):
    """It was ended because there was too little memory left."""

    code = Code.OUT_OF_MEMORY


class Crew(Protocol):
    """Workers that take work and give parts back, in any order."""

    def free(self) -> int:
        """How much more work it takes now."""

    def submit(self, work: Work, *, alone: bool = False) -> None:
        """Hand over work; `alone`: to a worker that has nothing else, so that a death has one cause."""

    def wait(self) -> tuple[Work, Part | WorkerDiedError | ImageHangsError]:
        """The next finished work, and its part, the worker's death or its image that hangs; raises what it raised."""
