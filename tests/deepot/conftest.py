"""An autoencoder without weights of its own, a map that makes soft pictures sharp, and the versions of a picture."""

import pytest
import torch

from deepot import load_codec
from deepot.evaluation.variants import versions
from deepot.inference.calibration import fit_images
from deepot.inference.tile_options import Tiles
from deepot.photo.pixels import Pixels
from tests.support.photos import picture, soft


@pytest.fixture(scope="session")
def smooth():
    """A codec of plain pooling and interpolation."""
    return load_codec("tests.support.fake_autoencoders:smooth", allow_code=True, dtype=torch.float32)


@pytest.fixture(scope="session")
def sharpening(smooth):
    """Its map from soft pictures to the pictures."""
    photos = [picture(seed) for seed in range(4)]
    return fit_images(smooth, [soft(photo) for photo in photos], photos, patch_size=3)


@pytest.fixture
def made(smooth, sharpening):
    """What makes the versions of the picture of a seed."""

    def versions_of(seed, tiles=None):
        clean = picture(seed, 61, 45)
        pixels = [Pixels.from_image(image) for image in (clean, soft(clean))]
        return versions(smooth, sharpening.on(), *pixels, (tiles or Tiles()).plan(smooth, pixels[0]))

    return versions_of
