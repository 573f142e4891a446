"""Photos that are not sRGB: profile and appearance stay."""

import imagecodecs
import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from deepot.autoencoder.autoencoder import as_autoencoder
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.photo.colour_difference import ciede2000, compare_lab_grids, lab_grid, srgb_to_lab
from deepot.photo.icc import ColourSpace, load_colour_space
from deepot.photo.pixels import Pixels
from tests.deepot.inference.test_enhancer import fitted, photo
from tests.support import fake_autoencoders as codecs
from tests.support.icc_profiles import ADOBE_RGB, DISPLAY_P3, GREY_18, PROPHOTO, make_cmyk_profile

PROFILES = {"P3": DISPLAY_P3, "Adobe": ADOBE_RGB, "ProPhoto": PROPHOTO, "grey": GREY_18, "CMYK": make_cmyk_profile()}
CHANNELS = {"grey": 1, "CMYK": 4}


@pytest.fixture(scope="module")
def enhancers():
    codec = as_autoencoder(codecs.smooth(), "smooth", dtype=torch.float32, device="cpu")
    transport = fitted(codec)
    return lambda alpha, mode=TransportMode.RESIDUAL: Enhancer(codec, transport, alpha=alpha, mode=mode)


def samples(name, depth, generator):
    maximum = np.iinfo(depth).max
    return (generator.random((40, 52, CHANNELS.get(name, 3))) * maximum).astype(depth)


def converted(image, profile, dtype):
    """The same colours as samples of another space, by a straight call of littleCMS."""
    values = (np.asarray(image) / np.float32(255)).astype(np.float32)
    moved = imagecodecs.cms_transform(
        values, imagecodecs.cms_profile("srgb"), profile, colorspace="rgb", outcolorspace="rgb", outdtype="float32"
    )
    return np.rint(moved.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


def test_which_profiles_are_used():
    assert load_colour_space(None, 3) is None
    assert load_colour_space(bytes(imagecodecs.cms_profile("srgb")), 3) is None
    assert load_colour_space(ADOBE_RGB, 3) == ColourSpace(ADOBE_RGB, "rgb")
    assert load_colour_space(ADOBE_RGB, 1) is None, "a profile of another kind of samples says nothing"
    assert load_colour_space(make_cmyk_profile(), 4).model == "cmyk"
    for damaged in (b"", b"no profile", ADOBE_RGB[:200], ADOBE_RGB[:128] + bytes(400)):
        assert load_colour_space(damaged, 3) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", PROFILES)
def test_alpha_one_and_no_difference_change_nothing(enhancers, name, dtype):
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
def test_a_wide_gamut_photo_looks_as_its_srgb_twin_does(enhancers, name, dtype, mode):
    """Both go through the method; a viewer that knows the profile shows the same."""
    twin = Pixels.from_image(photo())
    wide = Pixels.from_array(converted(photo(), PROFILES[name], dtype), PROFILES[name], alpha=False)
    start = twin.to_rgb()
    assert (wide.to_rgb() - start).abs().mean() < 1 / 255
    for pixels in (twin, wide):
        enhancers(0, mode).enhance(pixels)
    inside = ((twin.to_rgb() > 0.02) & (twin.to_rgb() < 0.98)).all(1, keepdim=True).expand_as(start)
    assert (twin.to_rgb() - start).abs()[inside].mean() > 5 / 255
    assert (wide.to_rgb() - twin.to_rgb()).abs()[inside].mean() < 1.5 / 255
    assert compare_lab_grids(lab_grid(twin), lab_grid(wide)).delta_e < 3, "colours clipped by either gamut are in it"


def test_the_twin_test_would_see_a_profile_that_is_ignored(enhancers):
    ignored = Pixels(converted(photo(), PROPHOTO, np.uint8))
    assert compare_lab_grids(lab_grid(Pixels.from_image(photo())), lab_grid(ignored)).delta_e > 5


def test_grey_and_cmyk_take_the_difference_through_their_profiles():
    generator = np.random.default_rng(1)
    for name in ("grey", "CMYK"):
        values = (samples(name, np.uint16, generator) * 0.4 + 12000).astype(np.uint16)
        pixels = Pixels.from_array(values, PROFILES[name], alpha=False)
        before = pixels.to_rgb()
        pixels.add_rgb_delta(0, torch.full((1, 3, 40, 52), 0.04))
        assert (pixels.to_rgb() - before).median() == pytest.approx(0.04, abs=0.01)


def test_ciede2000_agrees_with_scikit_image():
    generator = np.random.default_rng(2)
    first, second = generator.random((2, 30, 40, 3))
    first[0, :5] = second[0, :5] = 0.5  # greys have no hue
    first[1, :5] = first[1, :5, :1]
    np.testing.assert_allclose(srgb_to_lab(first), rgb2lab(first), atol=0.01)
    np.testing.assert_allclose(
        ciede2000(srgb_to_lab(first), srgb_to_lab(second)),
        deltaE_ciede2000(srgb_to_lab(first), srgb_to_lab(second)),
        atol=1e-9,
    )


def test_a_difference_of_colour_is_reported_and_enlargement_is_none():
    image = photo()
    plain, warm = Pixels.from_image(image), Pixels.from_image(image)
    warm.add_rgb_delta(0, torch.tensor([0.05, 0.0, -0.05]).view(1, 3, 1, 1).expand(1, 3, 120, 160))
    found = compare_lab_grids(lab_grid(plain), lab_grid(warm))
    assert found.delta_e > 3
    assert found.mean_colour_delta_e > 3
    noise = Pixels.from_image(image)
    noise.add_rgb_delta(0, 0.1 * torch.randn(1, 3, 120, 160, generator=torch.Generator().manual_seed(0)))
    assert (
        compare_lab_grids(lab_grid(plain), lab_grid(noise)).mean_colour_delta_e
        < compare_lab_grids(lab_grid(plain), lab_grid(noise)).delta_e / 4
    )
    assert compare_lab_grids(lab_grid(plain), lab_grid(plain)).delta_e == 0
    flat = Pixels(np.full((5, 7, 3), 90, np.uint8))
    assert compare_lab_grids(lab_grid(flat), lab_grid(Pixels(np.full((20, 28, 3), 90, np.uint8)))).delta_e == 0
