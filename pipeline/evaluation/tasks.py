"""The two tasks of an evaluation: preparing the variants of a photo, and measuring a variant over all photos."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from deepot.evaluation import (
    CLEAN,
    RESTORED,
    MetricAccumulator,
    MetricFn,
    PhotoVariants,
    SweepPoint,
    compute_variants,
    estimate_metrics,
)
from deepot.inference import Preserve, degrade_photo
from deepot.photo import Pixels
from deepot.restoration import load_degradation, rng_for
from deepot.tiling import retry_with_smaller_tiles
from deepot.transport import TransportMap
from pipeline.config import Evaluation, Job, Limits
from pipeline.errors import ConfigError, ErrorCode, ImageError
from pipeline.evaluation.moments_file import moments_from_bytes, moments_to_bytes
from pipeline.failures import DEVICE_ERRORS, error_message
from pipeline.imageio import decode
from pipeline.sources import read_input
from pipeline.storage import Entry, exists, join_uri, read, write
from pipeline.workers import Models, load_models, tile_options

MIN_SIDE = 16
"""Minimum side of a photo to be measured, in pixels; the window of SSIM is 11."""


@dataclass(frozen=True)
class PhotoTask:
    """A photo to prepare.

    Attributes:
        job: a job with `evaluate`.
        allow_code: whether `module:factory` may be imported.
        map_uri: URI of the map.
        folder: folder of the evaluation.
        number: number of the photo.
        clean: the clean original.
        input_photo: its degraded version in the input; None if the original is to be degraded.
    """

    job: Job
    allow_code: bool
    map_uri: str
    folder: str
    number: int
    clean: Entry
    input_photo: Entry | None


@dataclass(frozen=True)
class PointTask:
    """A point of the sweep to measure.

    Attributes:
        job: a job with `evaluate`, whose `module:factory` may be imported.
        folder: folder of the evaluation.
        scores_folder: folder of the scores of these photos.
        photo_numbers: numbers of the photos.
        point: the point.
    """

    job: Job
    folder: str
    scores_folder: str
    photo_numbers: tuple[int, ...]
    point: SweepPoint


def require_evaluation_config(job: Job) -> Evaluation:
    """Return the `evaluate` section of a job.

    Raises:
        ConfigError: the job has none.
    """
    if job.evaluate is None:
        raise ConfigError("the job has no evaluate section: give evaluate.clean, a folder of clean originals")
    return job.evaluate


def prepare_photo(task: PhotoTask) -> tuple[int, str | None]:
    """Restore and transport one photo and store its variants.

    Returns:
        The number of the photo, and the reason if it cannot be used.
    """
    models = load_models(task.job, task.allow_code)
    config = require_evaluation_config(task.job)
    transport = TransportMap.from_bytes(read(task.map_uri), task.map_uri)
    try:
        clean, restored, restorer_input = _load_versions(task, config, models)
        companion = None
        if task.job.has_companion and transport.companion_weight is not None:
            companion = restorer_input.resize(restored.height, restored.width).crop_centre(config.crop)
        clean, restored = (pixels.crop_centre(config.crop) for pixels in (clean, restored))
        min_side = max(MIN_SIDE, task.job.transport.patch_size * models.autoencoder.factor)
        if min(clean.height, clean.width) < min_side:
            raise ImageError(
                ErrorCode.UNSUPPORTED_OUTPUT,
                f"it is too small to be measured: its sides must be at least {min_side} pixels",
            )
        keep_mean = Preserve.MEAN in task.job.transport.preserve
        operator = transport.operator_on(models.autoencoder.device, keep_mean=keep_mean)
        tiles = tile_options(task.job)

        def compute_at_tile_size(size: int) -> PhotoVariants:
            plan = replace(tiles, size=size).plan(models.autoencoder, clean)
            return compute_variants(
                models.autoencoder,
                operator,
                clean,
                restored,
                plan,
                transport.tone,
                transport.gains,
                companion,
                transport.companion_weight or 0.0,
            )

        variants, _ = retry_with_smaller_tiles(compute_at_tile_size, tiles.size, tiles.min_size(models.autoencoder))
    except DEVICE_ERRORS:
        raise
    except Exception as error:
        return task.number, error_message(error)
    write(join_uri(task.folder, "photos", photo_file_name(task.number)), save_tensors(vars(variants)))
    return task.number, None


def measure_point(task: PointTask) -> None:
    """Measure one point on all photos and store its scores; does nothing if they are stored already."""
    config, point = require_evaluation_config(task.job), task.point
    if exists(point_uri(task.scores_folder, point)):
        return
    torch.set_num_threads(task.job.compute.threads)
    features = MetricFn(config.features) if config.features else None
    metrics = [MetricFn(spec) for spec in config.metrics]
    natural = None if point.name == CLEAN else _load_moments(task, CLEAN).sharp_patches
    scores = MetricAccumulator()
    for number in task.photo_numbers:
        variants = PhotoVariants(**load_tensors(read(join_uri(task.folder, "photos", photo_file_name(number)))))
        transport = task.job.transport
        scores.add(variants, point, transport.patch_size, features, metrics, transport.preserve, natural)
    record: dict[str, Any] = asdict(point) | {"photos": scores.per_photo}
    if point.name in (CLEAN, RESTORED):
        write(_moments_uri(task.scores_folder, point.name), moments_to_bytes(scores))
    if point.name != CLEAN:
        clean, restored = (_load_moments(task, name) for name in (CLEAN, RESTORED))
        estimates = estimate_metrics(scores, clean, restored, config.replicates)
        record["estimates"] = {name: asdict(estimate) for name, estimate in estimates}
    write(point_uri(task.scores_folder, point), json.dumps(record).encode())


def photo_file_name(number: int) -> str:
    """Return the name of the file that stores the variants of a photo."""
    return f"{number:05d}.safetensors"


def point_uri(folder: str, point: SweepPoint) -> str:
    """Return the URI of the file that stores the scores of a point."""
    name = point.name.replace(" ", "-") + ("" if point.alpha is None else f"_{point.alpha!r}")
    return join_uri(folder, f"{name}.json")


def _load_versions(task: PhotoTask, config: Evaluation, models: Models) -> tuple[Pixels, Pixels, Pixels]:
    """Load the clean and the restored photo, of the same size, and the restorer's input, in 8 bits, grey or RGB."""
    clean, data = _load_8bit(task.clean, task.job.limits)
    if task.input_photo is not None:
        restorer_input = _load_8bit(task.input_photo, task.job.limits, task.job.input.allow)[0]
        restored = models.restorer(restorer_input)
    else:
        degradation = load_degradation(config.degradation or "")
        generator = rng_for(b"evaluate" + data)  # another noise than in the calibration
        restorer_input = degrade_photo(clean, degradation, generator)
        restored = models.calibration_restorer(restorer_input)
        clean = Pixels(
            clean.samples[: restored.height, : restored.width]
        )  # downscaling crops to multiples of its factor
    if restored.samples.shape[:2] != clean.samples.shape[:2]:
        sizes = [f"{pixels.width} × {pixels.height}" for pixels in (restored, clean)]
        raise ImageError(ErrorCode.DAMAGED, f"the restored photo has {sizes[0]} pixels, its clean original {sizes[1]}")
    return clean, restored, restorer_input


def _load_8bit(entry: Entry, limits: Limits, allow: Sequence[str] = ()) -> tuple[Pixels, bytes]:
    """Read a photo; return it in 8 bits, grey or RGB, and the bytes of the file."""
    try:
        data = read_input(entry, limits, allow)
        pixels = decode(data, limits.max_pixels).pixels
    except ImageError as error:
        raise ImageError(error.code, f"{error.code}: {entry.uri}: {error}") from error
    return Pixels(pixels.to_grey_or_rgb8()), data


def _load_moments(task: PointTask, name: str) -> MetricAccumulator:
    """Read the statistics of all photos, clean or restored."""
    uri = _moments_uri(task.scores_folder, name)
    return moments_from_bytes(read(uri), uri)


def _moments_uri(folder: str, name: str) -> str:
    return join_uri(folder, f"{name}.safetensors")
