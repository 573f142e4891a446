"""What phones append to a JPEG stays where its index and XMP expect it, or is dropped with all references."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats import jpeg_mpf
from pipeline.imageio.image_file import decode, encode
from tests.support.image_files import XMP, encode_image, make_corpus_photo, make_exif
from tests.support.jpeg_files import (
    ULTRA_HDR_XMP,
    encode_gain_map,
    encode_multi_picture_jpeg,
    encode_ultra_hdr_jpeg,
    make_jpeg_segment,
)
from tests.support.photos import make_photo

MAX_PIXELS = 10**9
APPLE = b'<x:xmpmeta><rdf:Description apdi:AuxiliaryImageType="urn:com:apple:photo:2020:aux:hdrgainmap"/></x:xmpmeta>'
VIDEO = b"\0\0\0\x18ftypmp42 a video of the moment, and where it was taken"
SECOND = 0x020002  # 3D


def reencode(data, policy="keep", form="same"):
    found = decode(data, MAX_PIXELS)
    return encode(found, found.pages, form, policy)


def listed(data):
    """Kind and bytes of each picture, by Pillow's reading of the index."""
    with Image.open(io.BytesIO(data)) as image:
        base = data.index(b"MPF\0") + 4
        found = []
        for entry in image._getmp()[0xB002]:
            start = entry["DataOffset"] + (base if entry["DataOffset"] else 0)
            found.append((entry["Attribute"]["MPType"], data[start : start + entry["Size"]]))
        return found


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kept", [{}, {"exif": make_exif(), "icc_profile": b"x" * 70_000, "comment": b"of a phone"}])
def test_encode_writes_an_index_that_leads_to_the_gain_map(order, kept):
    mapped, matte = encode_gain_map(), encode_gain_map(xmp=APPLE, extra=b"")
    data = encode_multi_picture_jpeg((0, mapped), (0, matte), order=order, progressive=True, **kept)
    found = decode(data, MAX_PIXELS)
    assert found.properties["format"] == "JPEG"
    found.pixels.samples[:] = found.pixels.samples // 2 + 60
    result = encode(found, found.pages, "same", "keep")
    (_, first), *others = listed(result)
    assert [each for _, each in others] == [mapped, matte]
    assert [kind for kind, _ in listed(result)] == [kind for kind, _ in listed(data)]
    assert first + mapped + matte == result
    assert first.endswith(b"\xff\xd9")
    again = decode(result, MAX_PIXELS)
    assert again.properties == found.properties
    assert again.metadata == found.metadata


def test_encode_keeps_appended_pictures_at_the_end_where_xmp_expects_them():
    data = encode_ultra_hdr_jpeg()
    result = reencode(data)
    assert result.endswith(encode_gain_map())
    assert ULTRA_HDR_XMP % len(encode_gain_map()) in result
    assert listed(result)[1][1] == encode_gain_map()


def test_encode_with_strip_gps_keeps_a_gain_map_without_coordinates():
    result = reencode(encode_ultra_hdr_jpeg(), "strip-gps")
    assert result.endswith(encode_gain_map())
    assert b"hdrgm:Version" in result and b"urn:iso" in result
    assert listed(result)[1][1] == encode_gain_map()
    assert b"GPS" not in result


@pytest.mark.parametrize(
    "telling",
    [{"exif": make_exif()}, {"xmp": XMP}, {"extra": make_jpeg_segment(0xE5, b"of a camera")}, {"comment": b"GPS 52.5"}],
)
def test_encode_with_strip_gps_drops_a_gain_map_that_may_have_coordinates_and_all_references(telling):
    mapped = encode_gain_map(**telling)
    data = encode_multi_picture_jpeg(
        (0x050000, mapped), extra=make_jpeg_segment(0xE2, jpeg_mpf.GAIN_MAP_HEADER), xmp=ULTRA_HDR_XMP % len(mapped)
    )
    result = reencode(data, "strip-gps")
    assert mapped in reencode(data)
    assert jpeg_mpf.read_trailer(result) == b""
    assert not any(word in result for word in (b"MPF\0", b"hdrgm:Version", b"Container:Directory", b"urn:iso"))
    assert b"box 17" in result


