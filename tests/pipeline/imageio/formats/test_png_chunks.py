"""Metadata in the chunks of a PNG."""

import zlib

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
