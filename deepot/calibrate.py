"""Calibration: the moments of photos, and of the same photos degraded and restored, for fitting a map."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from deepot.codec import Codec
from deepot.degrade import Degradation
from deepot.enhance import Tiles, encode
from deepot.moments import Moments
from deepot.patches import patch_moments
from deepot.pixels import Pixels
from deepot.restore import Restorer
from deepot.transport_map import Calibration, TransportMap, fit_map


def photo_moments(codec: Codec, pixels: Pixels, patch_size: int, tiles: Tiles | None = None) -> Moments:
    """Moments of the latent patches of one photo of any size."""
    plan = (tiles or Tiles()).plan(codec, pixels)
    return patch_moments(encode(codec, pixels, plan), patch_size)


def degraded(pixels: Pixels, degradation: Degradation, generator: np.random.Generator) -> Pixels:
    """The photo in 8-bit RGB, as it would be after such a history."""
    return Pixels(np.array(degradation(Image.fromarray(pixels.rgb8()), generator)))


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
) -> TransportMap:
    """Fit a map from Pillow images: restored ones, and natural ones, best of the same scenes in the same order.

    Args:
        codec: the autoencoder.
        restored: the restored side.
        natural: the natural side.
        patch_size: p.
        calibration: `Calibration.UNPAIRED` where the scenes are others.
        doubt: as for `fit_map`.

    Raises:
        MomentsError: too few patches or images on a side, or content-matched lists of different length.
        UnsupportedImageError: an image in a mode that cannot be read as RGB.
    """
    source, reference = (
        [photo_moments(codec, Pixels.from_image(image), patch_size) for image in images]
        for images in (restored, natural)
    )
    return fit_map(
        source,
        reference,
        codec=codec.name,
        codec_sha256=codec.sha256,
        patch_size=patch_size,
        calibration=calibration,
        doubt=doubt,
    )
