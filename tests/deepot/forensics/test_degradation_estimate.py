"""The kind and the strength of a degradation, of synthetic and of real photos."""

import numpy as np
import pytest
from PIL import Image

from deepot.forensics import DegradationKind, estimate_degradation
from deepot.forensics.degradation_estimate import Measurements, classify
from deepot.forensics.jpeg_history import JpegHistory
from deepot.photo import Pixels
from tests.support.synthetic_photos import degrade, encode_jpeg, enlarge, make_dead_leaves, read_jpeg

DEGRADED = {
    "noise:sigma=8": (DegradationKind.NOISE, 8),
    "noise:sigma=40": (DegradationKind.NOISE, 40),
    "jpeg:quality=20": (DegradationKind.JPEG, 20),
    "jpeg:quality=70": (DegradationKind.JPEG, 70),
    "blur:sigma=1.5": (DegradationKind.BLUR, 1.5),
    "blur:sigma=3": (DegradationKind.BLUR, 3),
    "downscale:factor=2": (DegradationKind.DOWNSCALE, 2),
    "downscale:factor=4": (DegradationKind.DOWNSCALE, 4),
}


def apply(image, spec):
    kind, strength = DEGRADED[spec]
    degraded = degrade(image, spec)
    return enlarge(degraded, strength) if kind is DegradationKind.DOWNSCALE else degraded


@pytest.fixture(scope="module")
def photo():
    return make_dead_leaves(7, 480, 400)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("spec", DEGRADED)
def test_estimate_degradation_finds_kind_and_strength(photo, spec, mode):
    kind, strength = DEGRADED[spec]
    found = estimate_degradation(Pixels.from_image(apply(photo.convert(mode), spec)))
    assert found.kind is kind
    assert found.strength == pytest.approx(strength, rel=0.2)


@pytest.mark.parametrize("spec", ["noise:sigma=20", "jpeg:quality=30", "blur:sigma=2", "downscale:factor=3"])
def test_estimate_degradation_finds_it_below_the_jpeg_file_that_the_photo_was_saved_as(photo, spec):
    degraded = degrade(photo, spec)
    if spec.startswith("downscale"):
        degraded = enlarge(degraded, 3)
    found = estimate_degradation(*read_jpeg(encode_jpeg(degraded, 92)))
    assert found.kind == spec.partition(":")[0]
    assert found.strength == pytest.approx(float(spec.partition("=")[2]), rel=0.2)


def test_estimate_degradation_takes_the_quality_of_a_jpeg_file_from_its_tables(photo):
    found = estimate_degradation(*read_jpeg(encode_jpeg(photo, 40)))
    assert (found.kind, found.strength, found.jpeg_quality) == (DegradationKind.JPEG, 40, 40)


def test_estimate_degradation_of_a_clean_photo_is_none(photo):
    assert estimate_degradation(Pixels.from_image(photo)).kind is DegradationKind.NONE
    found = estimate_degradation(*read_jpeg(encode_jpeg(photo, 95)))
    assert (found.kind, found.strength, found.jpeg_quality) == (DegradationKind.NONE, None, 95)


def test_estimate_degradation_reads_16_bits_and_transparency(photo):
    noisy = np.asarray(degrade(photo, "noise:sigma=20"))
    deep = Pixels(noisy.astype(np.uint16) * 257)
    transparent = Pixels(noisy.copy(), np.pad(np.full(noisy[50:, 50:].shape[:2], 255, np.uint8), ((50, 0), (50, 0))))
    for pixels in (deep, transparent):
        found = estimate_degradation(pixels)
        assert found.kind is DegradationKind.NOISE and found.strength == pytest.approx(20, rel=0.1)


def test_estimate_degradation_of_cmyk_sees_the_photo_and_not_the_inks(photo):
    blurred = degrade(photo, "blur:sigma=2").convert("CMYK")
    assert estimate_degradation(Pixels.from_image(blurred)).kind is DegradationKind.BLUR


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1, 1), (63, 500, 3), (200, 200, 4), (2000, 2, 1)])
def test_estimate_degradation_of_small_and_uniform_photos_is_unknown(shape):
    found = estimate_degradation(Pixels(np.full(shape, 7, np.uint8)))
    assert (found.kind, found.strength, found.jpeg_quality) == (DegradationKind.UNKNOWN, None, None)


def test_estimate_degradation_of_a_tiny_jpeg_file_still_has_its_quality():
    found = estimate_degradation(*read_jpeg(encode_jpeg(Image.new("RGB", (4, 4), (9, 80, 200)), 30)))
    assert (found.kind, found.strength) == (DegradationKind.JPEG, 30)


@pytest.mark.parametrize(("quality", "kind"), [(88, DegradationKind.JPEG), (89, DegradationKind.UNKNOWN)])
def test_classify_takes_jpeg_of_high_quality_for_undegraded(quality, kind):
    assert classify(Measurements(jpeg=JpegHistory(quality, 2.0, 5000))).kind is kind


@pytest.mark.parametrize("spec", ["noise:sigma=25", "jpeg:quality=30", "blur:sigma=2", "downscale:factor=2"])
def test_estimate_degradation_recognises_it_in_real_photos(shared_folder, spec):
    kind, strength = spec.partition(":")[0], float(spec.partition("=")[2])
    paths = sorted((shared_folder / "data" / "photos" / "kodak").iterdir())[1::6]
    for path in paths:
        with Image.open(path) as clean:
            degraded = degrade(clean.convert("RGB"), spec)
        found = estimate_degradation(Pixels.from_image(enlarge(degraded, 2) if kind == "downscale" else degraded))
        assert found.kind == kind, path.name
        assert found.strength == pytest.approx(strength, rel=0.2), path.name
