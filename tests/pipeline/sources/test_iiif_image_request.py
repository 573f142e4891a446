"""Sizes and formats that an Image API is asked for: within its limits, which the server of the tests enforces."""

import random

import pytest

from pipeline.sources import read_input
from pipeline.sources.iiif_image_request import ImageOptions, choose_image_url
from tests.support.iiif_manifests import LIMITS, listed, make_manifest_2
from tests.support.iiif_server import StoredImage


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        (StoredImage(1000, 800, 2), "", b"1000x800.jpg"),
        (StoredImage(1000, 800, 1, 1), "", b"1000x800.jpg"),
        (StoredImage(1000, 800, 2, 1, {"maxWidth": 600}), "", b"600x480.jpg"),
        (StoredImage(1000, 2000, 2, 2, {"maxWidth": 600}), "", b"300x600.jpg"),
        (StoredImage(1000, 2000, 2, 2, {"maxWidth": 600, "maxHeight": 900}), "", b"450x900.jpg"),
        (StoredImage(1001, 777, 2, 2, {"maxArea": 100_000}), "", b"358x278.jpg"),
        (StoredImage(1000, 800, 2, 0, {"maxWidth": 600}, ((500, 400), (250, 200))), "", b"500x400.jpg"),
        (StoredImage(1000, 800, 2, 0), "", b"1000x800.jpg"),
        (StoredImage(1000, 800, 2), "#size=500", b"500x400.jpg"),
        (StoredImage(1000, 800, 2), "#size=5000", b"1000x800.jpg"),
        (StoredImage(800, 1000, 3, 1), "#size=500", b"400x500.jpg"),
        (StoredImage(1000, 800, 3, 1, {"maxWidth": 300}), "#size=500", b"300x240.jpg"),
        (StoredImage(1000, 800, 3, 0, {}, ((500, 400), (250, 200))), "#size=300", b"250x200.jpg"),
        (StoredImage(1000, 800, 3, 1, formats=("tif", "png")), "#format=tif", b"1000x800.tif"),
        (StoredImage(1000, 800, 3, 1), "#format=png", b"1000x800.jpg"),
        (StoredImage(1000, 800, 3, 2), "#format=png", b"1000x800.png"),
        (StoredImage(1000, 800, 2, 1, formats=("png",)), "#format=png&size=500", b"500x400.png"),
    ],
)
def test_size_and_format_are_the_largest_that_the_server_allows(iiif, image, options, expected):
    iiif.images["x"] = image
    contexts = {
        1: "http://library.stanford.edu/iiif/image-api/1.1/context.json",
        3: "http://iiif.io/api/image/3/context.json",
    }
    context = {"@context": contexts[image.version]} if image.version in contexts else {}
    profile = {"profile": ["level1"]} if context else {}
    iiif.documents["/manifest.json"] = make_manifest_2(iiif, ["x"], **context, **profile)
    (entry,) = listed(iiif, options=options)
    assert read_input(entry, LIMITS) == expected
    assert entry.key == f"000001-x.{expected.decode().rpartition('.')[2]}" and entry.size == len(expected)


@pytest.mark.parametrize("seed", range(40))
def test_no_request_is_refused_whatever_the_limits_are(iiif, seed):
    """The size is within all limits, and of those the largest but for rounding."""
    rng = random.Random(seed)
    image = StoredImage(rng.randint(1, 9000), rng.randint(1, 9000), rng.choice([2, 3]), rng.randint(1, 2))
    limits = {"maxWidth": rng.randint(1, 9000), "maxHeight": rng.randint(1, 9000), "maxArea": rng.randint(1, 10**7)}
    image.limits = dict(rng.sample(sorted(limits.items()), rng.randint(0, 3)))
    if "maxWidth" not in image.limits:
        image.limits.pop("maxHeight", None)
    side = rng.choice([None, rng.randint(1, 9000)])
    url = choose_image_url("s", image.version, image.info("s"), ImageOptions(side))
    found = image.resolve_size(url.split("/")[2])
    assert found is not None
    if found != "max":
        width, height = found
        assert side is None or max(width, height) <= side or (width, height) == (image.width, image.height)
        larger = width + 2, round((width + 2) * image.height / image.width)
        too_large = side is not None and max(larger) > side
        assert width == image.width or too_large or not image.allows(*larger) or height < 50 or width < 50
