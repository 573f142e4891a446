"""Evaluate: the distortion–perception curve of a run's map, on photos whose clean originals are known.

Two rounds of tasks, and either goes on where it was stopped: one task a photo stores all that its versions are made of,
then one task a point measures that version of all photos. At the end the photos are removed and the numbers stay.
"""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deepot.evaluation import CLEAN, RESTORED, BootstrapEstimate, MetricFn, SweepPoint, sweep_points
from deepot.restoration import load_degradation
from deepot.transport import TransportMap
from pipeline import cluster
from pipeline.calibration import find_map_uri
from pipeline.config import Evaluation
from pipeline.errors import ConfigError, NothingFoundError
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
from pipeline.sources import find_images, sample_by_hash
from pipeline.stages import JobContext, load_or_fit_map
from pipeline.storage import Entry, delete_folder, exists, join_uri, list_names, read, sha256_hex, write

Execute = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""Runs a function on many items, results in any order."""


def evaluate_job(context: JobContext) -> EvaluationResult:
    """Fit the map if there is none yet, and measure it; what is measured already is read.

    Raises:
        ConfigError: no `evaluate` in the job, code that is not allowed, or a photo without its clean original.
        NothingFoundError: not one photo could be used.
    """
    config = require_evaluation_config(context.job)
    if (config.features or config.metrics) and not context.options.allow_code:
        raise ConfigError("evaluate.features and evaluate.metrics run code of the modules they name: add --allow-code")
    metric_fns = [MetricFn(spec) for spec in filter(None, (config.features, *config.metrics))]
    if config.degradation is not None:
        load_degradation(config.degradation)  # what is wrong with it is said before any work
    pairs = _pair_photos(context, config)
    with cluster.ray_session(context.options.address, context.options.metrics_port) as session:
        transport = load_or_fit_map(context)
        transport.check_autoencoder(context.models.autoencoder)
        folder = context.run.evaluation(_compute_evaluation_key(config, metric_fns, pairs, transport))
        if not exists(join_uri(folder, "evaluation.json")):
            with session.worker_pool(context.job, context.options.allow_code) as pool:
                _measure_and_store(context, config, pairs, folder, pool.map_unordered)
    for subfolder in ("photos", "scores"):  # large, and of no use any more
        delete_folder(join_uri(folder, subfolder))
    return read_evaluation(folder)


def _measure_and_store(
    context: JobContext, config: Evaluation, pairs: Sequence[tuple[Entry, Entry | None]], folder: str, execute: Execute
) -> None:
    """Prepare the photos, measure the points, and store what was found."""
    unusable = _prepare_photos(context, pairs, folder, execute)
    numbers = tuple(number for number in range(len(pairs)) if number not in unusable)
    if not numbers:
        raise NothingFoundError(f"not one photo could be evaluated; the first: {next(iter(unusable.values()))}")
    points = sweep_points(config.modes, config.alphas)
    rows = _measure_points(context, points, numbers, folder, execute)
    keys = [pairs[number][0].key for number in numbers]
    write(join_uri(folder, "photos.parquet"), _to_parquet(keys, rows))
    estimates_by_point = {
        point: {name: BootstrapEstimate(**found) for name, found in row["estimates"].items()}
        for point, row in zip(points, rows, strict=True)
    }
    unusable_by_uri = {(pairs[number][1] or pairs[number][0]).uri: why for number, why in unusable.items()}
    result = EvaluationResult(folder, len(numbers), unusable_by_uri, estimates_by_point)
    write(join_uri(folder, "curve.png"), plot_curve(result.points))
    write(
        join_uri(folder, "evaluation.json"),
        result.to_json(run=context.run.uri, evaluate=config.model_dump(mode="json")),
    )


def _prepare_photos(
    context: JobContext, pairs: Sequence[tuple[Entry, Entry | None]], folder: str, execute: Execute
) -> dict[int, str]:
    """Store the versions of photos that are not there yet; the numbers of those that cannot be used, and why."""
    job, options, uri = context.job, context.options, find_map_uri(context.job, context.calibration)
    done = list_names(join_uri(folder, "photos"))
    pending = [
        PhotoTask(job, options.allow_code, uri, folder, number, *pair)
        for number, pair in enumerate(pairs)
        if photo_file_name(number) not in done
    ]
    options.progress.begin("prepare", len(pending))
    unusable: dict[int, str] = {}
    for number, why in execute(prepare_photo, pending):
        unusable |= {number: why} if why else {}
        options.progress.advance(1, int(bool(why)))
    options.progress.end()
    return unusable


def _measure_points(
    context: JobContext, points: Sequence[SweepPoint], numbers: tuple[int, ...], folder: str, execute: Execute
) -> list[dict[str, Any]]:
    """What was measured of each point, of just these photos."""
    progress = context.options.progress
    scores = join_uri(folder, "scores", sha256_hex(json.dumps(numbers).encode())[:8])
    progress.begin("measure", (1 + len(points)) * len(numbers))
    for batch in ([SweepPoint(CLEAN)], [SweepPoint(RESTORED)], points[1:]):  # each needs the scores of those before it
        for _ in execute(measure_point, [PointTask(context.job, folder, scores, numbers, point) for point in batch]):
            progress.advance(len(numbers), 0)
    progress.end()
    return [json.loads(read(point_uri(scores, point))) for point in points]


def _pair_photos(context: JobContext, config: Evaluation) -> list[tuple[Entry, Entry | None]]:
    """The clean photos, each with its damaged version where that is in the input."""
    originals = list(find_images(config.clean, "evaluate.clean"))
    if config.degradation is not None:
        return [(entry, None) for entry in sample_by_hash(originals, config.limit)]
    by_stem: dict[str, Entry] = {}
    for entry in originals:
        if _strip_suffix(entry.key) in by_stem:
            both = f"'{by_stem[_strip_suffix(entry.key)].key}' and '{entry.key}'"
            raise ConfigError(f"evaluate.clean {config.clean} has {both}: which is the original? keep one of the two")
        by_stem[_strip_suffix(entry.key)] = entry
    photos = list(find_images(context.job.input.images, "input", context.excluded_folders, context.job.input.exclude))
    matched = [photo for photo in photos if _strip_suffix(photo.key) in by_stem]
    if not matched:
        raise ConfigError(
            f"evaluate.clean {config.clean} has no original of any photo of the input, such as '{photos[0].key}': "
            "originals have the same names in the same folders, suffixes apart; or give evaluate.degrade"
        )
    return [(by_stem[_strip_suffix(photo.key)], photo) for photo in sample_by_hash(matched, config.limit)]


def _strip_suffix(key: str) -> str:
    return str(PurePosixPath(key).with_suffix(""))


def _compute_evaluation_key(
    config: Evaluation,
    metric_fns: Sequence[MetricFn],
    pairs: Sequence[tuple[Entry, Entry | None]],
    transport: TransportMap,
) -> str:
    """What an evaluation is filed under: the settings, the networks that judge, the photos, the map."""
    photos = [[entry._asdict() if entry else None for entry in pair] for pair in pairs]
    content = [config.model_dump(mode="json"), [judge.sha256 for judge in metric_fns], photos, transport.sha256]
    return sha256_hex(json.dumps(content, sort_keys=True).encode())[:16]


def _to_parquet(keys: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    """One row for each photo and point."""
    table: list[dict[str, Any]] = [
        {"file_name": key, "name": row["name"], "alpha": row["alpha"]}
        | {metric: values[index] for metric, values in row["photos"].items()}
        for row in rows
        for index, key in enumerate(keys)
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table), buffer)
    return buffer.getvalue()
