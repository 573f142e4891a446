"""Degradations: what calibration does to good photos before a restorer mends them."""

import hashlib
import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from deepot.errors import SpecError
from deepot.spec import build_from_spec, parse_spec

Degradation = Callable[[Image.Image, np.random.Generator], Image.Image]
"""An 8-bit image, grey or RGB, and a generator → one of the same mode; what comes out is what a file would hold."""


def rng_for(identity: bytes) -> np.random.Generator:
    """The generator of a photo, from its bytes or its name: the same each time, whatever is degraded before it."""
    return np.random.default_rng(int(hashlib.sha256(identity).hexdigest()[:16], 16))


def gaussian_noise(sigma: float) -> Degradation:
    """White Gaussian noise of standard deviation `sigma` on the 0–255 scale, rounded and clipped to 8 bits."""
    _require_positive("noise", "sigma", sigma)

    def degrade(image: Image.Image, generator: np.random.Generator) -> Image.Image:
        clean = np.asarray(image)
        noisy = clean + sigma * generator.standard_normal(clean.shape)
        return Image.fromarray(np.rint(noisy).clip(0, 255).astype(np.uint8))

    return degrade


def jpeg_compression(quality: float) -> Degradation:
    """JPEG compression at Pillow's `quality`, 1 to 95."""
    if not 1 <= quality <= 95:
        raise ValueError(f"jpeg: quality is {quality:g}, it must lie between 1 and 95")

    def degrade(image: Image.Image, _: np.random.Generator) -> Image.Image:
        with io.BytesIO() as file:
            image.save(file, "JPEG", quality=int(quality))
            return Image.open(io.BytesIO(file.getvalue())).convert(image.mode)

    return degrade


def gaussian_blur(sigma: float) -> Degradation:
    """Gaussian blur of standard deviation `sigma` pixels (Pillow's, an approximation by box filters)."""
    _require_positive("blur", "sigma", sigma)
    return lambda image, _: image.filter(ImageFilter.GaussianBlur(sigma))


def downscale(factor: float) -> Degradation:
    """Bicubic downscaling by a whole `factor`; the photo is cropped to a multiple of it first."""
    if factor < 2 or factor != int(factor):
        raise ValueError(f"downscale: factor is {factor:g}, it must be a whole number from 2 on")
    step = int(factor)

    def degrade(image: Image.Image, _: np.random.Generator) -> Image.Image:
        size = (max(1, image.width // step), max(1, image.height // step))
        return image.crop((0, 0, size[0] * step, size[1] * step)).resize(size, Image.Resampling.BICUBIC)

    return degrade


DEGRADATION_FACTORIES: dict[str, Callable[..., Degradation]] = {
    "noise": gaussian_noise,
    "jpeg": jpeg_compression,
    "blur": gaussian_blur,
    "downscale": downscale,
}


def load_degradation(text: str) -> Degradation:
    """Build a degradation from its spec: `noise:sigma=50`, or a chain `blur:sigma=1+noise:sigma=10+jpeg:quality=30`.

    Raises:
        SpecError: an unknown name or an option out of range.
    """
    if not text.strip():
        raise SpecError("degrade is empty; name one of " + ", ".join(DEGRADATION_FACTORIES))
    steps: list[Degradation] = [
        build_from_spec(parse_spec(step_text.strip()), DEGRADATION_FACTORIES, "degradation")
        for step_text in text.split("+")
    ]

    def degrade(image: Image.Image, generator: np.random.Generator) -> Image.Image:
        for step in steps:
            image = step(image, generator)
        return image

    return degrade


def _require_positive(name: str, option: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{name}: {option} is {value:g}, it must be above 0")
