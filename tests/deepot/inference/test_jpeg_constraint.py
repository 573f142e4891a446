"""Results of JPEG files contradict none of their coefficients, by a script that shares no code with the projection."""

import io

import numpy as np
import pytest
from PIL import Image

from deepot.inference import jpeg_constraint
from deepot.inference.jpeg_constraint import JpegConstraint
from deepot.photo import ConstantAreas, Pixels
from pipeline.imageio import read_coefficients
from tests.support.photos import make_photo
from tools.check_consistency import count_outside

KINDS = {
    "4:2:0": {"subsampling": "4:2:0", "restart_marker_blocks": 1},
    "4:2:2": {"subsampling": "4:2:2", "progressive": True},
    "4:4:4": {"subsampling": "4:4:4"},
    "RGB": {"keep_rgb": True},
    "grey": {},
}


def compress(image, quality, kind="4:2:0"):
    image = image.convert("L") if kind == "grey" else image
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=quality, **KINDS[kind])
        return file.getvalue()


def decode(data):
    return Pixels.from_image(Image.open(io.BytesIO(data)))


def constraint_of(data):
    return JpegConstraint(read_coefficients(data), decode(data).samples)


def disturb(pixels, seed, strength):
    """Change the samples by noise of several sizes: fine, coarse, and large in one corner."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, strength, pixels.samples.shape)
    noise += generator.normal(0, strength, (1, 1, pixels.samples.shape[2]))
    noise[:9, :11] *= 8
    pixels.samples[:] = np.rint(pixels.samples + noise).clip(0, 255)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quality", [5, 30, 75, 92, 100])
def test_projected_results_contradict_nothing_by_an_independent_script(kind, quality, tmp_path):
    source, result = str(tmp_path / "photo.jpg"), str(tmp_path / "result.png")
    contradictory = 0
    for seed in range(12):
        width, height = 16 + 7 * seed % 40, 17 + 5 * seed % 33
        data = compress(make_photo(seed, width, height, noise=15 * (seed % 3)), quality, kind)
        constraint, pixels = constraint_of(data), decode(data)
        disturb(pixels, seed, strength=1 + seed % 4)
        (tmp_path / "photo.jpg").write_bytes(data)
        pixels.to_image().save(result)
        before = count_outside(source, result)
        assert before == constraint.count(pixels)
        constraint.project(pixels)
        pixels.to_image().save(result)
        assert count_outside(source, result) == (0, before[1])
        assert constraint.count(pixels) == (0, before[1])
        contradictory += before[0] > 0
    assert contradictory >= 6


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoded_file_contradicts_nothing_and_stays(kind):
    data = compress(make_photo(3, 61, 45), 60, kind)
    pixels = decode(data)
    assert constraint_of(data).count(pixels).outside == 0
    constraint_of(data).project(pixels)
    np.testing.assert_array_equal(pixels.samples, decode(data).samples)


@pytest.mark.parametrize("kind", KINDS)
def test_most_of_the_change_stays_where_steps_are_coarse(kind):
    data = compress(make_photo(5, 96, 80), 10, kind)
    pixels, before = decode(data), decode(data).samples.astype(int)
    disturb(pixels, 1, 2)
    meant = pixels.samples.astype(int) - before
    constraint_of(data).project(pixels)
    kept = pixels.samples.astype(int) - before
    assert (meant * kept).sum() > 0.6 * (meant**2).sum() > 0


def test_projecting_twice_changes_nothing_more():
    data = compress(make_photo(5, 70, 50), 50)
    pixels = decode(data)
    disturb(pixels, 2, 3)
    constraint_of(data).project(pixels)
    once = pixels.samples.copy()
    constraint_of(data).project(pixels)
    np.testing.assert_array_equal(pixels.samples, once)


def test_steps_finer_than_rounding_leave_the_photo_nearly_as_it_is():
    data = compress(make_photo(5, 70, 50), 100, "4:4:4")
    pixels = decode(data)
    disturb(pixels, 2, 3)
    constraint_of(data).project(pixels)
    assert (pixels.samples != decode(data).samples).mean() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_bands_give_the_same_as_the_photo_at_once(kind, monkeypatch):
    data = compress(make_photo(6, 75, 90), 40, kind)
    results = []
    for band_pixels in (2**30, 1):
        monkeypatch.setattr(jpeg_constraint, "_BAND_PIXELS", band_pixels)
        pixels = decode(data)
        disturb(pixels, 4, 3)
        constraint_of(data).project(pixels)
        results.append(pixels.samples)
        assert constraint_of(data).count(pixels).outside == 0
    np.testing.assert_array_equal(*results)


def test_constant_areas_stay_as_they_are():
    array = np.asarray(make_photo(7, 80, 64)).copy()
    array[:, :37] = 128
    data = compress(Image.fromarray(array), 30)
    pixels = decode(data)
    areas = ConstantAreas(pixels.samples)
    constant = areas.mask(slice(0, 64), slice(0, 80))
    assert constant.sum() > 64 * 16
    before = pixels.samples.copy()
    disturb(pixels, 4, 4)
    pixels.samples[constant] = before[constant]
    assert constraint_of(data).count(pixels).outside > 0
    constraint_of(data).project(pixels, areas)
    np.testing.assert_array_equal(pixels.samples[constant], before[constant])
    assert constraint_of(data).count(pixels).outside == 0
