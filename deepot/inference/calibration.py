"""The statistics of calibration photos that maps are fitted from."""

from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.tile_options import TileOptions
from deepot.inference.tiled_autoencoder import encode_tiled
from deepot.photo import Pixels
from deepot.restoration import Degradation, DegradationSteps, Restorer
from deepot.tiling import retry_with_smaller_tiles
from deepot.transport import MapKind, Moments, PatchStatistics, ToneCurve, ToneSums, compute_patch_moments

_BLOCK_OFFSET = 4  # rows and columns: half a block of JPEG
_MIN_OFFSET_SIDE = 16  # in pixels; smaller photos are degraded where they are


def photo_moments(
    autoencoder: LoadedAutoencoder, pixels: Pixels, patch_size: int, tiles: TileOptions | None = None
) -> Moments:
    """Return the moments of the latent patches of one photo of any size.

    Example:
        >>> import deepot, torch
        >>> from PIL import Image
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> photo = deepot.Pixels.from_image(Image.linear_gradient("L"))  # 256 × 256 pixels
        >>> moments = deepot.photo_moments(autoencoder, photo, patch_size=3)
        >>> moments.count == (256 // autoencoder.factor - 2) ** 2, moments.dimension == autoencoder.channels * 3**2
        (True, True)
    """
    return compute_patch_moments(_encode_photo(autoencoder, pixels, tiles), patch_size)


def photo_statistics(
    autoencoder: LoadedAutoencoder,
    pixels: Pixels,
    kind: MapKind[Any],
    patch_size: int,
    tiles: TileOptions | None = None,
    tone: ToneCurve | None = None,
) -> PatchStatistics:
    """Return the statistics of the latent patches of one photo of any size that a kind of map is fitted from.

    Args:
        autoencoder: The autoencoder.
        pixels: The photo.
        kind: The kind of map.
        patch_size: Side p of the latent patches.
        tiles: How the photo is cut.
        tone: The tone curve that is applied before it is encoded.

    Example:
        >>> import deepot, torch
        >>> from PIL import Image
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> photo = deepot.Pixels.from_image(Image.linear_gradient("L"))
        >>> kind = deepot.load_map_kind("mixture:components=3")
        >>> statistics = deepot.photo_statistics(autoencoder, photo, kind, patch_size=3)
        >>> statistics.moments().count == deepot.photo_moments(autoencoder, photo, patch_size=3).count
        True
    """
    statistics: PatchStatistics = kind.measure(_encode_photo(autoencoder, pixels, tiles, tone), patch_size)
    return statistics


def degrade_photo(pixels: Pixels, degradation: Degradation, generator: np.random.Generator) -> Pixels:
    """Return the photo after a degradation, as 8-bit grey or sRGB."""
    return Pixels.from_image(degradation(Pixels(pixels.to_grey_or_rgb8()).to_image(), generator))


def offset_from_blocks(restored: Pixels, degradation: DegradationSteps) -> Pixels:
    """Return a restored photo as it is degraded once more in a self-calibration, and compared with itself.

    Compressing a photo to JPEG again changes next to nothing, because its coefficients are multiples of their steps
    already. Half a block away from its blocks they are not, so the photo loses its first four rows and columns.

    Example:
        >>> import deepot
        >>> photo = deepot.Pixels(np.zeros((24, 32, 3), np.uint8))
        >>> compression, noise = deepot.load_degradation("jpeg:quality=30"), deepot.load_degradation("noise:sigma=5")
        >>> offset_from_blocks(photo, compression).samples.shape, offset_from_blocks(photo, noise) is photo
        ((20, 28, 3), True)
    """
    if not degradation.is_blockwise or min(restored.height, restored.width) <= _MIN_OFFSET_SIDE:
        return restored
    return restored.crop_from(_BLOCK_OFFSET)


def paired_moments(
    autoencoder: LoadedAutoencoder,
    natural: Pixels,
    degradation: Degradation,
    restorer: Restorer,
    generator: np.random.Generator,
    patch_size: int,
    tiles: TileOptions | None = None,
) -> tuple[Moments, Moments]:
    """Return the moments of restore(degrade(photo)) and of the photo itself: the two sides of a paired calibration.

    Example:
        >>> import deepot, torch
        >>> from PIL import Image
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> photo = deepot.Pixels.from_image(Image.linear_gradient("L"))
        >>> blur, restorer = deepot.load_degradation("blur:sigma=2"), deepot.load_restorer("identity")
        >>> sides = deepot.paired_moments(autoencoder, photo, blur, restorer, np.random.default_rng(0), patch_size=1)
        >>> [side.count for side in sides]
        [1024, 1024]
    """
    restored = restorer(degrade_photo(natural, degradation, generator))
    return photo_moments(autoencoder, restored, patch_size, tiles), photo_moments(
        autoencoder, natural, patch_size, tiles
    )


def tone_sums(restored: Pixels, natural: Pixels) -> ToneSums:
    """Return the sums of a tone curve over one pair; empty if their sizes differ."""
    if (restored.height, restored.width) != (natural.height, natural.width):
        return ToneSums.empty()
    return ToneSums.from_pair(restored.to_rgb(), natural.to_rgb())


def _encode_photo(
    autoencoder: LoadedAutoencoder, pixels: Pixels, tiles: TileOptions | None, tone: ToneCurve | None = None
) -> Tensor:
    """Return the latents of a photo, (1, c, h, w), in smaller tiles if the accelerator runs out of memory."""
    options = tiles or TileOptions()

    def encode_with_size(size: int) -> Tensor:
        plan = replace(options, size=size).plan(autoencoder, pixels)
        return encode_tiled(autoencoder, pixels, plan, None if tone is None else tone.apply)

    return retry_with_smaller_tiles(encode_with_size, options.size, options.min_size(autoencoder))[0]
