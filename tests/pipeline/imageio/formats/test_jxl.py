"""JPEG XL: limits are checked before decoding; bit depth and orientation are those of the file."""

import imagecodecs
import numpy as np
import pytest
from PIL import ExifTags, Image

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats import jxl_header
from pipeline.imageio.formats.isobmff import pack_box
from pipeline.imageio.image_file import decode, encode
from tests.support.image_files import (
    XMP,
    add_jxl_metadata,
    encode_image,
    make_16bit_samples,
    make_corpus_photo,
    make_exif,
)

pytest.importorskip("pillow_jxl")
MAX_PIXELS = 10**9


def coded(shape, bits=8, **options):
    array = np.random.default_rng(2).integers(0, 2**bits, shape, dtype=np.uint16 if bits > 8 else np.uint8)
    return bytes(imagecodecs.jpegxl_encode(array, bitspersample=bits, **options))


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("options", [{"lossless": True}, {"distance": 1.0}])
@pytest.mark.parametrize(
    ("shape", "bits"),
    [((1, 1, 3), 8), ((20, 30, 4), 8), ((64, 64), 8), ((40, 700, 3), 8), ((2, 1030, 2), 8), ((9, 16, 3), 10),
     ((16, 24, 3), 12), ((20, 30), 16), ((24, 32, 4), 16)],
)  # fmt: skip
def test_read_header_returns_what_was_encoded(shape, bits, options, container):
    found = jxl_header.read_header(coded(shape, bits, usecontainer=container, **options))
    assert found == jxl_header.Header(shape[1], shape[0], False, bits, "lossless" in options)


def test_decode_checks_limits_before_opening(monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened, which decodes it"))
    with pytest.raises(ImageError, match="30 × 20 pixels are more than") as caught:
        decode(coded((20, 30, 3)), 599)
    assert caught.value.code is ErrorCode.TOO_LARGE
    with pytest.raises(ImageError, match="several frames") as caught:
        decode(coded((3, 20, 30, 3)), MAX_PIXELS)
    assert caught.value.code is ErrorCode.ANIMATED
    with pytest.raises(ImageError, match="floating-point") as caught:
        decode(bytes(imagecodecs.jpegxl_encode(np.zeros((4, 4, 3), np.float32))), MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE
    for data in (coded((20, 30, 3))[:3], pack_box(b"JXL ", b"\r\n\x87\n") + pack_box(b"jxlc", b"")):
        with pytest.raises(ImageError) as caught:
            decode(data, MAX_PIXELS)
        assert caught.value.code is ErrorCode.DAMAGED


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_decode_keeps_more_than_8_bits_and_encode_refuses_them(bits):
    samples = make_16bit_samples(3) >> (16 - bits)
    found = decode(bytes(imagecodecs.jpegxl_encode(samples, bitspersample=bits, lossless=True)), MAX_PIXELS)
    assert found.properties["bit_depth"] == bits
    assert found.pixels.samples.dtype == np.uint16
    np.testing.assert_array_equal(np.rint(found.pixels.samples / 65535 * (2**bits - 1)), samples)
    with pytest.raises(ImageError, match=f"its {bits} bits per sample would be cut") as caught:
        encode(found, found.pages, "same", "keep")
    assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT
    again = decode(encode(found, found.pages, "png", "keep"), MAX_PIXELS)
    np.testing.assert_array_equal(again.pixels.samples, found.pixels.samples)
    assert again.metadata.icc == found.metadata.icc, "what its samples mean"


def test_decode_reads_compressed_boxes():
    block = make_exif(1).removeprefix(b"Exif\0\0")
    data = add_jxl_metadata(encode_image(make_corpus_photo(), "JXL"))
    start = data.index(b"xml ") - 4
    for kind, content in ((b"xml ", XMP), (b"Exif", bytes(4) + block)):
        squeezed = data[:start] + pack_box(b"brob", kind + bytes(imagecodecs.brotli_encode(content)))
        assert (decode(squeezed, MAX_PIXELS).metadata.xmp, decode(squeezed, MAX_PIXELS).metadata.exif)[
            kind == b"Exif"
        ] == (block if kind == b"Exif" else XMP)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_encode_turns_the_pixels_as_viewers_did(orientation):
    """Viewers turn a JPEG by its EXIF block and pass over that of a JPEG XL."""
    wide = make_corpus_photo()
    tag = Image.Exif()
    tag[ExifTags.Base.Orientation] = orientation
    before = decode(encode_image(wide, "PNG", exif=tag), MAX_PIXELS)
    after = decode(encode(before, before.pages, "jxl:lossless=1", "keep"), MAX_PIXELS)
    assert after.properties["orientation"] == 1
    from PIL import ImageOps

    shown = wide.copy()
    shown.getexif()[ExifTags.Base.Orientation] = orientation
    np.testing.assert_array_equal(after.pixels.samples, np.asarray(ImageOps.exif_transpose(shown)))


def test_decode_of_a_recompressed_jpeg_keeps_its_orientation(tmp_path):
    make_corpus_photo().save(tmp_path / "a.jpg", exif=make_exif(6), quality=95)
    with Image.open(tmp_path / "a.jpg") as image, pytest.warns(UserWarning, match="JPEG reconstruction"):
        data = encode_image(image, "JXL")
    before = decode(data, MAX_PIXELS)
    assert (before.properties["orientation"], before.pixels.width) == (6, 48)
    after = decode(encode(before, before.pages, "same", "keep"), MAX_PIXELS)
    assert (after.properties["orientation"], after.pixels.width) == (1, 36)
    upright = imagecodecs.jpegxl_decode(data)
    assert np.abs(after.pixels.samples.astype(int) - upright).mean() < 6
