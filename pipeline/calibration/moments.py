"""Statistics: the moments of both sides of a calibration, a shard at a time, merged over a fixed tree."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from deepot.autoencoder.autoencoder import Codec
from deepot.inference.calibration import degraded, photo_levels, photo_moments
from deepot.inference.tile_options import Tiles
from deepot.photo.pixels import Pixels
from deepot.restoration.degradations import seeded
from deepot.transport.binned_moments import Levels
from deepot.transport.moments import Moments, Statistics, merge_in_order
from deepot.transport.transport_map import Calibration
from pipeline.calibration.photo_lists import enlist, enlisted
from pipeline.config.job import Job
from pipeline.errors import Code, NothingFoundError, RunError
from pipeline.failures import DEVICE_FAULTS, code_of, said
from pipeline.imageio.image_file import decode
from pipeline.progress import Progress
from pipeline.runs.paths import Run
from pipeline.runs.plan import find_images
from pipeline.runs.sharding import Shard
from pipeline.sources.fetch import fetch
from pipeline.sources.sampling import sample
from pipeline.storage.folders import names
from pipeline.storage.objects import Entry, put, read
from pipeline.workers.models import Models, load_models, tiles_of
from pipeline.workers.watchdog import allowed_s, last_resort

log = logging.getLogger(__name__)

DEADLY = "the worker process died over this photo, alone"

SOURCE, REFERENCE, BOTH = "source", "reference", "both"
_HOPELESS = 8  # photos lost alone, while nothing has been done
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
    """What a statistics task did: photos used, those it could not use with the reason, and whether its worker died."""

    images: int
    unusable: tuple[tuple[str, str], ...] = ()
    died: Task | None = None


def died(task: Task) -> Gathered:
    """What is known of a task whose worker died, again and again."""
    return Gathered(0, died=task)


Execute = Callable[[Callable[[Task], Gathered], Sequence[Task]], Iterable[Gathered]]
"""Runs a function on tasks, results in any order; in a process or on a cluster."""


def tasks(job: Job, run: Run, allow_code: bool, exclude: Sequence[str], *, look: bool = True) -> list[Task]:
    """The statistics of a job as tasks, over frozen lists of photos.

    Shards are cut by the lists alone: how far a map is trusted depends on them.

    Args:
        job: the job.
        run: its run.
        allow_code: whether `module:factory` may be imported.
        exclude: folders whose files are not photos of the input.
        look: list the photos again, so that new ones are added; otherwise those of the lists are all.

    Raises:
        NothingFoundError: there are no photos of a side.
        StorageError: they cannot be listed.
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
    for side, uri, limit, outside in wanted if look else []:
        what = f"{side} photos" if side != BOTH else "photos to calibrate from"
        enlist(run, side, sample(find_images(uri, what, outside), limit))
    return [Task(job, allow_code, run, side, shard) for side, *_ in wanted for shard in enlisted(run, side)]


def gather(pending: Sequence[Task], execute: Execute, progress: Progress) -> tuple[list[Moments], list[Moments]]:
    """Gather the moments of all tasks, those that have none yet, in blocks of neighbouring shards.

    Returns:
        Blocks of the source side and of the reference side, in the order of their shards; where the same photos serve
        both, block number i is of the same ones.

    Raises:
        NothingFoundError: not one photo of a side could be used.
    """
    run, left = pending[0].run, missing(pending)
    progress.begin("statistics", sum(len(task.shard.entries) for task in left))
    for result in _results(left, execute):
        for uri, why in result.unusable:
            log.warning("not used for calibration: %s (%s)", uri, why, extra={"photo": uri})
        progress.advance(result.images + len(result.unusable), len(result.unusable))
    progress.end()
    source, reference = (blocks(run, side, shards(pending, side)) for side in (SOURCE, REFERENCE))
    for side, found in ((SOURCE, source), (REFERENCE, reference)):
        if not any(block.count for block in found):
            raise NothingFoundError(f"not one photo of the {side} side could be used for calibration; see the warnings")
    return source, reference


def missing(pending: Sequence[Task]) -> list[Task]:
    """Of these tasks of one run, those whose moments are not stored yet."""
    run = pending[0].run
    done = {side: names(run.moments(side, 0).rpartition("/")[0]) for side in (SOURCE, REFERENCE)}
    return [task for task in pending if not all(_name(task) in done[side] for side in sides_of(task))]


def _results(left: Sequence[Task], execute: Execute) -> Iterator[Gathered]:
    """Do tasks; where one kills its worker its photos are tried alone, and it is done without those that kill."""
    dead, worked, lost = list[Task](), False, 0
    for result in execute(gather_shard, left):
        if result.died is None:
            worked = True
            yield result
        else:
            dead.append(result.died)
    for task in dead:
        deadly = set[Entry]()
        for entry in task.shard.entries:  # one at a time: where memory is short others die
            alone = replace(task, shard=Shard(task.shard.number, (entry,)))
            if any(found.died for found in execute(try_photos, [alone])):
                deadly.add(entry)
                lost += 1
            else:
                worked = True
            if lost >= _HOPELESS and not worked:
                raise RunError(
                    f"workers died over {lost} photos of the calibration, each alone, and nothing else was done; the "
                    f"last is {entry.uri}. It is hardly the photos: look at the workers, their memory and devices"
                )
        rest = tuple(entry for entry in task.shard.entries if entry not in deadly)
        yield Gathered(0, tuple((entry.uri, f"{Code.WORKER_DIED}: {DEADLY}") for entry in sorted(deadly, key=_key)))
        for result in execute(gather_shard, [replace(task, shard=Shard(task.shard.number, rest))]):
            if result.died is not None:
                raise RunError(f"workers die over photos that they do alone, such as {task.shard.entries[0].uri}")
            yield result


