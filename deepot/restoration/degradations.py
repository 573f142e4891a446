"""Degradations that calibration applies to natural photos before they are restored."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from deepot.errors import SpecError
from deepot.spec import Spec, build_from_spec, parse_spec

Degradation = Callable[[Image.Image, np.random.Generator], Image.Image]
"""Takes an 8-bit grey or RGB image and a random generator; returns a degraded 8-bit image of the same mode."""


def rng_for(identity: bytes) -> np.random.Generator:
    """Return the random generator of a photo.

    It depends on nothing else, so that a photo is degraded alike in every run and whatever was degraded before it.

    Args:
        identity: what identifies the photo, such as the bytes or the name of its file.

    Example:
        >>> int(rng_for(b"photo.jpg").integers(1000)) == int(rng_for(b"photo.jpg").integers(1000))
        True
    """
    return np.random.default_rng(int(hashlib.sha256(identity).hexdigest()[:16], 16))


def gaussian_noise(sigma: float) -> Degradation:
    """Return a degradation that adds white Gaussian noise of standard deviation `sigma` on the 0–255 scale."""
    _require_positive("noise", "sigma", sigma)

    def degrade(image: Image.Image, generator: np.random.Generator) -> Image.Image:
        clean = np.asarray(image)
        noisy = clean + sigma * generator.standard_normal(clean.shape)
        return Image.fromarray(np.rint(noisy).clip(0, 255).astype(np.uint8))

    return degrade


def jpeg_compression(quality: float) -> Degradation:
    """Return a degradation that compresses to JPEG with Pillow's `quality`, 1 to 95."""
    if not 1 <= quality <= 95:
        raise ValueError(f"jpeg: quality is {quality:g}, it must lie between 1 and 95")

    def degrade(image: Image.Image, _: np.random.Generator) -> Image.Image:
        with io.BytesIO() as file:
            image.save(file, "JPEG", quality=int(quality))
            return Image.open(io.BytesIO(file.getvalue())).convert(image.mode)

    return degrade


def gaussian_blur(sigma: float) -> Degradation:
    """Return a degradation that blurs with a Gaussian of `sigma` pixels (approximated by Pillow's box filters)."""
    _require_positive("blur", "sigma", sigma)
    return lambda image, _: image.filter(ImageFilter.GaussianBlur(sigma))


def downscale(factor: float) -> Degradation:
    """Return a degradation that crops to a multiple of the integer `factor` and downscales bicubically by it."""
    if factor < 2 or factor != int(factor):
        raise ValueError(f"downscale: factor is {factor:g}, it must be a whole number from 2 on")
    step = int(factor)

    def degrade(image: Image.Image, _: np.random.Generator) -> Image.Image:
        size = (max(1, image.width // step), max(1, image.height // step))
        return image.crop((0, 0, size[0] * step, size[1] * step)).resize(size, Image.Resampling.BICUBIC)

    return degrade


_BLOCKWISE = frozenset({"jpeg"})
"""Degradations of blocks that begin at the corner of a photo."""
_BLUR_SHRINKING = 2
DEGRADATION_FACTORIES: dict[str, Callable[..., Degradation]] = {
    "noise": gaussian_noise,
    "jpeg": jpeg_compression,
    "blur": gaussian_blur,
    "downscale": downscale,
}


@dataclass(frozen=True)
class DegradationSteps:
    """Degradations that are applied one after the other.

    Attributes:
        name: their spec.
        steps: the degradations.
        is_blockwise: whether one of them degrades blocks of 8 × 8 pixels, so that a photo that it has degraded before
            stays as it is.
        shrinking: by how much a photo that they have degraded must be made smaller to have detail that they take away.
    """

    name: str
    steps: tuple[Degradation, ...]
    is_blockwise: bool = False
    shrinking: int = 1

    def __repr__(self) -> str:
        """Return the spec, in one line."""
        return f"Degradation: '{self.name}'"

    def __call__(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        """Degrade an 8-bit grey or RGB image; the generator gives the random numbers."""
        for step in self.steps:
            image = step(image, generator)
        return image


def load_degradation(text: str) -> DegradationSteps:
    """Build a degradation from its spec.

    Args:
        text: `noise:sigma=50`, `jpeg:quality=30`, `blur:sigma=1`, `downscale:factor=4`, or several that are applied
            one after the other, joined by `+`: `blur:sigma=1+noise:sigma=10+jpeg:quality=30`.

    Raises:
        SpecError: the spec is empty, a name is unknown, or an option is missing or out of range.

    Example:
        >>> import numpy as np
        >>> from PIL import Image
        >>> degrade = load_degradation("downscale:factor=2+noise:sigma=5")
        >>> degrade
        Degradation: 'downscale:factor=2+noise:sigma=5'
        >>> degrade(Image.new("RGB", (9, 6)), np.random.default_rng(0)).size
        (4, 3)
    """
    if not text.strip():
        raise SpecError("the degradation is empty; name one of " + ", ".join(DEGRADATION_FACTORIES))
    specs = [parse_spec(step_text.strip()) for step_text in text.split("+")]
    steps = tuple(build_from_spec(spec, DEGRADATION_FACTORIES, "degradation") for spec in specs)
    is_blockwise = any(spec.name in _BLOCKWISE for spec in specs)
    return DegradationSteps(text, steps, is_blockwise, max(map(_shrinking, specs)))


def _shrinking(spec: Spec) -> int:
    """Return by how much a photo is made smaller before it is degraded once more in the same way."""
    if spec.name == "downscale":
        return int(spec.options["factor"])
    return _BLUR_SHRINKING if spec.name == "blur" else 1


def _require_positive(name: str, option: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{name}: {option} is {value:g}, it must be above 0")
