"""Trial: a few photos of a job through all of it, into memory, with a clock beside them; no Ray in here."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pipeline.calibration import (
    CalibrationPaths,
    MomentsTask,
    MomentsTaskResult,
    TaskExecutor,
    compute_moments,
    dry_run_photos,
    find_map_uri,
    fit_and_store_map,
    load_map,
    read_map_statistics,
)
from pipeline.config import Job
from pipeline.errors import RunError
from pipeline.progress import NullProgress
from pipeline.runs import PHASES, RunPaths, Shard, read_manifest_file
from pipeline.storage import Entry, delete_folder, join_uri, list_names, read
from pipeline.workers import ShardWorker, WorkerConfig, WorkItem, load_models

_MOMENTS_FOLDERS = ("source", "reference", "source-statistics", "reference-statistics")


@dataclass(frozen=True)
class PilotTask:
    """What one worker tries out.

    Attributes:
        job: the job.
        allow_code: whether `module:factory` may be imported.
        run: of the job; nothing is written there.
        calibration_paths: of the job; nothing is written there.
        fingerprint: of the run.
        photos: to transport.
        calibration: statistics of photos, to time, and to fit a map from where there is none; empty if neither.
    """

    job: Job
    allow_code: bool
    run: RunPaths
    calibration_paths: CalibrationPaths
    fingerprint: str
    photos: tuple[Entry, ...]
    calibration: tuple[MomentsTask, ...]


@dataclass(frozen=True)
class PhotoTiming:
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
class PilotResult:
    """What a trial took.

    Attributes:
        photos: each transported photo.
        row_bytes: of a manifest row.
        calibration_s: seconds of each photo of the calibration, side by side.
        moments_bytes: of the moments of one shard, all sides.
        fit_s: seconds that fitting the map took.
    """

    photos: tuple[PhotoTiming, ...]
    row_bytes: float
    calibration_s: dict[str, list[float]]
    moments_bytes: int
    fit_s: float


def run_pilot(pilot: PilotTask) -> PilotResult:
    """Calibrate, fit and transport a few photos, and keep nothing.

    Raises:
        DeepotError: the job cannot do these photos at all.
    """
    scratch_uri = f"memory://deepot-trial-{uuid.uuid4().hex}"
    job = pilot.job.model_copy(
        update={
            "output": pilot.job.output.model_copy(update={"uri": join_uri(scratch_uri, "output")}),
            "run": join_uri(scratch_uri, "run"),
        }
    )
    run, scratch = (
        RunPaths(join_uri(scratch_uri, "run", "pilot")),
        CalibrationPaths(join_uri(scratch_uri, "calibration")),
    )
    load_models(job, pilot.allow_code)  # or the first photo would wait for them
    try:
        return _time_stages(replace(pilot, job=job), run, scratch)
    finally:
        delete_folder(scratch_uri)


def _time_stages(pilot: PilotTask, run: RunPaths, scratch: CalibrationPaths) -> PilotResult:
    job, calibration_s, fit_s, moments_bytes = pilot.job, dict[str, list[float]](), 0.0, 0
    transport, stored_map_uri = (
        load_map(job, pilot.calibration_paths),
        find_map_uri(job, pilot.calibration_paths),
    )
    if pilot.calibration:
        models = load_models(job, pilot.allow_code)
        pending = [
            replace(task, job=job, paths=scratch, shard=Shard(number, (entry,)))
            for _, side in groupby(pilot.calibration, key=lambda task: task.side)
            for number, (task, entry) in enumerate((task, entry) for task in side for entry in task.shard.entries)
        ]
        dry_run_photos(pending[0])  # what is done once only is not counted
        side_moments = compute_moments(pending, _make_timed_executor(calibration_s), NullProgress())
        moments_bytes = sum(_largest_file_bytes(scratch, folder) for folder in _MOMENTS_FOLDERS)
        if transport is None:
            statistics = read_map_statistics(pending)
            started = time.perf_counter()
            transport = fit_and_store_map(job, scratch, models.autoencoder, *side_moments, statistics)
            fit_s, stored_map_uri = time.perf_counter() - started, find_map_uri(job, scratch)
    if transport is None:
        raise RunError(f"{pilot.run.uri} has no map, and there is nothing to fit one from")
    worker = ShardWorker(
        WorkerConfig(job, pilot.allow_code, run, job.output.uri, pilot.fingerprint, stored_map_uri, transport.sha256)
    )
    worker.process(WorkItem(0, pilot.photos[:1]))
    started = time.perf_counter()
    manifest_file = worker.process(WorkItem(1, pilot.photos))
    seconds = time.perf_counter() - started
    rows = read_manifest_file(run, manifest_file).to_pylist()
    phases = [sum(row[f"seconds_{phase}"] for phase in PHASES) for row in rows]
    wall_per_phase_second = seconds / sum(phases) if sum(phases) else 0.0
    photos = tuple(
        PhotoTiming(
            row["input_uri"], phase * wall_per_phase_second, row["output_bytes"] or 0, row["status"], row["error_code"]
        )
        for row, phase in zip(rows, phases, strict=True)
    )
    return PilotResult(photos, manifest_file.size / len(rows), calibration_s, moments_bytes, fit_s)


def _make_timed_executor(seconds: dict[str, list[float]]) -> TaskExecutor:
    """Does tasks of one photo each one after the other, and notes how long each took, by its side."""

    def execute(
        function: Callable[[MomentsTask], MomentsTaskResult], tasks: Sequence[MomentsTask]
    ) -> Iterable[MomentsTaskResult]:
        return _run_timed(function, tasks, seconds)

    return execute


def _run_timed(
    function: Callable[[MomentsTask], MomentsTaskResult], tasks: Sequence[MomentsTask], seconds: dict[str, list[float]]
) -> Iterator[MomentsTaskResult]:
    for task in tasks:
        started = time.perf_counter()
        result = function(task)
        seconds.setdefault(task.side, []).append(time.perf_counter() - started)
        yield result


def _largest_file_bytes(paths: CalibrationPaths, folder: str) -> int:
    """Bytes of the largest file of moments in a folder."""
    folder_uri = join_uri(paths.uri, "moments", folder)
    return max((len(read(join_uri(folder_uri, name))) for name in list_names(folder_uri)), default=0)
