"""Synthetic photos with the statistics of real ones, and the degradations that estimators are tested with."""

import io

import numpy as np
from PIL import Image

from deepot.forensics import JpegCoding
from deepot.photo import Pixels
from deepot.restoration import load_degradation


def make_dead_leaves(seed=0, width=320, height=256, leaves=300):
    """Return an RGB image of shaded discs that cover each other (the dead leaves model): edges, flat areas, 1/f²."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    image = np.full((height, width, 3), 128, np.float32)
    radii = np.sort(6 / rng.uniform(0.06, 1, leaves) ** 0.9)[::-1]  # many small leaves on few large ones
    for radius in radii:
        centre = rng.uniform(0, (height, width))
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        shade = rng.uniform(-0.3, 0.3) * (x - centre[1]) + rng.uniform(-0.3, 0.3) * (y - centre[0])
        image[inside] = rng.uniform(45, 205) + rng.normal(0, 12, 3) + shade[inside][:, None]
    return Image.fromarray(np.rint(image).clip(0, 255).astype(np.uint8))


def degrade(image, spec, seed=1):
    """Return an image after a degradation."""
    return load_degradation(spec)(image, np.random.default_rng(seed))


def enlarge(image, factor):
    """Return an image enlarged bicubically."""
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)


def to_channels(image):
    """Return an image as float32 (C, H, W) on the 0–255 scale."""
    array = np.asarray(image, np.float32)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def encode_jpeg(image, quality, **options):
    """Return an image as the bytes of a JPEG file."""
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=quality, **options)
        return file.getvalue()


def read_jpeg(data):
    """Return the pixels of a JPEG file and how it is coded."""
    with Image.open(io.BytesIO(data)) as image:
        tables = [list(table) for table in image.quantization.values()]
        return Pixels.from_image(image), JpegCoding(tables, is_chroma_subsampled=image.layer[0][1] > 1)
