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
_MIN_SHRUNK_SIDE = 32  # in pixels; photos that would become smaller keep their size


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


def prepare_for_second_degradation(restored: Pixels, degradation: DegradationSteps) -> Pixels:
    """Return a restored photo as it is degraded once more in a self-calibration, and compared with itself.

    A photo that has lost detail has little to lose when it is degraded again in the same way, so it is given back
    what would be lost: after enlargement and blur it is made smaller. Compressing a photo to JPEG again changes next to
    nothing, because its coefficients are multiples of their steps already; half a block away from its blocks they are
    not, so it loses its first four rows and columns. Photos that would become tiny stay as they are.

    Example:
        >>> import deepot
        >>> photo = deepot.Pixels(np.zeros((80, 128, 3), np.uint8))
        >>> for text in ("noise:sigma=5", "jpeg:quality=30", "downscale:factor=2"):
        ...     prepare_for_second_degradation(photo, deepot.load_degradation(text)).samples.shape
        (80, 128, 3)
        (76, 124, 3)
        (40, 64, 3)
    """
    height, width = (side // degradation.shrinking for side in (restored.height, restored.width))
    if degradation.shrinking > 1 and min(height, width) >= _MIN_SHRUNK_SIDE:
        restored = restored.resize(height, width)
    if degradation.is_blockwise and min(restored.height, restored.width) > _MIN_OFFSET_SIDE:
        restored = restored.crop_from(_BLOCK_OFFSET)
    return restored


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
