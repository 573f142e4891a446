import numpy as np
import pytest
from PIL import Image

from deepot.errors import SpecError
from deepot.inference import degrade_photo
from deepot.photo.pixels import Pixels
from deepot.restoration.degradations import load_degradation, rng_for
from tests.support.photos import make_gradient


@pytest.mark.parametrize("spec", ["noise:sigma=25", "jpeg:quality=10", "blur:sigma=1.5", "blur:sigma=1+noise:sigma=5"])
def test_degradation_keeps_the_size_and_repeats_with_the_seed(spec):
    degrade = load_degradation(spec)
    first, again = (degrade(make_gradient(), np.random.default_rng(5)) for _ in range(2))
    assert first.size == make_gradient().size
    assert first.tobytes() == again.tobytes() != make_gradient().tobytes()


def test_rng_for_depends_on_the_identity_only():
    first, again, other = (rng_for(identity).integers(2**63) for identity in (b"a.jpg", b"a.jpg", b"b.jpg"))
    assert first == again != other


def test_gaussian_noise_has_its_standard_deviation():
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    noisy = load_degradation("noise:sigma=20")(grey, np.random.default_rng(0))
    assert np.asarray(noisy).std() == pytest.approx(20, rel=0.02)


@pytest.mark.parametrize("max_value", [255, 65535])
def test_degrade_photo_degrades_grey_as_a_grey_file(max_value):
    grey = Pixels(np.full((200, 200, 1), max_value * 128 // 255, np.min_scalar_type(max_value)))
    noisy = degrade_photo(grey, load_degradation("noise:sigma=20"), np.random.default_rng(0))
    assert noisy.samples.shape == grey.samples.shape
    assert noisy.samples.std() == pytest.approx(20, rel=0.02)
    compressed = degrade_photo(noisy, load_degradation("blur:sigma=1+jpeg:quality=30"), np.random.default_rng(0))
    assert compressed.samples.shape == grey.samples.shape


def test_downscale_crops_to_a_multiple_of_the_factor():
    small = load_degradation("downscale:factor=4")(make_gradient(67, 50), np.random.default_rng(0))
    assert small.size == (16, 12)


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("noize:sigma=5", "did you mean 'noise'"),
        ("noise:sigma=-1", "must be above 0"),
        ("noise:5", "option=value"),
        ("jpeg:quality=0", "between 1 and 95"),
        ("noise:level=5", "there is no option 'level'; known options: sigma$"),
        ("noise", "'noise': sigma is missing, as in noise:sigma=…"),
        ("noise:sigma=fifty", "sigma is 'fifty', it must be a number"),
        ("downscale:factor=1.5", "whole number"),
        ("xyz", "unknown degradation 'xyz' in 'xyz'; known are blur, downscale, jpeg, noise"),
        (" ", "the degradation is empty; name one of noise, jpeg, blur, downscale"),
    ],
)
def test_load_degradation_with_a_wrong_spec_says_what_is_wrong(spec, error):
    with pytest.raises(SpecError, match=error):
        load_degradation(spec)
