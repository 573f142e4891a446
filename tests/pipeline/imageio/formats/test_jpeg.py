"""JPEG: what its segments hold goes along, and it is coded the way it was."""

import hashlib
import io
import itertools
import random
import struct
from dataclasses import replace
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats.jpeg_coding import read_save_options
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.ifd import EXIF_IFD, Ifd, Tag, parse_exif_block
from pipeline.imageio.metadata.metadata import Metadata
from tests.support.icc_profiles import make_cmyk_profile
from tests.support.image_files import encode_image, encode_tiff, make_corpus_photo, make_exif
from tests.support.jpeg_files import encode_subsampled_jpeg, make_jpeg_segment

LOTS = 10**9
THERMAL = [make_jpeg_segment(0xE1, b"FLIR\0\1" + bytes([part, 2]) + bytes([part]) * 60_000) for part in range(3)]
ADDED = [
    *THERMAL,
    make_jpeg_segment(0xE0, b"JFXX\0\x13\1\1abc"),
    make_jpeg_segment(0xE1, b"Qualcomm Camera Attributes"),
    make_jpeg_segment(0xE2, b"FPXR\0abcdefgh"),
    make_jpeg_segment(0xE5, b"Samsung"),
    make_jpeg_segment(0xEC, b"Ducky\0\1\0\4\0\0\0\x50"),
    make_jpeg_segment(0xEF, b"Q0050"),
    make_jpeg_segment(0xFE, b"first comment"),
    make_jpeg_segment(0xFE, b"second comment"),
    make_jpeg_segment(0xFE, b"GPS 52.5 N 13.4 E"),
    make_jpeg_segment(0xFE, b"latitude 52.5"),
]
PLAIN = [ADDED[3], ADDED[7], ADDED[9], ADDED[10]]
"""Those of them without coordinates."""


def written(data, policy="keep"):
    found = decode(data, LOTS)
    return encode(found, found.pages, "same", policy)


def opened(data):
    return Image.open(io.BytesIO(data))


def coding(data):
    """Of each component the name, the factors of sampling, and the table."""
    with opened(data) as image:
        return [part[0] for part in image.layer], [part[1:3] for part in image.layer], tables(image)


def tables(image):
    return [list(image.quantization[part[3]]) for part in image.layer]


@pytest.mark.parametrize("progressive", [False, True])
def test_what_cameras_and_programs_add_stays_byte_for_byte_and_in_order(progressive):
    data = encode_image(make_corpus_photo(), "JPEG", extra=b"".join(ADDED), exif=make_exif(), progressive=progressive)
    result = written(data)
    places = [result.find(each) for each in ADDED]
    assert all(place > 0 for place in places)
    assert places == sorted(places)
    assert written(result).count(ADDED[0]) == 1, "and once, how often it is done"


def test_what_may_hold_coordinates_goes_with_them():
    data = encode_image(make_corpus_photo(), "JPEG", extra=b"".join(ADDED))
    result = written(data, "strip-gps")
    assert [each for each in ADDED if each in result] == PLAIN
    assert not any(each in written(data, "strip") for each in ADDED)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_sampling_and_tables_are_those_of_the_file(subsampling):
    data = encode_image(make_corpus_photo(), "JPEG", quality=83, subsampling=subsampling)
    assert coding(written(data)) == coding(data)


@pytest.mark.parametrize(("subsampling", "finer"), [("440", (1, 1)), ("411", (2, 1))])
def test_what_cannot_be_written_is_sampled_finer(subsampling, finer):
    data = encode_subsampled_jpeg(subsampling)
    result = written(data)
    assert coding(result)[1] == [finer, (1, 1), (1, 1)]
    assert coding(result)[2] == coding(data)[2]
    with opened(data) as before, opened(result) as after:
        coarser = opened(encode_image(before, "JPEG", qtables=before.quantization, subsampling="4:2:0"))
        ours, theirs = (np.abs(np.asarray(before).astype(int) - np.asarray(each)).mean() for each in (after, coarser))
    assert ours < 0.7 * theirs


FACTORS = [
    ([(2, 2), (1, 1), (1, 1)], 2),
    ([(4, 2), (1, 1), (1, 1)], 2),
    ([(4, 1), (1, 1), (1, 1)], 1),
    ([(2, 2), (1, 2), (1, 2)], 1),
    ([(2, 2), (2, 1), (2, 1)], 0),
    ([(2, 2), (2, 2), (2, 2)], 0),
    ([(2, 2), (1, 1), (2, 1)], 0),
    ([(1, 1), (2, 2), (1, 1)], 0),
]


@pytest.mark.parametrize(("factors", "expected"), FACTORS)
def test_colours_are_never_sampled_more_coarsely(factors, expected):
    layer = [(number, *each, 0) for number, each in enumerate(factors, 1)]
    image = SimpleNamespace(layers=3, layer=layer, quantization={0: [1] * 64}, info={"jfif": 257})
    assert read_save_options(image)["subsampling"] == expected


