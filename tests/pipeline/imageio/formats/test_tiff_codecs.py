"""TIFFs whose pixels are coded by an image codec that states a size of its own."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode
from tests.support.image_files import encode_tiff, make_16bit_samples, make_corpus_photo, make_cutout

MAX_PIXELS = 10**9
LAYOUTS = {
    "one strip": {},
    "strips": {"rowsperstrip": 10},
    "tiles": {"tile": (16, 32)},
    "planes": {"planarconfig": "separate"},
    "big-endian": {"byteorder": ">"},
    "big-endian BigTIFF": {"byteorder": ">", "bigtiff": True},
}
RGB, GREY = np.asarray(make_corpus_photo()), np.asarray(make_corpus_photo("L"))
SAMPLES = {"RGB": RGB, "grey": GREY, "RGBA": np.asarray(make_cutout()), "16-bit RGB": make_16bit_samples(3)}
LOSSLESS = {
    "webp": {"lossless": True},
    "jpegxl": {"lossless": True},
    "jpeg2000": {"reversible": True},
    "lerc": {},
    "zstd": {},
}
HOLDS = {"webp": ("RGB", "RGBA")}


def make_file(compression, samples, arguments, **layout):
    array = SAMPLES[samples]
    if array.ndim == 3 and layout.get("planarconfig") == "separate":
        array = np.moveaxis(array, -1, 0)
    kind = {"photometric": "minisblack" if samples == "grey" else "rgb"}
    extra = {"extrasamples": ["unassalpha"]} if samples == "RGBA" else {}
    return encode_tiff(array, compression=compression, compressionargs=arguments, **kind, **extra, **layout)


def stored(photo):
    pixels = photo.pixels
    return pixels.samples if pixels.alpha is None else np.dstack([pixels.samples, pixels.alpha])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("compression", "samples"),
    [(codec, kind) for codec in LOSSLESS for kind in SAMPLES if kind in HOLDS.get(codec, SAMPLES)],
)
def test_lossless_codec_is_read_exactly_and_written_with_a_common_one(compression, samples, layout):
    if (compression, layout) == ("webp", "planes"):
        pytest.skip("WebP has no single channels")
    if compression != "zstd" and "16" in samples and "big" in layout:
        pytest.skip("tifffile writes such files with swapped bytes")
    data = make_file(compression, samples, LOSSLESS[compression], **LAYOUTS[layout])
    photo = decode(data, MAX_PIXELS)
    expected = SAMPLES[samples] if SAMPLES[samples].ndim == 3 else SAMPLES[samples][:, :, None]
    np.testing.assert_array_equal(stored(photo), expected)
    assert photo.properties["bit_depth"] == expected.dtype.itemsize * 8
    result = encode(photo, photo.pages, "same", "keep")
    np.testing.assert_array_equal(stored(decode(result, MAX_PIXELS)), expected)
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert file.pages[0].compression in (8, 50000), "deflate, or Zstandard as before"
        assert 50674 not in file.pages[0].tags, "parameters of LERC"


@pytest.mark.parametrize("layout", ["one strip", "strips", "tiles"])
@pytest.mark.parametrize("codec", ["webp", "jpegxl", "jpeg2000"])
def test_lossy_codec_is_read(codec, layout):
    photo = decode(
        make_file(codec, "RGB", {"level": 80} if codec != "jpegxl" else {"distance": 1.0}, **LAYOUTS[layout]),
        MAX_PIXELS,
    )
    assert np.abs(photo.pixels.samples.astype(int) - RGB).mean() < 20


@pytest.mark.parametrize("arguments", [{"compression": "deflate"}, {"compression": "zstd"}])
def test_lerc_that_is_compressed_again_is_read(arguments):
    photo = decode(make_file("lerc", "RGB", arguments), MAX_PIXELS)
    np.testing.assert_array_equal(photo.pixels.samples, RGB)


@pytest.mark.parametrize("samples", ["RGB", "grey"])
def test_planar_jpeg_of_rgb_is_read(samples):
    array = np.moveaxis(RGB, -1, 0) if samples == "RGB" else GREY
    photometric = "rgb" if samples == "RGB" else "minisblack"
    data = encode_tiff(
        array,
        photometric,
        compression="jpeg",
        compressionargs={"level": 95, "outcolorspace": "rgb"} if samples == "RGB" else {"level": 95},
        planarconfig="separate" if samples == "RGB" else None,
    )
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        if file.pages[0].photometric == 6:
            pytest.skip("tifffile has written YCbCr")
    photo = decode(data, MAX_PIXELS)
    assert np.abs(photo.pixels.samples.squeeze().astype(int) - (RGB if samples == "RGB" else GREY)).mean() < 8


def test_planar_jpeg_of_ycbcr_is_skipped_and_named():
    data = encode_tiff(
        np.moveaxis(RGB, -1, 0), "ycbcr", compression="jpeg", planarconfig="separate", subsampling=(1, 1)
    )
    with pytest.raises(ImageError, match="coded as JPEG in separate planes of YCbCr") as caught:
        decode(data, MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("compression", ["jpegxr", "png"])
def test_other_codec_is_skipped_and_named(compression):
    with pytest.raises(ImageError, match=rf"compression {compression.upper()} \(\d+\)") as caught:
        decode(encode_tiff(RGB, compression=compression), MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE


def one_strip(content, compression, side=16, bits=8, order="<"):
    """An RGB TIFF of `side` × `side` whose only strip has a content that states its own size."""
    values = {256: side, 257: side, 259: compression, 262: 2, 277: 3, 278: side}
    start = 8 + 2 + 12 * (len(values) + 3) + 4
    entries = [struct.pack(order + "HHIHH", code, 3, 1, value, 0) for code, value in values.items()]
    entries.append(struct.pack(order + "HHII", 258, 3, 3, start))
    entries += [
        struct.pack(order + "HHII", code, 4, 1, value) for code, value in ((273, start + 6), (279, len(content)))
    ]
    directory = b"".join(sorted(entries, key=lambda entry: struct.unpack_from(order + "H", entry)))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    return head + directory + bytes(4) + struct.pack(order + "3H", *[bits] * 3) + content


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("compression", "encoder"),
    [(50002, imagecodecs.jpegxl_encode), (34712, imagecodecs.jpeg2k_encode), (34887, imagecodecs.lerc_encode)],
    ids=["jpegxl", "jpeg2000", "lerc"],
)
def test_codec_with_16_bits_is_read_in_either_byte_order(compression, encoder, order):
    samples = np.ascontiguousarray(make_16bit_samples(3)[:16, :16])
    lossless = {} if compression == 34887 else {"lossless" if compression == 50002 else "reversible": True}
    data = one_strip(bytes(encoder(samples, **lossless)), compression, bits=16, order=order)
    np.testing.assert_array_equal(decode(data, MAX_PIXELS).pixels.samples, samples)


@pytest.mark.parametrize("size", [(600, 600), (8, 8), (8, 32)], ids=["larger", "smaller", "other proportions"])
@pytest.mark.parametrize(
    ("compression", "encoder"),
    [
        (50001, imagecodecs.webp_encode),
        (50002, imagecodecs.jpegxl_encode),
        (34712, imagecodecs.jpeg2k_encode),
        (34887, imagecodecs.lerc_encode),
    ],
    ids=["webp", "jpegxl", "jpeg2000", "lerc"],
)
def test_strip_that_states_another_size_is_skipped_before_it_is_decoded(compression, encoder, size):
    samples = np.zeros((*size, 3), np.uint8)
    given = bytes(encoder(samples))
    with pytest.raises(ImageError, match=rf"states {size[1]} × {size[0]} pixels instead of 16 × 16") as caught:
        decode(one_strip(given, compression), 1000)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE


@pytest.mark.parametrize("compression", ["webp", "jpegxl", "jpeg2000", "lerc"])
def test_damaged_strip_is_damaged(compression):
    data = bytearray(make_file(compression, "RGB", LOSSLESS[compression]))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        start, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    data[start : start + count] = bytes(count)
    with pytest.raises(ImageError) as caught:
        decode(bytes(data), MAX_PIXELS)
    assert caught.value.code is ErrorCode.DAMAGED
