"""Evaluate: the distortion–perception curve of a run's map, on photos whose clean originals are known.

Two rounds of tasks, and either goes on where it was stopped: one task a photo stores all that its versions are made of,
then one task a point measures that version of all photos. At the end the photos are removed and the numbers stay.
"""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from deepot.calibrate import degraded
from deepot.degrade import load_degradation, seeded
from deepot.enhance import Keep
from deepot.evaluation import CLEAN, RESTORED, Estimate, Judge, Point, Scores, Versions, estimates, sweep, versions
from deepot.moments import Moments
from deepot.pixels import Pixels
from deepot.transport_map import TransportMap
from pipeline import cluster
from pipeline.config import Evaluation, Job, Limits
from pipeline.curve import Evaluated, plot, read_evaluation
from pipeline.errors import Code, ConfigError, ImageError, NothingFoundError
from pipeline.faults import DEVICE_FAULTS, said
from pipeline.fetch import fetch
from pipeline.fit import map_uri
from pipeline.images import decode
from pipeline.models import Models, load_models, tiles_of
from pipeline.plan import find_images
from pipeline.run import Opened, map_of
from pipeline.sample import sample
from pipeline.storage import Entry, exists, join, names, put, read, remove, sha256

LEAST_SIDE = 16
"""Of a photo to be measured, in pixels: SSIM has a window of 11."""


@dataclass(frozen=True)
class PhotoTask:
    """One photo to prepare.

    Attributes:
        job: the job; it has `evaluate`.
        allow_code: whether `module:factory` may be imported.
        map_uri: the map.
        folder: of the evaluation.
        number: of the photo.
        clean: the original.
        given: its damaged version in the input; None where the original is to be degraded.
    """

    job: Job
    allow_code: bool
    map_uri: str
    folder: str
    number: int
    clean: Entry
    given: Entry | None


@dataclass(frozen=True)
class PointTask:
    """One point to measure.

    Attributes:
        job: the job; its `module:factory` are allowed.
        folder: of the evaluation.
        scores: folder of what is measured of these photos.
        numbers: of the photos.
        point: the point.
    """

    job: Job
    folder: str
    scores: str
    numbers: tuple[int, ...]
    point: Point


def evaluate_job(opened: Opened) -> Evaluated:
    """Fit the map if there is none yet, and measure it; what is measured already is read.

    Raises:
        ConfigError: no `evaluate` in the job, code that is not allowed, or a photo without its clean original.
        NothingFoundError: not one photo could be used.
    """
    wanted = wanted_of(opened.job)
    if (wanted.features or wanted.metrics) and not opened.how.allow_code:
        raise ConfigError("evaluate.features and evaluate.metrics run code of the modules they name: add --allow-code")
    judges = [Judge(spec) for spec in filter(None, (wanted.features, *wanted.metrics))]
    if wanted.degrade is not None:
        load_degradation(wanted.degrade)  # what is wrong with it is said before any work
    pairs = _pairs(opened, wanted)
    with cluster.session(opened.how.address, opened.how.metrics_port) as session:
        transport = map_of(opened)
        transport.check(opened.models.codec)
        folder = opened.run.evaluation(_key(wanted, judges, pairs, transport))
        if not exists(join(folder, "evaluation.json")):
            with session.crew(opened.job, opened.how.allow_code) as crew:
                _evaluate(opened, wanted, pairs, folder, crew.execute)
    for part in ("photos", "scores"):  # large, and of no use any more
        remove(join(folder, part))
    return read_evaluation(folder)


def wanted_of(job: Job) -> Evaluation:
    """The job's `evaluate`.

    Raises:
        ConfigError: it has none.
    """
    if job.evaluate is None:
        raise ConfigError("the job says nothing of evaluate: give evaluate.clean, a folder of clean originals")
    return job.evaluate


