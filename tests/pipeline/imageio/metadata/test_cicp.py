"""Profiles for CICP numbers: what they mean, and that they are the same every time."""

import struct

import imagecodecs
import pytest

from deepot.errors import UnsupportedImageError
from deepot.photo.icc import load_colour_space
from pipeline.imageio.metadata import profile_builder
from pipeline.imageio.metadata.cicp import icc_from_cicp, read_nclx_profile

NUMBERS = [(1, 13, None), (2, 2, None), (1, 1, None), (9, 14, True), (9, 16, False), (9, 18, False), (22, 13, False)]


@pytest.mark.parametrize(("primaries", "transfer", "known"), NUMBERS)
def test_read_nclx_profile_gives_a_profile_or_refuses(primaries, transfer, known):
    data = b"....colrnclx" + struct.pack(">HHHB", primaries, transfer, 9, 128)
    if known is False:
        with pytest.raises(UnsupportedImageError):
            read_nclx_profile(data)
        return
    found = read_nclx_profile(data)
    assert (found is None) == (known is None)
    assert found is None or load_colour_space(found, 3) is not None


@pytest.mark.parametrize("numbers", [(12, 13), (9, 14), (1, 4)])
def test_icc_from_cicp_is_the_same_whenever_it_is_made(numbers, monkeypatch):
    """The library puts the time into the profile, so that results of two workers would differ."""
    make, profiles = imagecodecs.cms_profile, []
    for year in (1999, 2026):

        def dated(*args, year=year, **options):
            profile = bytearray(make(*args, **options))
            profile[24:36] = struct.pack(">6H", year, 2, 3, 4, 5, 6)
            return bytes(profile)

        monkeypatch.setattr(imagecodecs, "cms_profile", dated)
        profile_builder.build_rgb_profile.cache_clear()
        profiles.append(icc_from_cicp(*numbers))
    profile_builder.build_rgb_profile.cache_clear()
    assert profiles[0] == profiles[1]
    assert load_colour_space(profiles[0], 3) is not None
