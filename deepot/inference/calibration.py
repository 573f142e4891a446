"""Calibration: the moments of photos, and of the same photos degraded and restored, for fitting a map."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from PIL import Image
from torch import Tensor

from deepot.autoencoder.autoencoder import Codec
from deepot.inference.tile_options import Tiles
from deepot.inference.tiled_autoencoder import encode
from deepot.photo.pixels import Pixels
from deepot.restoration.degradations import Degradation
from deepot.restoration.restorer import Restorer
from deepot.tiling.oom_retry import within_memory
from deepot.transport.binned_moments import Levels, patch_levels
from deepot.transport.mixture_fit import check_components, fit_mixture
from deepot.transport.moments import Moments, merge_in_order
from deepot.transport.patch_moments import patch_moments
from deepot.transport.transport_map import Calibration, TransportMap, fit_map


def photo_moments(codec: Codec, pixels: Pixels, patch_size: int, tiles: Tiles | None = None) -> Moments:
    """Moments of the latent patches of one photo of any size."""
    return patch_moments(_latents(codec, pixels, tiles), patch_size)


def photo_levels(codec: Codec, pixels: Pixels, patch_size: int, tiles: Tiles | None = None) -> Levels:
    """Levels of the latent patches of one photo of any size, for a mixture."""
    return patch_levels(_latents(codec, pixels, tiles), patch_size)


def degraded(pixels: Pixels, degradation: Degradation, generator: np.random.Generator) -> Pixels:
    """The photo in 8 bits, grey or sRGB, as it would be after such a history."""
    return Pixels.from_image(degradation(Pixels(pixels.plain8()).image(), generator))


def matched_moments(
    codec: Codec,
    natural: Pixels,
    degradation: Degradation,
    restorer: Restorer,
    generator: np.random.Generator,
    patch_size: int,
    tiles: Tiles | None = None,
) -> tuple[Moments, Moments]:
    """Moments of restore(degrade(photo)) and of the photo: the two sides of a content-matched calibration."""
    restored = restorer(degraded(natural, degradation, generator))
    return photo_moments(codec, restored, patch_size, tiles), photo_moments(codec, natural, patch_size, tiles)


def fit_images(
    codec: Codec,
    restored: Iterable[Image.Image],
    natural: Iterable[Image.Image],
    *,
    patch_size: int = 3,
    calibration: Calibration = Calibration.CONTENT_MATCHED,
    doubt: float | None = None,
    components: int = 1,
) -> TransportMap:
    """Fit a map from Pillow images: restored ones, and natural ones, best of the same scenes in the same order.

    Args:
        codec: the autoencoder.
        restored: the restored side.
        natural: the natural side.
        patch_size: p.
        calibration: `Calibration.UNPAIRED` where the scenes are others.
        doubt: as for `fit_map`.
        components: more than 1: of a mixture of Gaussians (`deepot.transport.mixture_fit.fit_mixture`).

    Raises:
        MomentsError: too few patches or images on a side, or content-matched lists of different length.
        UnsupportedImageError: an image in a mode that cannot be read as RGB.
        ValueError: components that cannot be fitted, or a doubt below 0.
    """
    check_components(components, patch_size, calibration)
    sides = (map(Pixels.from_image, images) for images in (restored, natural))
    levels: tuple[Levels, Levels] | None = None
    if components == 1:
        source, reference = ([photo_moments(codec, photo, patch_size) for photo in side] for side in sides)
    else:
        mine, theirs = (_gathered(photo_levels(codec, photo, patch_size) for photo in side) for side in sides)
        (source, reference), levels = (mine[0], theirs[0]), (mine[1], theirs[1])
    single = fit_map(
        source,
        reference,
        codec=codec.name,
        codec_sha256=codec.sha256,
        patch_size=patch_size,
        calibration=calibration,
        doubt=doubt,
    )
    return fit_mixture(single, *levels, components) if levels else single


def _gathered(photos: Iterable[Levels]) -> tuple[list[Moments], Levels]:
    """The moments of each photo, and the levels of all of them."""
    blocks: list[Moments] = []

    def noted() -> Iterator[Levels]:
        for photo in photos:
            blocks.append(photo.whole())
            yield photo

    return blocks, merge_in_order(noted())


def _latents(codec: Codec, pixels: Pixels, tiles: Tiles | None) -> Tensor:
    """Latents of a whole photo, (1, c, h, w); in smaller tiles where an accelerator's memory does not do."""
    whole = tiles or Tiles()

    def work(size: int) -> Tensor:
        return encode(codec, pixels, replace(whole, size=size).plan(codec, pixels))

    return within_memory(work, whole.size, whole.least(codec))[0]
