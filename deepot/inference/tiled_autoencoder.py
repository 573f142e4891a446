"""Passes: a photo through the two sides of an autoencoder, tile by tile."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from deepot.autoencoder.autoencoder import Codec
from deepot.autoencoder.shared_stats import Work
from deepot.errors import CodecError
from deepot.photo.pixels import Pixels
from deepot.tiling.tiles import Span, TilePlan


def encode(codec: Codec, pixels: Pixels, plan: TilePlan) -> Tensor:
    """Latents of a whole photo (1, c, h, w), float32, on the codec's device.

    Sides that are no multiple of the codec's factor are filled up by repeating the last row and column.

    Raises:
        CodecError: the autoencoder gave values that are not finite.
    """

    def region(rows: slice, columns: slice) -> Tensor:
        """The pixels of some cells."""
        sides = [(slots.stop - slots.start) * codec.factor for slots in (rows, columns)]
        down, across = (slice(slots.start * codec.factor, slots.stop * codec.factor) for slots in (rows, columns))
        found = pixels.rgb(down, across, codec.device)
        missing = sides[0] - found.shape[2], sides[1] - found.shape[3]
        return F.pad(found, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else found

    work: Work = codec.encode
    if plan.count > 1 and codec.halo is None:
        work = codec.encoder(torch.cat([region(*window) for window in plan.samples()]))

    def tile(row: Span, column: Span) -> Tensor:
        return work(region(slice(row.start, row.stop), slice(column.start, column.stop)))

    latents = torch.empty(1, codec.channels, plan.height, plan.width, device=codec.device)
    for block in plan.stitch(tile):
        latents[:, :, *block.place] = block.values
    check_finite(codec, latents)
    return latents


def decoder(codec: Codec, latents: Tensor, plan: TilePlan) -> Work:
    """What decodes the tiles of a photo's latents (1, c, h, w)."""
    if plan.count == 1 or codec.halo is not None:
        return codec.decode
    return codec.decoder(torch.cat([latents[..., rows, columns] for rows, columns in plan.samples()]))


def check_finite(codec: Codec, values: Tensor) -> None:
    """See that what an autoencoder gave is finite.

    Raises:
        CodecError: it is not.
    """
    if not all(map(math.isfinite, (float(extreme) for extreme in values.aminmax()))):  # NaN is both extremes
        raise CodecError(
            f"vae '{codec.name}' gave values that are not finite in {str(codec.dtype).removeprefix('torch.')}: where "
            "the range of that type is too small for an autoencoder, compute.dtype float32 or bfloat16 helps"
        )
