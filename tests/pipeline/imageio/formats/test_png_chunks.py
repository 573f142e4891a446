"""Metadata in the chunks of a PNG."""

import shutil
import subprocess
import zlib

import numpy as np
import pytest
from PIL import ImageCms

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats import png_chunks
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata import photoshop
from pipeline.imageio.metadata.metadata import Metadata, MetadataBlock
from tests.support.image_files import IPTC, encode_image, encode_tiff, make_corpus_photo

MAX_PIXELS = 10**9


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
@pytest.mark.parametrize("resources", [False, True])
def test_iptc_in_a_raw_profile_is_read_and_kept_by_strip_gps(kind, resources):
    records = photoshop.pack_iptc(IPTC) if resources else IPTC
    text = b"\niptc\n%8d\n" % len(records) + records.hex().encode() + b"\n"
    rest = b"\0" + zlib.compress(text) if kind == b"zTXt" else text
    data = png_chunks.with_metadata(
        encode_image(make_corpus_photo(), "PNG"),
        Metadata(blocks=(MetadataBlock(kind, b"Raw profile type iptc\0" + rest),)),
    )
    before = decode(data, MAX_PIXELS)
    assert before.metadata.iptc == IPTC
    kept = encode(before, before.pages, "same", "keep")
    assert rest in kept and kept.count(b"Raw profile type iptc") == 1
    for form, policy in (("same", "strip-gps"), ("tiff", "keep"), ("jpeg", "keep")):
        assert decode(encode(before, before.pages, form, policy), MAX_PIXELS).metadata.iptc == IPTC
    assert decode(encode(before, before.pages, "same", "strip"), MAX_PIXELS).metadata.iptc is None


def test_read_iptc_ignores_invalid_raw_profiles():
    for junk in (b"", b"\niptc\n  3\nxyz", b"\0\0\xff", b"\niptc\n 4\n" + b"8BIM".hex().encode()):
        blocks = (
            MetadataBlock(b"tEXt", b"Raw profile type iptc\0" + junk),
            MetadataBlock(b"zTXt", b"Raw profile type 8bim\0\0" + junk),
        )
        data = png_chunks.with_metadata(encode_image(make_corpus_photo(), "PNG"), Metadata(blocks=blocks))
        assert decode(data, MAX_PIXELS).metadata.iptc is None


def chunk_like(kind, content=b"abc"):
    return png_chunks._pack_chunk(kind, content)


TRAILERS = {
    "zeros": bytes(999),
    "html": b"<html><body>404</body></html>" * 9,
    "zip": b"PK\x03\x04" + bytes(range(256)),
    "png": encode_image(make_corpus_photo(), "PNG"),
    "chunks": chunk_like(b"tEXt", b"Comment\0behind") + chunk_like(b"IDAT") + chunk_like(b"IEND", b""),
    "one byte": b"\n",
    "huge chunk": b"\xff\xff\xff\xfftEXtabc",
}


@pytest.mark.parametrize("policy", ["keep", "strip-gps", "strip"])
@pytest.mark.parametrize("trailer", TRAILERS)
def test_bytes_behind_the_end_mark_are_not_taken_for_chunks(trailer, policy, tmp_path):
    data = encode_image(make_corpus_photo(), "PNG") + TRAILERS[trailer]
    photo = decode(data, MAX_PIXELS)
    result = encode(photo, photo.pages, "same", policy)
    np.testing.assert_array_equal(decode(result, MAX_PIXELS).pixels.samples, photo.pixels.samples)
    kinds = [kind for kind, _ in png_chunks.iter_chunks(result)]
    assert kinds[0] == b"IHDR" and kinds[-1] == b"IEND" and set(kinds) <= {b"IHDR", b"IDAT", b"IEND", b"pHYs"}
    assert result.endswith(chunk_like(b"IEND", b""))


@pytest.mark.skipif(shutil.which("pngcheck") is None, reason="pngcheck (Debian's pngcheck) is not installed")
@pytest.mark.parametrize("trailer", TRAILERS)
def test_result_of_a_png_with_bytes_behind_its_end_mark_passes_pngcheck(trailer, tmp_path):
    photo = decode(encode_image(make_corpus_photo(), "PNG") + TRAILERS[trailer], MAX_PIXELS)
    (tmp_path / "result.png").write_bytes(encode(photo, photo.pages, "same", "keep"))
    checked = subprocess.run(["pngcheck", "-q", tmp_path / "result.png"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_iter_chunks_leaves_out_an_incomplete_chunk():
    data = encode_image(make_corpus_photo(), "PNG")
    kinds = [kind for kind, _ in png_chunks.iter_chunks(data)]
    assert [kind for kind, _ in png_chunks.iter_chunks(data[:-5])] == kinds[:-1]


def insert_chunk(data, packed):
    """A PNG with another chunk behind its header."""
    return data[:33] + packed + data[33:]


def with_wrong_checksum(packed):
    return packed[:-1] + bytes([packed[-1] ^ 1])


def make_png(bits=8):
    if bits == 8:
        return encode_image(make_corpus_photo(), "PNG")
    photo = decode(encode_tiff(np.asarray(make_corpus_photo()).astype(np.uint16) * 257), MAX_PIXELS)
    return encode(photo, photo.pages, "png", "keep")


SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOISE = np.random.default_rng(1).integers(0, 256, 1_500_000, np.uint8).tobytes()
LARGE_CHUNKS = {
    "text": chunk_like(b"tEXt", b"Comment\0" + b"a" * 1_200_000),
    "compressed text": chunk_like(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 1_200_000)),
    "international text": chunk_like(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"a" * 1_200_000)),
    "private": chunk_like(b"prVt", NOISE),
}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", LARGE_CHUNKS)
def test_png_with_a_large_ancillary_chunk_is_processed_and_keeps_it(name, bits):
    data = insert_chunk(make_png(bits), LARGE_CHUNKS[name])
    photo = decode(data, MAX_PIXELS)
    assert LARGE_CHUNKS[name] in encode(photo, photo.pages, "same", "keep")
    assert photo.properties["damaged_metadata"] is None


