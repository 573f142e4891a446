from dataclasses import replace

import numpy as np
import pytest
import torch

from deepot.errors import RestorerError
from deepot.photo.pixels import Pixels
from deepot.restoration.restorer import Restorer
from tests.support.photos import make_photo

CPU = torch.device("cpu")


class RecordingModel:
    """Halves its input, records the sizes it was called with, and can run short of memory.

    Attributes:
        sizes: (H, W) of each call.
        max_pixels: largest image that fits into memory; may be changed between photos.
    """

    def __init__(self):
        self.sizes, self.max_pixels = [], 2**30

    def __call__(self, images):
        self.sizes.append(tuple(images.shape[2:]))
        if images.shape[2] * images.shape[3] > self.max_pixels:
            raise torch.OutOfMemoryError
        return images * 0.5

    def largest(self):
        return max(height * width for height, width in self.sizes)


@pytest.fixture
def model():
    return RecordingModel()


@pytest.fixture
def restorer(model):
    return Restorer("half", "", 1, model, CPU)


def test_restorer_tiles_of_a_pointwise_model_give_the_result_of_the_full_photo(model, restorer):
    samples = np.random.default_rng(0).integers(0, 256, (1300, 1111, 3), dtype=np.uint8)
    result = restorer(Pixels(samples.copy()))
    assert len(model.sizes) == 2
    assert model.largest() <= 1024**2
    assert np.abs(result.samples - samples / 2).max() <= 0.51


def test_restorer_whose_output_has_another_size_is_refused(model):
    photo = Pixels(np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(RestorerError, match="its scale of 2 requires"):
        Restorer("bad", "", 2, model, CPU)(photo)


def test_restorer_does_not_change_its_input(restorer):
    photo = Pixels.from_image(make_photo(1))
    before = photo.samples.copy()
    assert (restorer(photo).samples != before).any()
    np.testing.assert_array_equal(photo.samples, before)


def test_restorer_short_of_memory_uses_smaller_tiles_for_that_photo_only(model, restorer):
    """What a photo becomes must not depend on what the process has restored before."""
    photo = Pixels.from_image(make_photo(9, 700, 300))
    undisturbed = restorer(photo).samples
    expected_sizes = list(model.sizes)

    model.sizes.clear()
    model.max_pixels = 260**2
    in_smaller_tiles = restorer(photo).samples
    assert len(model.sizes) > len(expected_sizes) + 1
    assert np.abs(in_smaller_tiles.astype(int) - undisturbed).max() <= 1

    model.sizes.clear()
    model.max_pixels = 2**30
    np.testing.assert_array_equal(restorer(photo).samples, undisturbed)
    assert model.sizes == expected_sizes


@pytest.mark.parametrize("tiled", [True, False])
def test_restorer_without_memory_for_the_smallest_tile_raises(model, restorer, tiled):
    model.max_pixels = 100**2
    with pytest.raises(torch.OutOfMemoryError):
        replace(restorer, tiled=tiled)(Pixels.from_image(make_photo(9, 700, 300)))
    assert len(model.sizes) == (3 if tiled else 1), "tiles of 1024, 512 and 256, or none at all"