@pytest.mark.parametrize("marker", [True, False])
def test_what_is_coded_as_rgb_stays_so(marker):
    data = encode_image(make_corpus_photo(), "JPEG", quality=90, keep_rgb=True, exif=make_exif())
    if not marker:  # then the names of the components tell
        place = data.index(b"\xff\xee")
        data = data[:place] + data[place + 2 + struct.unpack_from(">H", data, place + 2)[0] :]
    result = written(data)
    assert coding(result) == coding(data)
    with opened(data) as before, opened(result) as after:
        assert np.abs(np.asarray(before).astype(int) - np.asarray(after)).mean() < 0.5
    assert written(data, "strip").count(b"JFIF") == 0, "it would say that colours are YCbCr"


def test_names_of_components_do_not_count_beside_a_jfif_header():
    data = encode_image(make_corpus_photo(), "JPEG", quality=90, subsampling="4:4:4")
    place = data.index(b"\xff\xc0") + 10
    named = bytearray(data)
    for number, name in enumerate(b"RGB"):
        named[place + 3 * number] = name
    scan = data.index(b"\xff\xda") + 5
    for number, name in enumerate(b"RGB"):
        named[scan + 2 * number] = name
    assert coding(bytes(named))[0] == list(b"RGB")
    assert coding(written(bytes(named)))[0] == [1, 2, 3]


def test_every_component_has_its_own_table_again():
    fine, coarse = [1] * 64, [40] * 64
    for order in itertools.product((0, 1), repeat=3):
        data = bytearray(encode_image(make_corpus_photo(), "JPEG", qtables=[fine, coarse], subsampling=0))
        place = data.index(b"\xff\xc0") + 12
        for number, table in enumerate(order):
            data[place + 3 * number] = table
        assert coding(written(bytes(data)))[2] == [(fine, coarse)[table] for table in order]


def test_all_inks_are_as_fine_as_the_lightness_was():
    inks = np.asarray(make_corpus_photo("CMYK"))
    plain = encode_image(
        Image.fromarray(inks, "CMYK"), "JPEG", qtables=[[2] * 64, [50] * 64], icc_profile=make_cmyk_profile()
    )
    place = plain.index(b"Adobe") + 11
    with opened(plain[:place] + b"\2" + plain[place + 1 :]) as image:
        assert read_save_options(image)["qtables"] == [[2] * 64]
    with opened(plain) as image:
        assert read_save_options(image)["qtables"] == [[2] * 64, [50] * 64]


def test_long_records_go_on_from_segment_to_segment():
    records = b"".join(b"\x1c\x02\x19" + struct.pack(">H", 30) + b"%030d" % number for number in range(5000))
    found = decode(
        encode_tiff(np.asarray(make_corpus_photo()), extratags=[(33723, 7, len(records), records, True)]), LOTS
    )
    data = encode(found, found.pages, "jpeg", "keep")
    assert decode(data, LOTS).metadata.iptc == records
    assert decode(written(data), LOTS).metadata.iptc == records


def with_header(unit, across, down, **options):
    """A JPEG with this resolution in its JFIF header."""
    data = bytearray(encode_image(make_corpus_photo(), "JPEG", **options))
    struct.pack_into(">BHH", data, data.index(b"JFIF\0") + 7, unit, across, down)
    return bytes(data)


def described(**tags):
    """An EXIF block with a description and some tags of resolution."""
    made = Image.Exif()
    made[0x010E] = "Street with a tram"
    for name, code in (("across", 0x011A), ("down", 0x011B), ("unit", 0x0128)):
        if name in tags:
            made[code] = tags[name]
    return {"exif": made.tobytes()}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (with_header(0, 1, 1), None),
        (with_header(0, 1, 1, **described()), None),
        (with_header(0, 1, 1, **described(across=240.0, down=120.0, unit=2)), (240, 120)),
        (with_header(0, 1, 1, **described(across=100.0, down=100.0, unit=3)), (254, 254)),
        (with_header(1, 300, 200, **described(across=240.0, down=240.0, unit=2)), (300, 200)),
    ],
    ids=["none", "none in EXIF", "EXIF", "EXIF in centimetres", "JFIF"],
)
def test_the_resolution_is_the_one_that_the_file_states_and_none_is_made_up(data, expected):
    found = decode(data, LOTS)
    assert found.metadata.dpi == (expected and pytest.approx(expected))
    with opened(encode(found, found.pages, "same", "keep")) as again:
        assert again.info.get("jfif_density", (1, 1)) == (expected or (1, 1))
        assert (again.info.get("jfif_unit") == 1) == bool(expected)
    for form in ("png", "tiff"):
        assert decode(encode(found, found.pages, form, "keep"), LOTS).metadata.dpi == (
            expected and pytest.approx(expected, abs=0.5)
        )