@pytest.mark.parametrize("policy", ["keep", "strip", "strip-gps"])
def test_encode_without_the_gain_map_drops_all_references(policy):
    form = "same" if policy == "strip" else "webp"
    result = reencode(encode_ultra_hdr_jpeg(), policy, form)
    assert not any(word in result for word in (b"MPF\0", b"hdrgm:Version", b"Item:Semantic", b"urn:iso"))
    assert (b"box 17" in result) == (policy != "strip")


def test_encode_keeps_the_video_of_a_motion_photo_unless_gps_is_stripped():
    told = XMP.replace(b" dc:source", b' GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="%d" dc:source' % len(VIDEO))
    data = encode_image(make_corpus_photo(), "JPEG", xmp=told) + VIDEO
    assert reencode(data).endswith(b"\xff\xd9" + VIDEO)
    gps_free = reencode(data, "strip-gps")
    assert not any(word in gps_free for word in (VIDEO, b"MotionPhoto", b"MicroVideo"))
    assert b"box 17" in gps_free


@pytest.mark.parametrize("kind", [0x010001, 0x010002])
def test_encode_drops_previews(kind):
    data = encode_multi_picture_jpeg((kind, encode_image(make_photo(1, 24, 18), "JPEG"))) + bytes(500)
    result = reencode(data)
    assert b"MPF\0" not in result
    assert result.endswith(b"\xff\xd9")
    assert result.count(b"\xff\xd8\xff") == 1


@pytest.mark.parametrize("kind", [0, 0x020001, SECOND, 0x020003, 0x060000])
def test_decode_of_several_photos_refuses(kind):
    data = encode_multi_picture_jpeg((kind, encode_image(make_photo(2), "JPEG")))
    with pytest.raises(ImageError, match="several photos") as caught:
        decode(data, MAX_PIXELS)
    assert caught.value.code is ErrorCode.ANIMATED


def test_decode_of_a_3d_pair_with_previews_refuses():
    with pytest.raises(ImageError, match="several photos"):
        decode(
            encode_multi_picture_jpeg(
                (0x010001, encode_image(make_corpus_photo(), "JPEG")), (SECOND, encode_gain_map())
            ),
            MAX_PIXELS,
        )


def test_encode_drops_an_index_of_missing_pictures():
    data = encode_multi_picture_jpeg((0, encode_gain_map()))
    alone = data[: -len(encode_gain_map())]
    result = reencode(alone)
    assert b"MPF\0" not in result
    np.testing.assert_array_equal(decode(alone, MAX_PIXELS).pixels.samples, decode(data, MAX_PIXELS).pixels.samples)


def test_encode_drops_an_unreadable_index_and_keeps_the_trailer():
    data = encode_multi_picture_jpeg((0, encode_gain_map()))
    place = data.index(b"MPF\0") + 4
    for junk in (b"\xff" * 8, struct.pack(">2sHI", b"MM", 42, 2**31), struct.pack(">2sHI", b"MM", 42, 8) + b"\0\0"):
        result = reencode(data[:place] + junk + data[place + len(junk) :])
        assert b"MPF\0" not in result
        assert result.endswith(encode_gain_map())


def test_read_trailer_of_nothing_or_zeros_returns_nothing():
    data = encode_image(make_corpus_photo(), "JPEG")
    assert [jpeg_mpf.read_trailer(each) for each in (data, data + bytes(4096), data[:-2], b"")] == [b""] * 4
    assert jpeg_mpf.read_trailer(data + b"more") == b"more"


def test_is_gps_free_of_too_many_pictures_returns_false():
    several = encode_gain_map() * 3
    assert jpeg_mpf.is_gps_free(b"\0" * 9 + several + bytes(4096))
    assert not jpeg_mpf.is_gps_free(several + b"more")
    assert not jpeg_mpf.is_gps_free(b"\xff\xd8\xff\xd9" * 100_000)


def test_read_trailer_ignores_an_end_marker_within_a_segment():
    inner = encode_image(make_corpus_photo().resize((8, 8)), "JPEG")
    data = encode_image(make_corpus_photo(), "JPEG", extra=make_jpeg_segment(0xE4, inner), progressive=True)
    assert jpeg_mpf.read_trailer(data + inner) == inner
