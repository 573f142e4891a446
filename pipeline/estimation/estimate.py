"""Estimate: what is left of a job in hours and bytes, from a few of its photos tried out on its workers."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration import moments as statistics
from pipeline.calibration.maps import stored_map
from pipeline.calibration.moments import Task
from pipeline.cluster import session as cluster
from pipeline.cluster.actor_pool import slots
from pipeline.config.job import Job
from pipeline.config.output_layout import Layout
from pipeline.errors import NothingFoundError
from pipeline.estimation.forecast import Forecast
from pipeline.estimation.pilot import Measured, Trial, Tried, try_out
from pipeline.estimation.stratified_sampling import Total, draw, groups, total
from pipeline.runs.commits import committed_numbers
from pipeline.runs.paths import Run
from pipeline.runs.plan import read_plan
from pipeline.runs.sharding import Shard
from pipeline.sources.sampling import sample
from pipeline.stages.driver import Opened, calibration
from pipeline.storage.objects import Entry

_CALIBRATION_PHOTOS = 4  # of each side: they are at most some thousands, and photos of an archive are most of the work
_PHOTOS_A_WORKER = 4  # at the least: with fewer a worker waits for the first and the last
_SEED = 0


@dataclass(frozen=True)
class Sampled:
    """What is left of a job, and a draw of it.

    Attributes:
        shards: that are not committed.
        images: in them.
        groups: places of the images, by size.
        drawn: of each group, the places of those to try out.
        entries: those to try out, by their places.
    """

    shards: int
    images: int
    groups: list[NDArray[np.int64]]
    drawn: list[NDArray[np.int64]]
    entries: dict[int, Entry]


def estimate(opened: Opened, photos: int, workers: int | None = None) -> Forecast:
    """Try out photos of a job whose plan is written, and tell what is left of it.

    Args:
        opened: the job.
        photos: about so many are tried out, twice as many as there are groups at the least.
        workers: that will share the work; None for as many as there is room for now.

    Raises:
        NothingFoundError: nothing is left to do.
    """
    job, how = opened.job, opened.how
    left = _left(opened.run, photos)
    tasks, pending = _calibration(opened)
    started = time.perf_counter()
    with cluster.session(how.address, how.metrics_port) as session, session.crew(job, how.allow_code) as crew:
        room = slots(job.compute)
        trials = _trials(opened, left, tasks, room.count)
        tried = list(crew.execute(try_out, trials))
    return Forecast(
        images=left.images,
        calibration_images=sum(len(task.shard.entries) for task in pending),
        tried=len(left.entries),
        groups=len(left.groups),
        trial_s=time.perf_counter() - started,
        workers=workers or room.count,
        trial_workers=len(trials),
        cpus=room.cpus,
        gpus=room.gpus,
        apply_s=_over_all(left, tried, lambda photo: photo.seconds),
        calibration_s=_calibration_s(tasks, pending, tried),
        fit_s=max(each.fit_s for each in tried),
        result_bytes=_over_all(left, tried, lambda photo: photo.result_bytes),
        own_bytes=left.images * float(np.mean([each.row_bytes for each in tried]))
        + len(pending) * max(each.moments_bytes for each in tried),
        reads=left.images + sum(len(task.shard.entries) for task in pending),
        writes=_writes(job, left, pending),
        not_done=dict(Counter(photo.error for each in tried for photo in each.photos if photo.error)),
    )


def _left(run: Run, photos: int) -> Sampled:
    """The images without a commit, and a draw of them; the plan is read twice and never held."""
    done = committed_numbers(run)

    def shards() -> Iterator[Shard]:
        return (shard for shard in read_plan(run) if shard.number not in done)

    def entries() -> Iterator[Entry]:
        return chain.from_iterable(shard.entries for shard in shards())

    counted = Counter[str]()
    sizes = np.fromiter((entry.size for shard in _each(shards(), counted) for entry in shard.entries), np.int64)
    if not len(sizes):
        raise NothingFoundError(f"{run.uri}: nothing is left to do, so there is nothing to estimate")
    by_size = groups(sizes)
    drawn = draw(by_size, photos, np.random.default_rng(_SEED))
    wanted = {int(place) for places in drawn for place in places}
    kept = {place: entry for place, entry in enumerate(entries()) if place in wanted}
    return Sampled(counted["shards"], len(sizes), by_size, drawn, kept)


def _each(shards: Iterator[Shard], counted: Counter[str]) -> Iterator[Shard]:
    for shard in shards:
        counted["shards"] += 1
        yield shard


def _calibration(opened: Opened) -> tuple[list[Task], list[Task]]:
    """The statistics of the job, none where nothing is to be gathered or fitted; and those that are pending."""
    if opened.job.map is not None:
        return [], []
    tasks = calibration(opened)
    pending = statistics.missing(tasks)
    return (tasks, pending) if pending or stored_map(opened.job, opened.run) is None else ([], [])


def _trials(opened: Opened, left: Sampled, tasks: Sequence[Task], workers: int) -> list[Trial]:
    """The draw shared out to as many workers as there are, large photos and small ones to each."""
    chosen = []
    for side in sorted({task.side for task in tasks}):
        of_side = [task for task in tasks if task.side == side]
        entries = sample((entry for task in of_side for entry in task.shard.entries), _CALIBRATION_PHOTOS)
        chosen.append(replace(of_side[0], shard=Shard(0, tuple(entries))))
    by_size = sorted(left.entries.values(), key=lambda entry: (entry.size, entry.key))
    parts = max(1, min(workers, len(by_size) // _PHOTOS_A_WORKER))
    return [
        Trial(
            opened.job,
            opened.how.allow_code,
            opened.run,
            opened.fingerprint,
            tuple(by_size[part::parts]),
            tuple(chosen),
        )
        for part in range(parts)
    ]


def _calibration_s(tasks: Sequence[Task], pending: Sequence[Task], tried: Sequence[Tried]) -> Total:
    """Seconds of workers for the statistics that are pending; all trials had the same photos of each side."""
    sides = sorted({task.side for task in tasks})
    counts = [sum(len(task.shard.entries) for task in pending if task.side == side) for side in sides]
    return total(counts, [np.mean([each.calibration_s[side] for each in tried], axis=0).tolist() for side in sides])


def _over_all(left: Sampled, tried: Sequence[Tried], value: Callable[[Measured], float]) -> Total:
    """A total over the images that are left, from those that were tried."""
    found = {photo.uri: photo for each in tried for photo in each.photos}
    values = [[value(found[left.entries[int(place)].uri]) for place in places] for places in left.drawn]
    return total([len(group) for group in left.groups], values)


def _writes(job: Job, left: Sampled, pending: Sequence[Task]) -> int:
    """Requests that write: results, a part and a commit of each shard, moments."""
    results = left.images if job.output.layout is Layout.MIRROR else left.shards
    return results + 2 * left.shards + sum(len(statistics.sides_of(task)) for task in pending)
