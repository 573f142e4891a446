"""Whether the output of a restorer is a restoration of its input: the same scene in the same colours, nothing covered.

Programs that restore photos sometimes return black rectangles, a colour cast, or the result of another photo. What
restoration changes is fine detail: the means of cells of 4 × 4 and 8 × 8 pixels stay about the same.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

DEFAULT_TOLERANCE = 48.0
"""Levels of 255 by which an area may change; 4 × 4 pixels of noise of σ = 50 have a mean that varies by 12."""

_CELL, _SMALL_CELL = 8, 4  # pixels of the input
_MIN_CELLS = 9  # of a photo, for checks of its colours and content
_CONSTANT_SHARE = 0.4  # of the tolerance, for areas that are constant in the output
_MAX_CAST = 8.0  # levels; FFDNet after clipped noise of σ = 50 makes 3.4
_MEDIUM_LEVEL, _MEDIUM_RANGE, _MIN_MEDIUM_SHARE = 128, 80, 0.1
_MIN_CORRELATION, _MIN_CHROMA_CORRELATION = 0.8, 0.5
_LUMA = torch.full((1, 3), 1 / 3, dtype=torch.float64)
_CHROMA = torch.eye(3, dtype=torch.float64) - 1 / 3  # what a colour has more or less than the grey of its luma
_MIN_STD = 4.0  # levels: flatter photos have nothing by which their content could be recognised


def find_output_fault(before: Tensor, after: Tensor, scale: int, tolerance: float = DEFAULT_TOLERANCE) -> str:
    """Return what is wrong with the output of a restorer; an empty text if nothing is.

    Args:
        before: the input, (1, 3, H, W), levels from 0 to 255.
        after: the output, (1, 3, H·scale, W·scale), likewise.
        scale: how many times larger the output is.
        tolerance: levels by which an area of 12 × 12 pixels may change. 255 switches all checks off but those of size
            and finiteness.

    Example:
        >>> import torch
        >>> photo = torch.linspace(0, 255, 48).repeat(1, 3, 32, 1)
        >>> find_output_fault(photo, photo + 1, 1)
        ''
        >>> covered = photo.clone()
        >>> covered[..., 8:24, 24:48] = 0
        >>> find_output_fault(photo, covered, 1)
        'an area of 24 × 16 pixels at (24, 8) differs from the input by up to 247 levels of 255'
    """
    if fault := find_size_fault((before.shape[3], before.shape[2]), (after.shape[3], after.shape[2]), scale):
        return fault
    if not bool(torch.isfinite(after).all()):
        return "it has values that are not finite"
    if tolerance >= 255:
        return ""
    return (
        _find_covered_area(before, after, scale, tolerance)
        or _find_cast(before, after, scale)
        or _find_other_content(before, after, scale)
    )


def find_size_fault(size: tuple[int, int], output_size: tuple[int, int], scale: int) -> str:
    """Return what is wrong with the width and height of an output; an empty text if nothing is."""
    expected = (size[0] * scale, size[1] * scale)
    if output_size == expected:
        return ""
    return (
        f"it has {output_size[0]} × {output_size[1]} pixels, but the input has {size[0]} × {size[1]}, so that a scale "
        f"of {scale} makes {expected[0]} × {expected[1]}"
    )


def _cell_means(image: Tensor, size: int) -> Tensor:
    """Return the mean of each cell (1, 3, h, w); those at the right and lower border may be smaller than the others."""
    return avg_pool2d(image.double(), size, ceil_mode=True, count_include_pad=False)


def _find_covered_area(before: Tensor, after: Tensor, scale: int, tolerance: float) -> str:
    """Look for 3 × 3 neighbouring small cells that have all changed: a scratch that was removed does not fill them.

    Areas that are constant in the output, as black, white and grey rectangles are, may change less, but by as much as
    the input varies in a cell: clipped noise becomes a constant of another level.
    """
    size = _SMALL_CELL * scale
    means = _cell_means(before, _SMALL_CELL)
    change = (_cell_means(after, size) - means).abs().amax(1, keepdim=True)
    spread = (
        (_cell_means(before.double().square(), _SMALL_CELL) - means.square()).clamp(min=0).sqrt().amax(1, keepdim=True)
    )
    highest, lowest = max_pool2d(after, size, ceil_mode=True), -max_pool2d(-after, size, ceil_mode=True)
    side = [min(3, length) for length in change.shape[2:]]
    least_change, most_contrast = _least(change, side), max_pool2d((highest - lowest).amax(1, keepdim=True), side, 1)
    lower_limit = _CONSTANT_SHARE * tolerance + max_pool2d(spread, side, 1)
    limit = torch.where(most_contrast < 1, lower_limit.clamp(max=tolerance), tolerance)
    found = (least_change > limit)[0, 0]
    if not bool(found.any()):
        return ""
    rows, columns = found.nonzero().unbind(1)
    top, left = int(rows.min()) * _SMALL_CELL, int(columns.min()) * _SMALL_CELL
    bottom = min((int(rows.max()) + side[0]) * _SMALL_CELL, before.shape[2])
    right = min((int(columns.max()) + side[1]) * _SMALL_CELL, before.shape[3])
    return (
        f"an area of {right - left} × {bottom - top} pixels at ({left}, {top}) differs from the input by up to "
        f"{float(change.max()):.0f} levels of 255"
    )


def _least(values: Tensor, side: list[int]) -> Tensor:
    return -max_pool2d(-values, side, stride=1)


def _find_cast(before: Tensor, after: Tensor, scale: int) -> str:
    """Look for a cast in the cells of medium level: dark ones show none, and clipping shifts dark and bright ones."""
    cells = _cell_means(before, _CELL)[0]
    if cells[0].numel() < _MIN_CELLS:
        return ""
    difference = _cell_means(after, _CELL * scale)[0] - cells
    shifts = torch.stack([_median_shift(*channels) for channels in zip(difference, cells, strict=True)])
    cast = shifts - shifts.mean()
    if float(cast.abs().max()) <= _MAX_CAST:
        return ""
    red, green, blue = (f"{shift:+.0f}".replace("-", "−") for shift in shifts.tolist())
    return f"its colours have a cast: red {red}, green {green}, blue {blue} levels of 255"


def _median_shift(difference: Tensor, cells: Tensor) -> Tensor:
    """Return the median change of the cells of medium level of a channel, or of the brighter half if they are few."""
    medium = (cells - _MEDIUM_LEVEL).abs() <= _MEDIUM_RANGE
    if int(medium.sum()) < _MIN_MEDIUM_SHARE * cells.numel():
        medium = cells >= cells.median()
    return difference[medium].median()


def _find_other_content(before: Tensor, after: Tensor, scale: int) -> str:
    for name, mixer, least in (("luma", _LUMA, _MIN_CORRELATION), ("colour", _CHROMA, _MIN_CHROMA_CORRELATION)):
        mixed = [torch.einsum("kc,nchw->nkhw", mixer, image.double()) for image in (before, after)]
        correlation = _correlate(mixed[0], mixed[1], scale)
        if correlation < least:
            return f"its {name} differs: means of cells have a correlation of {correlation:.2f} with those of the input"
    return ""


def _correlate(before: Tensor, after: Tensor, scale: int) -> float:
    """Return the correlation of the means of cells, or 1 if those of the input are too much alike to show one.

    What noise of the input adds to the variance of its means, which the output does not have, is taken off.
    """
    first, second = _cell_means(before, _CELL), _cell_means(after, _CELL * scale)
    noise = (_cell_means(before.square(), _CELL) - first.square()).mean() / _CELL**2
    first, second = (each - each.mean((2, 3), keepdim=True) for each in (first, second))
    variance = float(first.square().mean() - noise)
    if variance < _MIN_STD**2 or first[0, 0].numel() < _MIN_CELLS:
        return 1.0
    energy = variance * float(second.square().mean())
    return float((first * second).mean()) / energy**0.5 if energy > 0 else 0.0
