"""One photo of every kind that archives have, made by code; each with what a run must keep of it."""

from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
import pytest

from tests.support.icc_profiles import ADOBE_RGB, DISPLAY_P3, GREY_18, PROPHOTO, make_cmyk_profile, make_scanner_profile
from tests.support.image_files import (
    XMP,
    add_jxl_metadata,
    encode_16bit_png,
    encode_colour_keyed_png,
    encode_high_bit_depth_heif,
    encode_image,
    encode_multipage_tiff,
    encode_p3_avif,
    encode_tagged_png,
    encode_tagged_tiff,
    encode_tiff,
    encode_version5_bmp,
    make_16bit_samples,
    make_cmyka_samples,
    make_corpus_photo,
    make_cutout,
    make_exif,
)
from tests.support.jpeg_files import (
    encode_adobe_rgb_jpeg,
    encode_camera_jpeg,
    encode_subsampled_jpeg,
    encode_tagged_jpeg,
    encode_ultra_hdr_jpeg,
)
from tests.support.tiff_files import encode_pyramid_tiff


@dataclass(frozen=True)
class PhotoKind:
    """A kind of photo.

    Attributes:
        name: of the file.
        make: its bytes.
        keeps: what a result of the same format keeps, besides size and depth: icc, exif, xmp, iptc, dpi, comment,
            segments, appended, text, alpha, pages, other_pages.
        result_mode: the mode of the result; None for that of the photo.
        lossless: whether α = 1 gives a file of the same pixels.
        note: for the table.
        required_plugin: the plugin without which it is skipped.
    """

    name: str
    make: Callable[[], bytes]
    keeps: frozenset[str] = frozenset()
    result_mode: str | None = None
    lossless: bool = True
    note: str = ""
    required_plugin: str | None = None


