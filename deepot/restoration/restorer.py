"""A restoration model applied to photos of any size and mode."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from deepot.errors import RestorerError
from deepot.photo import Pixels
from deepot.tiling import Span, TilePlan, retry_with_smaller_tiles

_CELL_PIXELS = 8  # tiles start at multiples of 8 pixels, which models that unshuffle pixels need
_DEFAULT_WINDOW, _MIN_WINDOW = 1024, 256  # sides of a tile in pixels
_HALO_CELLS, _BLEND_CELLS = 8, 4  # tiles overlap by 160 pixels


class RestorerModel(Protocol):
    """A function that restores images."""

    def __call__(self, images: Tensor) -> Tensor:
        """Restore an image (1, 3, H, W) in [0, 1] to (1, 3, H·scale, W·scale), roughly in [0, 1]."""


@dataclass(frozen=True)
class Restorer:
    """A restoration model with its fingerprint.

    Attributes:
        name: its spec.
        sha256: fingerprint of its spec and weights.
        scale: how many times larger its output is along each axis.
        model: the model; None for the identity, which leaves every sample as it is.
        device: where the model expects its images.
        tiled: whether large photos may be given to the model in tiles; False if it tiles them itself.
        window: side, in pixels, of a square with as many pixels as a tile may have.
        checks_output: whether it may refuse what its model returns for a photo (`RestorerOutputError`).
    """

    name: str
    sha256: str
    scale: int
    model: RestorerModel | None
    device: torch.device
    tiled: bool = True
    window: int = _DEFAULT_WINDOW
    checks_output: bool = False

    def __repr__(self) -> str:
        """Return what the restorer is and where it runs, in one line."""
        enlarges = f", enlarges {self.scale} times" if self.scale > 1 else ""
        return f"Restorer: '{self.name}' on {self.device}{enlarges}"

    @torch.inference_mode()
    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore a photo of any mode and size.

        The difference that the model makes to the RGB view of the photo is added to its samples, which keeps mode and
        bit depth. For a model that enlarges, the samples are first enlarged bicubically. A photo with more than
        window² pixels is restored in tiles that overlap by 160 pixels and are cross-faded over 32.

        If a tile exceeds the memory of an accelerator, this photo is restored in tiles of half the side, and so on
        down to 256 pixels. The next photo starts with `window` again, so that its result does not depend on what the
        process has restored before.

        Returns:
            The restored photo x*, a copy; the photo itself for the identity.

        Raises:
            RestorerError: the output of the model does not have the size that its scale states, or a program fails.
            RestorerOutputError: what a program returned is no restoration of the photo.
            torch.OutOfMemoryError: the smallest tile exceeds the memory of the accelerator.
        """
        if self.model is None:
            return pixels
        min_window = _MIN_WINDOW if self.tiled else self.window
        restored, _ = retry_with_smaller_tiles(partial(self._restore, self.model, pixels), self.window, min_window)
        return restored

    def _restore(self, model: RestorerModel, pixels: Pixels, window: int) -> Pixels:
        restored = _enlarge(pixels, self.scale) if self.scale > 1 else replace(pixels, samples=pixels.samples.copy())
        height, width = -(-pixels.height // _CELL_PIXELS), -(-pixels.width // _CELL_PIXELS)
        plan = TilePlan(
            height, width, window // _CELL_PIXELS if self.tiled else max(height, width), _HALO_CELLS, _BLEND_CELLS
        )

        def restore_tile(row: Span, column: Span) -> Tensor:
            return self._restore_tile(model, pixels, row, column)

        for block in plan.stitch(restore_tile, _CELL_PIXELS * self.scale):
            before = restored.to_rgb(*block.region)
            delta = block.values[:, :, : before.shape[2], : before.shape[3]] - before
            restored.add_rgb_delta(block.top, delta, block.left)
        return restored

    def _restore_tile(self, model: RestorerModel, pixels: Pixels, row: Span, column: Span) -> Tensor:
        """Return the output of the model on one tile, padded with zeros where the tile extends beyond the photo."""
        rows, columns = (slice(span.start * _CELL_PIXELS, span.stop * _CELL_PIXELS) for span in (row, column))
        region = pixels.to_rgb(rows, columns, self.device)
        output = model(region).float().cpu()
        expected = (1, 3, region.shape[2] * self.scale, region.shape[3] * self.scale)
        if output.shape != expected:
            raise RestorerError(
                f"restorer '{self.name}' returned {tuple(output.shape)} for an image {tuple(region.shape)}, but its "
                f"scale of {self.scale} requires {expected}; correct the model or its attribute `scale`"
            )
        tile_size = [(span.stop - span.start) * _CELL_PIXELS * self.scale for span in (row, column)]
        return nn.functional.pad(output, (0, tile_size[1] - output.shape[3], 0, tile_size[0] - output.shape[2]))


def _enlarge(pixels: Pixels, scale: int) -> Pixels:
    """Enlarge every channel bicubically, in the bit depth of the photo."""
    tensor = torch.from_numpy(pixels.samples.astype(np.float32)).permute(2, 0, 1)[None]
    large = nn.functional.interpolate(tensor, scale_factor=scale, mode="bicubic", align_corners=False)
    samples = large[0].permute(1, 2, 0).round().clamp(0, pixels.max_value).numpy().astype(pixels.samples.dtype)
    if pixels.alpha is None:
        return replace(pixels, samples=samples)
    return replace(pixels, samples=samples, alpha=_enlarge(Pixels(pixels.alpha[:, :, None]), scale).samples[:, :, 0])
