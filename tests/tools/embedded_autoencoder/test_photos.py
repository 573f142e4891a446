"""Training photos: which are used, and what random crops of them look like."""

import numpy as np
import pytest
import torch
from PIL import Image

from tools.embedded_autoencoder.photos import TrainingPhotos


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for index, shape in enumerate([(50, 40, 3), (33, 70, 3), (20, 90, 3)]):  # the last is too small for a crop
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / f"{index}.png")
    return tmp_path


def test_training_photos_leave_out_those_smaller_than_a_crop(folder):
    assert len(TrainingPhotos([folder], 32).images) == 2


def test_sample_returns_the_same_crops_for_the_same_seed(folder):
    photos = TrainingPhotos([folder], 32)
    first, again, other = (photos.sample(5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (5, 3, 32, 32)
    assert -1 <= float(first.min()) < -0.9 < 0.9 < float(first.max()) <= 1
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_training_photos_without_a_large_enough_photo_are_refused(folder):
    with pytest.raises(SystemExit, match="no photo of at least 64 pixels a side"):
        TrainingPhotos([folder], 64)
