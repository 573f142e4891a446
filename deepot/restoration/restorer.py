"""Restorer: a model whose smooth results deepot makes look real, applied to photos of any size and mode."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from deepot.errors import RestorerError
from deepot.photo import Pixels
from deepot.tiling import Span, TilePlan, retry_with_smaller_tiles

_CELL_PIXELS = 8  # tiles of restorers start at multiples of 8 pixels, as models that fold pixels need
_DEFAULT_WINDOW, _MIN_WINDOW = 1024, 256  # sides of a tile in pixels, at first and at least
_HALO_CELLS, _BLEND_CELLS = 8, 4  # in cells: tiles overlap by 160 pixels


class RestorerModel(Protocol):
    """What a restorer does: images (B, 3, H, W) in [0, 1] → (B, 3, H·scale, W·scale), about [0, 1]."""

    def __call__(self, images: Tensor) -> Tensor:
        """Restore images."""


@dataclass
class Restorer:
    """A restorer with its identity.

    Attributes:
        name: its spec.
        sha256: fingerprint of its settings and weights.
        scale: how much larger its output is, each way.
        model: does the work; None for the identity, which leaves every sample as it is.
        device: where the model expects its images.
        tiled: whether large photos may come to the model in tiles; False if it cuts them itself.
        window: side of a square with as many pixels as such a tile may have; halved where an accelerator's memory does
            not do.
    """

    name: str
    sha256: str
    scale: int
    model: RestorerModel | None
    device: torch.device
    tiled: bool = True
    window: int = _DEFAULT_WINDOW

    @torch.inference_mode()
    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore a photo of any mode and size: x*, with the samples of the photo's own mode and depth.

        The change that the model makes to the RGB view is added to the samples, so depth and mode are kept;
        where the model enlarges, the samples are enlarged bicubically first. Photos over `window` go in tiles that
        overlap by 160 pixels and are cross-faded over 32.

        Raises:
            RestorerError: the model's output has not the size that its scale states.
        """
        if self.model is None:
            return pixels
        min_window = _MIN_WINDOW if self.tiled else self.window
        restored, self.window = retry_with_smaller_tiles(
            partial(self._restore, self.model, pixels), self.window, min_window
        )
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
        """The model's output on one tile, filled up with zeros where the tile reaches beyond the photo."""
        rows, columns = (slice(span.start * _CELL_PIXELS, span.stop * _CELL_PIXELS) for span in (row, column))
        region = pixels.to_rgb(rows, columns, self.device)
        output = model(region).float().cpu()
        expected = (1, 3, region.shape[2] * self.scale, region.shape[3] * self.scale)
        if output.shape != expected:
            raise RestorerError(
                f"restorer '{self.name}' gave {tuple(output.shape)} for an image of {tuple(region.shape)} "
                f"where its scale of {self.scale} asks for {expected}"
            )
        tile_size = [(span.stop - span.start) * _CELL_PIXELS * self.scale for span in (row, column)]
        return nn.functional.pad(output, (0, tile_size[1] - output.shape[3], 0, tile_size[0] - output.shape[2]))


def _enlarge(pixels: Pixels, scale: int) -> Pixels:
    """Bicubic enlargement of every channel in its own depth."""
    tensor = torch.from_numpy(pixels.samples.astype(np.float32)).permute(2, 0, 1)[None]
    large = nn.functional.interpolate(tensor, scale_factor=scale, mode="bicubic", align_corners=False)
    samples = large[0].permute(1, 2, 0).round().clamp(0, pixels.max_value).numpy().astype(pixels.samples.dtype)
    if pixels.alpha is None:
        return replace(pixels, samples=samples)
    return replace(pixels, samples=samples, alpha=_enlarge(Pixels(pixels.alpha[:, :, None]), scale).samples[:, :, 0])
