"""Trial: a few photos of a job through all of it, into memory, with a clock beside them; no Ray in here."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pipeline.calibration import moments as statistics
from pipeline.calibration.maps import fit, map_uri, stored_map
from pipeline.calibration.moments import Gathered, Task
from pipeline.config.job import Job
from pipeline.errors import RunError
from pipeline.progress import Quiet
from pipeline.runs.manifest import PHASES, read_part
from pipeline.runs.paths import Run
from pipeline.runs.sharding import Shard
from pipeline.storage.folders import names, remove
from pipeline.storage.objects import Entry, join, read
from pipeline.workers.models import load_models
from pipeline.workers.shard_worker import Setup, ShardWorker, Work

_MOMENTS = ("source", "reference", "source-levels", "reference-levels")


@dataclass(frozen=True)
class Trial:
    """What one worker tries out.

    Attributes:
        job: the job.
        allow_code: whether `module:factory` may be imported.
        run: of the job; nothing is written there.
        fingerprint: of the run.
        photos: to transport.
        calibration: statistics of photos, to time, and to fit a map from where there is none; empty if neither.
    """

    job: Job
    allow_code: bool
    run: Run
    fingerprint: str
    photos: tuple[Entry, ...]
    calibration: tuple[Task, ...]


@dataclass(frozen=True)
class Measured:
    """What one photo took.

    Attributes:
        uri: of the photo.
        seconds: of a worker, its share of what a worker waits for included.
        result_bytes: of its result; 0 where it was not done.
        status: ok, skipped or failed.
        error: the code of a photo that was not done.
    """

    uri: str
    seconds: float
    result_bytes: int
    status: str
    error: str | None


@dataclass(frozen=True)
class Tried:
    """What a trial took.

    Attributes:
        photos: each transported photo.
        row_bytes: of a manifest row.
        calibration_s: seconds of each photo of the calibration, side by side.
        moments_bytes: of the moments of one shard, all sides.
        fit_s: seconds that fitting the map took.
    """

    photos: tuple[Measured, ...]
    row_bytes: float
    calibration_s: dict[str, list[float]]
    moments_bytes: int
    fit_s: float


def try_out(trial: Trial) -> Tried:
    """Calibrate, fit and transport a few photos, and keep nothing.

    Raises:
        DeepotError: the job cannot do these photos at all.
    """
    place = f"memory://deepot-trial-{uuid.uuid4().hex}"
    job = trial.job.model_copy(
        update={"output": trial.job.output.model_copy(update={"uri": join(place, "output")}), "run": join(place, "run")}
    )
    run = Run(join(place, "run", "trial"))
    load_models(job, trial.allow_code)  # or the first photo would wait for them
    try:
        return _measured(replace(trial, job=job), run)
    finally:
        remove(place)


def _measured(trial: Trial, run: Run) -> Tried:
    job, calibration_s, fit_s, moments_bytes = trial.job, dict[str, list[float]](), 0.0, 0
    transport, where = stored_map(job, trial.run), map_uri(job, trial.run)
    if trial.calibration:
        models = load_models(job, trial.allow_code)
        pending = [
            replace(task, job=job, run=run, shard=Shard(number, (entry,)))
            for _, side in groupby(trial.calibration, key=lambda task: task.side)
            for number, (task, entry) in enumerate((task, entry) for task in side for entry in task.shard.entries)
        ]
        statistics.try_photos(pending[0])  # what is done once only is not counted
        sides = statistics.gather(pending, _timed(calibration_s), Quiet())
        levels = statistics.levels(pending) if job.transport.components > 1 else None
        moments_bytes = sum(_largest(run, folder) for folder in _MOMENTS)
        if transport is None:
            started = time.perf_counter()
            transport = fit(job, run, models.codec, *sides, levels)
            fit_s, where = time.perf_counter() - started, map_uri(job, run)
    if transport is None:
        raise RunError(f"{trial.run.uri} has no map, and there is nothing to fit one from")
    worker = ShardWorker(Setup(job, trial.allow_code, run, job.output.uri, trial.fingerprint, where, transport.sha256))
    worker.process(Work(0, trial.photos[:1]))
    started = time.perf_counter()
    part = worker.process(Work(1, trial.photos))
    seconds = time.perf_counter() - started
    rows = read_part(run, part).to_pylist()
    phases = [sum(row[f"seconds_{phase}"] for phase in PHASES) for row in rows]
    share = seconds / sum(phases) if sum(phases) else 0.0
    photos = tuple(
        Measured(row["source_uri"], phase * share, row["output_bytes"] or 0, row["status"], row["error_code"])
        for row, phase in zip(rows, phases, strict=True)
    )
    return Tried(photos, part.size / len(rows), calibration_s, moments_bytes, fit_s)


def _timed(seconds: dict[str, list[float]]) -> statistics.Execute:
    """Does tasks of one photo each one after the other, and notes how long each took, by its side."""

    def execute(function: Callable[[Task], Gathered], tasks: Sequence[Task]) -> Iterable[Gathered]:
        return _each(function, tasks, seconds)

    return execute


def _each(
    function: Callable[[Task], Gathered], tasks: Sequence[Task], seconds: dict[str, list[float]]
) -> Iterator[Gathered]:
    for task in tasks:
        started = time.perf_counter()
        found = function(task)
        seconds.setdefault(task.side, []).append(time.perf_counter() - started)
        yield found


def _largest(run: Run, folder: str) -> int:
    """Bytes of the largest file of moments in a folder."""
    where = join(run.uri, "moments", folder)
    return max((len(read(join(where, name))) for name in names(where)), default=0)
