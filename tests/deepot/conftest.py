"""A small autoencoder, a map that sharpens soft photos, and the variants of a photo."""

import pytest
import torch

from deepot import load_autoencoder
from deepot.evaluation.variants import compute_variants
from deepot.inference.image_fitting import fit_images
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from tests.support.photos import make_photo, soften


@pytest.fixture(scope="session")
def smooth_autoencoder():
    """A local autoencoder of two small convolutions."""
    return load_autoencoder("tests.support.fake_autoencoders:smooth", allow_code=True, dtype=torch.float32)


@pytest.fixture(scope="session")
def sharpening_map(smooth_autoencoder):
    """The map from softened photos to the photos."""
    photos = [make_photo(seed) for seed in range(4)]
    return fit_images(smooth_autoencoder, [soften(photo) for photo in photos], photos, patch_size=3)


@pytest.fixture
def make_variants(smooth_autoencoder, sharpening_map):
    """A function that computes the variants of the photo of a seed."""

    def make(seed, tiles=None):
        clean = make_photo(seed, 61, 45)
        pixels = [Pixels.from_image(image) for image in (clean, soften(clean))]
        return compute_variants(
            smooth_autoencoder,
            sharpening_map.operator_on(),
            *pixels,
            (tiles or TileOptions()).plan(smooth_autoencoder, pixels[0]),
            gains=sharpening_map.change.gains,
        )

    return make
