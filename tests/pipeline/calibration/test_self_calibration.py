"""Self-calibrations of photos that have lost what the degradation takes away: they are prepared for a second one."""

import itertools

import numpy as np
import pytest
from PIL import Image

import deepot
from deepot.inference import calibration, degrade_photo, prepare_for_second_degradation
from pipeline.stages import RunOptions, calibrate_job, open_run
from tests.support.photos import make_photo

QUALITY = 20
LOSSY = ["blur:sigma=1", "downscale:factor=2", "downscale:factor=4"]


@pytest.fixture
def fit(make_job, tmp_path, in_process):
    """Returns the W2 distance that the map of a self-calibration covers, of photos that a degradation has changed."""
    folders = itertools.count()

    def call(before, again):
        folder, degrade = tmp_path / str(next(folders)), deepot.load_degradation(before)
        folder.mkdir()
        for seed in range(6):
            photo = make_photo(seed, 160, 192)
            degraded = degrade(photo, np.random.default_rng(seed)).resize(photo.size, Image.Resampling.BICUBIC)
            kind, options = (".jpg", {"quality": QUALITY}) if "jpeg" in before else (".png", {})
            (photo if "jpeg" in before else degraded).save(folder / f"{seed}{kind}", **options)
        factor = int(again.partition("factor=")[2] or 1)
        restorer = f"resize:factor={factor}" if factor > 1 else "identity"
        calibration = {"degradation": again, "restorer": restorer}
        job = make_job(input=str(folder), calibration=calibration, restorer="identity", run=str(folder) + "-runs")
        return calibrate_job(open_run(job, RunOptions(allow_code=True))).info.wasserstein2

    return call


def test_map_undoes_compression(fit):
    compression = f"jpeg:quality={QUALITY}"
    assert fit(compression, compression) > 20 * fit(compression, "noise:sigma=0.01")


@pytest.mark.parametrize("degradation", LOSSY)
def test_map_of_photos_that_have_lost_detail_is_fitted_to_smaller_ones(fit, degradation, monkeypatch):
    found = fit(degradation, degradation)
    monkeypatch.setattr(calibration, "_MIN_SHRUNK_SIDE", 1000)
    assert found > 1.5 * fit(degradation, degradation)


@pytest.mark.parametrize(
    ("degradation", "size"),
    [
        ("noise:sigma=5", (96, 160)),
        ("blur:sigma=1", (48, 80)),
        ("downscale:factor=3+noise:sigma=5", (32, 53)),
        ("downscale:factor=4", (96, 160)),
        ("blur:sigma=0.5+jpeg:quality=20", (44, 76)),
        ("jpeg:quality=20", (92, 156)),
    ],
)
def test_prepare_for_second_degradation_shrinks_and_moves(degradation, size):
    photo = deepot.Pixels(np.array(make_photo(0, 160, 96)))
    prepared = prepare_for_second_degradation(photo, deepot.load_degradation(degradation))
    assert prepared.samples.shape == (*size, 3)
    if size == (92, 156):
        np.testing.assert_array_equal(prepared.samples, photo.samples[4:, 4:])
    assert (prepared is photo) == (size == (96, 160)), "4 times smaller, a side would be too short"


def test_compression_changes_a_moved_photo_and_hardly_one_in_its_place():
    generator, compress = np.random.default_rng(0), deepot.load_degradation(f"jpeg:quality={QUALITY}")
    photo = degrade_photo(deepot.Pixels(np.array(make_photo(0, 96, 80))), compress, generator)
    moved = prepare_for_second_degradation(photo, compress)
    changes = [
        np.abs(degrade_photo(each, compress, generator).samples.astype(int) - each.samples) for each in (photo, moved)
    ]
    assert changes[1].mean() > 5 * changes[0].mean()


def test_prepare_for_second_degradation_leaves_tiny_photos():
    photo = deepot.Pixels(np.zeros((16, 40, 3), np.uint8))
    for text in ("jpeg:quality=20", "blur:sigma=1", "downscale:factor=2"):
        assert prepare_for_second_degradation(photo, deepot.load_degradation(text)) is photo