def _evaluate(
    opened: Opened,
    wanted: Evaluation,
    pairs: Sequence[tuple[Entry, Entry | None]],
    folder: str,
    execute: Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]],
) -> None:
    job, how, run = opened.job, opened.how, opened.run
    done = names(join(folder, "photos"))
    tasks = [
        PhotoTask(job, how.allow_code, map_uri(job, run), folder, number, *pair) for number, pair in enumerate(pairs)
    ]
    missing = [task for task in tasks if _photo_name(task.number) not in done]
    how.progress.begin("prepare", len(missing))
    unusable: dict[int, str] = {}
    for number, why in execute(prepare, missing):
        unusable |= {number: why} if why else {}
        how.progress.advance(1, int(bool(why)))
    how.progress.end()
    numbers = tuple(number for number in range(len(pairs)) if number not in unusable)
    if not numbers:
        raise NothingFoundError(f"not one photo could be evaluated; the first: {next(iter(unusable.values()))}")

    points = sweep(wanted.modes, wanted.alphas)
    scores = join(folder, "scores", sha256(json.dumps(numbers).encode())[:8])  # of just these photos
    how.progress.begin("measure", (1 + len(points)) * len(numbers))
    for together in ([Point(CLEAN)], [Point(RESTORED)], points[1:]):  # each needs the scores of those before it
        for _ in execute(measure, [PointTask(job, folder, scores, numbers, point) for point in together]):
            how.progress.advance(len(numbers), 0)
    how.progress.end()
    rows = [json.loads(read(_point_uri(scores, point))) for point in points]
    keys = [pairs[number][0].key for number in numbers]
    put(join(folder, "photos.parquet"), _parquet(keys, rows))
    points_found = {
        point: {name: Estimate(**found) for name, found in row["estimates"].items()}
        for point, row in zip(points, rows, strict=True)
    }
    left_out = {(pairs[number][1] or pairs[number][0]).uri: why for number, why in unusable.items()}
    found = Evaluated(folder, len(numbers), left_out, points_found)
    put(join(folder, "curve.png"), plot(found.points))
    put(join(folder, "evaluation.json"), found.to_json(run=run.uri, evaluate=wanted.model_dump(mode="json")))


def prepare(task: PhotoTask) -> tuple[int, str | None]:
    """Restore, transport and decode one photo and store its versions; returns its number, and why it cannot be used."""
    models = load_models(task.job, task.allow_code)
    wanted, transport = wanted_of(task.job), _transport(task)
    try:
        clean, restored = (_middle(pixels, wanted.crop) for pixels in _sides(task, wanted, models))
        least = max(LEAST_SIDE, task.job.transport.patch_size * models.codec.factor)
        if min(clean.height, clean.width) < least:
            raise ImageError(Code.UNSUPPORTED_OUTPUT, f"with sides below {least} pixels it is too small to be measured")
        plan = tiles_of(task.job).plan(models.codec, clean)
        keep_mean = Keep.MEAN in task.job.transport.keep
        operator = transport.on(models.codec.device, keep_mean=keep_mean)
        found = versions(models.codec, operator, clean, restored, plan)
    except DEVICE_FAULTS:
        raise
    except Exception as error:
        return task.number, said(error)
    put(join(task.folder, "photos", _photo_name(task.number)), save_tensors(vars(found)))
    return task.number, None


def measure(task: PointTask) -> None:
    """Measure one point on all photos and store its numbers: the body of a task."""
    wanted, point = wanted_of(task.job), task.point
    if exists(_point_uri(task.scores, point)):
        return
    torch.set_num_threads(task.job.compute.threads)
    features = Judge(wanted.features) if wanted.features else None
    metrics = [Judge(spec) for spec in wanted.metrics]
    scores = Scores()
    for number in task.numbers:
        tensors = load_tensors(read(join(task.folder, "photos", _photo_name(number))))
        transport = task.job.transport
        scores.add(Versions(**tensors), point, transport.patch_size, features, metrics, transport.keep)
    record: dict[str, Any] = asdict(point) | {"photos": scores.photos}
    if point.name in (CLEAN, RESTORED):
        put(_scores_uri(task.scores, point.name), _packed(scores))
    if point.name != CLEAN:
        clean, before = (_unpacked(read(_scores_uri(task.scores, name))) for name in (CLEAN, RESTORED))
        found = estimates(scores, clean, before, wanted.replicates)
        record["estimates"] = {name: asdict(estimate) for name, estimate in found}
    put(_point_uri(task.scores, point), json.dumps(record).encode())


def _sides(task: PhotoTask, wanted: Evaluation, models: Models) -> tuple[Pixels, Pixels]:
    """The clean photo and the restored one, 8-bit RGB of one size."""
    clean, data = _rgb(task.clean, task.job.limits)
    if task.given is not None:
        restored = models.restorer(_rgb(task.given, task.job.limits)[0])
    else:
        damage = load_degradation(wanted.degrade or "")
        generator = seeded(b"evaluate" + data)  # not the noise that calibration gives this photo
        restored = models.source_restorer(degraded(clean, damage, generator))
        clean = Pixels(clean.samples[: restored.height, : restored.width])  # downscaling cuts to whole multiples
    if restored.samples.shape != clean.samples.shape:
        sizes = [f"{pixels.width} × {pixels.height}" for pixels in (restored, clean)]
        raise ImageError(Code.DAMAGED, f"restored it has {sizes[0]} pixels, its clean original {sizes[1]}")
    return clean, restored


