"""Images as a caller gives them, in memory or as files, and the reading of their samples."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepot.arguments import describe_value
from deepot.errors import ArgumentError, ArgumentTypeError, UnsupportedImageError
from deepot.photo import Pixels

ImageSource = Image.Image | NDArray[np.uint8] | NDArray[np.uint16] | str | os.PathLike[str]
"""A Pillow image, an array (H, W, 3) or (H, W) of uint8 or uint16, or the path of an image file.

Arrays are sRGB or grey. A file is read as Pillow reads it: its EXIF orientation is not applied.
"""
_KINDS = "Pillow images, arrays (H, W, 3) or (H, W) of uint8 or uint16, or paths"


@dataclass(frozen=True)
class SourceImage:
    """An image that a caller gave, of which only the size has been read.

    Attributes:
        name: What messages call it, such as `restored[3]` or `restored[3] (scans/0003.png)`.
        source: The image.
        size: Width and height in pixels.
    """

    name: str
    source: Any
    size: tuple[int, int]

    @classmethod
    def open(cls, source: object, name: str) -> "SourceImage":
        """Check an image and read its size; a file is not decoded.

        Args:
            source: The image, an `ImageSource`.
            name: What messages call it.

        Raises:
            ArgumentError: It is an array of another shape or dtype, or has no pixels.
            ArgumentTypeError: It is no `ImageSource`.
            OSError: The file cannot be read, or is no image.
        """
        if isinstance(source, Image.Image):
            return cls(name, source, source.size)
        if isinstance(source, str | os.PathLike):
            with Image.open(source) as image:
                return cls(f"{name} ({os.fspath(source)})", source, image.size)
        if not isinstance(source, np.ndarray):
            raise ArgumentTypeError(f"{name} is {describe_value(source)}: give {_KINDS}")
        is_integer = source.dtype.kind == "u" and source.dtype.itemsize in (1, 2)
        if not is_integer or source.ndim not in (2, 3) or source.shape[2:] not in ((), (3,)) or not source.size:
            raise ArgumentError(
                f"{name} is an array {source.shape} of {source.dtype}: it must be (H, W, 3) or (H, W) of uint8 or "
                "uint16, with at least one pixel"
            )
        return cls(name, source, (source.shape[1], source.shape[0]))

    @property
    def name_with_size(self) -> str:
        """The name, and the size in parentheses."""
        return f"{self.name} ({self.size[0]} × {self.size[1]} pixels)"

    def read(self) -> Pixels:
        """Return a copy of the samples.

        Raises:
            UnsupportedImageError: `Pixels` does not support the mode of the image.
            OSError: The file cannot be read, or is damaged.
        """
        if isinstance(self.source, np.ndarray):
            native = self.source.dtype.newbyteorder("=")
            return Pixels.from_array(self.source.astype(native, order="C"), alpha=False)
        try:
            if isinstance(self.source, Image.Image):
                return Pixels.from_image(self.source)
            with Image.open(self.source) as image:  # not loaded before: `Pixels` checks the bit depth of the file
                return Pixels.from_image(image)
        except UnsupportedImageError as error:
            raise UnsupportedImageError(error.code, f"{self.name}: {error}") from error


def is_one_image(images: object) -> bool:
    """Return whether a value is one image, and not several; an array of four axes is several."""
    return isinstance(images, Image.Image | str | os.PathLike) or (isinstance(images, np.ndarray) and images.ndim < 4)


def open_images(images: object, argument: str) -> list[SourceImage]:
    """Check several images, given in any iterable, and read their sizes.

    Raises:
        ArgumentError: One is an array of another shape or dtype, or has no pixels.
        ArgumentTypeError: It is one image or no iterable, or one of them is no `ImageSource`.
        OSError: A file cannot be read, or is no image.
    """
    if is_one_image(images) or not isinstance(images, Iterable):
        raise ArgumentTypeError(f"{argument} is {describe_value(images)}: give a list of {_KINDS}")
    return [SourceImage.open(image, f"{argument}[{index}]") for index, image in enumerate(images)]
