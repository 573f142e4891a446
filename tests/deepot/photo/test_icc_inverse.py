"""Profiles that lead from samples to colours only are used like all others."""

import numpy as np
import pytest
import torch

from deepot.photo.icc import ProfileUse, classify_profile, load_colour_space
from deepot.photo.pixels import Pixels
from tests.support.icc_profiles import (
    make_cmyk_profile,
    make_grey_table_profile,
    make_misleading_scanner_profile,
    make_one_way_cmyk_profile,
    make_scanner_profile,
)

PROFILES = {
    "scanner": make_scanner_profile,
    "scanner with a wrong matrix": make_misleading_scanner_profile,
    "grey scanner": make_grey_table_profile,
    "press": make_one_way_cmyk_profile,
}
CHANNELS = {"grey scanner": 1, "press": 4}


def photo(name, dtype, low, high):
    """Random samples of the kind that a profile is for, from a part of their range."""
    channels = CHANNELS.get(name, 3)
    values = low + (high - low) * np.random.default_rng(3).random((40, 52, channels))
    return Pixels.from_array(np.rint(values * np.iinfo(dtype).max).astype(dtype), PROFILES[name](), alpha=False)


@pytest.mark.parametrize("name", PROFILES)
def test_load_colour_space_computes_a_way_back(name):
    found = load_colour_space(PROFILES[name](), CHANNELS.get(name, 3))
    assert found is not None and found.inverse is not None
    assert classify_profile(PROFILES[name](), CHANNELS.get(name, 3)) is ProfileUse.CONVERTED
    assert load_colour_space(make_cmyk_profile(), 4).inverse is None, "that one has its own"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", PROFILES)
def test_add_rgb_delta_of_zero_changes_nothing(name, dtype):
    pixels = photo(name, dtype, 0, 1)
    before = pixels.samples.copy()
    pixels.add_rgb_delta(0, torch.zeros(1, 3, 40, 52))
    np.testing.assert_array_equal(pixels.samples, before)


@pytest.mark.parametrize("size", [0.01, 0.04])
@pytest.mark.parametrize("name", PROFILES)
def test_add_rgb_delta_changes_the_colours_by_it(name, size):
    """The colours after are those before and the difference, within one level of 8 bits."""
    pixels = photo(name, np.uint16, 0.25, 0.55)
    before = pixels.to_rgb()
    delta = torch.from_numpy(np.random.default_rng(4).uniform(-size, size, (1, 3, 40, 52)).astype(np.float32))
    if name == "grey scanner":
        delta = delta[:, :1].expand(-1, 3, -1, -1).contiguous()
    reachable = ((before > 0.05) & (before < 0.95)).all(1, keepdim=True).expand_as(before)
    assert reachable.float().mean() > 0.5
    pixels.add_rgb_delta(0, delta)
    error = (pixels.to_rgb() - before - delta).abs()[reachable]
    assert error.quantile(0.99) < 1 / 255


def test_classify_profile_tells_srgb_from_what_cannot_be_used():
    import imagecodecs

    srgb = bytes(imagecodecs.cms_profile("srgb"))
    assert classify_profile(srgb, 3) is ProfileUse.SRGB
    assert classify_profile(None, 3) is ProfileUse.NONE
    assert classify_profile(srgb, 1) is ProfileUse.NONE, "it belongs to other samples"
    scanner = make_scanner_profile()
    for broken in (b"no profile", srgb[:200], scanner[:4000], scanner.replace(b"A2B0", b"gone")):
        assert classify_profile(broken, 3) is ProfileUse.UNUSABLE
        assert load_colour_space(broken, 3) is None
