"""JPEG keeps its segments and the way it was coded."""

import io
import itertools
import struct
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats.jpeg_coding import read_save_options, refine_options, refine_table
from pipeline.imageio.image_file import decode, encode
from tests.support.icc_profiles import make_cmyk_profile
from tests.support.image_files import encode_image, encode_tiff, make_corpus_photo, make_exif
from tests.support.jpeg_files import encode_subsampled_jpeg, make_jpeg_segment

MAX_PIXELS = 10**9
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


def reencode(data, policy="keep"):
    found = decode(data, MAX_PIXELS)
    return encode(found, found.pages, "same", policy)


def open_image(data):
    return Image.open(io.BytesIO(data))


def coding(data):
    """Of each component the name, the factors of sampling, and the table."""
    with open_image(data) as image:
        return [part[0] for part in image.layer], [part[1:3] for part in image.layer], tables(image)


def tables(image):
    return [list(image.quantization[part[3]]) for part in image.layer]


def result_coding(data):
    """The coding of the result of a file: its steps or those of quality 95 if they are finer, and colours in full."""
    names, factors, found = coding(data)
    with open_image(encode_image(make_corpus_photo(), "JPEG", quality=95)) as image:
        luma, *colours = tables(image) if names == [1, 2, 3] else tables(image)[:1] * 3
    return (
        names,
        [(1, 1)] * len(factors),
        [np.minimum(*pair).tolist() for pair in zip(found, [luma, *colours], strict=True)],
    )


@pytest.mark.parametrize("progressive", [False, True])
def test_encode_keeps_segments_byte_for_byte_and_in_order(progressive):
    data = encode_image(make_corpus_photo(), "JPEG", extra=b"".join(ADDED), exif=make_exif(), progressive=progressive)
    result = reencode(data)
    places = [result.find(each) for each in ADDED]
    assert all(place > 0 for place in places)
    assert places == sorted(places)
    assert reencode(result).count(ADDED[0]) == 1, "and once, how often it is done"


def test_encode_with_strip_gps_drops_segments_that_may_have_coordinates():
    data = encode_image(make_corpus_photo(), "JPEG", extra=b"".join(ADDED))
    result = reencode(data, "strip-gps")
    assert [each for each in ADDED if each in result] == PLAIN
    assert not any(each in reencode(data, "strip") for each in ADDED)


@pytest.mark.parametrize("quality", [97, 95, 83, 10])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_encode_keeps_tables_that_are_fine_enough_and_writes_colours_in_full(subsampling, quality):
    data = encode_image(make_corpus_photo(), "JPEG", quality=quality, subsampling=subsampling)
    result = coding(reencode(data))
    assert result == result_coding(data)
    assert (result[2] == coding(data)[2]) == (quality >= 95)


@pytest.mark.parametrize("quality", [10, 30, 60])
def test_encode_of_a_coarse_file_keeps_what_was_added(quality):
    found = decode(encode_image(make_corpus_photo(), "JPEG", quality=quality), MAX_PIXELS)
    before = found.pixels.samples.astype(int)
    added = np.random.default_rng(0).normal(0, 4, before.shape)
    found.pixels.samples[:] = (before + added).round().clip(0, 255)
    change = found.pixels.samples - before
    coarse = encode_image(Image.fromarray(found.pixels.samples), "JPEG", quality=quality)
    luma, correlations = np.array([0.299, 0.587, 0.114]), []
    for data in (encode(found, found.pages, "same", "keep"), coarse):
        kept = decode(data, MAX_PIXELS).pixels.samples - before
        correlations.append(np.corrcoef((kept @ luma).ravel(), (change @ luma).ravel())[0, 1])
    assert correlations[0] > 0.75 > 0.4 > correlations[1]


@pytest.mark.parametrize("subsampling", ["440", "411"])
def test_encode_of_any_subsampling_writes_colours_in_full(subsampling):
    data = encode_subsampled_jpeg(subsampling)
    result = reencode(data)
    assert coding(result)[1] == [(1, 1)] * 3
    assert coding(result)[2] == result_coding(data)[2]
    with open_image(data) as before, open_image(result) as after:
        coarser = open_image(encode_image(before, "JPEG", qtables=before.quantization, subsampling="4:2:0"))
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
def test_read_save_options_never_chooses_a_coarser_subsampling(factors, expected):
    layer = [(number, *each, 0) for number, each in enumerate(factors, 1)]
    image = SimpleNamespace(layers=3, layer=layer, quantization={0: [1] * 64}, info={"jfif": 257})
    assert read_save_options(image)["subsampling"] == expected


@pytest.mark.parametrize("marker", [True, False])
def test_encode_keeps_rgb_coding(marker):
    data = encode_image(make_corpus_photo(), "JPEG", quality=97, keep_rgb=True, exif=make_exif())
    if not marker:  # then the names of the components tell
        place = data.index(b"\xff\xee")
        data = data[:place] + data[place + 2 + struct.unpack_from(">H", data, place + 2)[0] :]
    result = reencode(data)
    assert coding(result) == result_coding(data)
    with open_image(data) as before, open_image(result) as after:
        assert np.abs(np.asarray(before).astype(int) - np.asarray(after)).mean() < 0.5
    assert reencode(data, "strip").count(b"JFIF") == 0, "it would say that colours are YCbCr"


