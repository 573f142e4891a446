"""Photos with an ICC profile keep it, and are changed as their sRGB version is."""

import imagecodecs
import numpy as np
import pytest
import torch

from deepot.autoencoder import as_autoencoder
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.photo.colour_difference import compare_lab_grids, lab_grid
from deepot.photo.icc import ColourSpace, load_colour_space
from deepot.photo.pixels import Pixels
from tests.deepot.inference.test_enhancer import fitted, photo
from tests.support import fake_autoencoders
from tests.support.icc_profiles import make_cmyk_profile
from tests.support.image_corpus import ADOBE_RGB, DISPLAY_P3, GREY_18, PROPHOTO

PROFILES = {"P3": DISPLAY_P3, "Adobe": ADOBE_RGB, "ProPhoto": PROPHOTO, "grey": GREY_18, "CMYK": make_cmyk_profile()}
CHANNELS = {"grey": 1, "CMYK": 4}


@pytest.fixture(scope="module")
def enhancers():
    autoencoder = as_autoencoder(fake_autoencoders.smooth(), "smooth", dtype=torch.float32, device="cpu")
    transport = fitted(autoencoder)
    return lambda alpha, mode=TransportMode.RESIDUAL: Enhancer(autoencoder, transport, alpha=alpha, mode=mode)


def samples(name, depth, generator):
    maximum = np.iinfo(depth).max
    return (generator.random((40, 52, CHANNELS.get(name, 3))) * maximum).astype(depth)


def convert(image, profile, dtype):
    """Return the colours of an sRGB image as samples of another colour space, converted by littleCMS directly."""
    values = (np.asarray(image) / np.float32(255)).astype(np.float32)
    moved = imagecodecs.cms_transform(
        values,
        imagecodecs.cms_profile("srgb"),
        profile,
        colorspace="rgb",
        outcolorspace="rgb",
        outdtype="float32",
    )
    return np.rint(moved.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


def test_load_colour_space_uses_profiles_of_the_right_model_other_than_srgb():
    assert load_colour_space(None, 3) is None
    assert load_colour_space(bytes(imagecodecs.cms_profile("srgb")), 3) is None
    assert load_colour_space(ADOBE_RGB, 3) == ColourSpace(ADOBE_RGB, "rgb")
    assert load_colour_space(ADOBE_RGB, 1) is None, "an RGB profile must not be used for grey samples"
    assert load_colour_space(make_cmyk_profile(), 4).model == "cmyk"
    for broken in (b"", b"no profile", ADOBE_RGB[:200], ADOBE_RGB[:128] + bytes(400)):
        assert load_colour_space(broken, 3) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", PROFILES)
def test_alpha_one_and_a_zero_difference_change_nothing(enhancers, name, dtype):
    generator = np.random.default_rng(0)
    pixels = Pixels.from_array(samples(name, dtype, generator), PROFILES[name], alpha=False)
    assert pixels.colour_space is not None
    before = pixels.samples.copy()
    for mode in TransportMode:
        enhancers(1, mode).enhance(pixels)
        np.testing.assert_array_equal(pixels.samples, before)
    pixels.add_rgb_delta(0, torch.zeros(1, 3, 40, 52))
    np.testing.assert_array_equal(pixels.samples, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["P3", "Adobe", "ProPhoto"])
@pytest.mark.parametrize("mode", list(TransportMode))
def test_enhance_wide_gamut_photo_looks_like_its_srgb_version(enhancers, name, dtype, mode):
    """A viewer that respects the profile must show the same result for both."""
    twin = Pixels.from_image(photo())
    wide = Pixels.from_array(convert(photo(), PROFILES[name], dtype), PROFILES[name], alpha=False)
    start = twin.to_rgb()
    assert (wide.to_rgb() - start).abs().mean() < 1 / 255
    for pixels in (twin, wide):
        enhancers(0, mode).enhance(pixels)
    inside = ((twin.to_rgb() > 0.02) & (twin.to_rgb() < 0.98)).all(1, keepdim=True).expand_as(start)
    assert (twin.to_rgb() - start).abs()[inside].mean() > 5 / 255
    assert (wide.to_rgb() - twin.to_rgb()).abs()[inside].mean() < 1.5 / 255
    assert compare_lab_grids(lab_grid(twin), lab_grid(wide)).delta_e < 3, (
        "the mean includes colours clipped by either gamut"
    )


def test_comparison_with_the_srgb_version_detects_an_ignored_profile(enhancers):
    ignored = Pixels(convert(photo(), PROPHOTO, np.uint8))
    assert compare_lab_grids(lab_grid(Pixels.from_image(photo())), lab_grid(ignored)).delta_e > 5


def test_add_rgb_delta_converts_it_by_grey_and_cmyk_profiles():
    generator = np.random.default_rng(1)
    for name in ("grey", "CMYK"):
        values = (samples(name, np.uint16, generator) * 0.4 + 12000).astype(np.uint16)
        pixels = Pixels.from_array(values, PROFILES[name], alpha=False)
        before = pixels.to_rgb()
        pixels.add_rgb_delta(0, torch.full((1, 3, 40, 52), 0.04))
        assert (pixels.to_rgb() - before).median() == pytest.approx(0.04, abs=0.01)
