"""The task of a worker: one photo restored, transported and rendered at every point of a preview."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from deepot.evaluation import RESTORED, PhotoVariants, SweepPoint, compute_variants
from deepot.inference import Preserve, looks_natural
from deepot.photo import Pixels
from deepot.tiling import retry_with_smaller_tiles
from deepot.transport import TransportMap
from pipeline.config import Job
from pipeline.failures import DEVICE_ERRORS, error_message
from pipeline.imageio import decode
from pipeline.preview.marks import find_marks
from pipeline.reporting import PreviewMark
from pipeline.sources import read_input
from pipeline.storage import Entry, read
from pipeline.workers import constraint_factory, find_natural_test, load_models, tile_options

_WEBP_QUALITY = 92


@dataclass(frozen=True)
class PreviewTask:
    """A photo to render.

    Attributes:
        job: the job.
        allow_code: whether `module:factory` may be imported.
        map_uri: URI of the map.
        entry: the photo.
        points: what to render, besides the restored photo itself.
        marked: the number of the point whose change decides where to look.
        max_side: the largest side of the region in the middle of the photo that is rendered, in pixels of the result.
    """

    job: Job
    allow_code: bool
    map_uri: str
    entry: Entry
    points: tuple[SweepPoint, ...]
    marked: int
    max_side: int


@dataclass(frozen=True)
class RenderedVersion:
    """A version of a photo.

    Attributes:
        webp: the picture.
        mean_change: mean absolute difference to the restored photo, in levels of 255.
        psnr: PSNR to the restored photo, in dB; infinite if nothing has changed.
    """

    webp: bytes
    mean_change: float
    psnr: float


@dataclass(frozen=True)
class RenderedPhoto:
    """The versions of a photo.

    Attributes:
        entry: the photo.
        full_size: width and height of the result, in pixels.
        size: width and height of the region that was rendered.
        versions: the restored photo and each point, in the order of the task.
        marks: regions to look at.
        untouched: whether a run leaves the photo as it is, because it looks natural already.
    """

    entry: Entry
    full_size: tuple[int, int]
    size: tuple[int, int]
    versions: tuple[RenderedVersion, ...]
    marks: tuple[PreviewMark, ...]
    untouched: bool


def render_photo(task: PreviewTask) -> RenderedPhoto | tuple[Entry, str]:
    """Restore a region of a photo and render it at every point.

    Returns:
        The rendered photo, or its entry and the reason if it cannot be rendered.
    """
    try:
        return _render(task)
    except DEVICE_ERRORS:
        raise
    except Exception as error:
        return task.entry, error_message(error)


def _render(task: PreviewTask) -> RenderedPhoto:
    job = task.job
    models = load_models(job, task.allow_code)
    transport = TransportMap.from_bytes(read(task.map_uri), task.map_uri)
    photo = decode(read_input(task.entry, job.limits, job.input.allow), job.limits.max_pixels)
    scale = models.restorer.scale
    page, orientation = photo.pixels, photo.properties["orientation"] or 1
    restorer_input = page.crop_centre(max(1, task.max_side // scale))
    full_size = page.width * scale, page.height * scale
    restored = models.restorer(restorer_input)
    companion = None
    if job.has_companion and transport.companion_weight is not None:
        companion = _to_8_bits(restorer_input.resize(restored.height, restored.width))
    variants = _compute_variants(task, transport, _to_8_bits(restored), companion)
    points = (SweepPoint(RESTORED), *task.points)
    versions = [Pixels(_to_array(variants, point, job.transport.preserve)) for point in points]
    if job.reduction_factor == scale:
        _reduce_to(restorer_input, versions[1:])
    images = [version.apply_orientation(orientation).samples for version in versions]
    before, after = (torch.from_numpy(image).permute(2, 0, 1) / 255 for image in (images[0], images[task.marked + 1]))
    return RenderedPhoto(
        task.entry,
        full_size[::-1] if orientation > 4 else full_size,
        (images[0].shape[1], images[0].shape[0]),
        tuple(_render_version(images[0], image) for image in images),
        find_marks(before, after),
        looks_natural(models.autoencoder, find_natural_test(job, models.restorer, transport), photo.pages),
    )


def _compute_variants(
    task: PreviewTask, transport: TransportMap, restored: Pixels, companion: Pixels | None
) -> PhotoVariants:
    autoencoder = load_models(task.job, task.allow_code).autoencoder
    keep_mean = Preserve.MEAN in task.job.transport.preserve
    operator = transport.operator_on(autoencoder.device, keep_mean=keep_mean)
    tiles = tile_options(task.job)

    def compute_at_tile_size(size: int) -> PhotoVariants:
        plan = replace(tiles, size=size).plan(autoencoder, restored)
        weight = transport.companion_weight or 0.0
        return compute_variants(
            autoencoder, operator, None, restored, plan, transport.tone, transport.gains, companion, weight
        )

    return retry_with_smaller_tiles(compute_at_tile_size, tiles.size, tiles.min_size(autoencoder))[0]


def _to_8_bits(pixels: Pixels) -> Pixels:
    return Pixels(pixels.to_grey_or_rgb8())


def _to_array(variants: PhotoVariants, point: SweepPoint, preserve: Sequence[Preserve]) -> NDArray[np.uint8]:
    """Return a version as (H, W, 3), 8 bits."""
    rgb = variants.render(point, preserve)[0].permute(1, 2, 0)
    array: NDArray[np.uint8] = (rgb * 255).round().to(torch.uint8).numpy()
    return np.ascontiguousarray(array)


def _reduce_to(reduced: Pixels, versions: Sequence[Pixels]) -> None:
    """Project versions of an enlarged photo, in place, onto what reduces to the small photo, as a run does."""
    make_constraint = constraint_factory(None, versions[0], Pixels(_to_rgb(reduced), reduced.alpha))
    if make_constraint is not None:
        for version in versions:
            make_constraint(version.samples).project(version)


def _to_rgb(pixels: Pixels) -> NDArray[np.uint8]:
    """Return a photo as (H, W, 3), 8 bits."""
    samples = pixels.to_grey_or_rgb8()
    return np.repeat(samples, 3, axis=2) if samples.shape[2] == 1 else samples


def _render_version(restored: NDArray[np.uint8], image: NDArray[np.uint8]) -> RenderedVersion:
    difference = image.astype(np.float64) - restored
    mse = float(np.square(difference).mean())
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "WEBP", quality=_WEBP_QUALITY)
        webp = file.getvalue()
    psnr = 10 * math.log10(255**2 / mse) if mse else math.inf
    return RenderedVersion(webp, float(np.abs(difference).mean()), psnr)
