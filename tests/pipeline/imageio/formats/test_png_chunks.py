"""Metadata in the chunks of a PNG."""

import shutil
import subprocess
import zlib

import numpy as np
import pytest

from pipeline.imageio.formats import png_chunks
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata import photoshop
from pipeline.imageio.metadata.metadata import Metadata, MetadataBlock
from tests.support.image_files import IPTC, encode_image, make_corpus_photo

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