@pytest.mark.parametrize("density", [(0, 1, 1), (0, 2, 1), (0, 72, 72), (1, 300, 150), (2, 118, 118)])
@pytest.mark.parametrize("policy", ["keep", "strip"])
def test_unit_resolution_and_shape_of_pixels_stay_as_they_were(density, policy):
    data = with_header(*density, extra=ADDED[5])
    with opened(written(data, policy)) as image:
        assert (image.info["jfif_unit"], *image.info["jfif_density"]) == density
    assert (ADDED[5] in written(data, policy)) == (policy == "keep")
    found = decode(data, LOTS)
    with opened(encode(found, found.pages, "png", "keep")) as image:
        assert image.info.get("dpi") == {
            1: pytest.approx((300, 150), abs=0.1),
            2: pytest.approx((299.72, 299.72), abs=0.1),
        }.get(density[0])


@pytest.mark.parametrize(("bits", "lossless"), [(12, False), (12, True), (16, True)])
def test_jpegs_of_more_than_8_bits_are_left_alone_and_not_called_damaged(bits, lossless):
    samples = (np.asarray(make_corpus_photo("L")).astype(np.uint16) << 8) >> (16 - bits)
    data = bytes(imagecodecs.jpeg_encode(samples, level=90, bitspersample=bits, lossless=lossless))
    with pytest.raises(ImageError, match=f"{bits} bits per sample in JPEG") as caught:
        decode(data, LOTS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_BIT_DEPTH
    for end in range(4, 200, 7):
        with pytest.raises(ImageError):
            decode(data[:end], LOTS)


def test_a_jpeg_without_loss_is_written_as_finely_as_jpeg_can():
    for mode in ("L", "RGB"):
        samples = np.asarray(make_corpus_photo(mode))
        found = decode(bytes(imagecodecs.jpeg_encode(samples, lossless=True)), LOTS)
        np.testing.assert_array_equal(found.pixels.samples.squeeze(), samples)
        again = decode(encode(found, found.pages, "same", "keep"), LOTS)
        assert np.abs(again.pixels.samples.astype(int) - found.pixels.samples).max() <= 1


def extended(data):
    """What the segments of extended XMP hold, by their name; parts in the order of their offsets."""
    head, found = b"http://ns.adobe.com/xmp/extension/\0", {}
    with opened(data) as image:
        for kind, content in image.applist:
            if kind == "APP1" and content.startswith(head):
                name, (size, start) = content[35:67], struct.unpack_from(">II", content, 67)
                parts = found.setdefault(name, [bytearray(size)])[0]
                parts[start : start + len(content) - 75] = content[75:]
    return {name: bytes(parts) for name, (parts,) in found.items()}


def test_xmp_that_is_too_long_for_a_segment_goes_on_in_others():
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + bytes(random.Random(0).choices(b"abc", k=150_000)) + b"</x:xmpmeta>"
    )
    wrapped = b'<?xpacket begin="" id="W5M0"?>' + packet + b"  \n" * 900 + b'<?xpacket end="w"?>'
    found = decode(encode_image(make_corpus_photo(), "PNG"), LOTS)
    scan = replace(found, metadata=Metadata(xmp=wrapped))
    result = encode(scan, scan.pages, "jpeg", "keep")
    ((name, more),) = extended(result).items()
    assert more == packet
    assert name == hashlib.md5(packet).hexdigest().upper().encode()
    again = decode(result, LOTS)
    assert b'HasExtendedXMP="%s"' % name in again.metadata.xmp
    assert extended(written(result)) == {name: more}, "and it stays"


def test_of_exif_that_is_too_long_for_a_segment_the_largest_tags_stay_behind():
    inner = Ifd("<", {0x927C: Tag(7, 40_000, bytes(40_000)), 0x829A: Tag(5, 1, struct.pack("<II", 1, 125))})
    outer = {0x010E: Tag(2, 5, b"tram\0"), 0xC4A5: Tag(7, 50_000, bytes(50_000)), 0x0112: Tag(3, 1, b"\6\0")}
    found = decode(encode_image(make_corpus_photo(), "PNG"), LOTS)
    scan = replace(found, metadata=Metadata(exif=Ifd("<", outer, {EXIF_IFD: inner}).to_exif_block()))
    kept = parse_exif_block(decode(encode(scan, scan.pages, "jpeg", "keep"), LOTS).metadata.exif)
    assert kept.tags == {code: tag for code, tag in outer.items() if code != 0xC4A5}
    assert kept.children[EXIF_IFD].tags == inner.tags
    junk = replace(found, metadata=Metadata(exif=b"none" * 20_000))
    assert decode(encode(junk, junk.pages, "jpeg", "keep"), LOTS).metadata.exif is None
