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
        keep: first cell of the result that comes from this window (mixed with the one before over `fade`).
        until: cell behind the last one.
        fade_in: width of the cross-fade from the window before, 0 for a hard cut.
        fade_out: width of the cross-fade to the next one.
    """

    start: int
    stop: int
    keep: int
    until: int
    fade_in: int
    fade_out: int

    def kept(self, scale: int = 1) -> slice:
        """The positions of the window's result that come from it alone or mixed."""
        return slice((self.keep - self.start) * scale, (self.until - self.start) * scale)

    def weights(self, scale: int = 1) -> Tensor:
        """Share of this window in each position it sees, ((stop − start)·scale,); the windows' shares add up to 1."""
        positions = torch.arange(self.start * scale, self.stop * scale, dtype=torch.float32) + 0.5
        weight = ((positions >= self.keep * scale) & (positions < self.until * scale)).float()
        if self.fade_in:
            rising = (positions - self.keep * scale) / (self.fade_in * scale)
            weight = weight * rising.clamp(0, 1)
        if self.fade_out:
            falling = (self.until * scale - positions) / (self.fade_out * scale)
            weight = weight * falling.clamp(0, 1)
        return weight


def window_of(length: int, count: int, halo: int, blend: int) -> int:
    """The smallest window of which `count` cover an axis, in cells."""
    return -(-(length + (count - 1) * (2 * halo + blend)) // count)


def spans(length: int, count: int, halo: int, blend: int) -> list[Span]:
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
    window = window_of(length, count, halo, blend)
    if window < _least(halo, blend):
        raise ValueError(f"tiles of {window} cells are too small for a halo of {halo} and a blend of {blend} cells")
    starts = [index * (length - window) // (count - 1) for index in range(count)]
    result = []
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        keep = start + halo if start else 0
        until = length if following is None else following + halo + blend
        result.append(
            Span(start, start + window, keep, until, blend if start else 0, 0 if following is None else blend)
        )
    return result


def grid(height: int, width: int, window: int, halo: int, blend: int) -> tuple[int, int]:
    """Rows and columns of the tiles that compute least in all, none with more than window² cells.

    Raises:
        ValueError: such windows are too small for halo and blend.
    """
    if height * width <= window**2:
        return 1, 1
    shared, least = 2 * halo + blend, _least(halo, blend)
    best: tuple[int, ...] | None = None
    for rows in range(1, max(1, (height - shared) // (least - shared) + 1) + 1):
        tall = window_of(height, rows, halo, blend)
        if rows > 1 and tall < least:
            continue
        widest = window**2 // tall
        if widest >= width:
            columns = 1
        elif widest >= least:
            columns = -(-(width - shared) // (widest - shared))
        else:
            continue
        if columns > 1 and window_of(width, columns, halo, blend) < least:
            continue
        work = rows * columns * tall * window_of(width, columns, halo, blend)
        found = (work, rows * columns, tall, rows, columns)
        best = found if best is None else min(best, found)
    if best is None:
        raise ValueError(f"tiles of {window} cells are too small for a halo of {halo} and a blend of {blend} cells")
    return best[-2], best[-1]


def _least(halo: int, blend: int) -> int:
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
        return spans(self.height, self._grid[0], self.halo, self.blend)

    @cached_property
    def columns(self) -> list[Span]:
        """Windows from left to right."""
        return spans(self.width, self._grid[1], self.halo, self.blend)

    @cached_property
    def _grid(self) -> tuple[int, int]:
        return grid(self.height, self.width, self.window, self.halo, self.blend)

    @property
    def work(self) -> float:
        """Cells that all tiles compute together, as a multiple of the image's."""
        tall, wide = self.rows[0], self.columns[0]
        return self.count * (tall.stop - tall.start) * (wide.stop - wide.start) / (self.height * self.width)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.rows) * len(self.columns)

    def samples(self) -> list[tuple[slice, slice]]:
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

    def stitch(self, compute: Callable[[Span, Span], Tensor], scale: int = 1) -> Iterator["Block"]:
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
                kept = row.kept(scale), column.kept(scale)
                yield Block(row.keep * scale, column.keep * scale, tile[:, :, *kept])
            return
        down = self.height >= self.width
        along, across = (2, 3) if down else (3, 2)
        lines, places = (self.rows, self.columns) if down else (self.columns, self.rows)
        carried: Tensor | None = None  # what earlier lines of tiles have added to this one's first positions
        for line, following in zip(lines, [*lines[1:], None], strict=True):
            band: Tensor | None = None
            for place in places:
                row, column = (line, place) if down else (place, line)
                tile = compute(row, column)
                if band is None:
                    band = self._band(tile, line, carried, scale)
                share = torch.outer(*(span.weights(scale).to(tile.device) for span in (row, column)))
                band.narrow(across, place.start * scale, tile.shape[across]).addcmul_(share, tile)
            if band is not None:
                final = ((line.stop if following is None else following.start) - line.start) * scale
                carried = band.narrow(along, final, band.shape[along] - final).clone()
                start = line.start * scale
                yield Block(start if down else 0, 0 if down else start, band.narrow(along, 0, final))

    def _band(self, tile: Tensor, line: Span, carried: Tensor | None, scale: int) -> Tensor:
        """Room for the results of a line of tiles, zero but for what is carried over from the line before."""
        size = (line.stop - line.start) * scale
        down = self.height >= self.width
        shape = (size, self.width * scale) if down else (self.height * scale, size)
        band = tile.new_zeros(1, tile.shape[1], *shape)
        if carried is not None:
            band[:, :, : carried.shape[2], : carried.shape[3]] = carried
        return band


class Block(NamedTuple):
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
    def place(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        height, width = self.values.shape[2:]
        return slice(self.top, self.top + height), slice(self.left, self.left + width)
