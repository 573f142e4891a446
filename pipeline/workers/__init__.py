"""The work of one process, without Ray."""

from pipeline.workers.models import Models, load_models, set_torch_threads, tile_options
from pipeline.workers.pool import WorkerDiedError, WorkerOutOfMemoryError, WorkerPool
from pipeline.workers.shard_worker import ShardWorker, WorkerConfig, WorkItem
from pipeline.workers.watchdog import ImageTimeoutError, hard_deadline, scaled_timeout_s

__all__ = [
    "ImageTimeoutError",
    "Models",
    "ShardWorker",
    "WorkItem",
    "WorkerConfig",
    "WorkerDiedError",
    "WorkerOutOfMemoryError",
    "WorkerPool",
    "hard_deadline",
    "load_models",
    "scaled_timeout_s",
    "set_torch_threads",
    "tile_options",
]
