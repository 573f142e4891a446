"""JPEGs whose last bytes are missing."""

import numpy as np
import pytest

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode
from tests.support.image_files import encode_image, make_corpus_photo

MAX_PIXELS = 10**9
KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "4:4:4": {"subsampling": 0},
    "restart markers": {"restart_marker_rows": 1},
    "low quality": {"quality": 5},
    "arithmetic tables of its own": {"optimize": True},
}


def make_jpeg(kind, mode="RGB"):
    return encode_image(make_corpus_photo(mode), "JPEG", **KINDS[kind])


@pytest.mark.parametrize("tail", [b"", b"\xff", bytes(1), bytes(999)], ids=["nothing", "half", "zero", "zeros"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_jpeg_without_its_end_mark_has_all_pixels(kind, mode, tail):
    data = make_jpeg(kind, mode)
    assert data.endswith(b"\xff\xd9")
    photo, expected = decode(data[:-2] + tail, MAX_PIXELS), decode(data, MAX_PIXELS)
    np.testing.assert_array_equal(photo.pixels.samples, expected.pixels.samples)
    assert photo.properties == expected.properties
    assert encode(photo, photo.pages, "same", "keep").endswith(b"\xff\xd9")


@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("tail", [b"", bytes(4096)], ids=["nothing", "zeros"])
@pytest.mark.parametrize("kind", ["baseline", "4:4:4", "low quality"])
def test_jpeg_cut_short_in_the_scan_is_damaged_and_tells_how_many_rows_are_there(kind, tail, fraction):
    data = make_jpeg(kind)
    start = data.index(b"\xff\xda")
    cut = data[: start + int((len(data) - start) * fraction)] + tail
    with pytest.raises(ImageError, match=r"it is cut short: \d+ of \d+ rows are there") as caught:
        decode(cut, MAX_PIXELS)
    assert caught.value.code is ErrorCode.DAMAGED
    rows, height = (int(part) for part in caught.value.args[-1].split(": ")[1].split() if part.isdigit())
    expected = decode(data, MAX_PIXELS).pixels.samples
    assert height == len(expected)
    assert abs(rows / height - fraction) < 0.35, "what is there grows with the bytes that are there"


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.95])
def test_progressive_jpeg_cut_short_is_damaged(fraction):
    data = make_jpeg("progressive")
    start = data.index(b"\xff\xda")
    with pytest.raises(ImageError) as caught:
        decode(data[: start + int((len(data) - start) * fraction)], MAX_PIXELS)
    assert caught.value.code is ErrorCode.DAMAGED
