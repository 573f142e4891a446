from .oom_retry import retry_with_smaller_tiles
from .spans import Span
from .tile_plan import StitchedBlock, TilePlan

__all__ = [
    "Span",
    "StitchedBlock",
    "TilePlan",
    "retry_with_smaller_tiles",
]
