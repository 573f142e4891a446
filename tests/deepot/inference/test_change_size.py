"""The size of a change, in all of a photo and in its flat areas."""

import numpy as np
import pytest

from deepot.inference.change_size import ChangeSize


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_change_size_equals_the_root_mean_square_over_samples_and_flat_blocks(dtype):
    generator, step = np.random.default_rng(0), np.iinfo(dtype).max // 255
    before = np.full((301, 43, 3), 100, np.int64)
    before[:160] += generator.integers(0, 60, (160, 43, 3))
    after = before + generator.integers(-5, 6, before.shape)
    found = ChangeSize.measure((before * step).astype(dtype), (after * step).astype(dtype))
    change = (after - before).astype(float)
    assert found.rms == pytest.approx(np.sqrt(np.square(change).mean()))
    assert found.flat_rms == pytest.approx(np.sqrt(np.square(change[160:296, :40]).mean()))


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 300, 3), (300, 5, 4)])
def test_photos_without_complete_blocks_have_no_flat_areas(shape):
    found = ChangeSize.measure(np.zeros(shape, np.uint8), np.full(shape, 3, np.uint8))
    assert (found.rms, found.flat_rms) == (3, None)


def test_totals_are_those_of_all_pages():
    one, two = ChangeSize(8.0, 2, 1.0, 1), ChangeSize(10.0, 7, 0.0, 0)
    assert ChangeSize.total([one, two]) == ChangeSize(18.0, 9, 1.0, 1)
    assert ChangeSize.total([]).rms is None
