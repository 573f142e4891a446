"""The uncertainty of a map in words."""

import pytest

from deepot.transport.map_info import MapInfo


def make_info(shrinkage_se, shrinkage_factor, effective_images=8.0, standard_error=0.04):
    fitted = ("embedded", "0", 3, "gaussian", "unpaired", shrinkage_se, shrinkage_factor)
    return MapInfo(*fitted, 9, 900, 8, 800, 0.5, effective_images, standard_error)


@pytest.mark.parametrize(
    ("info", "summary"),
    [
        (make_info(0, 1.0), "standard error 4% of the map, from 8.0 effective images; not shrunk"),
        (
            make_info(3, 0.88),
            "standard error 4% of the map, from 8.0 effective images; shrunk to 88% (shrinkage_se 3)",
        ),
        (
            make_info(3, 0.0, standard_error=0.9),
            "none: the two sets differ by no more than chance (8.0 effective images, shrinkage_se 3); "
            "the map is the identity",
        ),
        (
            make_info(0, 1.0, effective_images=None, standard_error=None),
            "unknown: a standard error needs at least 2 images in each set",
        ),
    ],
    ids=["not shrunk", "shrunk", "nothing left", "one image"],
)
def test_uncertainty_summary_says_how_far_the_map_was_shrunk(info, summary):
    assert info.uncertainty_summary == summary
