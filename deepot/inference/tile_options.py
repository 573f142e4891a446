"""How photos are cut into tiles: size and overlap."""

import math
from dataclasses import dataclass

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.cell_filters import FILTER_RADIUS
from deepot.photo import Pixels
from deepot.tiling import TilePlan

_DEFAULT_OVERLAP = 192  # pixels, of tiles that are cross-faded


@dataclass(frozen=True)
class TileOptions:
    """How photos that are larger than a tile are cut.

    Attributes:
        size: Side in pixels of a square with as many pixels as go through the autoencoder at once; a photo with no more
            pixels than that is one tile, whatever its shape.
        overlap: Pixels that neighbouring tiles share; None for what the autoencoder needs. If its receptive field is
            bounded, tiles are exact. Global operations use the same statistics in all tiles (`shared_stats`): tiles
            then agree if the remaining receptive field is known, and are cross-faded otherwise.

    Example:
        >>> import deepot, torch
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> photo = deepot.Pixels(torch.zeros(600, 800, 3, dtype=torch.uint8).numpy())
        >>> [deepot.TileOptions(size).plan(autoencoder, photo).count for size in (1024, 512)]
        [1, 2]
    """

    size: int = 1424
    overlap: int | None = None

    def halo_and_blend(self, autoencoder: LoadedAutoencoder) -> tuple[int, int]:
        """Return halo and cross-fade in latent positions; the halo of exact tiles covers the filters on cells, too."""
        if autoencoder.halo is None and autoencoder.halo_with_shared_stats is not None and self.overlap is None:
            return autoencoder.halo_with_shared_stats + FILTER_RADIUS, 0
        if autoencoder.halo is None:
            overlap = _DEFAULT_OVERLAP if self.overlap is None else self.overlap
            third = math.ceil(overlap / (3 * autoencoder.factor))
            return max(1, third), third  # not exact anyway, so the filters add nothing to the overlap
        return max(autoencoder.halo + FILTER_RADIUS, math.ceil((self.overlap or 0) / (2 * autoencoder.factor))), 0

    def min_size(self, autoencoder: LoadedAutoencoder) -> int:
        """Return the smallest sensible size in pixels: about half of such a tile is kept."""
        halo, blend = self.halo_and_blend(autoencoder)
        return (4 * halo + 6 * blend) * autoencoder.factor

    def plan(self, autoencoder: LoadedAutoencoder, pixels: Pixels) -> TilePlan:
        """Return the tiles of a photo; a size below `min_size` is raised to it."""
        height, width = (math.ceil(side / autoencoder.factor) for side in (pixels.height, pixels.width))
        return TilePlan(
            height,
            width,
            max(self.size, self.min_size(autoencoder)) // autoencoder.factor,
            *self.halo_and_blend(autoencoder),
        )
