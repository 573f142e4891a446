"""Pilot runs: timing some photos of a job through all of its stages, with all files in memory and without Ray."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from deepot.transport import TransportMap
from pipeline.calibration import (
    CalibrationPaths,
    MomentsTask,
    MomentsTaskResult,
    compute_moments,
    dry_run_photos,
    find_map_uri,
    fit_and_store_map,
    load_map,
    measure_map,
    read_map_statistics,
)
from pipeline.config import Job
from pipeline.errors import RunError
from pipeline.progress import NullProgress
from pipeline.runs import PHASES, RunPaths, Shard, read_manifest_file
from pipeline.storage import Entry, delete_folder, join_uri, list_names, read
from pipeline.workers import ShardWorker, TaskExecutor, WorkerConfig, WorkItem, load_models

_MOMENTS_FOLDERS = ("source", "reference", "source-statistics", "reference-statistics", "tone")


@dataclass(frozen=True)
class PilotTask:
    """The pilot run of one worker.

    Attributes:
        job: the job.
        allow_code: whether `module:factory` may be imported.
        run: the job's run; nothing is written to it.
        calibration_paths: the job's calibration; nothing is written to it.
        fingerprint: fingerprint of the run.
        photos: photos to process.
        calibration: tasks whose photos are timed, and from which a map is fitted if there is none; may be empty.
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
    """The time of one photo in a pilot run.

    Attributes:
        uri: URI of the photo.
        seconds: wall time of the worker, including a proportional part of the time it waited.
        result_bytes: bytes of the result; 0 if there is none.
        status: ok, skipped or failed.
        error: error code of a skipped or failed photo.
    """

    uri: str
    seconds: float
    result_bytes: int
    status: str
    error: str | None


@dataclass(frozen=True)
class PilotResult:
    """The times and sizes of a pilot run.

    Attributes:
        photos: one timing per photo.
        row_bytes: bytes of a manifest row.
        calibration_s: seconds of each calibration photo, by side.
        moments_bytes: bytes of the moments of one shard, all sides together.
        fit_s: seconds for fitting the map; 0 if there was one.
        change_s: mean seconds of a calibration photo for measuring what the map changes; 0 if that is not measured.
    """

    photos: tuple[PhotoTiming, ...]
    row_bytes: float
    calibration_s: dict[str, list[float]]
    moments_bytes: int
    fit_s: float
    change_s: float


@dataclass(frozen=True)
class _CalibrationTiming:
    """The timed calibration of a pilot run: its map, where that is stored, and times and sizes as in `PilotResult`."""

    transport: TransportMap | None
    map_uri: str
    calibration_s: dict[str, list[float]] = field(default_factory=dict)
    moments_bytes: int = 0
    fit_s: float = 0.0
    change_s: float = 0.0


def run_pilot(pilot: PilotTask) -> PilotResult:
    """Calibrate, fit and process some photos, then delete everything that was written.

    Raises:
        DeepotError: the job cannot process these photos at all.
    """
    scratch_uri = f"memory://deepot-pilot-{uuid.uuid4().hex}"
    job = pilot.job.model_copy(
        update={
            "output": pilot.job.output.model_copy(update={"uri": join_uri(scratch_uri, "output")}),
            "run": join_uri(scratch_uri, "run"),
        }
    )
    run = RunPaths(join_uri(scratch_uri, "run", "pilot"))
    load_models(job, pilot.allow_code)  # otherwise loading would count as time of the first photo
    try:
        pilot = replace(pilot, job=job)
        calibration = _time_calibration(pilot, CalibrationPaths(join_uri(scratch_uri, "calibration")))
        photos, row_bytes = _time_apply(pilot, run, calibration)
        return PilotResult(
            photos,
            row_bytes,
            calibration.calibration_s,
            calibration.moments_bytes,
            calibration.fit_s,
            calibration.change_s,
        )
    finally:
        delete_folder(scratch_uri)


