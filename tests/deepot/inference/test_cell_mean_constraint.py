"""The means of cells: what an enhancer records, and what a result has."""

import numpy as np
import pytest
import torch
from PIL import Image

from deepot.inference.cell_mean_constraint import CellMeanConstraint
from deepot.inference.enhancer import Enhancer
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from tests.deepot.inference.test_composition import with_tone
from tests.deepot.inference.test_enhancer import photo, with_target


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
@pytest.mark.parametrize("alpha", [0.5, 0, -1])
def test_results_of_detail_mode_keep_the_means_of_cells_also_where_they_clip(autoencoder, transport, mode, alpha):
    shifted = with_tone(with_target(transport, transport.parameters["target_mean"] + 0.5), 9)
    image = photo(91, 77, mode).point(lambda value: value * 2) if mode == "RGB" else photo(91, 77, mode)
    for size in (1424, 64):
        pixels = Pixels.from_image(image)
        stats = Enhancer(autoencoder, shifted, alpha=alpha, mode="detail", tiles=TileOptions(size)).enhance(pixels)
        assert stats.constraint.name == "cell_means"
        assert stats.change.rms > 0
        found = stats.constraint.count(pixels)
        assert found.total == -(-91 // 2) * -(-77 // 2)
        assert found.outside == 0


def test_other_modes_and_coarse_gains_have_no_constraint(autoencoder, transport):
    for mode in ("residual", "plain"):
        assert Enhancer(autoencoder, transport, mode=mode).enhance(Pixels.from_image(photo(32, 32))).constraint is None


def test_changed_cells_are_counted_without_those_of_invisible_pixels():
    samples = np.full((20, 28, 3), 90, np.uint8)
    constraint = CellMeanConstraint(20, 28, 8, one_change=False)
    constraint.record(0, 0, torch.full((1, 3, 3, 4), 90 / 255))
    samples[3, 3] += 20  # less than half a step of the mean
    assert constraint.count(Pixels(samples)) == (0, 12)
    samples[9, 9] += 40
    samples[19, 27] += 40
    assert constraint.count(Pixels(samples)) == (2, 12)
    alpha = np.full((20, 28), 255, np.uint8)
    alpha[19, 26] = 0
    assert constraint.count(Pixels(samples, alpha)) == (1, 11)


def test_alpha_one_changes_nothing(autoencoder, transport):
    image = photo(40, 40)
    pixels = Pixels.from_image(image)
    stats = Enhancer(autoencoder, transport, alpha=1).enhance(pixels)
    assert stats.change.rms == 0
    assert pixels.to_image() == image
    assert isinstance(image, Image.Image)
