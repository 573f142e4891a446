"""The work of one process, without Ray: models, the shard worker, time limits, and the protocol of worker pools."""

from pipeline.workers.consistency import constraint_factory, judge_decoded
from pipeline.workers.freed_memory import keep_freed_memory
from pipeline.workers.job_worker import MAX_TASKS_IN_FLIGHT, JobWorker
from pipeline.workers.models import (
    Models,
    any_models_loaded,
    find_natural_test,
    load_models,
    set_torch_threads,
    tile_options,
)
from pipeline.workers.pool import (
    ShardPool,
    TaskExecutor,
    WorkerDiedError,
    WorkerOutOfMemoryError,
    WorkerPool,
    WorkerSession,
)
from pipeline.workers.queued_pool import QueuedWorkerPool, Task
from pipeline.workers.ready_workers import ReadyWorkers
from pipeline.workers.resources import WorkerResources, cores_per_worker, plan_workers, with_fixed_gpu_share
from pipeline.workers.session import PoolSession
from pipeline.workers.shard_worker import ShardWorker
from pipeline.workers.shared_storage import SharedStorage, can_stat, mark_storage
from pipeline.workers.watchdog import ImageTimeoutError, hard_deadline, scaled_timeout_s
from pipeline.workers.work_item import WorkerConfig, WorkItem

__all__ = [
    "MAX_TASKS_IN_FLIGHT",
    "ImageTimeoutError",
    "JobWorker",
    "Models",
    "PoolSession",
    "QueuedWorkerPool",
    "ReadyWorkers",
    "ShardPool",
    "ShardWorker",
    "SharedStorage",
    "Task",
    "TaskExecutor",
    "WorkItem",
    "WorkerConfig",
    "WorkerDiedError",
    "WorkerOutOfMemoryError",
    "WorkerPool",
    "WorkerResources",
    "WorkerSession",
    "any_models_loaded",
    "can_stat",
    "constraint_factory",
    "cores_per_worker",
    "find_natural_test",
    "hard_deadline",
    "judge_decoded",
    "keep_freed_memory",
    "load_models",
    "mark_storage",
    "plan_workers",
    "scaled_timeout_s",
    "set_torch_threads",
    "tile_options",
    "with_fixed_gpu_share",
]
