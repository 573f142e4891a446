"""Memory: work in smaller tiles where that of an accelerator does not do."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

log = logging.getLogger(__name__)

T = TypeVar("T")


def retry_with_smaller_tiles(compute: Callable[[int], T], size: int, min_size: int) -> tuple[T, int]:
    """Do work in tiles; where an accelerator's memory does not do, once more in tiles of half the side, and so on.

    Args:
        compute: side of a tile, in pixels → what it gives.
        size: side to begin with.
        min_size: side below which tiles make no sense.

    Returns:
        What it gave, and the side with which it did.

    Raises:
        WorkerOutOfMemoryError: tiles of half the side would be smaller than the least.
    """
    while True:
        try:
            return compute(size), size
        except torch.OutOfMemoryError:
            if size // 2 < min_size:
                raise
        size //= 2
        log.warning("out of memory: tiles are now %d × %d", size, size)
