"""Division of an axis into equal, overlapping windows, and the choice of how many along each axis."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """One window of a tiled axis, in cells.

    Attributes:
        start: first cell that is computed.
        stop: end of the cells that are computed (exclusive).
        keep_start: first cell whose result this window contributes to.
        keep_stop: end of the cells whose results this window contributes to (exclusive).
        fade_in: width of the cross-fade from the previous window, 0 for a hard cut.
        fade_out: width of the cross-fade to the next window, 0 for a hard cut.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int
    fade_in: int
    fade_out: int

    def kept_slice(self, scale: int = 1) -> slice:
        """Return the positions of the window's result that are kept, alone or cross-faded."""
        return slice((self.keep_start - self.start) * scale, (self.keep_stop - self.start) * scale)

    def blend_weights(self, scale: int = 1, device: torch.device | str = "cpu") -> Tensor:
        """Return the weight of this window at each of its positions, ((stop − start)·scale,); all windows' sum to 1."""
        positions = torch.arange(self.start * scale, self.stop * scale, dtype=torch.float32, device=device) + 0.5
        weight = ((positions >= self.keep_start * scale) & (positions < self.keep_stop * scale)).float()
        if self.fade_in:
            rising = (positions - self.keep_start * scale) / (self.fade_in * scale)
            weight = weight * rising.clamp(0, 1)
        if self.fade_out:
            falling = (self.keep_stop * scale - positions) / (self.fade_out * scale)
            weight = weight * falling.clamp(0, 1)
        return weight


def min_window_length(length: int, count: int, halo: int, blend: int) -> int:
    """Return the length of the smallest window of which `count` cover an axis, in cells."""
    return -(-(length + (count - 1) * (2 * halo + blend)) // count)


def split_axis(length: int, count: int, halo: int, blend: int) -> list[Span]:
    """Divide an axis into the smallest equal windows that cover it.

    Every cell of the result lies at least `halo` cells inside its window, except towards the ends of the axis.

    Args:
        length: length of the axis, in cells.
        count: number of windows.
        halo: cells next to a cut that a window computes but does not keep.
        blend: cells over which neighbouring windows are cross-faded; 0 for a hard cut.

    Raises:
        ValueError: the windows are too small for halo and blend.

    Example:
        >>> [(span.start, span.stop, span.keep_start, span.keep_stop) for span in split_axis(20, 2, halo=2, blend=0)]
        [(0, 12, 0, 10), (8, 20, 10, 20)]
    """
    if count == 1:
        return [Span(0, length, 0, length, 0, 0)]
    window = _window_length(length, count, halo, blend)
    if not window:
        window = min_window_length(length, count, halo, blend)
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
    """Return the numbers of rows and columns of tiles that compute the fewest cells, with at most window² in a tile.

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
    if best is not None:
        return best[-2], best[-1]
    return _choose_overlapping_grid(height, width, window, halo, blend)


def _choose_overlapping_grid(height: int, width: int, window: int, halo: int, blend: int) -> tuple[int, int]:
    """Return what `choose_grid` does for windows that have to overlap more than halo and blend need.

    So it is with images hardly larger than a tile, the windows of which would otherwise be too short.

    Raises:
        ValueError: there are no such windows.
    """
    row_counts, column_counts = (_smallest_counts(length, halo, blend) for length in (height, width))
    fitting = [
        (rows * columns * tall * wide, rows, columns)
        for tall, rows in row_counts.items()
        for wide, columns in column_counts.items()
        if tall * wide <= window**2
    ]
    if not fitting:
        raise ValueError(f"tiles of {window} cells are too small for a halo of {halo} and a blend of {blend} cells")
    return min(fitting)[1:]


def _smallest_counts(length: int, halo: int, blend: int) -> dict[int, int]:
    """Return each possible length of the windows of an axis, and how many of them cover it at least."""
    counts = dict[int, int]()
    for count in range(1, length + 1):
        if window := _window_length(length, count, halo, blend):
            counts.setdefault(window, count)
    return counts


def _window_length(length: int, count: int, halo: int, blend: int) -> int:
    """Return the length of windows that cover an axis, as short as halo and blend allow; 0 if there is none."""
    if count == 1:
        return length
    window = max(min_window_length(length, count, halo, blend), _min_window(halo, blend))
    is_possible = window <= length and (length - window) // (count - 1) >= max(1, blend)
    return window if is_possible else 0


def _min_window(halo: int, blend: int) -> int:
    return 2 * halo + blend + max(1, 2 * blend)
