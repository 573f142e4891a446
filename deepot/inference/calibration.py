"""Calibration: the moments of photos, and of the same photos degraded and restored, for fitting a map."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from PIL import Image
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.tile_options import TileOptions
from deepot.inference.tiled_autoencoder import encode_tiled
from deepot.photo import Pixels
from deepot.restoration import Degradation, Restorer
from deepot.tiling import retry_with_smaller_tiles
from deepot.transport import (
    BinnedMoments,
    CalibrationKind,
    Moments,
    TransportMap,
    check_mixture_components,
    compute_binned_patch_moments,
    compute_patch_moments,
    fit_map,
    fit_mixture_map,
    merge_in_order,
)


def photo_moments(
    autoencoder: LoadedAutoencoder, pixels: Pixels, patch_size: int, tiles: TileOptions | None = None
) -> Moments:
    """Moments of the latent patches of one photo of any size."""
    return compute_patch_moments(_encode_photo(autoencoder, pixels, tiles), patch_size)


def photo_binned_moments(
    autoencoder: LoadedAutoencoder, pixels: Pixels, patch_size: int, tiles: TileOptions | None = None
) -> BinnedMoments:
    """Levels of the latent patches of one photo of any size, for a mixture."""
    return compute_binned_patch_moments(_encode_photo(autoencoder, pixels, tiles), patch_size)


def degrade_photo(pixels: Pixels, degradation: Degradation, generator: np.random.Generator) -> Pixels:
    """The photo in 8 bits, grey or sRGB, as it would be after such a history."""
    return Pixels.from_image(degradation(Pixels(pixels.to_grey_or_rgb8()).to_image(), generator))


def paired_moments(
    autoencoder: LoadedAutoencoder,
    natural: Pixels,
    degradation: Degradation,
    restorer: Restorer,
    generator: np.random.Generator,
    patch_size: int,
    tiles: TileOptions | None = None,
) -> tuple[Moments, Moments]:
    """Moments of restore(degrade(photo)) and of the photo: the two sides of a content-matched calibration."""
    restored = restorer(degrade_photo(natural, degradation, generator))
    return photo_moments(autoencoder, restored, patch_size, tiles), photo_moments(
        autoencoder, natural, patch_size, tiles
    )


def fit_images(
    autoencoder: LoadedAutoencoder,
    restored: Iterable[Image.Image],
    natural: Iterable[Image.Image],
    *,
    patch_size: int = 3,
    calibration: CalibrationKind = CalibrationKind.PAIRED,
    shrinkage_se: float | None = None,
    components: int = 1,
) -> TransportMap:
    """Fit a map from Pillow images: restored ones, and natural ones, best of the same scenes in the same order.

    Args:
        autoencoder: the autoencoder.
        restored: the restored side.
        natural: the natural side.
        patch_size: p.
        calibration: `CalibrationKind.UNPAIRED` where the scenes are others.
        shrinkage_se: as for `fit_map`.
        components: more than 1: of a mixture of Gaussians (`deepot.transport.mixture_fit.fit_mixture_map`).

    Raises:
        MomentsError: too few patches or images on a side, or content-matched lists of different length.
        UnsupportedImageError: an image in a mode that cannot be read as RGB.
        ValueError: components that cannot be fitted, or a doubt below 0.
    """
    check_mixture_components(components, patch_size, calibration)
    sides = (map(Pixels.from_image, images) for images in (restored, natural))
    binned: tuple[BinnedMoments, BinnedMoments] | None = None
    if components == 1:
        source, reference = ([photo_moments(autoencoder, photo, patch_size) for photo in side] for side in sides)
    else:
        source_side, reference_side = (
            _collect_moments(photo_binned_moments(autoencoder, photo, patch_size) for photo in side) for side in sides
        )
        (source, reference), binned = (source_side[0], reference_side[0]), (source_side[1], reference_side[1])
    gaussian_map = fit_map(
        source,
        reference,
        autoencoder=autoencoder.name,
        autoencoder_sha256=autoencoder.sha256,
        patch_size=patch_size,
        calibration=calibration,
        shrinkage_se=shrinkage_se,
    )
    return fit_mixture_map(gaussian_map, *binned, components) if binned else gaussian_map


def _collect_moments(photos: Iterable[BinnedMoments]) -> tuple[list[Moments], BinnedMoments]:
    """The moments of each photo, and the levels of all of them."""
    blocks: list[Moments] = []

    def record_moments() -> Iterator[BinnedMoments]:
        for photo in photos:
            blocks.append(photo.total())
            yield photo

    return blocks, merge_in_order(record_moments())


def _encode_photo(autoencoder: LoadedAutoencoder, pixels: Pixels, tiles: TileOptions | None) -> Tensor:
    """Latents of a whole photo, (1, c, h, w); in smaller tiles where an accelerator's memory does not do."""
    options = tiles or TileOptions()

    def encode_with_size(size: int) -> Tensor:
        return encode_tiled(autoencoder, pixels, replace(options, size=size).plan(autoencoder, pixels))

    return retry_with_smaller_tiles(encode_with_size, options.size, options.min_size(autoencoder))[0]
