"""Self-calibrations of photos that JPEG has degraded: on the blocks of the first compression nothing changes."""

import numpy as np
import pytest

import deepot
from deepot.inference import degrade_photo, offset_from_blocks
from pipeline.stages import RunOptions, calibrate_job, open_run
from tests.support.photos import make_photo

QUALITY = 20


@pytest.fixture
def fit(make_job, tmp_path, in_process):
    """Returns the W2 distance that the map of a self-calibration covers."""
    for seed in range(6):
        make_photo(seed, 96, 80).save(tmp_path / f"{seed}.jpg", quality=QUALITY)

    def call(degradation):
        job = make_job(input=str(tmp_path / "*.jpg"), calibration={"degradation": degradation}, restorer="identity")
        return calibrate_job(open_run(job, RunOptions(allow_code=True))).info.wasserstein2

    return call


def test_map_undoes_compression(fit):
    assert fit(f"jpeg:quality={QUALITY}") > 20 * fit("noise:sigma=0.01")


@pytest.mark.parametrize("degradation", [f"jpeg:quality={QUALITY}", f"blur:sigma=0.5+jpeg:quality={QUALITY}"])
def test_offset_from_blocks_moves_photos_of_jpeg_alone(degradation):
    generator, compress = np.random.default_rng(0), deepot.load_degradation(f"jpeg:quality={QUALITY}")
    photo = degrade_photo(deepot.Pixels(np.array(make_photo(0, 96, 80))), compress, generator)
    moved = offset_from_blocks(photo, deepot.load_degradation(degradation))
    np.testing.assert_array_equal(moved.samples, photo.samples[4:, 4:])
    changes = [
        np.abs(degrade_photo(each, compress, generator).samples.astype(int) - each.samples) for each in (photo, moved)
    ]
    assert changes[1].mean() > 5 * changes[0].mean()
    assert offset_from_blocks(photo, deepot.load_degradation("blur:sigma=1+noise:sigma=5")) is photo


def test_offset_from_blocks_leaves_tiny_photos():
    photo = deepot.Pixels(np.zeros((16, 40, 3), np.uint8))
    assert offset_from_blocks(photo, deepot.load_degradation("jpeg:quality=20")) is photo
