"""Restorers without learned weights: non-local means, median filter and bicubic upscaling."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from deepot.errors import RestorerError

_NLM_TEMPLATE_WINDOW, _NLM_SEARCH_WINDOW = 5, 21  # sides in pixels
_NLM_STRENGTH_PER_SIGMA = 0.8  # filter strength h for these windows, relative to the standard deviation of the noise


class NonLocalMeans:
    """Non-local means for colour images (Buades, Coll, Morel 2011), computed by OpenCV in 8 bits."""

    scale = 1

    def __init__(self, sigma: float) -> None:
        """Create the restorer.

        Args:
            sigma: standard deviation of the noise to remove, on the 0–255 scale.
        """
        self.strength = _NLM_STRENGTH_PER_SIGMA * sigma

    def __call__(self, images: Tensor) -> Tensor:
        """Denoise an image (1, 3, H, W) in [0, 1].

        Raises:
            RestorerError: OpenCV is not installed.
        """
        try:
            import cv2
        except ImportError as error:
            raise RestorerError("restorer 'nlm' needs OpenCV: pip install 'deepot[restorers]'") from error
        bgr = np.ascontiguousarray(_to_uint8(images)[:, :, ::-1])  # the channel order that OpenCV's function takes
        denoised = cv2.fastNlMeansDenoisingColored(
            bgr, None, self.strength, self.strength, _NLM_TEMPLATE_WINDOW, _NLM_SEARCH_WINDOW
        )
        return _to_tensor(denoised[:, :, ::-1])


class Median:
    """Pillow's median filter, applied to each channel in 8 bits."""

    scale = 1

    def __init__(self, size: float = 3) -> None:
        """Create the restorer.

        Args:
            size: side of the window in pixels, an odd number from 3.

        Raises:
            ValueError: `size` is even or too small.
        """
        if size < 3 or size % 2 != 1:
            raise ValueError(f"median: size is {size:g}, it must be an odd number from 3 on")
        self._filter = ImageFilter.MedianFilter(int(size))

    def __call__(self, images: Tensor) -> Tensor:
        """Filter an image (1, 3, H, W) in [0, 1]."""
        return _to_tensor(np.array(Image.fromarray(_to_uint8(images)).filter(self._filter)))


class Resize:
    """Bicubic upscaling by Pillow, in 8 bits."""

    def __init__(self, factor: float) -> None:
        """Create the restorer.

        Args:
            factor: how many times larger the result is along each axis, a whole number from 2.

        Raises:
            ValueError: `factor` is not a whole number, or too small.
        """
        if factor < 2 or factor != int(factor):
            raise ValueError(f"resize: factor is {factor:g}, it must be a whole number from 2 on")
        self.scale = int(factor)

    def __call__(self, images: Tensor) -> Tensor:
        """Enlarge an image (1, 3, H, W) in [0, 1] to (1, 3, H·factor, W·factor)."""
        image = Image.fromarray(_to_uint8(images))
        size = (image.width * self.scale, image.height * self.scale)
        return _to_tensor(np.array(image.resize(size, Image.Resampling.BICUBIC)))


def _to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """Convert an image (1, 3, H, W) in [0, 1] to 8-bit RGB (H, W, 3)."""
    array: NDArray[np.uint8] = images[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).byte().cpu().numpy()
    return array


def _to_tensor(array: NDArray[Any]) -> Tensor:
    """Convert 8-bit RGB (H, W, 3) to an image (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)[None].float() / 255
