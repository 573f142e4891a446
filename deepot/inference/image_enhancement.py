"""One call that enhances images, arrays or files."""

from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import DEFAULT_ALPHA, TransportMode
from deepot.transport import TransportMap

ImageSource = Image.Image | NDArray[np.uint8] | str | Path
"""A Pillow image, an array (H, W, 3) or (H, W) of uint8, or the path of an image file."""


@overload
def enhance(
    images: ImageSource,
    transport_map: TransportMap | str | Path,
    *,
    strength: float | None = None,
    mode: TransportMode | str = TransportMode.AUTO,
    autoencoder: LoadedAutoencoder | None = None,
) -> Image.Image: ...


@overload
def enhance(
    images: list[ImageSource] | tuple[ImageSource, ...],
    transport_map: TransportMap | str | Path,
    *,
    strength: float | None = None,
    mode: TransportMode | str = TransportMode.AUTO,
    autoencoder: LoadedAutoencoder | None = None,
) -> list[Image.Image]: ...


def enhance(
    images: ImageSource | list[ImageSource] | tuple[ImageSource, ...],
    transport_map: TransportMap | str | Path,
    *,
    strength: float | None = None,
    mode: TransportMode | str = TransportMode.AUTO,
    autoencoder: LoadedAutoencoder | None = None,
) -> Image.Image | list[Image.Image]:
    """Enhance restored images of any size with a fitted map; they are not changed themselves.

    Args:
        images: An image, or a list of images: Pillow images, arrays (H, W, 3) or (H, W) of uint8, or paths.
        transport_map: The map, or the path of its file.
        strength: 1 − α: 0 returns the restored image, 1 is the full transport; the default α's if None.
        mode: How the output is composed.
        autoencoder: The autoencoder that the map was fitted with; None loads it by the name that the map has.

    Returns:
        A Pillow image in the mode and bit depth of the input, or a list of them if a list was given. Metadata of files
        are not read; `deepot run` keeps them.

    Raises:
        AutoencoderError: The map's autoencoder cannot be loaded: one of `module:factory` must be passed.
        FileNotFoundError: There is no such file.
        MapError: The map cannot be read, or was fitted with another autoencoder.
        TypeError: An image is none of these.
        UnsupportedImageError: An image has a mode that cannot be read as RGB.
        ValueError: An array has another shape or dtype, or there is no such mode.

    Example:
        >>> import deepot, torch
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> natural = Image.linear_gradient("L").resize((64, 64)).quantize(8).convert("L")
        >>> restored = natural.resize((32, 32)).resize((64, 64))
        >>> transport = deepot.fit_images(autoencoder, [restored], [natural], patch_size=1)
        >>> deepot.enhance(restored, transport, strength=0) == restored
        True
        >>> [image.size for image in deepot.enhance([restored, np.asarray(restored)], transport)]
        [(64, 64), (64, 64)]
    """
    transport = transport_map if isinstance(transport_map, TransportMap) else TransportMap.load(transport_map)
    loaded = autoencoder or _load_by_name(transport.info.autoencoder)
    enhancer = Enhancer(loaded, transport, alpha=DEFAULT_ALPHA if strength is None else 1 - strength, mode=mode)
    if isinstance(images, list | tuple):
        return [enhancer(_to_image(image)) for image in images]
    return enhancer(_to_image(images))


@lru_cache(maxsize=1)
def _load_by_name(name: str) -> LoadedAutoencoder:
    return load_autoencoder(name)


def _to_image(source: object) -> Image.Image:
    """Return an image as a Pillow image.

    Raises:
        TypeError: It is no image.
        ValueError: It is an array of another shape or dtype.
    """
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, str | Path):
        with Image.open(source) as image:
            image.load()
            return image
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim not in (2, 3) or source.shape[2:] not in ((), (3,)):
            raise ValueError(
                f"images: an array must be (H, W, 3) or (H, W) of uint8, this one is {source.shape} of {source.dtype}"
            )
        return Image.fromarray(source)
    raise TypeError(f"images: give Pillow images, arrays or paths, not {type(source).__name__}")
