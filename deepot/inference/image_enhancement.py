"""One call that enhances images, arrays or files."""

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import overload

from PIL import Image

from deepot.arguments import describe_value
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.errors import ArgumentTypeError
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import DEFAULT_ALPHA, TransportMode
from deepot.inference.progress import ProgressCallback, ProgressCounter
from deepot.inference.source_images import ImageSource, SourceImage, is_one_image, open_images
from deepot.transport import TransportMap, alpha_from_strength


@overload
def enhance(  # type: ignore[overload-overlap]  # a text is a path here, though also an iterable of texts
    images: ImageSource,
    transport_map: TransportMap | str | os.PathLike[str],
    *,
    strength: float | None = None,
    mode: TransportMode | str = TransportMode.AUTO,
    autoencoder: LoadedAutoencoder | None = None,
    progress: ProgressCallback | None = None,
) -> Image.Image: ...


@overload
def enhance(
    images: Iterable[ImageSource],
    transport_map: TransportMap | str | os.PathLike[str],
    *,
    strength: float | None = None,
    mode: TransportMode | str = TransportMode.AUTO,
    autoencoder: LoadedAutoencoder | None = None,
    progress: ProgressCallback | None = None,
) -> list[Image.Image]: ...


def enhance(
    images: ImageSource | Iterable[ImageSource],
    transport_map: TransportMap | str | os.PathLike[str],
    *,
    strength: float | None = None,
    mode: TransportMode | str = TransportMode.AUTO,
    autoencoder: LoadedAutoencoder | None = None,
    progress: ProgressCallback | None = None,
) -> Image.Image | list[Image.Image]:
    """Enhance restored images of any size with a fitted map; they are not changed themselves.

    Args:
        images: An image, or several in any iterable: Pillow images, arrays (H, W, 3) or (H, W) of uint8 or uint16, or
            paths.
        transport_map: The map, or the path of its file.
        strength: 1 − α, from −3 to 5: 0 returns the restored image, 1 is the full transport; the default α's if None.
        mode: How the output is composed.
        autoencoder: The autoencoder that the map was fitted with; None loads it by the name that the map has.
        progress: Is called after each image as `progress(done, total)`.

    Returns:
        A Pillow image in the mode and bit depth of the input, or a list of them if several were given. Metadata of
        files are not read; `deepot run` keeps them.

    Raises:
        ArgumentError: An array has another shape or dtype, there is no such mode, or the strength is out of range.
        ArgumentTypeError: An image is none of these, the map is neither a map nor a path, or the autoencoder is not
            loaded.
        AutoencoderError: The map's autoencoder cannot be loaded: one of `module:factory` must be passed.
        MapError: The map cannot be read, or was fitted with another autoencoder.
        OSError: A file cannot be read, or is no image.
        UnsupportedImageError: An image has a mode that cannot be read as RGB, or 16 bits per colour, for which Pillow
            has no mode: give such an array to `Pixels.from_array` and `Enhancer.enhance`.

    Example:
        >>> import deepot
        >>> import numpy as np
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype="float32")
        >>> natural = Image.linear_gradient("L").resize((64, 64)).quantize(8).convert("L")
        >>> restored = natural.resize((32, 32)).resize((64, 64))
        >>> transport = deepot.fit_images(autoencoder, [restored], [natural], patch_size=1)
        >>> deepot.enhance(restored, transport, strength=0) == restored
        True
        >>> [image.size for image in deepot.enhance([restored, np.asarray(restored)], transport)]
        [(64, 64), (64, 64)]
    """
    alpha = DEFAULT_ALPHA if strength is None else alpha_from_strength(strength)
    transport = _load_map(transport_map)
    opened = [SourceImage.open(images, "images")] if is_one_image(images) else open_images(images, "images")
    loaded = _load_by_name(transport.info.autoencoder) if autoencoder is None else autoencoder
    enhancer = Enhancer(loaded, transport, alpha=alpha, mode=mode)
    steps = ProgressCounter(progress, len(opened))
    enhanced = [enhancer.enhance_source(image) for image in steps.count(opened)]
    return enhanced[0] if is_one_image(images) else enhanced


@lru_cache(maxsize=1)
def _load_by_name(name: str) -> LoadedAutoencoder:
    return load_autoencoder(name)


def _load_map(transport_map: object) -> TransportMap:
    """Return a map, given as such or as the path of its file.

    Raises:
        ArgumentTypeError: It is neither.
    """
    if isinstance(transport_map, TransportMap):
        return transport_map
    if isinstance(transport_map, str | os.PathLike):
        return TransportMap.load(os.fspath(transport_map))
    raise ArgumentTypeError(
        f"transport_map is {describe_value(transport_map)}: give what deepot.fit_images or deepot.TransportMap.load "
        "returned, or the path of a map file"
    )
