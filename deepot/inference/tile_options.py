"""How tiles are cut: their size and overlap."""

import math
from dataclasses import dataclass

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.detail_filter import FILTER_RADIUS
from deepot.photo import Pixels
from deepot.tiling import TilePlan


@dataclass(frozen=True)
class TileOptions:
    """How photos that are larger than a tile are cut.

    Attributes:
        size: side of a square with as many pixels as go through the autoencoder at once; a photo that has no more
            of them is one tile, whatever its shape.
        overlap: pixels that neighbouring tiles share; None for what the autoencoder needs. Where its receptive field
            is bounded that makes tiles exact. Where it has global operations those are the same for all tiles
            (`shared_stats`): tiles agree where it is known how far it looks then, elsewhere they are cross-faded.
    """

    size: int = 1424
    overlap: int | None = None

    def halo_and_blend(self, autoencoder: LoadedAutoencoder) -> tuple[int, int]:
        """Halo and blend in latent positions; the halo serves the autoencoder and the details beside it."""
        if autoencoder.halo is None and autoencoder.halo_with_shared_stats is not None and self.overlap is None:
            return autoencoder.halo_with_shared_stats + FILTER_RADIUS, 0
        if autoencoder.halo is None:
            third = math.ceil((192 if self.overlap is None else self.overlap) / (3 * autoencoder.factor))
            return max(FILTER_RADIUS, third), third
        return max(autoencoder.halo + FILTER_RADIUS, math.ceil((self.overlap or 0) / (2 * autoencoder.factor))), 0

    def min_size(self, autoencoder: LoadedAutoencoder) -> int:
        """The smallest sensible size, in pixels: about half of a tile is kept."""
        halo, blend = self.halo_and_blend(autoencoder)
        return (4 * halo + 6 * blend) * autoencoder.factor

    def plan(self, autoencoder: LoadedAutoencoder, pixels: Pixels) -> TilePlan:
        """The tiles of a photo; a size below the least is raised to it."""
        height, width = (math.ceil(side / autoencoder.factor) for side in (pixels.height, pixels.width))
        return TilePlan(
            height,
            width,
            max(self.size, self.min_size(autoencoder)) // autoencoder.factor,
            *self.halo_and_blend(autoencoder),
        )
