"""Where to look in a photo: the region that changes most, and the flattest one that changes at all."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.reporting import PreviewMark

_SIDE, _STRIDE = 160, 16  # of the regions, in pixels
_CHANGED = 0.5 / 255  # what is rounded to the same level has not changed
_MIN_CHANGED_SHARE = 0.5  # of the pixels of a region that is worth showing


def find_marks(restored: Tensor, enhanced: Tensor) -> tuple[PreviewMark, ...]:
    """Return the region of the largest change and the flattest one; none if nothing changes.

    Args:
        restored: the restored photo, (3, H, W) in [0, 1].
        enhanced: the same photo after the transport.

    Returns:
        At most two marks of at most 160 × 160 pixels; the flattest region is the one in which the restored photo
        deviates least from its mean, among those in which at least half of the pixels change.
    """
    change = (enhanced - restored).abs().mean(0)
    height, width = (min(_SIDE, side) for side in change.shape)
    luma = restored.mean(0)
    strength = _window_means(change, height, width)
    variance = _window_means(luma**2, height, width) - _window_means(luma, height, width) ** 2
    changed_share = _window_means((change >= _CHANGED).float(), height, width)
    marks = []
    if float(strength.max()) > 0:
        marks.append(_mark_at("largest change", int(strength.argmax()), strength.shape, height, width))
    if float(changed_share.max()) >= _MIN_CHANGED_SHARE:
        variance = variance.masked_fill(changed_share < _MIN_CHANGED_SHARE, torch.inf)
        marks.append(_mark_at("flattest area", int(variance.argmin()), variance.shape, height, width))
    return tuple(marks)


def _window_means(values: Tensor, height: int, width: int) -> Tensor:
    """The means of windows at multiples of the stride, (rows, columns), float64: variances are small differences."""
    return F.avg_pool2d(values[None].double(), (height, width), _STRIDE)[0]


def _mark_at(label: str, index: int, shape: torch.Size, height: int, width: int) -> PreviewMark:
    row, column = divmod(index, shape[1])
    return PreviewMark(label, column * _STRIDE, row * _STRIDE, width, height)
