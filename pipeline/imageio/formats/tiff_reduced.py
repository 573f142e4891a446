"""Reduced pages of a TIFF (thumbnails, levels of a pyramid), made anew from the photo that they show."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepot.photo import LUMA_WEIGHTS, Pixels
from pipeline.imageio.formats.tiff_directories import Directory, first_integer
from pipeline.imageio.metadata.ifd import ORIENTATION
from pipeline.imageio.metadata.tiff_tags import ICC_TAG, PageStyle

_BAND_PIXELS = 2**22  # of the photo, that are averaged at a time
_MAX_DISTORTION = 0.02  # between the proportions of a reduced image and those of its photo, besides rounding
_INVERSE_ORIENTATIONS = {6: 8, 8: 6}  # the others are their own inverse
_SWAPS_SIDES_FROM = 5  # orientations from this one on swap width and height


@dataclass(frozen=True)
class ReducedPage:
    """A reduced page of a TIFF: how it is made from the photo that it shows.

    Attributes:
        photo: the index of the photo.
        reorientation: orientations by which the stored photo is rotated and mirrored first.
        scale: (width, height) relative to the photo so reoriented, at most 1.
        channels: 1, 3 or 4; a photo of another number is converted to sRGB, or to grey.
        bits: 8 or 16 per sample.
        alpha: whether it has an alpha channel.
        style: its tags, and the options that write it the same way.
    """

    photo: int
    reorientation: tuple[int, ...]
    scale: tuple[float, float]
    channels: int
    bits: int
    alpha: bool
    style: PageStyle

    def make(self, photo: Pixels, photo_style: PageStyle) -> tuple[Pixels, PageStyle]:
        """Return the page's samples and style, for a photo with new samples.

        The colours are those of the photo, in its profile, if both have as many channels; otherwise sRGB or its luma.
        Each sample is the mean of those that it stands for.
        """
        scale = self.scale[::-1] if swaps_sides(self.reorientation) else self.scale
        small = _resize(photo, max(1, round(photo.width * scale[0])), max(1, round(photo.height * scale[1])))
        for orientation in self.reorientation:
            small = small.apply_orientation(orientation)
        tags = dict(self.style.tags.tags)
        profile = tags.pop(ICC_TAG, None)
        if small.samples.shape[2] != self.channels:
            small = _to_srgb(small, grey=self.channels == 1)
        elif profile is not None and (profile := photo_style.tags.tags.get(ICC_TAG)):
            tags[ICC_TAG] = profile
        style = PageStyle(replace(self.style.tags, tags=tags), self.style.options)
        return _with_type(small, self.bits, alpha=self.alpha), style


def swaps_sides(orientations: tuple[int, ...]) -> bool:
    """Whether orientations, applied one after the other, swap width and height."""
    return sum(orientation >= _SWAPS_SIDES_FROM for orientation in orientations) % 2 == 1


def find_reorientation(directory: Directory, photo: Directory) -> tuple[int, ...] | None:
    """Return how a stored photo must be rotated and mirrored to become a reduced image of it.

    Args:
        directory: of the reduced image; without an orientation it is stored like the photo or, where only that has
            the proportions, upright.
        photo: of the photo.

    Returns:
        Orientations (EXIF, 1 to 8) to apply one after the other; None if it is larger than the photo or has other
        proportions, so that it shows something else or only a section.
    """
    shown = first_integer(photo.tags, ORIENTATION) or 1
    own = first_integer(directory.tags, ORIENTATION)
    if own is None:
        candidates: tuple[tuple[int, ...], ...] = ((), (shown,))
    else:
        candidates = ((),) if own == shown else ((shown, _INVERSE_ORIENTATIONS.get(own, own)),)
    return next((steps for steps in candidates if _fits(directory, photo, steps)), None)


def _fits(directory: Directory, photo: Directory, steps: tuple[int, ...]) -> bool:
    """Whether a directory states the proportions of a photo that is reoriented, and no larger size."""
    width, height = photo.width, photo.height
    if swaps_sides(steps):
        width, height = height, width
    if not (0 < directory.width <= width and 0 < directory.height <= height):
        return False
    difference = abs(directory.width * height - directory.height * width)
    return difference <= _MAX_DISTORTION * min(directory.width * height, directory.height * width) + width + height


def _resize(photo: Pixels, width: int, height: int) -> Pixels:
    """Return a smaller copy; colours are weighted by alpha, so that those of invisible pixels do not count."""
    if (width, height) == (photo.width, photo.height):
        return replace(photo, samples=photo.samples.copy())
    samples = np.empty((height, width, photo.samples.shape[2]), photo.samples.dtype)
    alpha = None if photo.alpha is None else np.empty((height, width), photo.alpha.dtype)
    rows = max(1, _BAND_PIXELS * height // max(1, photo.width * photo.height))
    for top in range(0, height, rows):
        band = slice(top, min(height, top + rows))
        start, end = (edge * photo.height / height for edge in (band.start, band.stop))
        source = slice(int(start), min(photo.height, int(np.ceil(end))))
        box = (0, start - source.start, photo.width, end - source.start)
        size = (width, band.stop - band.start)
        weights = None if photo.alpha is None else photo.alpha[source]
        if alpha is not None and weights is not None:
            alpha[band] = np.rint(_average(weights, size, box))
        for channel in range(samples.shape[2]):
            plane = photo.samples[source, :, channel]
            mean = _average(plane, size, box)
            if weights is not None:
                visible = _average(weights, size, box)
                weighted = _average(plane * (weights / np.float32(photo.max_value)), size, box)
                np.divide(weighted * photo.max_value, visible, out=mean, where=visible > 0)
            samples[band, :, channel] = np.rint(mean).clip(0, photo.max_value)
    return Pixels(samples, alpha, photo.colour_space)


def _average(plane: NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float]) -> NDArray[np.float32]:
    """Return the means of (h, w) values in a box (left, top, right, bottom), for each pixel of (width, height)."""
    left, top, right, bottom = box
    if plane.size > _BAND_PIXELS:  # for few pixels of a large photo: rows first, in bands
        rows = max(1, _BAND_PIXELS // plane.shape[1])
        bands = [plane[start : start + rows] for start in range(0, len(plane), rows)]
        plane = np.vstack([_resample(band, (size[0], len(band)), (left, 0, right, len(band))) for band in bands])
        left, right = 0, size[0]
    return _resample(plane, size, (left, top, right, bottom))


def _resample(
    plane: NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float]
) -> NDArray[np.float32]:
    return np.array(Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BOX, box), np.float32)


def _to_srgb(pixels: Pixels, *, grey: bool) -> Pixels:
    """Return samples converted to sRGB, or to its luma."""
    rgb = pixels.to_rgb()[0].permute(1, 2, 0).numpy()
    if grey:
        rgb = rgb @ np.array(LUMA_WEIGHTS, np.float32)[:, None]
    return Pixels(np.rint(rgb.clip(0, 1) * pixels.max_value).astype(pixels.samples.dtype), pixels.alpha)


def _with_type(pixels: Pixels, bits: int, *, alpha: bool) -> Pixels:
    """Return samples of 8 or 16 bits, with an alpha channel, which is opaque if there is none, or without one."""
    samples, mask = pixels.samples, pixels.alpha
    if alpha and mask is None:
        mask = np.full(samples.shape[:2], pixels.max_value, samples.dtype)
    if not alpha:
        mask = None
    return Pixels(_with_bits(samples, bits), None if mask is None else _with_bits(mask, bits), pixels.colour_space)


def _with_bits(samples: NDArray[Any], bits: int) -> NDArray[Any]:
    """Return samples of uint8 or uint16 scaled to the range of 8 or 16 bits."""
    if samples.dtype.itemsize * 8 == bits:
        return samples
    return samples.astype(np.uint16) * 257 if bits == 16 else np.rint(samples / np.float32(257)).astype(np.uint8)
