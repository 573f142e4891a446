"""PPM, PGM and PBM: more than 8 bits, several photos in a file, and what follows a photo."""

import numpy as np
import pytest

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode

MAX_PIXELS = 10**9


@pytest.mark.parametrize("most", [1000, 4095, 65535])
@pytest.mark.parametrize(("kind", "channels"), [(b"P5", 1), (b"P6", 3)])
def test_decode_and_encode_keep_more_than_8_bits(kind, channels, most):
    samples = np.random.default_rng(1).integers(0, most + 1, (5, 7, channels))
    data = kind + b"\n# of a scanner\n7 5 # and so on\n%d\n" % most + samples.astype(">u2").tobytes()
    found = decode(data, MAX_PIXELS)
    assert found.properties["bit_depth"] == most.bit_length()
    np.testing.assert_array_equal(found.pixels.samples, np.rint(samples / most * 65535))
    again = decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS)
    assert again.properties["bit_depth"] == most.bit_length()
    assert np.abs(again.pixels.samples.astype(int) - found.pixels.samples).max() <= (most == 1000) * 32
    with pytest.raises(ImageError) as caught:
        decode(data[:-1], MAX_PIXELS)
    assert caught.value.code is ErrorCode.DAMAGED


HEADS = {1: b"P1\n# of P5 \n9 4\n", 2: b"P2 9 4 255\n", 3: b"P3 9 4 100\n", 4: b"P4 9 4\n", 5: b"P5 9 4 255\n",
         6: b"P6 # P5 \n9 4 255\n", 65: b"P5\n9 4\n1000\n", 66: b"P6\n9 4\n65535\n"}  # fmt: skip


def make_netpbm(kind):
    """A file of 9 × 4 pixels of a kind; 65 and 66 are 5 and 6 with two bytes per sample."""
    generator = np.random.default_rng(kind)
    count = 36 * (3 if kind in (3, 6, 66) else 1)
    if kind <= 3:
        numbers = generator.integers(0, 2 if kind == 1 else 100, count)
        return HEADS[kind] + (b"" if kind == 1 else b" ").join(b"%d" % number for number in numbers) + b"\n"
    size = {4: 2 * 4, 65: 2 * count, 66: 2 * count}.get(kind, count)
    samples = generator.integers(0, 256, size, np.uint8)
    samples[-3:] = 3  # no whitespace, so that an offset that is wrong shows
    if kind == 65:
        samples[::2] = 1
    return HEADS[kind] + samples.tobytes()


def code_of(data):
    with pytest.raises(ImageError) as caught:
        decode(data, MAX_PIXELS)
    return caught.value.code


@pytest.mark.parametrize("between", [b"", b"\n", b" \n\n"])
@pytest.mark.parametrize("second", HEADS)
@pytest.mark.parametrize("first", HEADS)
def test_decode_of_two_photos_refuses(first, second, between):
    assert code_of(make_netpbm(first) + between + make_netpbm(second)) is ErrorCode.ANIMATED


@pytest.mark.parametrize("behind", [b"", b"\n", b"\0" * 20, b"  \n", b"\r\n\x1a"])
@pytest.mark.parametrize("kind", [4, 5, 6, 65, 66])
def test_decode_drops_what_follows_a_photo(kind, behind):
    alone, padded = (decode(make_netpbm(kind) + more, MAX_PIXELS) for more in (b"", behind))
    np.testing.assert_array_equal(padded.pixels.samples, alone.pixels.samples)
    assert encode(padded, padded.pages, "same", "keep") == encode(alone, alone.pages, "same", "keep")


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_decode_of_plain_files_ignores_comments_that_look_like_headers(kind):
    data = make_netpbm(kind)
    assert decode(data + b"# P6 \n", MAX_PIXELS).pixels.samples.shape[:2] == (4, 9)


@pytest.mark.parametrize(
    "data",
    [
        b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n\1\2\3",
        b"P7 332\n#END_OF_COMMENTS\n1 1 255\n\1",
        b"PF\n1 1\n-1.0\n" + bytes(12),
    ],
)
def test_decode_of_kinds_that_are_not_read_skips_them(data):
    assert code_of(data) is ErrorCode.UNSUPPORTED_FORMAT