def test_read_save_options_ignores_component_names_beside_a_jfif_header():
    data = encode_image(make_corpus_photo(), "JPEG", quality=90, subsampling="4:4:4")
    place = data.index(b"\xff\xc0") + 10
    named = bytearray(data)
    for number, name in enumerate(b"RGB"):
        named[place + 3 * number] = name
    scan = data.index(b"\xff\xda") + 5
    for number, name in enumerate(b"RGB"):
        named[scan + 2 * number] = name
    assert coding(bytes(named))[0] == list(b"RGB")
    assert coding(reencode(bytes(named)))[0] == [1, 2, 3]


def test_encode_keeps_the_table_of_every_component():
    fine, coarse = [1] * 64, [2] * 32 + [1] * 32
    for order in itertools.product((0, 1), repeat=3):
        data = bytearray(encode_image(make_corpus_photo(), "JPEG", qtables=[fine, coarse], subsampling=0))
        place = data.index(b"\xff\xc0") + 12
        for number, table in enumerate(order):
            data[place + 3 * number] = table
        assert coding(reencode(bytes(data)))[2] == result_coding(bytes(data))[2]
        assert coding(bytes(data))[2] == [(fine, coarse)[table] for table in order]


def test_read_save_options_of_ycck_takes_the_luma_table_for_all_channels():
    inks = np.asarray(make_corpus_photo("CMYK"))
    plain = encode_image(
        Image.fromarray(inks, "CMYK"), "JPEG", qtables=[[1] * 64, [50] * 64], icc_profile=make_cmyk_profile()
    )
    place = plain.index(b"Adobe") + 11
    with open_image(plain[:place] + b"\2" + plain[place + 1 :]) as image:
        assert read_save_options(image)["qtables"] == [[1] * 64]
    with open_image(plain) as image:
        assert read_save_options(image)["qtables"] == [[1] * 64, [50] * 64]


def test_encode_splits_long_iptc_over_segments():
    records = b"".join(b"\x1c\x02\x19" + struct.pack(">H", 30) + b"%030d" % number for number in range(5000))
    found = decode(
        encode_tiff(np.asarray(make_corpus_photo()), extratags=[(33723, 7, len(records), records, True)]), MAX_PIXELS
    )
    data = encode(found, found.pages, "jpeg", "keep")
    assert decode(data, MAX_PIXELS).metadata.iptc == records
    assert decode(reencode(data), MAX_PIXELS).metadata.iptc == records


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
def test_decode_reads_the_stated_resolution_and_invents_none(data, expected):
    found = decode(data, MAX_PIXELS)
    assert found.metadata.dpi == (expected and pytest.approx(expected))
    with open_image(encode(found, found.pages, "same", "keep")) as again:
        assert again.info.get("jfif_density", (1, 1)) == (expected or (1, 1))
        assert (again.info.get("jfif_unit") == 1) == bool(expected)
    for form in ("png", "tiff"):
        assert decode(encode(found, found.pages, form, "keep"), MAX_PIXELS).metadata.dpi == (
            expected and pytest.approx(expected, abs=0.5)
        )


@pytest.mark.parametrize("density", [(0, 1, 1), (0, 2, 1), (0, 72, 72), (1, 300, 150), (2, 118, 118)])
@pytest.mark.parametrize("policy", ["keep", "strip"])
def test_encode_keeps_unit_resolution_and_pixel_aspect_ratio(density, policy):
    data = with_header(*density, extra=ADDED[5])
    with open_image(reencode(data, policy)) as image:
        assert (image.info["jfif_unit"], *image.info["jfif_density"]) == density
    assert (ADDED[5] in reencode(data, policy)) == (policy == "keep")
    found = decode(data, MAX_PIXELS)
    with open_image(encode(found, found.pages, "png", "keep")) as image:
        assert image.info.get("dpi") == {
            1: pytest.approx((300, 150), abs=0.1),
            2: pytest.approx((299.72, 299.72), abs=0.1),
        }.get(density[0])


@pytest.mark.parametrize(("bits", "lossless"), [(12, False), (12, True), (16, True)])
def test_decode_of_more_than_8_bits_refuses_with_unsupported_bit_depth(bits, lossless):
    samples = (np.asarray(make_corpus_photo("L")).astype(np.uint16) << 8) >> (16 - bits)
    data = bytes(imagecodecs.jpeg_encode(samples, level=90, bitspersample=bits, lossless=lossless))
    with pytest.raises(ImageError, match=f"{bits} bits per sample in JPEG") as caught:
        decode(data, MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_BIT_DEPTH
    for end in range(4, 200, 7):
        with pytest.raises(ImageError):
            decode(data[:end], MAX_PIXELS)


def test_encode_of_lossless_jpeg_takes_the_finest_tables():
    for mode in ("L", "RGB"):
        samples = np.asarray(make_corpus_photo(mode))
        found = decode(bytes(imagecodecs.jpeg_encode(samples, lossless=True)), MAX_PIXELS)
        np.testing.assert_array_equal(found.pixels.samples.squeeze(), samples)
        again = decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS)
        assert np.abs(again.pixels.samples.astype(int) - found.pixels.samples).max() <= 1


@pytest.mark.parametrize(("mode", "n_components"), [("L", 1), ("RGB", 3), ("CMYK", 4)])
def test_options_have_the_tables_of_the_file_and_only_writing_refines_them(mode, n_components):
    data = encode_image(make_corpus_photo().convert(mode), "JPEG", quality=30)
    with open_image(data) as image:
        options, known = read_save_options(image), image.quantization
    assert [options["qtables"][0], options["qtables"][-1]] == [list(known[0]), list(known[max(known)])]
    fine = refine_options(options, n_components)["qtables"]
    assert fine[0] == refine_table(known[0], is_chroma=False) != options["qtables"][0]
    assert fine[-1] == refine_table(known[max(known)], is_chroma=mode == "RGB")
