"""PPM and PGM of more than 8 bits."""

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
