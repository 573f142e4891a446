"""How tiles are cut: their size and overlap."""

import math
from dataclasses import dataclass

from deepot.autoencoder.autoencoder import Codec
from deepot.inference.detail_filter import REACH
from deepot.photo.pixels import Pixels
from deepot.tiling.tiles import TilePlan


@dataclass(frozen=True)
class Tiles:
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

    def margins(self, codec: Codec) -> tuple[int, int]:
        """Halo and blend in latent positions; the halo serves the autoencoder and the details beside it."""
        if codec.halo is None and codec.settled_halo is not None and self.overlap is None:
            return codec.settled_halo + REACH, 0
        if codec.halo is None:
            third = math.ceil((192 if self.overlap is None else self.overlap) / (3 * codec.factor))
            return max(REACH, third), third
        return max(codec.halo + REACH, math.ceil((self.overlap or 0) / (2 * codec.factor))), 0

    def least(self, codec: Codec) -> int:
        """The smallest sensible size, in pixels: about half of a tile is kept."""
        halo, blend = self.margins(codec)
        return (4 * halo + 6 * blend) * codec.factor

    def plan(self, codec: Codec, pixels: Pixels) -> TilePlan:
        """The tiles of a photo; a size below the least is raised to it."""
        height, width = (math.ceil(side / codec.factor) for side in (pixels.height, pixels.width))
        return TilePlan(height, width, max(self.size, self.least(codec)) // codec.factor, *self.margins(codec))
