"""Computing the moments of both sides of a calibration, shard by shard, on workers that may die."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from deepot.transport import Moments, ToneCurve, fit_tone
from pipeline.calibration.shard_moments import (
    compute_shard_moments,
    compute_shard_tone,
    dry_run_photos,
)
from pipeline.calibration.shard_photos import refused_photos_message
from pipeline.calibration.sides import Side
from pipeline.calibration.stored_moments import (
    merge_blocks_on_workers,
    merge_tone_on_workers,
    read_moment_blocks,
    read_tone_blocks,
    read_tone_curve,
)
from pipeline.calibration.tasks import (
    MomentsTask,
    MomentsTaskExecutor,
    MomentsTaskResult,
    list_pending_tasks,
    list_pending_tone_tasks,
    list_shard_numbers,
)
from pipeline.errors import AccessDeniedError, ErrorCode, NothingFoundError, RunError
from pipeline.progress import Progress
from pipeline.runs import Shard, check_lease
from pipeline.storage import Entry, create_if_absent

log = logging.getLogger(__name__)

CRASH_MESSAGE = "the worker process died while it processed this photo alone"
_MAX_FAILURES_WITHOUT_SUCCESS = 8

ShardFunction = Callable[[MomentsTask], MomentsTaskResult]


def compute_moments(
    tasks: Sequence[MomentsTask], execute: MomentsTaskExecutor, progress: Progress
) -> tuple[list[Moments], list[Moments]]:
    """Compute the moments of those tasks that have none yet, and return the moments of all tasks.

    A calibration from pairs gets its tone curve first, because restored photos are encoded with it.

    Args:
        tasks: all tasks of the calibration.
        execute: runs a function on tasks.
        progress: receives the number of processed photos.

    Returns:
        Blocks of neighbouring shards of the source side and of the reference side, in the order of the shards. If the
        same photos serve both sides, the blocks with the same index hold the same photos.

    Raises:
        NothingFoundError: not one photo of a side could be used.
        RunError: workers die whatever they process.
        AccessDeniedError: storage refuses the photos, not only some of them.
    """
    paths, tone = tasks[0].paths, _load_or_fit_tone(tasks, execute, progress)
    pending = [replace(task, tone=tone) for task in list_pending_tasks(tasks)]
    progress.begin("moments", sum(len(task.shard.entries) for task in pending))
    for result in run_with_refusals(compute_shard_moments, tasks, pending, execute):
        for uri, reason in result.unusable:
            log.warning("not used for calibration: %s (%s)", uri, reason, extra={"photo": uri})
        progress.advance(result.images + len(result.unusable), len(result.unusable))
    progress.end()
    merge_blocks_on_workers(tasks, execute)
    source, reference = (
        read_moment_blocks(paths, side, list_shard_numbers(tasks, side)) for side in (Side.SOURCE, Side.REFERENCE)
    )
    for side, blocks in ((Side.SOURCE, source), (Side.REFERENCE, reference)):
        if not any(block.count for block in blocks):
            raise NothingFoundError(f"not one photo of the {side} side could be used for calibration; see the warnings")
    return source, reference


def _load_or_fit_tone(
    tasks: Sequence[MomentsTask], execute: MomentsTaskExecutor, progress: Progress
) -> ToneCurve | None:
    """Return the tone curve of a calibration, which is fitted to its first photos; None if the job wants none.

    Moments depend on the curve, so that it stays as it is when photos are added. If another driver stores one at the
    same moment, that one counts.
    """
    job, paths = tasks[0].job, tasks[0].paths
    if (curve := read_tone_curve(job, paths)) is not None or not job.fits_tone:
        return curve
    pending = list_pending_tone_tasks(tasks)
    progress.begin("tone", sum(len(task.shard.entries) for task in pending))
    for result in run_with_refusals(compute_shard_tone, tasks, pending, execute):
        progress.advance(result.images + len(result.unusable), len(result.unusable))
    progress.end()
    numbers = sorted(task.shard.number for task in tasks)
    merge_tone_on_workers(paths, numbers, execute)
    blocks = read_tone_blocks(paths, numbers)
    check_lease(paths)
    create_if_absent(paths.tone_curve, fit_tone([block for block in blocks if block.images] or blocks[:1]).to_bytes())
    return read_tone_curve(job, paths)


def run_with_refusals(
    function: ShardFunction, tasks: Sequence[MomentsTask], pending: Sequence[MomentsTask], execute: MomentsTaskExecutor
) -> Iterator[MomentsTaskResult]:
    """Run the pending tasks, those whose photos storage refused once more, with a photo that it has returned.

    Raises:
        AccessDeniedError: it returned none.
    """
    refused, readable = list[MomentsTaskResult](), None
    for result in _run_tasks(function, pending, execute):
        readable = readable or result.last_used
        if result.refused_task is None:
            yield result
        else:
            refused.append(result)
    if not refused:
        return
    open_shards = {(task.side, task.shard.number) for task in pending}
    used_before = (task.shard.entries[0] for task in tasks if (task.side, task.shard.number) not in open_shards)
    readable = readable or next(used_before, None)
    if readable is None:
        raise AccessDeniedError(refused_photos_message(refused[-1].unusable[-1][1]))
    retried = [replace(result.refused_task, readable=readable) for result in refused if result.refused_task]
    yield from _run_tasks(function, retried, execute)


def _run_tasks(
    function: ShardFunction, tasks: Sequence[MomentsTask], execute: MomentsTaskExecutor
) -> Iterator[MomentsTaskResult]:
    """Run tasks; a shard that crashes its worker is run again without the photos that crash a worker alone."""
    crashed, n_crashing, any_succeeded = list[MomentsTask](), 0, False
    for result in execute(function, tasks):
        if result.crashed_task is None:
            any_succeeded = True
            yield result
        else:
            crashed.append(result.crashed_task)
    for task in crashed:
        crashing = set[Entry]()
        for entry in task.shard.entries:  # one at a time: in parallel, a shortage of memory would kill other workers
            if _crashes_worker(task, entry, execute):
                crashing.add(entry)
                n_crashing += 1
            else:
                any_succeeded = True
            if n_crashing >= _MAX_FAILURES_WITHOUT_SUCCESS and not any_succeeded:
                raise RunError(
                    f"workers died over {n_crashing} photos of the calibration, each alone, and nothing else was "
                    f"processed; the last one is {entry.uri}. The photos are hardly the cause: look at the workers, "
                    "their memory and their devices"
                )
        reason = f"{ErrorCode.WORKER_DIED}: {CRASH_MESSAGE}"
        yield MomentsTaskResult(0, tuple((uri, reason) for uri in sorted(entry.uri for entry in crashing)))
        remaining = tuple(entry for entry in task.shard.entries if entry not in crashing)
        for result in execute(function, [replace(task, shard=Shard(task.shard.number, remaining))]):
            if result.crashed_task is not None:
                raise RunError(
                    f"workers die over the photos of a shard that they process one at a time, such as "
                    f"{task.shard.entries[0].uri}: look at the memory of the workers"
                )
            yield result


def _crashes_worker(task: MomentsTask, entry: Entry, execute: MomentsTaskExecutor) -> bool:
    """Whether a photo of a task kills a worker that processes it alone."""
    single = replace(task, shard=Shard(task.shard.number, (entry,)))
    return any(result.crashed_task is not None for result in execute(dry_run_photos, [single]))
