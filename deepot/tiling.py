"""Tiles: images of any size through a network of bounded size, on an absolute grid of equal windows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

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


def spans(length: int, window: int, halo: int, blend: int) -> list[Span]:
    """Cut an axis into equal windows.

    Every cell of the result lies at least `halo` cells inside its window, unless the window ends where the axis ends.

    Args:
        length: of the axis, in cells.
        window: cells that the network sees at a time; an axis no longer than that is one window.
        halo: cells next to a cut that a window computes but does not keep.
        blend: cells over which neighbouring windows are cross-faded; 0 for a hard cut.

    Raises:
        ValueError: the window is too small for halo and blend.
    """
    if length <= window:
        return [Span(0, length, 0, length, 0, 0)]
    stride = window - 2 * halo - blend
    if stride < max(1, 2 * blend):
        raise ValueError(f"tiles of {window} cells are too small for a halo of {halo} and a blend of {blend} cells")
    cuts = -(-(length - window) // stride)
    starts = [index * (length - window) // cuts for index in range(cuts + 1)]
    result = []
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        keep = start + halo if start else 0
        until = length if following is None else following + halo + blend
        result.append(
            Span(start, start + window, keep, until, blend if start else 0, 0 if following is None else blend)
        )
    return result


@dataclass(frozen=True)
class TilePlan:
    """The tiles of an image: a grid of equal windows over (height, width) cells.

    Attributes:
        height: cells.
        width: cells.
        window: side of a tile in cells.
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
        return spans(self.height, self.window, self.halo, self.blend)

    @cached_property
    def columns(self) -> list[Span]:
        """Windows from left to right."""
        return spans(self.width, self.window, self.halo, self.blend)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.rows) * len(self.columns)

    def stitch(self, compute: Callable[[Span, Span], Tensor], scale: int = 1) -> Iterator[tuple[int, Tensor]]:
        """Compute tile after tile and join them, holding one row of tiles.

        Args:
            compute: (row, column) window → (1, C, rows·scale, columns·scale).
            scale: result positions a cell.

        Yields:
            (top, band): band (1, C, n, width·scale) holds the rows from `top` on; bands come in order.
        """
        carried: Tensor | None = None  # what earlier rows of tiles have added to this one's upper rows
        for row, following in zip(self.rows, [*self.rows[1:], None], strict=True):
            band: Tensor | None = None
            for column in self.columns:
                tile = compute(row, column)
                if self.count == 1:
                    yield 0, tile
                    return
                if band is None:
                    band = tile.new_zeros(1, tile.shape[1], (row.stop - row.start) * scale, self.width * scale)
                    if carried is not None:
                        band[:, :, : carried.shape[2]] = carried
                share = torch.outer(row.weights(scale), column.weights(scale)).to(tile.device)
                band[..., column.start * scale : column.stop * scale] += share * tile
            if band is not None:
                final = (row.stop if following is None else following.start) - row.start
                yield row.start * scale, band[:, :, : final * scale]
                carried = band[:, :, final * scale :]
