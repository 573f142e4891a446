"""Encoding and decoding of photos of any size, tile by tile."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder, TensorFn
from deepot.errors import AutoencoderError
from deepot.tiling import Span, TilePlan


class RgbSource(Protocol):
    """A photo as it is encoded: `Pixels`, or its samples on a device."""

    def to_rgb(self, rows: slice, columns: slice, device: torch.device | str = "cpu") -> Tensor:
        """Return a region as sRGB (1, 3, h, w), float32, in [0, 1], on a device."""
        ...


def encode_tiled(
    autoencoder: LoadedAutoencoder, pixels: RgbSource, plan: TilePlan, prepare: TensorFn | None = None
) -> Tensor:
    """Return the latents of a photo, (1, c, h, w), float32, on the autoencoder's device.

    Args:
        autoencoder: The autoencoder.
        pixels: The photo.
        plan: Its tiles.
        prepare: What is done with RGB values (1, 3, H, W) in [0, 1] before they are encoded, pixel by pixel.

    Raises:
        AutoencoderError: The autoencoder returned values that are not finite.
    """
    latents = encode_unchecked(autoencoder, pixels, plan, prepare)
    check_finite(autoencoder, latents)
    return latents


def encode_unchecked(
    autoencoder: LoadedAutoencoder, pixels: RgbSource, plan: TilePlan, prepare: TensorFn | None = None
) -> Tensor:
    """Return what `encode_tiled` does, which may not be finite: the caller finds that out with fewer requests.

    Sides that are not a multiple of the autoencoder's factor are padded by repeating the last row and column.
    """

    def read(rows: slice, columns: slice) -> Tensor:
        return read_cells(autoencoder, pixels, rows, columns, prepare)

    encode_window: TensorFn = autoencoder.encode
    if plan.count > 1 and autoencoder.halo is None:
        encode_window = autoencoder.tiled_encoder(torch.cat([read(*window) for window in plan.probe_windows()]))

    def encode_tile(row: Span, column: Span) -> Tensor:
        return encode_window(read(slice(row.start, row.stop), slice(column.start, column.stop)))

    latents = torch.empty(1, autoencoder.channels, plan.height, plan.width, device=autoencoder.device)
    for block in plan.stitch(encode_tile):
        latents[:, :, *block.region] = block.values
    return latents


def read_cells(
    autoencoder: LoadedAutoencoder, pixels: RgbSource, rows: slice, columns: slice, prepare: TensorFn | None = None
) -> Tensor:
    """Return the RGB values of some latent positions of a photo, (1, 3, H, W) in [0, 1], on the autoencoder's device.

    Positions that reach beyond the photo repeat its last row and column. Arguments are as for `encode_tiled`.
    """
    factor = autoencoder.factor
    down, across = (slice(cells.start * factor, cells.stop * factor) for cells in (rows, columns))
    found = pixels.to_rgb(down, across, autoencoder.device)
    found = prepare(found) if prepare is not None else found
    missing = down.stop - down.start - found.shape[2], across.stop - across.start - found.shape[3]
    return F.pad(found, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else found


def make_tile_decoder(autoencoder: LoadedAutoencoder, latents: Tensor, plan: TilePlan) -> TensorFn:
    """Return the function that decodes tiles of a photo's latents (1, c, h, w)."""
    if plan.count == 1 or autoencoder.halo is not None:
        return autoencoder.decode
    return autoencoder.tiled_decoder(torch.cat([latents[..., rows, columns] for rows, columns in plan.probe_windows()]))


def check_finite(autoencoder: LoadedAutoencoder, values: Tensor) -> None:
    """Check that the values an autoencoder returned are finite; an accelerator is asked for a single number.

    Raises:
        AutoencoderError: They are not.
    """
    if not all_finite(values):
        raise not_finite_error(autoencoder)


def all_finite(values: Tensor) -> Tensor:
    """Return whether all values are finite, (), bool, on their device."""
    return torch.stack(values.aminmax()).isfinite().all()  # NaN is both extremes


def not_finite_error(autoencoder: LoadedAutoencoder) -> AutoencoderError:
    """Return the error of an autoencoder that returned values that are not finite."""
    return AutoencoderError(
        f"autoencoder '{autoencoder.name}' returned values that are not finite in {autoencoder.dtype_name}: if the "
        "range of that dtype is too small for it, set compute.dtype to float32 or bfloat16"
    )