def try_photos(task: Task) -> Gathered:
    """Work through the photos of a task and keep nothing."""
    models = load_models(task.job, task.allow_code)
    _total(task, models, photo_moments, Moments.empty(models.codec.channels * task.job.transport.patch_size**2))
    return Gathered(len(task.shard.entries))


def _key(entry: Entry) -> str:
    return entry.key


def levels(pending: Sequence[Task]) -> tuple[Levels, Levels]:
    """The levels of the source and of the reference side, which the tasks of a mixture store beside the moments."""
    run = pending[0].run
    uris = ([run.levels(side, number) for number in shards(pending, side)] for side in (SOURCE, REFERENCE))
    source, reference = (merge_in_order(Levels.from_bytes(read(uri), uri) for uri in side) for side in uris)
    return source, reference


def gather_shard(task: Task) -> Gathered:
    """Gather and store the moments of one shard: the body of a statistics task."""
    models = load_models(task.job, task.allow_code)
    dimension = models.codec.channels * task.job.transport.patch_size**2
    about = {"codec_sha256": models.codec.sha256}
    if task.job.transport.components == 1:
        moments, unusable = _total(task, models, photo_moments, Moments.empty(dimension))
    else:
        found, unusable = _total(task, models, photo_levels, Levels.empty(dimension))
        for side, total in found.items():  # before the moments, which say that the shard is done
            put(task.run.levels(side, task.shard.number), total.to_bytes(about))
        moments = {side: total.whole() for side, total in found.items()}
    for side, whole in moments.items():
        put(task.run.moments(side, task.shard.number), whole.to_bytes(about))
    return Gathered(len(task.shard.entries) - len(unusable), tuple(unusable))


def _total(
    task: Task, models: Models, measure: Callable[[Codec, Pixels, int, Tiles], Statistics], nothing: Statistics
) -> tuple[dict[str, Statistics], list[tuple[str, str]]]:
    """What is measured of all photos of a shard, by side, and the photos that could not be used."""
    patch_size, tiles, limits = task.job.transport.patch_size, tiles_of(task.job), task.job.limits
    totals = dict.fromkeys(sides_of(task), nothing)
    unusable = []
    for entry in task.shard.entries:
        try:
            with last_resort(limits.image_s):
                data = fetch(entry, limits)
                photo = decode(data, limits.max_pixels).pixels
            with last_resort(allowed_s(limits.image_s, photo.width * photo.height)):
                sides = _as_sides(task, models, data, photo)
                found = {side: measure(models.codec, pixels, patch_size, tiles) for side, pixels in sides.items()}
        except DEVICE_FAULTS:
            raise
        except Exception as error:
            unusable.append((entry.uri, f"{code_of(error)}: {said(error)}"))
            continue
        totals = {side: totals[side].merge(each) for side, each in found.items()}
    return totals, unusable


def _as_sides(task: Task, models: Models, data: bytes, pixels: Pixels) -> dict[str, Pixels]:
    """One photo, of these bytes and pixels, as either side has it."""
    if task.side == REFERENCE:
        return {REFERENCE: pixels}
    if task.side == SOURCE or models.degradation is None:
        return {SOURCE: models.source_restorer(pixels)}
    natural = pixels if task.job.reference else models.restorer(pixels)
    return {SOURCE: models.source_restorer(degraded(natural, models.degradation, seeded(data))), REFERENCE: natural}


def blocks(run: Run, side: str, numbers: Sequence[int]) -> list[Moments]:
    """The moments of some shards of a side, which have been gathered, in blocks of neighbours."""
    each = -(-len(numbers) // MOST_BLOCKS)
    return [merged(run, side, numbers[first : first + each]) for first in range(0, len(numbers), each)]


def merged(run: Run, side: str, numbers: Iterable[int]) -> Moments:
    """The moments of some shards of a side, which have been gathered."""
    uris = (run.moments(side, number) for number in numbers)
    return merge_in_order(Moments.from_bytes(read(uri), uri) for uri in uris)


def shards(pending: Sequence[Task], side: str) -> list[int]:
    """Numbers of the shards of a side."""
    return sorted(task.shard.number for task in pending if side in sides_of(task))


def sides_of(task: Task) -> tuple[str, ...]:
    """The sides whose moments a task gives."""
    return (SOURCE, REFERENCE) if task.side == BOTH else (task.side,)


def _name(task: Task) -> str:
    return task.run.moments(SOURCE, task.shard.number).rpartition("/")[2]
