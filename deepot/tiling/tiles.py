"""Tiles: images of any size through a network of bounded size, on an absolute grid of equal windows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """One window of a tiled axis, in cells.

    Attributes:
        start: first cell that the network sees.
        stop: cell behind the last one it sees.
        keep_start: first cell of the result that comes from this window (mixed with the one before over `fade`).
        keep_stop: cell behind the last one.
        fade_in: width of the cross-fade from the window before, 0 for a hard cut.
        fade_out: width of the cross-fade to the next one.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int
    fade_in: int
    fade_out: int

    def kept_slice(self, scale: int = 1) -> slice:
        """The positions of the window's result that come from it alone or mixed."""
        return slice((self.keep_start - self.start) * scale, (self.keep_stop - self.start) * scale)

    def blend_weights(self, scale: int = 1) -> Tensor:
        """Share of this window in each position it sees, ((stop − start)·scale,); the windows' shares add up to 1."""
        positions = torch.arange(self.start * scale, self.stop * scale, dtype=torch.float32) + 0.5
        weight = ((positions >= self.keep_start * scale) & (positions < self.keep_stop * scale)).float()
        if self.fade_in:
            rising = (positions - self.keep_start * scale) / (self.fade_in * scale)
            weight = weight * rising.clamp(0, 1)
        if self.fade_out:
            falling = (self.keep_stop * scale - positions) / (self.fade_out * scale)
            weight = weight * falling.clamp(0, 1)
        return weight


def min_window_length(length: int, count: int, halo: int, blend: int) -> int:
    """The smallest window of which `count` cover an axis, in cells."""
    return -(-(length + (count - 1) * (2 * halo + blend)) // count)


def split_axis(length: int, count: int, halo: int, blend: int) -> list[Span]:
    """Cut an axis into equal windows, the smallest ones that do.

    Every cell of the result lies at least `halo` cells inside its window, unless the window ends where the axis ends.

    Args:
        length: of the axis, in cells.
        count: number of windows.
        halo: cells next to a cut that a window computes but does not keep.
        blend: cells over which neighbouring windows are cross-faded; 0 for a hard cut.

    Raises:
        ValueError: the windows are too small for halo and blend.
    """
    if count == 1:
        return [Span(0, length, 0, length, 0, 0)]
    window = min_window_length(length, count, halo, blend)
    if window < _min_window(halo, blend):
        raise ValueError(f"tiles of {window} cells are too small for a halo of {halo} and a blend of {blend} cells")
    starts = [index * (length - window) // (count - 1) for index in range(count)]
    windows = []
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        keep_start = start + halo if start else 0
        keep_stop = length if following is None else following + halo + blend
        windows.append(
            Span(start, start + window, keep_start, keep_stop, blend if start else 0, 0 if following is None else blend)
        )
    return windows


def choose_grid(height: int, width: int, window: int, halo: int, blend: int) -> tuple[int, int]:
    """Rows and columns of the tiles that compute least in all, none with more than window² cells.

    Raises:
        ValueError: such windows are too small for halo and blend.
    """
    if height * width <= window**2:
        return 1, 1
    overlap, min_window = 2 * halo + blend, _min_window(halo, blend)
    best: tuple[int, ...] | None = None
    for rows in range(1, max(1, (height - overlap) // (min_window - overlap) + 1) + 1):
        window_height = min_window_length(height, rows, halo, blend)
        if rows > 1 and window_height < min_window:
            continue
        max_window_width = window**2 // window_height
        if max_window_width >= width:
            columns = 1
        elif max_window_width >= min_window:
            columns = -(-(width - overlap) // (max_window_width - overlap))
        else:
            continue
        if columns > 1 and min_window_length(width, columns, halo, blend) < min_window:
            continue
        computed_cells = rows * columns * window_height * min_window_length(width, columns, halo, blend)
        candidate = (computed_cells, rows * columns, window_height, rows, columns)
        best = candidate if best is None else min(best, candidate)
    if best is None:
        raise ValueError(f"tiles of {window} cells are too small for a halo of {halo} and a blend of {blend} cells")
    return best[-2], best[-1]


def _min_window(halo: int, blend: int) -> int:
    return 2 * halo + blend + max(1, 2 * blend)


@dataclass(frozen=True)
class TilePlan:
    """The tiles of an image: a grid of equal windows over (height, width) cells.

    An image that has no more than window² cells is one tile, whatever its shape.

    Attributes:
        height: cells.
        width: cells.
        window: side of a square that has as many cells as a tile may have.
        halo: cells a tile computes beside a cut and does not keep.
        blend: cells over which tiles are cross-faded.
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
        """Cells that all tiles compute together, as a multiple of the image's."""
        tall, wide = self.rows[0], self.columns[0]
        return self.count * (tall.stop - tall.start) * (wide.stop - wide.start) / (self.height * self.width)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.rows) * len(self.columns)

    def probe_windows(self) -> list[tuple[slice, slice]]:
        """Rows and columns of equal windows, evenly spread: nine or as many as fit, together no more than a tile."""
        side = max(1, self.window // 3)
        tall, wide = min(self.height, side), min(self.width, side)
        down = min(3, -(-self.height // tall))
        across = min(9 // down, -(-self.width // wide))
        rows, columns = (
            [place * (length - size) // max(1, count - 1) for place in range(count)]
            for length, size, count in ((self.height, tall, down), (self.width, wide, across))
        )
        return [(slice(row, row + tall), slice(column, column + wide)) for row in rows for column in columns]

    def stitch(self, compute: Callable[[Span, Span], Tensor], scale: int = 1) -> Iterator["StitchedBlock"]:
        """Compute tile after tile and join them.

        Where tiles are cross-faded, one line of them across the image's shorter side is held.

        Args:
            compute: (row, column) window → (1, C, rows·scale, columns·scale).
            scale: result positions a cell.

        Yields:
            The result in blocks that do not overlap.
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
        carried: Tensor | None = None  # what earlier lines of tiles have added to this one's first positions
        for line_span, following in zip(line_spans, [*line_spans[1:], None], strict=True):
            band: Tensor | None = None
            for cross_span in cross_spans:
                row, column = (line_span, cross_span) if down else (cross_span, line_span)
                tile = compute(row, column)
                if band is None:
                    band = self._new_band(tile, line_span, carried, scale)
                weight = torch.outer(*(span.blend_weights(scale).to(tile.device) for span in (row, column)))
                band.narrow(across, cross_span.start * scale, tile.shape[across]).addcmul_(weight, tile)
            if band is not None:
                final = ((line_span.stop if following is None else following.start) - line_span.start) * scale
                carried = band.narrow(along, final, band.shape[along] - final).clone()
                start = line_span.start * scale
                yield StitchedBlock(start if down else 0, 0 if down else start, band.narrow(along, 0, final))

    def _new_band(self, tile: Tensor, line: Span, carried: Tensor | None, scale: int) -> Tensor:
        """Room for the results of a line of tiles, zero but for what is carried over from the line before."""
        size = (line.stop - line.start) * scale
        down = self.height >= self.width
        shape = (size, self.width * scale) if down else (self.height * scale, size)
        band = tile.new_zeros(1, tile.shape[1], *shape)
        if carried is not None:
            band[:, :, : carried.shape[2], : carried.shape[3]] = carried
        return band


class StitchedBlock(NamedTuple):
    """A part of a result.

    Attributes:
        top: its first row.
        left: its first column.
        values: (1, C, h, w).
    """

    top: int
    left: int
    values: Tensor

    @property
    def region(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        height, width = self.values.shape[2:]
        return slice(self.top, self.top + height), slice(self.left, self.left + width)
