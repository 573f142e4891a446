"""Repeating a computation in smaller tiles when it exceeds the memory of an accelerator."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

log = logging.getLogger(__name__)

T = TypeVar("T")


def retry_with_smaller_tiles(compute: Callable[[int], T], size: int, min_size: int) -> tuple[T, int]:
    """Compute in tiles, and again in tiles of half the side each time the memory of an accelerator is exceeded.

    Callers start every photo with the same `size` and do not remember the one that worked: what a photo becomes must
    not depend on the photos that the process has computed before.

    Args:
        compute: takes the side of a tile in pixels.
        size: side to start with.
        min_size: smallest side that is tried.

    Returns:
        The result of `compute`, and the side for which it succeeded.

    Raises:
        torch.OutOfMemoryError: memory was exceeded and half the side would be less than `min_size`.

    Example:
        >>> import torch
        >>> def compute(size):
        ...     if size > 300:
        ...         raise torch.OutOfMemoryError
        ...     return f"computed in tiles of {size}"
        >>> retry_with_smaller_tiles(compute, 1024, 64)
        ('computed in tiles of 256', 256)
    """
    while True:
        try:
            return compute(size), size
        except torch.OutOfMemoryError:
            if size // 2 < min_size:
                raise
        size //= 2
        log.warning("out of accelerator memory: computing this photo again in tiles of %d × %d pixels", size, size)
