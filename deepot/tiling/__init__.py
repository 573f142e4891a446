"""Windows, halos and stitching of tiles, and the retry in smaller tiles when memory is short."""

from deepot.tiling.oom_retry import retry_with_smaller_tiles
from deepot.tiling.spans import Span
from deepot.tiling.tile_plan import StitchedBlock, TilePlan

__all__ = [
    "Span",
    "StitchedBlock",
    "TilePlan",
    "retry_with_smaller_tiles",
]
