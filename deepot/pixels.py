"""Pixels: the samples of a photo, their view as RGB in [0, 1] for a network, and the exact way back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deepot.errors import UnsupportedImageError

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue: ITU-R BT.601, as Pillow's conversion to grey."""
_CONVERTED = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
_INK_LEFT = 1 / 255  # below this much light through the black ink, the other inks cannot be seen or changed


@dataclass
class Pixels:
    """The samples of a photo, changed in place.

    Attributes:
        samples: (H, W, C), uint8 or uint16; C is 1 for grey, 3 for RGB, 4 for CMYK.
        alpha: (H, W), uint8, kept as it is; None without transparency.
    """

    samples: NDArray[Any]
    alpha: NDArray[Any] | None = None

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.samples.shape[1])

    @property
    def maximum(self) -> int:
        """The sample value that stands for 1.0, from the sample type."""
        return int(np.iinfo(self.samples.dtype).max)

    @property
    def bit_depth(self) -> int:
        """Bits a sample."""
        return self.samples.dtype.itemsize * 8

    @classmethod
    def from_image(cls, image: Image.Image) -> "Pixels":
        """Take the samples of a Pillow image (a copy).

        Grey, RGB, CMYK and 16-bit grey are kept; palette images become RGB, bilevel ones grey.

        Raises:
            UnsupportedImageError: another mode, or more than 8 bits a sample in a mode that Pillow reads as 8.
        """
        tile = getattr(image, "tile", None)  # only images read from a file have it
        raw_mode = str(tile[0][3]) if tile else ""
        if "16" in raw_mode and not image.mode.startswith("I;16"):
            raise UnsupportedImageError(
                "unsupported_bit_depth",
                f"16 bits a sample in mode {image.mode} would be cut to 8; convert it to 16-bit grey or 8-bit colour",
            )
        if image.mode == "P":
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        elif image.mode == "PA":
            image = image.convert("RGBA")
        image = image.convert(_CONVERTED[image.mode]) if image.mode in _CONVERTED else image
        if image.mode in ("L", "RGB", "CMYK"):
            samples = np.array(image)
            return cls(samples[:, :, None] if image.mode == "L" else samples)
        if image.mode in ("LA", "RGBA"):
            samples = np.array(image)
            return cls(samples[:, :, :-1].copy(), samples[:, :, -1].copy())
        if image.mode.startswith("I;16"):
            return cls(np.array(image).astype(np.uint16)[:, :, None])
        raise UnsupportedImageError(
            "unsupported_mode", f"mode {image.mode} has no exact way back from RGB; convert the photo to RGB or grey"
        )

    def image(self) -> Image.Image:
        """A Pillow image of the samples: L, LA, RGB, RGBA, CMYK or I;16."""
        samples = self.samples[:, :, 0] if self.samples.shape[2] == 1 else self.samples
        mode = "CMYK" if self.samples.shape[2] == 4 else None  # the others follow from shape and type
        image = Image.fromarray(np.ascontiguousarray(samples), mode)
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        return image

    def rgb(self, rows: slice = slice(None), columns: slice = slice(None)) -> Tensor:
        """A region as a network sees it: (1, 3, h, w), float32, [0, 1]."""
        region = self.samples[rows, columns]
        values = torch.from_numpy(np.ascontiguousarray(region)).float().div_(self.maximum).permute(2, 0, 1)[None]
        if values.shape[1] == 1:
            return values.expand(-1, 3, -1, -1)
        if values.shape[1] == 4:
            return (1 - values[:, :3]) * (1 - values[:, 3:])
        return values

    def rgb8(self, rows: slice = slice(None), columns: slice = slice(None)) -> NDArray[np.uint8]:
        """A region as 8-bit RGB: (h, w, 3)."""
        array: NDArray[np.uint8] = self.rgb(rows, columns)[0].permute(1, 2, 0).mul(255).round().byte().numpy()
        return array

    def add(self, top: int, difference: Tensor) -> None:
        """Add a difference of RGB values to the samples, rounding to the nearest and clamping to their range.

        Grey takes the luma of the difference. Of CMYK the inks C, M, Y take it and K stays.

        Args:
            top: first row.
            difference: (1, 3, h, W), float32, in units of [0, 1]; what lies beyond the image is ignored.
        """
        height = min(difference.shape[2], self.height - top)
        change = difference[0, :, :height, : self.width].permute(1, 2, 0).cpu().numpy()
        rows = self.samples[top : top + height]
        if rows.shape[2] == 1:
            change = change @ np.array(LUMA, dtype=np.float32)[:, None]
        elif rows.shape[2] == 4:
            light = 1 - rows[:, :, 3:].astype(np.float32) / self.maximum
            change = np.where(light > _INK_LEFT, -change / np.maximum(light, _INK_LEFT), 0)
            rows = rows[:, :, :3]
        np.rint((rows + change * self.maximum).clip(0, self.maximum), casting="unsafe", out=rows)
