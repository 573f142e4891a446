"""The tiles of an image, and the joining of their results."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from deepot.tiling.spans import Span, choose_grid, split_axis


class StitchedBlock(NamedTuple):
    """A block of a stitched result.

    Attributes:
        top: first row of the block in the result.
        left: first column of the block in the result.
        values: (1, C, h, w).
    """

    top: int
    left: int
    values: Tensor

    @property
    def region(self) -> tuple[slice, slice]:
        """Rows and columns of the block in the result."""
        height, width = self.values.shape[2:]
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


@dataclass(frozen=True)
class TilePlan:
    """The tiles of an image: a fixed grid of equal windows over height × width cells.

    An image of at most window² cells is a single tile, whatever its shape.

    Attributes:
        height: height of the image, in cells.
        width: width of the image, in cells.
        window: side of a square with as many cells as a tile may have.
        halo: cells next to a cut that a tile computes but does not keep.
        blend: cells over which tiles are cross-faded; 0 for hard cuts.

    Example:
        >>> plan = TilePlan(height=40, width=60, window=32, halo=2, blend=0)
        >>> len(plan.rows), len(plan.columns), plan.count
        (1, 3, 3)
    """

    height: int
    width: int
    window: int
    halo: int
    blend: int

    @cached_property
    def rows(self) -> list[Span]:
        """Windows from top to bottom."""
        return split_axis(self.height, self._grid[0], self.halo, self.blend)

    @cached_property
    def columns(self) -> list[Span]:
        """Windows from left to right."""
        return split_axis(self.width, self._grid[1], self.halo, self.blend)

    @cached_property
    def _grid(self) -> tuple[int, int]:
        return choose_grid(self.height, self.width, self.window, self.halo, self.blend)

    @property
    def compute_ratio(self) -> float:
        """Number of cells that all tiles compute, divided by that of the image."""
        tall, wide = self.rows[0], self.columns[0]
        return self.count * (tall.stop - tall.start) * (wide.stop - wide.start) / (self.height * self.width)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.rows) * len(self.columns)

    def probe_windows(self) -> list[tuple[slice, slice]]:
        """Return rows and columns of equal, evenly spread windows that together have at most as many cells as a tile.

        There are nine of them, or as many as fit into a smaller image.
        """
        side = max(1, self.window // 3)
        tall, wide = min(self.height, side), min(self.width, side)
        down = min(3, -(-self.height // tall))
        across = min(9 // down, -(-self.width // wide))
        rows, columns = (
            [place * (length - size) // max(1, count - 1) for place in range(count)]
            for length, size, count in ((self.height, tall, down), (self.width, wide, across))
        )
        return [(slice(row, row + tall), slice(column, column + wide)) for row in rows for column in columns]

    def stitch(self, compute: Callable[[Span, Span], Tensor], scale: int = 1) -> Iterator[StitchedBlock]:
        """Compute tile after tile and join their results.

        For cross-fading, the results of one line of tiles along the shorter side of the image are kept in memory.

        Args:
            compute: takes the windows along rows and columns; returns (1, C, rows·scale, columns·scale).
            scale: positions of the result per cell, along each axis.

        Yields:
            Blocks that do not overlap and together are the result.
        """
        if self.count == 1 or not self.blend:
            for row, column in product(self.rows, self.columns):
                tile = compute(row, column)
                kept_slices = row.kept_slice(scale), column.kept_slice(scale)
                yield StitchedBlock(row.keep_start * scale, column.keep_start * scale, tile[:, :, *kept_slices])
            return
        down = self.height >= self.width
        along, across = (2, 3) if down else (3, 2)
        line_spans, cross_spans = (self.rows, self.columns) if down else (self.columns, self.rows)
        carried: Tensor | None = None  # contributions of earlier lines of tiles to the first positions of this one
        for line_span, following in zip(line_spans, [*line_spans[1:], None], strict=True):
            band: Tensor | None = None
            for cross_span in cross_spans:
                row, column = (line_span, cross_span) if down else (cross_span, line_span)
                tile = compute(row, column)
                if band is None:
                    band = self._new_band(tile, line_span, carried, scale)
                weight = torch.outer(*(span.blend_weights(scale, tile.device) for span in (row, column)))
                band.narrow(across, cross_span.start * scale, tile.shape[across]).add_(weight * tile)
            if band is not None:
                final = ((line_span.stop if following is None else following.start) - line_span.start) * scale
                carried = band.narrow(along, final, band.shape[along] - final).clone()
                start = line_span.start * scale
                yield StitchedBlock(start if down else 0, 0 if down else start, band.narrow(along, 0, final))

    def _new_band(self, tile: Tensor, line: Span, carried: Tensor | None, scale: int) -> Tensor:
        """Return a buffer for the results of a line of tiles: zeros, plus what is carried over."""
        size = (line.stop - line.start) * scale
        down = self.height >= self.width
        shape = (size, self.width * scale) if down else (self.height * scale, size)
        band = tile.new_zeros(1, tile.shape[1], *shape)
        if carried is not None:
            band[:, :, : carried.shape[2], : carried.shape[3]] = carried
        return band