def _pairs(opened: Opened, wanted: Evaluation) -> list[tuple[Entry, Entry | None]]:
    """The clean photos, each with its damaged version where that is in the input."""
    originals = list(find_images(wanted.clean, "evaluate.clean"))
    if wanted.degrade is not None:
        return [(entry, None) for entry in sample(originals, wanted.limit)]
    by_stem: dict[str, Entry] = {}
    for entry in originals:
        if _stem(entry.key) in by_stem:
            both = f"'{by_stem[_stem(entry.key)].key}' and '{entry.key}'"
            raise ConfigError(f"evaluate.clean {wanted.clean} has {both}: which is the original? keep one of the two")
        by_stem[_stem(entry.key)] = entry
    photos = list(find_images(opened.job.input.images, "input", opened.outside))
    known = [photo for photo in photos if _stem(photo.key) in by_stem]
    if not known:
        raise ConfigError(
            f"evaluate.clean {wanted.clean} has no original of any photo of the input, such as '{photos[0].key}': "
            "originals have the same names in the same folders, suffixes apart; or give evaluate.degrade"
        )
    return [(by_stem[_stem(photo.key)], photo) for photo in sample(known, wanted.limit)]


def _stem(key: str) -> str:
    return str(PurePosixPath(key).with_suffix(""))


def _key(
    wanted: Evaluation,
    judges: Sequence[Judge],
    pairs: Sequence[tuple[Entry, Entry | None]],
    transport: TransportMap,
) -> str:
    """What an evaluation is filed under: the settings, the networks that judge, the photos, the map."""
    photos = [[entry._asdict() if entry else None for entry in pair] for pair in pairs]
    content = [wanted.model_dump(mode="json"), [judge.sha256 for judge in judges], photos, transport.sha256]
    return sha256(json.dumps(content, sort_keys=True).encode())[:16]


def _transport(task: PhotoTask) -> TransportMap:
    return TransportMap.from_bytes(read(task.map_uri), task.map_uri)


def _rgb(entry: Entry, limits: Limits) -> tuple[Pixels, bytes]:
    """A photo as 8-bit RGB, and its bytes."""
    try:
        data = fetch(entry, limits)
        pixels = decode(data, limits.max_pixels).pixels
    except ImageError as error:
        raise ImageError(error.code, f"{error.code}: {entry.uri}: {error}") from error
    return Pixels(pixels.rgb8()), data


def _middle(pixels: Pixels, crop: int) -> Pixels:
    height, width = (min(side, crop) for side in (pixels.height, pixels.width))
    top, left = (pixels.height - height) // 2, (pixels.width - width) // 2
    return Pixels(pixels.samples[top : top + height, left : left + width].copy())


def _photo_name(number: int) -> str:
    return f"{number:05d}.safetensors"


def _point_uri(folder: str, point: Point) -> str:
    name = point.name.replace(" ", "-") + ("" if point.alpha is None else f"_{point.alpha!r}")
    return join(folder, f"{name}.json")


def _scores_uri(folder: str, name: str) -> str:
    return join(folder, f"{name}.safetensors")


def _packed(scores: Scores) -> bytes:
    """The moments of a point as one safetensors file."""
    tensors = {}
    for name, blocks in scores.sets.items():
        for index, block in enumerate(blocks):
            tensors[f"{name}/{index:02d}/count"] = torch.tensor([block.count, block.images])
            tensors[f"{name}/{index:02d}/mean"] = block.mean.contiguous()
            tensors[f"{name}/{index:02d}/scatter"] = block.scatter.contiguous()
    return save_tensors(tensors)


def _unpacked(data: bytes) -> Scores:
    """Scores with the moments of `_packed`, and without per-photo numbers."""
    tensors, scores = load_tensors(data), Scores()
    for key in sorted(key for key in tensors if key.endswith("/count")):
        start = key.removesuffix("/count")
        count, images = tensors[key].tolist()
        moments = Moments(count, images, tensors[f"{start}/mean"], tensors[f"{start}/scatter"])
        scores.sets.setdefault(start.partition("/")[0], []).append(moments)
    return scores


def _parquet(keys: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    """One row for each photo and point."""
    table: list[dict[str, Any]] = [
        {"file_name": key, "name": row["name"], "alpha": row["alpha"]}
        | {metric: values[index] for metric, values in row["photos"].items()}
        for row in rows
        for index, key in enumerate(keys)
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table), sink)
    return sink.getvalue()
