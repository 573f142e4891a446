"""Passes: a photo through the two sides of an autoencoder, tile by tile."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder, TensorFn
from deepot.errors import AutoencoderError
from deepot.photo import Pixels
from deepot.tiling import Span, TilePlan


def encode_tiled(autoencoder: LoadedAutoencoder, pixels: Pixels, plan: TilePlan) -> Tensor:
    """Latents of a whole photo (1, c, h, w), float32, on the codec's device.

    Sides that are no multiple of the codec's factor are filled up by repeating the last row and column.

    Raises:
        AutoencoderError: the autoencoder gave values that are not finite.
    """

    def read_cells(rows: slice, columns: slice) -> Tensor:
        """The pixels of some cells."""
        sides = [(slots.stop - slots.start) * autoencoder.factor for slots in (rows, columns)]
        down, across = (
            slice(slots.start * autoencoder.factor, slots.stop * autoencoder.factor) for slots in (rows, columns)
        )
        found = pixels.to_rgb(down, across, autoencoder.device)
        missing = sides[0] - found.shape[2], sides[1] - found.shape[3]
        return F.pad(found, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else found

    encode_window: TensorFn = autoencoder.encode
    if plan.count > 1 and autoencoder.halo is None:
        encode_window = autoencoder.tiled_encoder(torch.cat([read_cells(*window) for window in plan.probe_windows()]))

    def encode_tile(row: Span, column: Span) -> Tensor:
        return encode_window(read_cells(slice(row.start, row.stop), slice(column.start, column.stop)))

    latents = torch.empty(1, autoencoder.channels, plan.height, plan.width, device=autoencoder.device)
    for block in plan.stitch(encode_tile):
        latents[:, :, *block.region] = block.values
    check_finite(autoencoder, latents)
    return latents


def make_tile_decoder(autoencoder: LoadedAutoencoder, latents: Tensor, plan: TilePlan) -> TensorFn:
    """What decodes the tiles of a photo's latents (1, c, h, w)."""
    if plan.count == 1 or autoencoder.halo is not None:
        return autoencoder.decode
    return autoencoder.tiled_decoder(torch.cat([latents[..., rows, columns] for rows, columns in plan.probe_windows()]))


def check_finite(autoencoder: LoadedAutoencoder, values: Tensor) -> None:
    """See that what an autoencoder gave is finite.

    Raises:
        AutoencoderError: it is not.
    """
    if not all(map(math.isfinite, (float(extreme) for extreme in values.aminmax()))):  # NaN is both extremes
        raise AutoencoderError(
            f"autoencoder '{autoencoder.name}' gave values that are not finite in {str(autoencoder.dtype).removeprefix('torch.')}: where "
            "the range of that type is too small for an autoencoder, compute.dtype float32 or bfloat16 helps"
        )