STANDARD_METADATA = frozenset({"icc", "exif", "xmp", "dpi"})
PHOTO_KINDS = (
    PhotoKind("rgb.jpg", lambda: encode_image(make_corpus_photo(), "JPEG", quality=90), lossless=False),
    PhotoKind(
        "full.jpg",
        encode_tagged_jpeg,
        STANDARD_METADATA | {"iptc", "comment"},
        lossless=False,
        note="Display P3, progressive, 4:2:2",
    ),
    PhotoKind(
        "adobe-rgb.jpg",
        lambda: encode_adobe_rgb_jpeg(orientation=1),
        frozenset({"icc"}),
        lossless=False,
        note="Adobe RGB by EXIF",
    ),
    PhotoKind(
        "camera.jpg",
        encode_camera_jpeg,
        frozenset({"exif", "dpi", "comment", "segments"}),
        lossless=False,
        note="of a thermal camera",
    ),
    PhotoKind("440.jpg", lambda: encode_subsampled_jpeg("440"), lossless=False, note="4:4:0"),
    PhotoKind("411.jpg", lambda: encode_subsampled_jpeg("411"), lossless=False, note="4:1:1"),
    PhotoKind(
        "rgb-coded.jpg",
        lambda: encode_image(make_corpus_photo(), "JPEG", keep_rgb=True, quality=90),
        lossless=False,
        note="coded as RGB",
    ),
    PhotoKind(
        "ultra-hdr.jpg",
        encode_ultra_hdr_jpeg,
        frozenset({"exif", "xmp", "segments", "appended"}),
        lossless=False,
        note="Ultra HDR",
    ),
    PhotoKind(
        "grey.jpg",
        lambda: encode_image(make_corpus_photo("L"), "JPEG", icc_profile=GREY_18),
        frozenset({"icc"}),
        lossless=False,
    ),
    PhotoKind(
        "scanner.jpg",
        lambda: encode_image(make_corpus_photo(), "JPEG", quality=95, icc_profile=make_scanner_profile()),
        frozenset({"icc"}),
        lossless=False,
        note="with a scanner's profile",
    ),
    PhotoKind(
        "cmyk.jpg",
        lambda: encode_image(make_corpus_photo("CMYK"), "JPEG", quality=95, icc_profile=make_cmyk_profile()),
        frozenset({"icc"}),
        lossless=False,
    ),
    PhotoKind(
        "plain-cmyk.jpg",
        lambda: encode_image(make_corpus_photo("CMYK"), "JPEG", quality=95),
        lossless=False,
        note="no profile",
    ),
    PhotoKind("rgb.png", lambda: encode_image(make_corpus_photo(), "PNG")),
    PhotoKind("full.png", encode_tagged_png, STANDARD_METADATA | {"text"}, note="Adobe RGB"),
    PhotoKind("grey.png", lambda: encode_image(make_corpus_photo("L"), "PNG")),
    PhotoKind("grey-alpha.png", lambda: encode_image(make_cutout("LA"), "PNG"), frozenset({"alpha"})),
    PhotoKind("rgba.png", lambda: encode_image(make_cutout(), "PNG"), frozenset({"alpha"})),
    PhotoKind("16bit-grey.png", lambda: encode_16bit_png(1)),
    PhotoKind("16bit-grey-alpha.png", lambda: encode_16bit_png(2), frozenset({"alpha"})),
    PhotoKind("16bit-rgb.png", lambda: encode_16bit_png(3)),
    PhotoKind("16bit-rgba.png", lambda: encode_16bit_png(4), frozenset({"alpha"})),
    PhotoKind("palette.png", lambda: encode_image(make_corpus_photo().quantize(32), "PNG"), result_mode="RGB"),
    PhotoKind(
        "palette-alpha.png",
        lambda: encode_image(make_corpus_photo().quantize(32), "PNG", transparency=3),
        frozenset({"alpha"}),
        result_mode="RGBA",
    ),
    PhotoKind(
        "keyed.png", encode_colour_keyed_png, frozenset({"alpha"}), result_mode="RGBA", note="one colour transparent"
    ),
    PhotoKind("bilevel.png", lambda: encode_image(make_corpus_photo("1"), "PNG"), result_mode="L"),
    PhotoKind(
        "rgb.tif",
        lambda: encode_tagged_tiff(
            np.asarray(make_corpus_photo()), compression="lzw", predictor=True, iccprofile=PROPHOTO
        ),
        STANDARD_METADATA | {"iptc"},
        note="ProPhoto, LZW",
    ),
    PhotoKind(
        "tiled.tif",
        lambda: encode_tiff(np.asarray(make_corpus_photo()), tile=(16, 16), compression="zlib"),
        note="tiles, deflate",
    ),
    PhotoKind(
        "cmyk.tif",
        lambda: encode_tiff(np.asarray(make_corpus_photo("CMYK")), "separated", iccprofile=make_cmyk_profile()),
        frozenset({"icc"}),
    ),
    PhotoKind(
        "rgba.tif", lambda: encode_tiff(np.asarray(make_cutout()), extrasamples=["unassalpha"]), frozenset({"alpha"})
    ),
    PhotoKind(
        "grey-alpha.tif",
        lambda: encode_tiff(
            np.asarray(make_cutout("LA")), "minisblack", extrasamples=["unassalpha"], planarconfig="contig"
        ),
        frozenset({"alpha"}),
    ),
    PhotoKind(
        "cmyk-alpha.tif",
        lambda: encode_tiff(make_cmyka_samples(), "separated", extrasamples=["unassalpha"], planarconfig="contig"),
        frozenset({"alpha"}),
    ),
    PhotoKind(
        "16bit-grey-alpha.tif",
        lambda: encode_tiff(make_16bit_samples(2), "minisblack", extrasamples=["unassalpha"], planarconfig="contig"),
        frozenset({"alpha"}),
    ),
    PhotoKind("16bit-grey.tif", lambda: encode_tiff(make_16bit_samples(1)[:, :, 0], "minisblack", compression="lzw")),
    PhotoKind(
        "16bit-rgb.tif",
        lambda: encode_tagged_tiff(make_16bit_samples(3), compression="zlib", predictor=True, iccprofile=ADOBE_RGB),
        STANDARD_METADATA | {"iptc"},
        note="Adobe RGB, deflate",
    ),
    PhotoKind(
        "16bit-rgba.tif",
        lambda: encode_tiff(make_16bit_samples(4), extrasamples=["unassalpha"], byteorder=">"),
        frozenset({"alpha"}),
        note="big-endian",
    ),
    PhotoKind("16bit-cmyk.tif", lambda: encode_tiff(make_16bit_samples(4), "separated"), note="no profile"),
    PhotoKind("pages.tif", encode_multipage_tiff, frozenset({"pages"}), note="pages of different sizes"),
    PhotoKind("pyramid.tif", encode_pyramid_tiff, frozenset({"other_pages"}), note="pyramid and mask"),
    PhotoKind(
        "webp-coded.tif",
        lambda: encode_tiff(np.asarray(make_corpus_photo()), compression="webp", compressionargs={"lossless": True}),
        note="coded as WebP",
    ),
    PhotoKind(
        "lossless.webp",
        lambda: encode_image(
            make_cutout(), "WEBP", lossless=True, exact=True, exif=make_exif(), xmp=XMP, icc_profile=ADOBE_RGB
        ),
        frozenset({"alpha", "icc", "exif", "xmp"}),
    ),
    PhotoKind("lossy.webp", lambda: encode_image(make_corpus_photo(), "WEBP", quality=80), lossless=False),
    PhotoKind(
        "rgb.avif",
        lambda: encode_image(
            make_corpus_photo(), "AVIF", quality=90, exif=make_exif(), xmp=XMP, icc_profile=DISPLAY_P3
        ),
        frozenset({"icc", "exif", "xmp"}),
        lossless=False,
    ),
    PhotoKind("rgb.jp2", lambda: encode_image(make_corpus_photo(), "JPEG2000", mct=1)),
    PhotoKind(
        "16bit-rgb.jp2",
        lambda: bytes(imagecodecs.jpeg2k_encode(make_16bit_samples(3), 0, codecformat="jp2", reversible=True)),
    ),
    PhotoKind(
        "12bit-grey.jp2",
        lambda: bytes(
            imagecodecs.jpeg2k_encode(
                make_16bit_samples(1)[:, :, 0] >> 4, 0, codecformat="jp2", bitspersample=12, reversible=True
            )
        ),
    ),
    PhotoKind(
        "tiles.jp2",
        lambda: encode_image(
            make_corpus_photo(), "JPEG2000", mct=1, tile_size=(32, 32), progression="RPCL", quality_layers=[10, 1]
        ),
        note="tiles, layers",
    ),
    PhotoKind("rgb.bmp", lambda: encode_image(make_corpus_photo(), "BMP")),
    PhotoKind(
        "rgba.bmp",
        lambda: encode_version5_bmp(make_cutout(), DISPLAY_P3),
        frozenset({"alpha", "icc"}),
        note="version 5",
    ),
    PhotoKind("rgb.ppm", lambda: encode_image(make_corpus_photo(), "PPM"), note="colour"),
    PhotoKind("grey.ppm", lambda: encode_image(make_corpus_photo("L"), "PPM"), note="grey"),
    PhotoKind(
        "16bit-rgb.ppm",
        lambda: b"P6 # a scan\n48 36\n65535\n" + make_16bit_samples(3).astype(">u2").tobytes(),
        note="colour",
    ),
    PhotoKind(
        "12bit-grey.ppm", lambda: b"P5 48 36 4095\n" + (make_16bit_samples(1) >> 4).astype(">u2").tobytes(), note="grey"
    ),
    PhotoKind("rgba.tga", lambda: encode_image(make_cutout(), "TGA", compression="tga_rle"), frozenset({"alpha"})),
    PhotoKind(
        "rgb.heic",
        lambda: encode_image(
            make_corpus_photo(), "HEIF", quality=95, exif=make_exif(1), xmp=XMP, icc_profile=DISPLAY_P3
        ),
        frozenset({"icc", "exif", "xmp"}),
        lossless=False,
        required_plugin="pillow_heif",
    ),
    PhotoKind(
        "10bit-rgb.heic",
        lambda: encode_high_bit_depth_heif(3, 10, icc=DISPLAY_P3, exif=make_exif(1).removeprefix(b"Exif\0\0"), xmp=XMP),
        frozenset({"icc", "exif", "xmp"}),
        lossless=False,
        required_plugin="pillow_heif",
    ),
    PhotoKind(
        "12bit-grey.heic", lambda: encode_high_bit_depth_heif(1, 12), lossless=False, required_plugin="pillow_heif"
    ),
    PhotoKind(
        "rgba.avif",
        lambda: encode_image(make_cutout().resize((96, 72)), "AVIF", quality=90),
        frozenset({"alpha"}),
        lossless=False,
    ),
    PhotoKind("grey.avif", lambda: encode_image(make_corpus_photo("L"), "AVIF", quality=90), lossless=False),
    PhotoKind(
        "grey-alpha.avif",
        lambda: encode_image(make_cutout("LA").resize((96, 72)), "AVIF", quality=90, subsampling="4:0:0"),
        frozenset({"alpha"}),
        lossless=False,
    ),
    PhotoKind(
        "grey.heic",
        lambda: encode_image(make_corpus_photo("L"), "HEIF", quality=95),
        lossless=False,
        required_plugin="pillow_heif",
    ),
    PhotoKind("p3.avif", encode_p3_avif, frozenset({"icc"}), lossless=False, note="Display P3 by numbers"),
    PhotoKind(
        "rgb.jxl",
        lambda: add_jxl_metadata(encode_image(make_corpus_photo(), "JXL", lossless=True)),
        frozenset({"exif", "xmp"}),
        required_plugin="pillow_jxl",
    ),
    PhotoKind(
        "lossy.jxl",
        lambda: encode_image(make_corpus_photo(), "JXL", quality=90),
        lossless=False,
        required_plugin="pillow_jxl",
    ),
    PhotoKind("one.png", lambda: encode_image(make_corpus_photo().crop((0, 0, 1, 1)), "PNG"), note="1 × 1"),
)


def make_kind(kind):
    """Return the bytes of a kind of photo; skips the test if its plugin is not installed."""
    if kind.required_plugin:
        pytest.importorskip(kind.required_plugin)
    return kind.make()