@pytest.mark.parametrize("bits", [8, 16])
def test_png_with_a_large_profile_keeps_it(bits):
    profile = SRGB_PROFILE + NOISE
    data = insert_chunk(make_png(bits), chunk_like(b"iCCP", b"large\0\0" + zlib.compress(profile)))
    photo = decode(data, MAX_PIXELS)
    assert photo.metadata.icc == profile
    assert decode(encode(photo, photo.pages, "same", "keep"), MAX_PIXELS).metadata.icc == profile


@pytest.mark.parametrize("policy", ["keep", "strip-gps", "strip"])
def test_png_keeps_the_chunk_of_its_profile_with_its_name(policy):
    chunks = [chunk_like(b"iCCP", name + b"\0\0" + zlib.compress(SRGB_PROFILE, 1)) for name in (b"scanner", b"second")]
    photo = decode(insert_chunk(make_png(), b"".join(chunks)), MAX_PIXELS)
    result = encode(photo, photo.pages, "same", policy)
    assert [chunk in result for chunk in chunks] == [True, False], "of several, viewers use the first one"
    damaged = decode(insert_chunk(make_png(), chunk_like(b"iCCP", b"name\0\1") + chunks[0]), MAX_PIXELS)
    assert b"iCCP" not in encode(damaged, damaged.pages, "same", policy)


def test_png_with_large_xmp_keeps_it():
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b" " * 1_200_000 + b"</x:xmpmeta>"
    content = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)
    photo = decode(insert_chunk(make_png(), chunk_like(b"iTXt", content)), MAX_PIXELS)
    assert photo.metadata.xmp == xmp


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"tIME", bytes(7)),
        (b"tEXt", b"Comment\0x"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"x")),
        (b"iTXt", b"Comment\0\0\0\0\0x"),
        (b"pHYs", bytes(9)),
        (b"gAMA", bytes(4)),
        (b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0"),
        (b"iCCP", b"name\0\0" + zlib.compress(SRGB_PROFILE)),
        (b"prVt", b"x"),
        (b"bKGD", bytes(6)),
    ],
    ids=lambda value: value.decode() if len(value) == 4 else "",
)
def test_png_with_a_wrong_checksum_in_an_ancillary_chunk_is_processed_without_it(kind, content, bits):
    sound = make_png(bits)
    photo = decode(insert_chunk(sound, with_wrong_checksum(chunk_like(kind, content))), MAX_PIXELS)
    np.testing.assert_array_equal(photo.pixels.samples, decode(sound, MAX_PIXELS).pixels.samples)
    assert photo.properties["damaged_metadata"] == f"{kind.decode()} (wrong checksum)"
    result, expected = (encode(each, each.pages, "same", "keep") for each in (photo, decode(sound, MAX_PIXELS)))
    assert result == expected


@pytest.mark.parametrize(
    "content",
    [
        b"name\0\1" + zlib.compress(SRGB_PROFILE),
        b"name\0\0" + SRGB_PROFILE,
        b"name",
        b"name\0\0" + zlib.compress(bytes(17 * 2**20)),
    ],
    ids=["unknown method", "not compressed", "nothing", "too large"],
)
def test_png_whose_profile_cannot_be_unpacked_is_processed_without_it(content):
    photo = decode(insert_chunk(make_png(), chunk_like(b"iCCP", content)), MAX_PIXELS)
    assert photo.metadata.icc is None
    assert photo.properties["damaged_metadata"] == "iCCP (unknown or damaged compression, or too large)"


@pytest.mark.parametrize("bits", [8, 16])
def test_png_with_a_wrong_checksum_in_its_header_is_damaged(bits):
    data = bytearray(make_png(bits))
    data[29] ^= 1
    with pytest.raises(ImageError) as caught:
        decode(bytes(data), MAX_PIXELS)
    assert caught.value.code is ErrorCode.DAMAGED
