"""PNG: chunks after the pixels, transparent values of few bits, EXIF as the file states it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats import png_chunks
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.metadata import Metadata, MetadataBlock
from tests.support.icc_profiles import DISPLAY_P3
from tests.support.image_files import ORIENTATION_XMP, XMP, encode_16bit_png, encode_image, make_corpus_photo, make_exif

MAX_PIXELS = 10**9


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_xmp(kind):
    if kind != "PNG":
        return encode_image(make_corpus_photo(), kind, xmp=ORIENTATION_XMP)
    told = PngImagePlugin.PngInfo()
    told.add_itxt("XML:com.adobe.xmp", ORIENTATION_XMP.decode())
    return encode_image(make_corpus_photo(), kind, pnginfo=told)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_decode_of_orientation_in_xmp_alone_makes_no_exif(kind):
    found = decode(with_xmp(kind), MAX_PIXELS)
    assert (found.properties["orientation"], found.properties["has_exif"]) == (1, False)
    for policy in ("keep", "strip-gps", "strip"):
        result = encode(found, found.pages, "same", policy)
        with Image.open(io.BytesIO(result)) as image:
            assert "exif" not in image.info
        assert decode(result, MAX_PIXELS).metadata.xmp == (None if policy == "strip" else ORIENTATION_XMP)


@pytest.mark.parametrize(
    ("form", "plugin"), [("heif", "pillow_heif"), ("jxl:lossless=1", "pillow_jxl"), ("avif", "PIL")]
)
@pytest.mark.parametrize("stated", [{}, {"exif": make_exif(1)}, {"exif": make_exif(8)}], ids=["none", "1", "8"])
def test_encode_as_upright_format_resets_the_orientation_in_xmp(form, plugin, stated):
    pytest.importorskip(plugin)
    found = decode(encode_image(make_corpus_photo(), "JPEG", quality=95, xmp=ORIENTATION_XMP, **stated), MAX_PIXELS)
    again = decode(encode(found, found.pages, form, "keep"), MAX_PIXELS)
    upright = found.pixels if form == "avif" else found.pixels.apply_orientation(found.properties["orientation"])
    assert again.pixels.samples.shape == upright.samples.shape
    assert np.abs(again.pixels.samples.astype(int) - upright.samples).mean() < 12
    if again.pixels.height != found.pixels.height:
        assert b'Orientation="6"' not in again.metadata.xmp


def test_decode_reads_metadata_after_the_pixels():
    data = encode_image(make_corpus_photo(), "PNG", exif=make_exif())
    head = b"XML:com.adobe.xmp\0"
    for late in (head + b"\0\0\0\0" + XMP, head + b"\1\0de\0Beschreibung\0" + zlib.compress(XMP)):
        found = decode(data[:-12] + chunk(b"iTXt", late) + data[-12:], MAX_PIXELS)
        assert (found.metadata.xmp, found.properties["has_exif"]) == (XMP, True)
        assert decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS).metadata.xmp == XMP


def test_decode_of_16_bits_does_not_use_pillow(monkeypatch):
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("Pillow would cut them to 8"))
    assert decode(encode_16bit_png(3), MAX_PIXELS).pixels.bit_depth == 16


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_decode_reads_exif_in_a_raw_profile(kind):
    block = make_exif()
    text = b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"
    rest = b"\0" + zlib.compress(text) if kind == b"zTXt" else text
    told = Metadata(blocks=(MetadataBlock(kind, b"Raw profile type exif\0" + rest),))
    found = decode(png_chunks.with_metadata(encode_image(make_corpus_photo(), "PNG"), told), MAX_PIXELS)
    assert found.metadata.exif == block.removeprefix(b"Exif\0\0")
    assert found.properties["orientation"] == 6
    assert decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS).metadata.exif == found.metadata.exif


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_decode_finds_the_transparent_grey_of_few_bits(bits):
    key = 2**bits - 2 or 1
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0))
    row = b"\0" + bytes([0b01_10_01_10, 0b11_00_10_01, 0x5E, 0xE0][:bits])
    pixels = chunk(b"tRNS", struct.pack(">H", key)) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    values = np.unpackbits(np.frombuffer(row[1:], np.uint8)).reshape(8, bits) @ (1 << np.arange(bits)[::-1])
    found = decode(png_chunks.SIGNATURE + header + pixels, MAX_PIXELS).pixels
    np.testing.assert_array_equal(found.samples[0, :, 0], values * (255 // (2**bits - 1)))
    np.testing.assert_array_equal(found.alpha[0], np.where(values == key, 0, 255))
    assert 0 < (values == key).sum() < 8


def named(primaries, transfer, mode="RGB"):
    """A PNG whose colours are named by numbers."""
    block = MetadataBlock(b"cICP", bytes([primaries, transfer, 0, 1]))
    return png_chunks.with_metadata(encode_image(make_corpus_photo(mode), "PNG"), Metadata(blocks=(block,)))


def test_decode_and_encode_keep_colours_stated_by_cicp_numbers():
    data = named(12, 13)
    found = decode(data, MAX_PIXELS)
    wanted = decode(encode_image(make_corpus_photo(), "PNG", icc_profile=DISPLAY_P3), MAX_PIXELS)
    plain = decode(named(1, 13), MAX_PIXELS)
    ours, theirs = ((each.pixels.to_rgb() - wanted.pixels.to_rgb()).abs().mean() for each in (found, plain))
    assert ours < 0.01 < theirs, "the profile has the curve of a gamma of 2.2"
    again = encode(found, found.pages, "same", "keep")
    assert dict(png_chunks.iter_chunks(again))[b"cICP"] == bytes([12, 13, 0, 1])
    assert (
        decode(encode(found, found.pages, "jpeg", "keep"), MAX_PIXELS).pixels.colour_space == found.pixels.colour_space
    )
    assert plain.pixels.colour_space is None


@pytest.mark.parametrize("transfer", [16, 18])
def test_decode_of_high_dynamic_range_refuses(transfer):
    with pytest.raises(ImageError, match="high dynamic range") as caught:
        decode(named(9, transfer), MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_encode_with_a_compression_level_obeys_it_for_16_bits(channels):
    found = decode(encode_16bit_png(channels), MAX_PIXELS)
    found.pixels.samples[:] = found.pixels.samples // 4096 * 4096
    stored, fast, best = (encode(found, found.pages, f"png:level={level}", "keep") for level in (0, 1, 9))
    assert len(stored) > len(fast) > len(best)
    for data in (stored, fast, best):
        np.testing.assert_array_equal(decode(data, MAX_PIXELS).pixels.samples, found.pixels.samples)
    assert encode(found, found.pages, "png", "keep") == encode(found, found.pages, "png:level=6", "keep")
