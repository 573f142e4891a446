"""Measure: the two tasks of an evaluation: one makes the versions of a photo, one measures a version of all photos."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from deepot.evaluation.metric_accumulator import Judge, Scores, estimates
from deepot.evaluation.variants import CLEAN, RESTORED, Point, Versions, versions
from deepot.inference.calibration import degraded
from deepot.inference.modes import Keep
from deepot.photo.pixels import Pixels
from deepot.restoration.degradations import load_degradation, seeded
from deepot.tiling.oom_retry import within_memory
from deepot.transport.moments import Moments
from deepot.transport.transport_map import TransportMap
from pipeline.config.job import Evaluation, Job, Limits
from pipeline.errors import Code, ConfigError, ImageError
from pipeline.failures import DEVICE_FAULTS, said
from pipeline.imageio.image_file import decode
from pipeline.sources.fetch import fetch
from pipeline.storage.folders import exists
from pipeline.storage.objects import Entry, join, put, read
from pipeline.workers.models import Models, load_models, tiles_of

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


def wanted_of(job: Job) -> Evaluation:
    """The job's `evaluate`.

    Raises:
        ConfigError: it has none.
    """
    if job.evaluate is None:
        raise ConfigError("the job says nothing of evaluate: give evaluate.clean, a folder of clean originals")
    return job.evaluate


def prepare(task: PhotoTask) -> tuple[int, str | None]:
    """Restore, transport and decode one photo and store its versions; returns its number, and why it cannot be used."""
    models = load_models(task.job, task.allow_code)
    wanted, transport = wanted_of(task.job), _transport(task)
    try:
        clean, restored = (_middle(pixels, wanted.crop) for pixels in _sides(task, wanted, models))
        least = max(LEAST_SIDE, task.job.transport.patch_size * models.codec.factor)
        if min(clean.height, clean.width) < least:
            raise ImageError(Code.UNSUPPORTED_OUTPUT, f"with sides below {least} pixels it is too small to be measured")
        keep_mean = Keep.MEAN in task.job.transport.keep
        operator = transport.on(models.codec.device, keep_mean=keep_mean)
        tiles = tiles_of(task.job)

        def work(size: int) -> Versions:
            plan = replace(tiles, size=size).plan(models.codec, clean)
            return versions(models.codec, operator, clean, restored, plan)

        found, _ = within_memory(work, tiles.size, tiles.least(models.codec))
    except DEVICE_FAULTS:
        raise
    except Exception as error:
        return task.number, said(error)
    put(join(task.folder, "photos", photo_name(task.number)), save_tensors(vars(found)))
    return task.number, None


def measure(task: PointTask) -> None:
    """Measure one point on all photos and store its numbers: the body of a task."""
    wanted, point = wanted_of(task.job), task.point
    if exists(point_uri(task.scores, point)):
        return
    torch.set_num_threads(task.job.compute.threads)
    features = Judge(wanted.features) if wanted.features else None
    metrics = [Judge(spec) for spec in wanted.metrics]
    scores = Scores()
    for number in task.numbers:
        tensors = load_tensors(read(join(task.folder, "photos", photo_name(number))))
        transport = task.job.transport
        scores.add(Versions(**tensors), point, transport.patch_size, features, metrics, transport.keep)
    record: dict[str, Any] = asdict(point) | {"photos": scores.photos}
    if point.name in (CLEAN, RESTORED):
        put(_scores_uri(task.scores, point.name), _packed(scores))
    if point.name != CLEAN:
        clean, before = (_unpacked(read(_scores_uri(task.scores, name))) for name in (CLEAN, RESTORED))
        found = estimates(scores, clean, before, wanted.replicates)
        record["estimates"] = {name: asdict(estimate) for name, estimate in found}
    put(point_uri(task.scores, point), json.dumps(record).encode())


def photo_name(number: int) -> str:
    """The file that the versions of a photo are stored in."""
    return f"{number:05d}.safetensors"


def point_uri(folder: str, point: Point) -> str:
    """The file that the numbers of a point are stored in."""
    name = point.name.replace(" ", "-") + ("" if point.alpha is None else f"_{point.alpha!r}")
    return join(folder, f"{name}.json")


def _sides(task: PhotoTask, wanted: Evaluation, models: Models) -> tuple[Pixels, Pixels]:
    """The clean photo and the restored one, of 8 bits and one size, either grey or RGB."""
    clean, data = _plain(task.clean, task.job.limits)
    if task.given is not None:
        restored = models.restorer(_plain(task.given, task.job.limits)[0])
    else:
        damage = load_degradation(wanted.degrade or "")
        generator = seeded(b"evaluate" + data)  # not the noise that calibration gives this photo
        restored = models.source_restorer(degraded(clean, damage, generator))
        clean = Pixels(clean.samples[: restored.height, : restored.width])  # downscaling cuts to whole multiples
    if restored.samples.shape[:2] != clean.samples.shape[:2]:
        sizes = [f"{pixels.width} × {pixels.height}" for pixels in (restored, clean)]
        raise ImageError(Code.DAMAGED, f"restored it has {sizes[0]} pixels, its clean original {sizes[1]}")
    return clean, restored


def _transport(task: PhotoTask) -> TransportMap:
    return TransportMap.from_bytes(read(task.map_uri), task.map_uri)


def _plain(entry: Entry, limits: Limits) -> tuple[Pixels, bytes]:
    """A photo in 8 bits, grey or RGB, and its bytes."""
    try:
        data = fetch(entry, limits)
        pixels = decode(data, limits.max_pixels).pixels
    except ImageError as error:
        raise ImageError(error.code, f"{error.code}: {entry.uri}: {error}") from error
    return Pixels(pixels.plain8()), data


def _middle(pixels: Pixels, crop: int) -> Pixels:
    height, width = (min(side, crop) for side in (pixels.height, pixels.width))
    top, left = (pixels.height - height) // 2, (pixels.width - width) // 2
    return Pixels(pixels.samples[top : top + height, left : left + width].copy())


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
