"""Measuring what a map changes in one calibration pair, or in one photo of an unpaired calibration."""

from collections.abc import Callable

import torch
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.bands import band_sides, reference_band, split_bands
from deepot.inference.cell_filters import remove_repetition
from deepot.inference.centre_square import centre_square
from deepot.inference.companion import check_companion_size
from deepot.inference.tiled_autoencoder import check_finite
from deepot.photo import Pixels
from deepot.transport import ChangeSums, EnergySums, ToneCurve


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
    square = centre_square(restored, factor)
    if (restored.height, restored.width) != (natural.height, natural.width) or square is None:
        return ChangeSums.empty(len(band_sides(factor)) + 1)
    before, clean = (pixels.to_rgb(*square, autoencoder.device) for pixels in (restored, natural))
    toned = before if tone is None else tone.apply(before)
    decoded, decoded_transported = _decode_both(autoencoder, transport, toned)
    changes = (remove_repetition(each, factor) for each in (decoded_transported - decoded, decoded - toned))
    bands = (split_bands(image, factor) for image in (*changes, toned, clean))
    other = None if companion is None else companion.to_rgb(*square, autoencoder.device)
    return ChangeSums.from_pair(before, toned, clean, *bands, plain=decoded_transported, companion=other)


@torch.inference_mode()
def measure_energies(
    autoencoder: LoadedAutoencoder, photo: Pixels, transport: Callable[[Tensor], Tensor] | None = None
) -> EnergySums:
    """Return the band energies of the centre square of a photo; empty if it is smaller than two cells.

    Args:
        autoencoder: The autoencoder.
        photo: A photo of either side of an unpaired calibration.
        transport: The map as an operator on latents, for a restored photo; None for a natural one.

    Raises:
        AutoencoderError: The autoencoder returned values that are not finite.
    """
    factor = autoencoder.factor
    square = centre_square(photo, 2 * factor)
    if square is None:
        return EnergySums.empty(len(band_sides(factor)))
    image = photo.to_rgb(*square, autoencoder.device)
    bands = torch.cat([reference_band(image, factor)[None], split_bands(image, factor)[0, 1:]])
    if transport is None:
        return EnergySums.from_photo(bands)
    decoded, decoded_transported = _decode_both(autoencoder, transport, image)
    change = remove_repetition(decoded_transported - decoded, factor)
    return EnergySums.from_photo(bands, split_bands(change, factor)[0, 1:])


def _decode_both(
    autoencoder: LoadedAutoencoder, transport: Callable[[Tensor], Tensor], image: Tensor
) -> tuple[Tensor, Tensor]:
    """Return D(z) and D(z′) of an image (1, 3, H, W).

    Raises:
        AutoencoderError: The autoencoder returned values that are not finite.
    """
    latents = autoencoder.encode(image)
    check_finite(autoencoder, latents)
    return autoencoder.decode(latents), autoencoder.decode(transport(latents))