def _time_calibration(pilot: PilotTask, scratch: CalibrationPaths) -> _CalibrationTiming:
    """Time the statistics of the calibration photos, and fitting a map if the job has none yet."""
    job = pilot.job.without_photo_limit()
    transport = load_map(job, pilot.calibration_paths)
    map_uri = find_map_uri(job, pilot.calibration_paths)
    if not pilot.calibration:
        return _CalibrationTiming(transport, map_uri)
    tasks = [
        replace(task, job=job, paths=scratch, shard=Shard(number, (entry,)))
        for _, side in groupby(pilot.calibration, key=lambda task: task.side)
        for number, (task, entry) in enumerate((task, entry) for task in side for entry in task.shard.entries)
    ]
    dry_run_photos(tasks[0])  # warms up, so that one-time work is not counted
    photo_seconds: dict[str, dict[int, float]] = {}
    side_moments = compute_moments(tasks, _make_timed_executor(photo_seconds), NullProgress())
    seconds = {side: list(values.values()) for side, values in photo_seconds.items()}
    moments_bytes = sum(_largest_file_bytes(scratch, folder) for folder in _MOMENTS_FOLDERS)
    if transport is not None:
        return _CalibrationTiming(transport, map_uri, seconds, moments_bytes)
    autoencoder = load_models(job, pilot.allow_code).autoencoder
    statistics = read_map_statistics(tasks)
    change_seconds: dict[str, dict[int, float]] = {}
    execute = _make_timed_executor(change_seconds)
    started = time.perf_counter()
    transport = fit_and_store_map(
        job,
        scratch,
        autoencoder,
        *side_moments,
        statistics,
        measure=lambda fitted: measure_map(tasks, fitted, execute, NullProgress()),
    )
    measured = [value for photos in change_seconds.values() for value in photos.values()]
    fit_s = time.perf_counter() - started - sum(measured)
    change_s = sum(measured) / len(measured) if measured else 0.0
    return _CalibrationTiming(transport, find_map_uri(job, scratch), seconds, moments_bytes, fit_s, change_s)


def _time_apply(
    pilot: PilotTask, run: RunPaths, calibration: _CalibrationTiming
) -> tuple[tuple[PhotoTiming, ...], float]:
    """Time the photos; returns their timings and the bytes of a manifest row.

    Raises:
        RunError: there is no map and nothing to fit one from.
    """
    if calibration.transport is None:
        raise RunError(f"{pilot.run.uri} has no map, and there is nothing to fit one from: run 'deepot fit' first")
    worker = ShardWorker(
        WorkerConfig(
            pilot.job.without_photo_limit(),
            pilot.allow_code,
            run,
            pilot.job.output.uri,
            pilot.fingerprint,
            calibration.map_uri,
            calibration.transport.sha256,
        )
    )
    worker.process(WorkItem(0, pilot.photos[:1]))  # warms up
    started = time.perf_counter()
    manifest_file = worker.process(WorkItem(1, pilot.photos))
    seconds = time.perf_counter() - started
    rows = read_manifest_file(run, manifest_file).to_pylist()
    return time_photos(rows, seconds), manifest_file.size / len(rows)


def time_photos(rows: Sequence[Mapping[str, Any]], seconds: float) -> tuple[PhotoTiming, ...]:
    """Distribute the wall time of a shard over its photos.

    A worker reads, computes and writes at the same time, so the phases of all photos add up to more or less than the
    wall time: each photo gets a share in proportion to its phases, or an equal share if no phase took any time.

    Args:
        rows: rows of the manifest.
        seconds: wall time of the shard.
    """
    phases = [sum(row[f"seconds_{phase}"] for phase in PHASES) for row in rows]
    weights = phases if any(phases) else [1.0] * len(rows)
    return tuple(
        PhotoTiming(
            row["input_uri"],
            seconds * weight / sum(weights),
            row["output_bytes"] or 0,
            row["status"],
            row["error_code"],
        )
        for row, weight in zip(rows, weights, strict=True)
    )


def _make_timed_executor(seconds: dict[str, dict[int, float]]) -> TaskExecutor[MomentsTask, MomentsTaskResult]:
    """Return an executor that runs tasks of one photo each and adds their times to `seconds`, by side and shard."""

    def execute(
        function: Callable[[MomentsTask], MomentsTaskResult], tasks: Sequence[MomentsTask]
    ) -> Iterable[MomentsTaskResult]:
        for task in tasks:
            started = time.perf_counter()
            result = function(task)
            times = seconds.setdefault(task.side, {})
            times[task.shard.number] = times.get(task.shard.number, 0.0) + time.perf_counter() - started
            yield result

    return execute


def _largest_file_bytes(paths: CalibrationPaths, folder: str) -> int:
    """Return the bytes of the largest moments file in a folder; 0 if there is none."""
    folder_uri = join_uri(paths.uri, "moments", folder)
    return max((len(read(join_uri(folder_uri, name))) for name in list_names(folder_uri)), default=0)
