"""The samples of a photo, their view as RGB in [0, 1], and the addition of RGB differences to them."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deepot.errors import UnsupportedImageError
from deepot.photo.alpha_fill import AlphaFill
from deepot.photo.icc import ColourSpace, load_colour_space

LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma (ITU-R BT.601), as in Pillow's conversion to grey."""
_PILLOW_CONVERSIONS = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
_CHUNK_PIXELS = 2**18  # pixels changed at a time, for temporary arrays of 3 MB each
_MIN_LIGHT = 1 / 255  # if the black ink lets less light through, the other inks cannot be seen and are not changed


@dataclass
class Pixels:
    """The samples of a photo, which are changed in place.

    Attributes:
        samples: (H, W, C), uint8 or uint16; C is 1 for grey, 3 for RGB, 4 for CMYK.
        alpha: (H, W), of the same dtype, never changed; None without transparency.
        colour_space: colour space of the samples; None for sRGB, and for grey and CMYK without a profile.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> pixels = Pixels(np.full((4, 6, 1), 102, np.uint8))
        >>> pixels.to_rgb().shape, round(pixels.to_rgb().mean().item(), 3)
        (torch.Size([1, 3, 4, 6]), 0.4)
        >>> pixels.add_rgb_delta(0, torch.full((1, 3, 4, 6), 0.2))
        >>> int(pixels.samples.min()), int(pixels.samples.max())
        (153, 153)
    """

    samples: NDArray[Any]
    alpha: NDArray[Any] | None = None
    colour_space: ColourSpace | None = None

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.samples.shape[1])

    @property
    def max_value(self) -> int:
        """The sample value that represents 1.0, given by the dtype."""
        return int(np.iinfo(self.samples.dtype).max)

    @property
    def bit_depth(self) -> int:
        """Bits per sample."""
        return self.samples.dtype.itemsize * 8

    @property
    def n_bytes(self) -> int:
        """Bytes of the samples and the alpha channel."""
        return int(self.samples.nbytes) + (0 if self.alpha is None else int(self.alpha.nbytes))

    @classmethod
    def from_image(cls, image: Image.Image) -> "Pixels":
        """Copy the samples of a Pillow image, with the colour space of its ICC profile.

        Grey, RGB, CMYK and 16-bit grey are kept; palette images become RGB, bilevel images grey. A colour that the
        file declares to be transparent becomes alpha.

        Raises:
            UnsupportedImageError: the image has another mode, or more than 8 bits per sample in a file that Pillow
                reads as 8 bits.

        Example:
            >>> from PIL import Image
            >>> Pixels.from_image(Image.new("RGBA", (3, 2))).samples.shape
            (2, 3, 3)
        """
        tile = getattr(image, "tile", None)  # exists only for images read from a file
        arguments = tile[0][3] if tile else ""
        raw_mode = str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)
        if "16" in raw_mode and not image.mode.startswith("I;16"):
            raise UnsupportedImageError(
                "unsupported_bit_depth",
                f"Pillow would cut the 16 bits per sample of this {image.mode} image to 8; read the file into a uint16 "
                "array and use Pixels.from_array",
            )
        profile = image.info.get("icc_profile")
        if image.mode == "PA" or (image.mode in ("P", "1", "L", "RGB") and "transparency" in image.info):
            image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
        elif image.mode == "P":
            image = image.convert("RGB")
        image = image.convert(_PILLOW_CONVERSIONS[image.mode]) if image.mode in _PILLOW_CONVERSIONS else image
        if image.mode in ("L", "RGB", "CMYK", "LA", "RGBA"):
            return cls.from_array(np.array(image), profile, alpha=image.mode in ("LA", "RGBA"))
        if image.mode.startswith("I;16"):
            samples = np.array(image).astype(np.uint16)
            key = image.info.get("transparency")
            alpha = None if key is None else np.where(samples == key, 0, 65535).astype(np.uint16)
            return cls(samples[:, :, None], alpha, load_colour_space(profile, 1))
        raise UnsupportedImageError(
            "unsupported_mode",
            f"mode {image.mode} cannot be restored exactly from RGB; convert the photo to RGB or grey",
        )

    @classmethod
    def from_array(cls, array: NDArray[Any], profile: bytes | None = None, *, alpha: bool) -> "Pixels":
        """Take samples from an array.

        Args:
            array: (H, W) or (H, W, C), uint8 or uint16.
            profile: ICC profile of the samples.
            alpha: whether the last channel is alpha.
        """
        array = array if array.ndim == 3 else array[:, :, None]
        if not alpha:
            return cls(array, colour_space=load_colour_space(profile, array.shape[2]))
        return cls(array[:, :, :-1].copy(), array[:, :, -1].copy(), load_colour_space(profile, array.shape[2] - 1))

    def check_pillow_mode(self) -> None:
        """Check that `to_image` can return the samples.

        Raises:
            UnsupportedImageError: Pillow has no mode for 16-bit colour, 16-bit grey with alpha or CMYK with alpha.
        """
        channels = self.samples.shape[2]
        if (self.bit_depth == 16 and (channels > 1 or self.alpha is not None)) or (
            channels == 4 and self.alpha is not None
        ):
            raise UnsupportedImageError(
                "unsupported_bit_depth",
                f"Pillow has no mode for {channels} channels of {self.bit_depth} bits"
                f"{'' if self.alpha is None else ' and alpha'}; use the attribute `samples`",
            )

    def to_image(self) -> Image.Image:
        """Return the samples as a Pillow image of mode L, LA, RGB, RGBA, CMYK or I;16, with their profile.

        Raises:
            UnsupportedImageError: Pillow has no such mode (`check_pillow_mode`).
        """
        self.check_pillow_mode()
        channels = self.samples.shape[2]
        samples = self.samples[:, :, 0] if channels == 1 else self.samples
        mode = "CMYK" if channels == 4 else None  # other modes follow from shape and dtype
        image = Image.fromarray(np.ascontiguousarray(samples), mode)
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        if self.colour_space is not None:
            image.info["icc_profile"] = self.colour_space.profile
        return image

    @cached_property
    def _alpha_fill(self) -> AlphaFill | None:
        """Colours of the invisible pixels; None if all pixels are visible, or none."""
        if self.alpha is None or self.alpha.all() or not self.alpha.any():
            return None
        return AlphaFill(self.samples, self.alpha)

    def to_rgb(
        self, rows: slice = slice(None), columns: slice = slice(None), device: torch.device | str = "cpu"
    ) -> Tensor:
        """Return a region as sRGB (1, 3, h, w), float32, in [0, 1], on a device.

        Invisible pixels get colours continued from the visible ones. 8-bit samples are copied to the device as such.
        """
        region = self.samples[rows, columns]
        if self.alpha is not None and self._alpha_fill is not None:
            region = self._alpha_fill.fill(region, self.alpha[rows, columns], rows, columns, self.samples.shape[:2])
        if self.colour_space is not None:
            return torch.from_numpy(self.colour_space.to_srgb(region).clip(0, 1)).to(device).permute(2, 0, 1)[None]
        samples = torch.from_numpy(np.ascontiguousarray(region))
        values = samples.to(device) if self.bit_depth == 8 else samples.float().to(device)
        values = values.float().div_(self.max_value).permute(2, 0, 1)[None]
        if values.shape[1] == 1:
            return values.expand(-1, 3, -1, -1)
        if values.shape[1] == 4:
            return (1 - values[:, :3]) * (1 - values[:, 3:])
        return values

    def subsample(self, max_side: int) -> "Pixels":
        """Return a copy with evenly spread pixels, at most `max_side` along each axis."""
        grid = np.ix_(*(_spread(side, min(side, max_side)) for side in self.samples.shape[:2]))
        return replace(self, samples=self.samples[grid], alpha=None if self.alpha is None else self.alpha[grid])

    def crop_centre(self, max_side: int) -> "Pixels":
        """Return a copy of the middle, at most `max_side` pixels along each axis."""
        top, left = ((side - min(side, max_side)) // 2 for side in (self.height, self.width))
        region = slice(top, top + max_side), slice(left, left + max_side)
        alpha = None if self.alpha is None else self.alpha[region].copy()
        return replace(self, samples=self.samples[region].copy(), alpha=alpha)

    def crop_from(self, first: int) -> "Pixels":
        """Return a copy without the rows and columns before a number."""
        alpha = None if self.alpha is None else self.alpha[first:, first:].copy()
        return replace(self, samples=self.samples[first:, first:].copy(), alpha=alpha)

    def resize(self, height: int, width: int) -> "Pixels":
        """Return a copy of another size, resampled bicubically in its bit depth; the photo itself if it has that size.

        The copy has no alpha: its invisible pixels have colours continued from the visible ones.
        """
        if (self.height, self.width) == (height, width):
            return self
        samples = self.samples
        if self.alpha is not None and self._alpha_fill is not None:
            samples = self._alpha_fill.fill(samples, self.alpha, slice(None), slice(None), samples.shape[:2])
        large = np.empty((height, width, samples.shape[2]), samples.dtype)
        for channel in range(samples.shape[2]):
            image = Image.fromarray(samples[:, :, channel].astype(np.float32))
            values = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
            large[:, :, channel] = np.rint(values).clip(0, self.max_value)
        return replace(self, samples=large, alpha=None)

    def apply_orientation(self, orientation: int) -> "Pixels":
        """Return a copy rotated and mirrored for display according to an EXIF orientation, 1 to 8."""

        def reorient(array: NDArray[Any]) -> NDArray[Any]:
            if orientation >= 5:
                array = array.swapaxes(0, 1)
            down, across = (-1 if orientation in orientations else 1 for orientations in ((3, 4, 7, 8), (2, 3, 6, 7)))
            return np.ascontiguousarray(array[::down, ::across])

        return replace(self, samples=reorient(self.samples), alpha=None if self.alpha is None else reorient(self.alpha))

    def to_rgb8(self, rows: slice = slice(None), columns: slice = slice(None)) -> NDArray[np.uint8]:
        """Return a region as 8-bit sRGB (h, w, 3)."""
        array: NDArray[np.uint8] = self.to_rgb(rows, columns)[0].permute(1, 2, 0).mul(255).round().byte().numpy()
        return array

    def to_grey_or_rgb8(self) -> NDArray[np.uint8]:
        """Return the photo in 8 bits without a profile: grey (H, W, 1) if it is grey, otherwise sRGB (H, W, 3)."""
        array = self.to_rgb8()
        return array[:, :, :1] if self.samples.shape[2] == 1 else array

    def add_rgb_delta(self, top: int, delta: Tensor, left: int = 0) -> None:
        """Add a difference of RGB values to the samples, rounded to the nearest value and clamped to their range.

        To grey samples the luma of the difference is added. CMYK samples are changed by their profile; without one the
        inks C, M and Y change and K stays. Invisible pixels are not changed.

        Args:
            top: first row to change.
            delta: the difference, (1, 3, h, w), float32, relative to a range of [0, 1]; what extends beyond the photo
                is ignored.
            left: first column to change.
        """
        height, width = min(delta.shape[2], self.height - top), min(delta.shape[3], self.width - left)
        strip = max(1, _CHUNK_PIXELS // max(1, width))
        for start in range(0, height, strip):
            end = min(start + strip, height)
            region = (slice(top + start, top + end), slice(left, left + width))
            chunk = delta[0, :, start:end, :width].permute(1, 2, 0).contiguous().cpu().numpy()
            self._add_rgb_chunk(self.samples[region], None if self.alpha is None else self.alpha[region], chunk)

    def _add_rgb_chunk(self, samples: NDArray[Any], alpha: NDArray[Any] | None, delta: NDArray[np.float32]) -> None:
        """Add a difference of RGB values (h, w, 3) to samples (h, w, C), in place."""
        if samples.shape[2] == 1:
            red, green, blue = (np.float32(weight) * delta[:, :, [k]] for k, weight in enumerate(LUMA_WEIGHTS))
            delta = red + green + blue
        if self.colour_space is not None:
            delta = self.colour_space.delta_to_samples(samples, np.broadcast_to(delta, (*delta.shape[:2], 3)))
        elif samples.shape[2] == 4:
            light = 1 - samples[:, :, 3:].astype(np.float32) / self.max_value
            delta = np.where(light > _MIN_LIGHT, -delta / np.maximum(light, _MIN_LIGHT), 0)
            samples = samples[:, :, :3]
        if alpha is not None:
            delta = delta * (alpha[:, :, None] > 0)
        np.rint((samples + delta * self.max_value).clip(0, self.max_value), casting="unsafe", out=samples)


@lru_cache(maxsize=64)
def _spread(side: int, count: int) -> NDArray[np.int_]:
    """Return `count` evenly spread positions from the first to the last of a side."""
    positions = np.linspace(0, side - 1, count).round().astype(int)
    positions.flags.writeable = False
    return positions
