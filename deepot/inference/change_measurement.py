"""Measuring what a map changes in one calibration pair."""

from collections.abc import Callable

import torch
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.bands import band_sides, split_bands
from deepot.inference.cell_filters import remove_repetition
from deepot.inference.companion import check_companion_size
from deepot.inference.tiled_autoencoder import check_finite
from deepot.photo import Pixels
from deepot.transport import ChangeSums, ToneCurve

MAX_SIDE = 512
"""Side in pixels of the centre square of a photo that is measured."""


@torch.inference_mode()
def measure_change(
    autoencoder: LoadedAutoencoder,
    transport: Callable[[Tensor], Tensor],
    restored: Pixels,
    natural: Pixels,
    tone: ToneCurve | None = None,
    companion: Pixels | None = None,
) -> ChangeSums:
    """Return the sums over the centre square of a pair; empty if the two differ in size or are smaller than a cell.

    Args:
        autoencoder: The autoencoder.
        transport: The map as an operator on latents.
        restored: The restored photo.
        natural: The natural photo of the same scene.
        tone: The tone curve of the map; None without one.
        companion: The companion of the restored photo, of the same size; None without one.

    Raises:
        AutoencoderError: The autoencoder returned values that are not finite.
        ValueError: The companion has another size than the restored photo.
    """
    if companion is not None:
        check_companion_size(restored, companion)
    factor = autoencoder.factor
    height, width = (min(side, MAX_SIDE) // factor * factor for side in (restored.height, restored.width))
    if (restored.height, restored.width) != (natural.height, natural.width) or not height * width:
        return ChangeSums.empty(len(band_sides(factor)) + 1)
    top, left = (restored.height - height) // 2, (restored.width - width) // 2
    square = slice(top, top + height), slice(left, left + width)
    before, clean = (pixels.to_rgb(*square, autoencoder.device) for pixels in (restored, natural))
    toned = before if tone is None else tone.apply(before)
    latents = autoencoder.encode(toned)
    check_finite(autoencoder, latents)
    decoded, decoded_transported = (autoencoder.decode(each) for each in (latents, transport(latents)))
    change = remove_repetition(decoded_transported - decoded, factor)
    bands = (split_bands(image, factor) for image in (change, toned, clean))
    other = None if companion is None else companion.to_rgb(*square, autoencoder.device)
    return ChangeSums.from_pair(before, toned, clean, *bands, plain=decoded_transported, companion=other)
