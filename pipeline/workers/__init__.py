"""The work of one process, without Ray: models, the shard worker, time limits, and the protocol of worker pools."""

from pipeline.workers.models import Models, load_models, set_torch_threads, tile_options
from pipeline.workers.pool import (
    ShardPool,
    TaskExecutor,
    WorkerDiedError,
    WorkerOutOfMemoryError,
    WorkerPool,
    WorkerSession,
)
from pipeline.workers.shard_worker import ShardWorker
from pipeline.workers.shared_storage import SharedStorage, can_stat, mark_storage
from pipeline.workers.watchdog import ImageTimeoutError, hard_deadline, scaled_timeout_s
from pipeline.workers.work_item import WorkerConfig, WorkItem

__all__ = [
    "ImageTimeoutError",
    "Models",
    "ShardPool",
    "ShardWorker",
    "SharedStorage",
    "TaskExecutor",
    "WorkItem",
    "WorkerConfig",
    "WorkerDiedError",
    "WorkerOutOfMemoryError",
    "WorkerPool",
    "WorkerSession",
    "can_stat",
    "hard_deadline",
    "load_models",
    "mark_storage",
    "scaled_timeout_s",
    "set_torch_threads",
    "tile_options",
]
