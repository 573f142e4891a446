"""Evaluating the map of a run over α and mode, on photos with known clean originals.

Two rounds of tasks, each of which resumes after an interruption: one task per photo stores the variants of the photo,
then one task per point of the sweep measures that variant of all photos. In the end the variants are deleted and the
scores are kept.
"""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deepot.evaluation import (
    CLEAN,
    RESTORED,
    BootstrapEstimate,
    MetricFn,
    PhotoVariants,
    SweepPoint,
    sweep_points,
)
from deepot.restoration import load_degradation
from deepot.transport import TransportMap
from pipeline.calibration import find_map_uri
from pipeline.config import Evaluation
from pipeline.errors import ConfigError, NothingFoundError
from pipeline.evaluation.pairing import pair_photos
from pipeline.evaluation.tasks import (
    PhotoTask,
    PointTask,
    measure_point,
    photo_file_name,
    point_uri,
    prepare_photo,
    require_evaluation_config,
)
from pipeline.reporting import EvaluationResult, plot_curve, read_evaluation
from pipeline.stages import JobContext, load_or_fit_map, sample_local_files, worker_session
from pipeline.storage import Entry, delete_folder, exists, join_uri, list_names, read, sha256_hex, write
from pipeline.workers import TaskExecutor, mark_storage

EVALUATION_FORMAT = 3
"""Version of the files of an evaluation; an interrupted evaluation with files of another version starts anew."""


def evaluate_job(context: JobContext) -> EvaluationResult:
    """Measure the map of a job, after fitting it if there is none; a finished evaluation is read and not repeated.

    Raises:
        ConfigError: the job has no `evaluate` section, code is not allowed, or no photo has a clean original.
        NothingFoundError: no photo could be used.
    """
    config = require_evaluation_config(context.job)
    if (config.features or config.metrics) and not context.options.allow_code:
        raise ConfigError(
            "evaluate.features and evaluate.metrics import and run the modules they name: allow it with --allow-code"
        )
    metric_fns = [MetricFn(spec) for spec in filter(None, (config.features, *config.metrics))]
    if config.degradation is not None:
        load_degradation(config.degradation)  # raises before any work is done
    pairs = pair_photos(context, config)
    with worker_session(context.job, context.options) as session:
        transport = load_or_fit_map(context)
        transport.check_autoencoder(context.models.autoencoder)
        folder = context.run.evaluation(_compute_evaluation_key(config, metric_fns, pairs, transport))
        if not exists(join_uri(folder, "evaluation.json")):
            samples = [sample_local_files([entry for entry in side if entry]) for side in zip(*pairs, strict=True)]
            with (
                session.worker_pool(context.job, context.options.allow_code, len(pairs)) as pool,
                mark_storage([context.run.uri], samples) as storage,
            ):
                _measure_and_store(context, config, pairs, folder, storage.check_first(pool.map_unordered))
    for subfolder in ("photos", "scores"):  # large, and no longer needed
        delete_folder(join_uri(folder, subfolder))
    return read_evaluation(folder)


def _measure_and_store(
    context: JobContext,
    config: Evaluation,
    pairs: Sequence[tuple[Entry, Entry | None]],
    folder: str,
    execute: TaskExecutor[Any, Any],
) -> None:
    """Prepare the photos, measure the points and store the result."""
    unusable = _prepare_photos(context, pairs, folder, execute)
    numbers = tuple(number for number in range(len(pairs)) if number not in unusable)
    if not numbers:
        raise NothingFoundError(
            f"none of the {len(pairs)} photos can be evaluated; the first: {next(iter(unusable.values()))}"
        )
    points = sweep_points(config.modes, config.alphas)
    rows = _measure_points(context, points, numbers, folder, execute)
    keys = [pairs[number][0].key for number in numbers]
    write(join_uri(folder, "photos.parquet"), _to_parquet(keys, rows))
    estimates_by_point = {
        point: {name: BootstrapEstimate(**estimate) for name, estimate in row["estimates"].items()}
        for point, row in zip(points, rows, strict=True)
    }
    unusable_by_uri = {(pairs[number][1] or pairs[number][0]).uri: reason for number, reason in unusable.items()}
    result = EvaluationResult(folder, len(numbers), unusable_by_uri, estimates_by_point)
    write(join_uri(folder, "curve.png"), plot_curve(result.points))
    write(
        join_uri(folder, "evaluation.json"),
        result.to_json(run=context.run.uri, evaluate=config.model_dump(mode="json")),
    )


def _prepare_photos(
    context: JobContext, pairs: Sequence[tuple[Entry, Entry | None]], folder: str, execute: TaskExecutor[Any, Any]
) -> dict[int, str]:
    """Store the variants that are not stored yet; return the numbers of unusable photos with the reasons."""
    job, options, map_uri = context.job, context.options, find_map_uri(context.job, context.calibration)
    done = list_names(join_uri(folder, "photos"))
    pending = [
        PhotoTask(job, options.allow_code, map_uri, folder, number, *pair)
        for number, pair in enumerate(pairs)
        if photo_file_name(number) not in done
    ]
    options.progress.begin("prepare", len(pending))
    unusable: dict[int, str] = {}
    for number, reason in execute(prepare_photo, pending):
        unusable |= {number: reason} if reason else {}
        options.progress.advance(1, int(bool(reason)))
    options.progress.end()
    return unusable


def _measure_points(
    context: JobContext,
    points: Sequence[SweepPoint],
    numbers: tuple[int, ...],
    folder: str,
    execute: TaskExecutor[Any, Any],
) -> list[dict[str, Any]]:
    """Measure the points on the photos of these numbers; return a record per point."""
    progress = context.options.progress
    scores = join_uri(folder, "scores", sha256_hex(json.dumps(numbers).encode())[:8])
    progress.begin("measure", (1 + len(points)) * len(numbers))
    for batch in (
        [SweepPoint(CLEAN)],
        [SweepPoint(RESTORED)],
        points[1:],
    ):  # each batch needs the scores of the ones before
        for _ in execute(measure_point, [PointTask(context.job, folder, scores, numbers, point) for point in batch]):
            progress.advance(len(numbers), 0)
    progress.end()
    return [json.loads(read(point_uri(scores, point))) for point in points]


def _compute_evaluation_key(
    config: Evaluation,
    metric_fns: Sequence[MetricFn],
    pairs: Sequence[tuple[Entry, Entry | None]],
    transport: TransportMap,
) -> str:
    """Hash everything that decides the result: the settings, the metrics' networks, the photos and the map."""
    photos = [[entry._asdict() if entry else None for entry in pair] for pair in pairs]
    networks = [metric_fn.sha256 for metric_fn in metric_fns]
    file_format = [EVALUATION_FORMAT, *(field.name for field in fields(PhotoVariants))]  # the keys of the photos' files
    content = [file_format, config.model_dump(mode="json"), networks, photos, transport.sha256]
    return sha256_hex(json.dumps(content, sort_keys=True).encode())[:16]


def _to_parquet(keys: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    """Return a Parquet file with one row per photo and point; a metric that a photo has no finite value of is null."""
    table: list[dict[str, Any]] = [
        {"file_name": key, "name": row["name"], "alpha": row["alpha"]}
        | {name: values[index] if math.isfinite(values[index]) else None for name, values in row["photos"].items()}
        for row in rows
        for index, key in enumerate(keys)
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table), buffer)
    return buffer.getvalue()
