"""Statistics: the moments of both sides of a calibration, a shard at a time, merged over a fixed tree."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from deepot.calibrate import matched_moments, photo_moments
from deepot.degrade import seeded
from deepot.moments import Moments, merge_in_order
from deepot.transport_map import Calibration
from pipeline.config import Job
from pipeline.errors import Code, ImageError, NothingFoundError, StorageError
from pipeline.images import decode
from pipeline.layout import Run
from pipeline.models import Models, load_models, tiles_of
from pipeline.plan import Shard, cut, find_images, read_shards, sample, to_parquet
from pipeline.progress import Progress
from pipeline.sources.members import read_photo
from pipeline.storage import Entry, create, exists, names, put, read

log = logging.getLogger(__name__)

SOURCE, REFERENCE, BOTH = "source", "reference", "both"
MOST_BLOCKS = 32
"""Neighbouring shards are merged until there are no more: evidence is weighed by leaving one out at a time."""


@dataclass(frozen=True)
class Task:
    """One shard of the statistics: all that a worker needs to know.

    Attributes:
        job: the job.
        allow_code: whether `module:factory` may be imported.
        run: where the moments go.
        side: source, reference, or both where the same photos serve both.
        shard: the photos.
    """

    job: Job
    allow_code: bool
    run: Run
    side: str
    shard: Shard


@dataclass(frozen=True)
class Gathered:
    """What a statistics task did: photos used, and those it could not use with the reason."""

    images: int
    unusable: tuple[tuple[str, str], ...]


Execute = Callable[[Callable[[Task], Gathered], Sequence[Task]], Iterable[Gathered]]
"""Runs a function on tasks, results in any order; in a process or on a cluster."""


def tasks(job: Job, run: Run, allow_code: bool, exclude: Sequence[str]) -> list[Task]:
    """The statistics of a job as tasks, over lists of photos that the first call freezes.

    Shards are cut by the lists alone: how far a map is trusted depends on them.
    """
    if job.calibration is Calibration.UNPAIRED and job.reference and job.source and job.source.images:
        wanted: list[tuple[str, str, int, tuple[str, ...]]] = [
            (REFERENCE, job.reference.images, job.reference.limit, ()),
            (SOURCE, job.source.images, job.source.limit, ()),
        ]
    elif job.reference:
        wanted = [(BOTH, job.reference.images, job.reference.limit, ())]
    else:
        limit = job.source.limit if job.source else 1
        wanted = [(BOTH, job.input.images, limit, tuple(exclude))]
    return [
        Task(job, allow_code, run, side, shard)
        for side, uri, limit, outside in wanted
        for shard in _frozen(run, side, uri, limit, outside)
    ]


def gather(pending: Sequence[Task], execute: Execute, progress: Progress) -> tuple[list[Moments], list[Moments]]:
    """Gather the moments of all tasks, those that have none yet, in blocks of neighbouring shards.

    Returns:
        Blocks of the source side and of the reference side, in the order of their shards; where the same photos serve
        both, block number i is of the same ones.

    Raises:
        NothingFoundError: not one photo of a side could be used.
    """
    run = pending[0].run
    done = {side: names(run.moments(side, 0).rpartition("/")[0]) for side in (SOURCE, REFERENCE)}
    missing = [task for task in pending if not all(_name(task) in done[side] for side in _sides(task))]
    progress.begin("statistics", sum(len(task.shard.entries) for task in missing))
    for result in execute(gather_shard, missing):
        for uri, why in result.unusable:
            log.warning("not used for calibration: %s (%s)", uri, why)
        progress.advance(result.images + len(result.unusable), len(result.unusable))
    progress.end()
    source, reference = (_blocks(pending, side) for side in (SOURCE, REFERENCE))
    for side, blocks in ((SOURCE, source), (REFERENCE, reference)):
        if not any(block.count for block in blocks):
            raise NothingFoundError(f"not one photo of the {side} side could be used for calibration; see the warnings")
    return source, reference


def gather_shard(task: Task) -> Gathered:
    """Gather and store the moments of one shard: the body of a statistics task."""
    models = load_models(task.job, task.allow_code)
    dimension = models.codec.channels * task.job.transport.patch_size**2
    totals = {side: Moments.empty(dimension) for side in _sides(task)}
    unusable = []
    for entry in task.shard.entries:
        try:
            found = _photo(task, models, entry)
        except ImageError as error:
            unusable.append((entry.uri, f"{error.code}: {error}"))
            continue
        totals = {side: totals[side].merge(moments) for side, moments in found.items()}
    for side, moments in totals.items():
        put(task.run.moments(side, task.shard.number), moments.to_bytes({"codec_sha256": models.codec.sha256}))
    return Gathered(len(task.shard.entries) - len(unusable), tuple(unusable))


def _photo(task: Task, models: Models, entry: Entry) -> dict[str, Moments]:
    """The moments of one photo, by side."""
    job, patch_size, tiles = task.job, task.job.transport.patch_size, tiles_of(task.job)
    data = _bytes(entry)
    pixels = decode(data, job.limits.max_pixels).pixels
    if task.side == REFERENCE:
        return {REFERENCE: photo_moments(models.codec, pixels, patch_size, tiles)}
    if task.side == SOURCE or models.degradation is None:
        restored = models.source_restorer(pixels)
        return {SOURCE: photo_moments(models.codec, restored, patch_size, tiles)}
    natural = pixels if job.reference else models.restorer(pixels)
    generator = seeded(data)
    source, reference = matched_moments(
        models.codec, natural, models.degradation, models.source_restorer, generator, patch_size, tiles
    )
    return {SOURCE: source, REFERENCE: reference}


def _bytes(entry: Entry) -> bytes:
    try:
        return read_photo(entry.uri)
    except FileNotFoundError as error:
        raise ImageError(Code.VANISHED, "it is no longer there") from error
    except StorageError as error:
        raise ImageError(Code.READ_FAILED, str(error)) from error


def _frozen(run: Run, side: str, uri: str, limit: int, exclude: Sequence[str]) -> list[Shard]:
    where = run.calibration(side)
    if not exists(where):
        entries = sample(
            find_images(uri, f"{side} photos" if side != BOTH else "photos to calibrate from", exclude), limit
        )
        create(where, to_parquet(cut(entries)))
    return list(read_shards(where))


def _blocks(pending: Sequence[Task], side: str) -> list[Moments]:
    """The saved moments of a side, each of some neighbouring shards."""
    shards = sorted(task.shard.number for task in pending if side in _sides(task))
    each = -(-len(shards) // MOST_BLOCKS)
    run = pending[0].run
    uris = [run.moments(side, number) for number in shards]
    return [
        merge_in_order(Moments.from_bytes(read(uri), uri) for uri in uris[first : first + each])
        for first in range(0, len(uris), each)
    ]


def _sides(task: Task) -> tuple[str, ...]:
    return (SOURCE, REFERENCE) if task.side == BOTH else (task.side,)


def _name(task: Task) -> str:
    return task.run.moments(SOURCE, task.shard.number).rpartition("/")[2]
