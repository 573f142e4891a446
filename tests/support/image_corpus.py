"""One photo of every kind that archives hold, made by code; each with what a run must keep of it."""

# ruff: noqa: E501 — the table of kinds reads better with a kind a line

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

from deepot.photo.pixels import Pixels
from pipeline.imageio.formats import jxl
from pipeline.imageio.formats.heif import HeifFormat
from pipeline.imageio.metadata.ifd import GPS_IFD, Ifd, Tag
from pipeline.imageio.metadata.metadata import Metadata
from tests.support.icc_profiles import make_cmyk_profile
from tests.support.photos import make_photo

ADOBE_RGB = bytes(imagecodecs.cms_profile("adobergb"))
DISPLAY_P3 = bytes(
    imagecodecs.cms_profile(
        "rgb", whitepoint=(0.3127, 0.329, 1), primaries=(0.68, 0.32, 1, 0.265, 0.69, 1, 0.15, 0.06, 1), gamma=2.2
    )
)
PROPHOTO = bytes(
    imagecodecs.cms_profile(
        "rgb",
        whitepoint=(0.3457, 0.3585, 1),
        primaries=(0.7347, 0.2653, 1, 0.1596, 0.8404, 1, 0.0366, 0.0001, 1),
        gamma=1.8,
    )
)
GREY_18 = bytes(imagecodecs.cms_profile("gray", whitepoint=(0.3457, 0.3585, 1), gamma=1.8))
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'exif:GPSLatitude="52,31.2N" dc:source="box 17"><exif:GPSLongitude>13,24.3E</exif:GPSLongitude>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
GPS_LATITUDE = (52, 1, 31, 1, 12, 1)
IPTC = b"\x1c\x02\x78\x00\x09A caption" + b"\x1c\x02\x50\x00\x06A name"


def make_exif(orientation=6):
    """An EXIF block with description, orientation, exposure time and coordinates."""
    block = Image.Exif()
    block[0x010E], block[0x0112] = "Street with a tram", orientation
    block.get_ifd(0x8769)[0x829A] = (1, 125)
    block.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return block.tobytes()


@dataclass(frozen=True)
class PhotoKind:
    """A kind of photo.

    Attributes:
        name: of the file.
        make: its bytes.
        keeps: what a result of the same format keeps, besides size and depth: icc, exif, xmp, iptc, dpi, comment, segments, appended, text,
            alpha, pages.
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


def encode_image(image, kind, **options):
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return file.getvalue()


def make_corpus_photo(mode="RGB"):
    return make_photo(1).convert(mode)


def make_cutout(mode="RGBA"):
    """A photo with a transparent left third and a soft border, black where it is transparent."""
    image = make_corpus_photo("RGB")
    alpha = np.tile(np.clip((np.arange(image.width) - 16) * 32, 0, 255).astype(np.uint8), (image.height, 1))
    samples = np.array(image) * (alpha > 0)[:, :, None]
    image = Image.fromarray(samples.astype(np.uint8))
    image.putalpha(Image.fromarray(alpha))
    return image.convert(mode)


def make_16bit_samples(channels):
    """16-bit samples whose lower bytes matter: (H, W, channels)."""
    generator = np.random.default_rng(5)
    samples = np.asarray(make_corpus_photo()).astype(np.uint16) * 256 + generator.integers(
        0, 256, (36, 48, 3), dtype=np.uint16
    )
    more = samples[::-1, :, :1]
    return np.ascontiguousarray(
        np.dstack([samples, more])[:, :, :channels] if channels > 2 else samples[:, :, :channels]
    )


def encode_tiff(array, photometric="rgb", **options):
    with io.BytesIO() as file:
        tifffile.imwrite(file, array, photometric=photometric, metadata=None, software=False, **options)
        return file.getvalue()


def make_cmyka_samples():
    """8-bit CMYK and alpha: (H, W, 5)."""
    return np.dstack([np.asarray(make_corpus_photo("CMYK")), np.asarray(make_cutout())[:, :, 3]])


def encode_tagged_tiff(array, **options):
    """A TIFF with everything, places included."""
    tags = [(GPS_IFD + 1, 4, 1, 0x44332211, True), (33922, 12, 6, (0.0, 0.0, 0.0, 13.4, 52.5, 0.0), True)]
    tags += [(270, 2, 0, "Street with a tram", True), (274, 3, 1, 6, True), (700, 1, len(XMP), XMP, True)]
    tags.append((33723, 7, len(IPTC), IPTC, True))
    data = encode_tiff(array, extratags=tags, resolution=(300, 300), resolutionunit=2, **options)
    gps_ifd = Ifd("<", {1: Tag(2, 2, b"N\0"), 2: Tag(5, 3, struct.pack("<6I", *GPS_LATITUDE)), 29: Tag(2, 4, b"GPS\0")})
    pointer = (
        struct.pack("<HHI", GPS_IFD + 1, 4, 1) + b"\x11\x22\x33\x44"
    )  # tifffile would leave it out under its own code
    assert data.count(pointer) == 1
    return data.replace(pointer, struct.pack("<HHII", GPS_IFD, 4, 1, len(data))) + gps_ifd.to_bytes(len(data))


def encode_multipage_tiff(count=3):
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file) as writer:
            for number in range(count):
                array = np.asarray(make_photo(number, 40 + 8 * number, 24))
                writer.write(array, photometric="rgb", metadata=None, contiguous=False, compression="lzw")
        return file.getvalue()


def encode_tagged_png():
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "Street with a tram")
    info.add_itxt("Beschreibung", "Straße", lang="de")
    info.add(b"gAMA", struct.pack(">I", 45455))
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return encode_image(
        make_corpus_photo(), "PNG", pnginfo=info, dpi=(300, 300), exif=make_exif(), icc_profile=ADOBE_RGB
    )


def make_jpeg_segment(marker, data):
    """A part of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def encode_tagged_jpeg():
    resource = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + struct.pack(">I", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
    return encode_image(
        make_corpus_photo(), "JPEG", quality=91, subsampling="4:2:2", progressive=True, exif=make_exif(), xmp=XMP, icc_profile=DISPLAY_P3,
        dpi=(300, 300), comment=b"scanned 1912", extra=make_jpeg_segment(0xED, resource),
    )  # fmt: skip


def encode_camera_jpeg():
    """With what a thermal camera, an old one and two programs add."""
    added = (
        make_jpeg_segment(0xE1, b"FLIR\0\1\0\0thermal")
        + make_jpeg_segment(0xE2, b"FPXR\0\0\0\0\0")
        + make_jpeg_segment(0xFE, b"exported")
    )
    return encode_image(
        make_corpus_photo(), "JPEG", exif=make_exif(), extra=added, comment=b"scanned 1912", dpi=(180, 180)
    )


def encode_subsampled_jpeg(subsampling):
    return bytes(imagecodecs.jpeg8_encode(np.asarray(make_corpus_photo()), level=90, subsampling=subsampling))


def encode_high_bit_depth_heif(channels, bits, **metadata):
    options = {"quality": 98, "chroma": "444"}
    return HeifFormat().encode(Pixels(make_16bit_samples(channels)), bits, options, Metadata(**metadata))


def encode_p3_avif():
    """Without a profile: with the numbers of H.273 for Display P3."""
    data = encode_image(make_corpus_photo(), "AVIF", quality=90)
    return data.replace(b"colrnclx\0\1\0\x0d", b"colrnclx\0\x0c\0\x0d")


def add_jxl_metadata(data):
    return jxl.with_metadata(data, Metadata(exif=make_exif(1).removeprefix(b"Exif\0\0"), xmp=XMP))


def encode_16bit_png(channels):
    array = make_16bit_samples(channels)
    return bytes(imagecodecs.png_encode(array[:, :, 0] if channels == 1 else array))


def encode_colour_keyed_png():
    """An RGB PNG one of whose colours is declared to be transparent."""
    image = make_corpus_photo()
    image.paste((1, 2, 3), (0, 0, 10, 10))
    return encode_image(image, "PNG", transparency=(1, 2, 3))


ULTRA_HDR_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'xmlns:Container="http://ns.google.com/photos/1.0/container/" dc:source="box 17" hdrgm:Version="1.0">'
    b'<Container:Directory><rdf:Seq><rdf:li Item:Semantic="GainMap" Item:Length="%d"/></rdf:Seq></Container:Directory>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
ISO_GAIN_MAP = make_jpeg_segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0")
GAIN_MAP_XMP = b'<x:xmpmeta><rdf:Description hdrgm:Version="1.0" hdrgm:GainMapMax="2.3"/></x:xmpmeta>'


def encode_gain_map(**options):
    """A small grey JPEG that says what it is."""
    options = {"xmp": GAIN_MAP_XMP, "extra": ISO_GAIN_MAP} | options
    return encode_image(make_corpus_photo("L").resize((24, 18)), "JPEG", **options)


def encode_multi_picture_jpeg(*others, order=">", extra=b"", **options):
    """A JPEG with others behind it, each with its kind, and the index of CIPA DC-007 that leads to them."""
    count = len(others) + 1
    index = struct.pack(order + "2sHI", b"MM" if order == ">" else b"II", 42, 8) + struct.pack(order + "H", 3)
    for tag, kind, size, value in (
        (0xB000, 7, 4, b"0100"),
        (0xB001, 4, 1, struct.pack(order + "I", count)),
        (0xB002, 7, 16 * count, struct.pack(order + "I", 50)),
    ):
        index += struct.pack(order + "HHI4s", tag, kind, size, value)
    index += bytes(4)
    first = encode_image(
        make_corpus_photo(),
        "JPEG",
        extra=make_jpeg_segment(0xE2, b"MPF\0" + index + bytes(16 * count)) + extra,
        **options,
    )
    base, offset = first.index(b"MPF\0") + 4, len(first)
    entries = struct.pack(order + "IIIHH", 0x20030000, len(first), 0, 0, 0)
    for kind, data in others:
        entries += struct.pack(order + "IIIHH", kind, len(data), offset - base, 0, 0)
        offset += len(data)
    first = first[: base + 50] + entries + first[base + 50 + len(entries) :]
    return first + b"".join(data for _, data in others)


def encode_ultra_hdr_jpeg():
    """As phones write it: the gain map in XMP's directory, in the index, and announced as ISO 21496-1 has it."""
    appended = encode_gain_map()
    return encode_multi_picture_jpeg(
        (0, appended), extra=ISO_GAIN_MAP, xmp=ULTRA_HDR_XMP % len(appended), exif=make_exif()
    )


STANDARD_METADATA = frozenset({"icc", "exif", "xmp", "dpi"})
PHOTO_KINDS = (
    PhotoKind("rgb.jpg", lambda: encode_image(make_corpus_photo(), "JPEG", quality=90), lossless=False),
    PhotoKind("full.jpg", encode_tagged_jpeg, STANDARD_METADATA | {"iptc", "comment"}, lossless=False, note="Display P3, progressive, 4:2:2"),
    PhotoKind("camera.jpg", encode_camera_jpeg, frozenset({"exif", "dpi", "comment", "segments"}), lossless=False, note="of a thermal camera"),
    PhotoKind("440.jpg", lambda: encode_subsampled_jpeg("440"), lossless=False, note="4:4:0"),
    PhotoKind("411.jpg", lambda: encode_subsampled_jpeg("411"), lossless=False, note="4:1:1"),
    PhotoKind("rgb-coded.jpg", lambda: encode_image(make_corpus_photo(), "JPEG", keep_rgb=True, quality=90), lossless=False, note="coded as RGB"),
    PhotoKind("ultra-hdr.jpg", encode_ultra_hdr_jpeg, frozenset({"exif", "xmp", "segments", "appended"}), lossless=False, note="Ultra HDR"),
    PhotoKind("grey.jpg", lambda: encode_image(make_corpus_photo("L"), "JPEG", icc_profile=GREY_18), frozenset({"icc"}), lossless=False),
    PhotoKind("cmyk.jpg", lambda: encode_image(make_corpus_photo("CMYK"), "JPEG", quality=95, icc_profile=make_cmyk_profile()), frozenset({"icc"}), lossless=False),
    PhotoKind("plain-cmyk.jpg", lambda: encode_image(make_corpus_photo("CMYK"), "JPEG", quality=95), lossless=False, note="no profile"),
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
    PhotoKind("palette-alpha.png", lambda: encode_image(make_corpus_photo().quantize(32), "PNG", transparency=3), frozenset({"alpha"}), result_mode="RGBA"),
    PhotoKind("keyed.png", encode_colour_keyed_png, frozenset({"alpha"}), result_mode="RGBA", note="one colour transparent"),
    PhotoKind("bilevel.png", lambda: encode_image(make_corpus_photo("1"), "PNG"), result_mode="L"),
    PhotoKind("rgb.tif", lambda: encode_tagged_tiff(np.asarray(make_corpus_photo()), compression="lzw", predictor=True, iccprofile=PROPHOTO),
         STANDARD_METADATA | {"iptc"}, note="ProPhoto, LZW"),
    PhotoKind("tiled.tif", lambda: encode_tiff(np.asarray(make_corpus_photo()), tile=(16, 16), compression="zlib"), note="tiles, deflate"),
    PhotoKind("cmyk.tif", lambda: encode_tiff(np.asarray(make_corpus_photo("CMYK")), "separated", iccprofile=make_cmyk_profile()), frozenset({"icc"})),
    PhotoKind("rgba.tif", lambda: encode_tiff(np.asarray(make_cutout()), extrasamples=["unassalpha"]), frozenset({"alpha"})),
    PhotoKind("grey-alpha.tif", lambda: encode_tiff(np.asarray(make_cutout("LA")), "minisblack", extrasamples=["unassalpha"], planarconfig="contig"), frozenset({"alpha"})),
    PhotoKind("cmyk-alpha.tif", lambda: encode_tiff(make_cmyka_samples(), "separated", extrasamples=["unassalpha"], planarconfig="contig"), frozenset({"alpha"})),
    PhotoKind("16bit-grey-alpha.tif", lambda: encode_tiff(make_16bit_samples(2), "minisblack", extrasamples=["unassalpha"], planarconfig="contig"), frozenset({"alpha"})),
    PhotoKind("16bit-grey.tif", lambda: encode_tiff(make_16bit_samples(1)[:, :, 0], "minisblack", compression="lzw")),
    PhotoKind("16bit-rgb.tif", lambda: encode_tagged_tiff(make_16bit_samples(3), compression="zlib", predictor=True, iccprofile=ADOBE_RGB),
         STANDARD_METADATA | {"iptc"}, note="Adobe RGB, deflate"),
    PhotoKind("16bit-rgba.tif", lambda: encode_tiff(make_16bit_samples(4), extrasamples=["unassalpha"], byteorder=">"), frozenset({"alpha"}), note="big-endian"),
    PhotoKind("16bit-cmyk.tif", lambda: encode_tiff(make_16bit_samples(4), "separated"), note="no profile"),
    PhotoKind("pages.tif", encode_multipage_tiff, frozenset({"pages"}), note="pages of different sizes"),
    PhotoKind("lossless.webp", lambda: encode_image(make_cutout(), "WEBP", lossless=True, exact=True, exif=make_exif(), xmp=XMP, icc_profile=ADOBE_RGB),
         frozenset({"alpha", "icc", "exif", "xmp"})),
    PhotoKind("lossy.webp", lambda: encode_image(make_corpus_photo(), "WEBP", quality=80), lossless=False),
    PhotoKind("rgb.avif", lambda: encode_image(make_corpus_photo(), "AVIF", quality=90, exif=make_exif(), xmp=XMP, icc_profile=DISPLAY_P3),
         frozenset({"icc", "exif", "xmp"}), lossless=False),
    PhotoKind("rgb.jp2", lambda: encode_image(make_corpus_photo(), "JPEG2000", mct=1)),
    PhotoKind("16bit-rgb.jp2", lambda: bytes(imagecodecs.jpeg2k_encode(make_16bit_samples(3), 0, codecformat="jp2", reversible=True))),
    PhotoKind("12bit-grey.jp2", lambda: bytes(
        imagecodecs.jpeg2k_encode(make_16bit_samples(1)[:, :, 0] >> 4, 0, codecformat="jp2", bitspersample=12, reversible=True))),
    PhotoKind("rgb.bmp", lambda: encode_image(make_corpus_photo(), "BMP")),
    PhotoKind("rgb.ppm", lambda: encode_image(make_corpus_photo(), "PPM"), note="colour"),
    PhotoKind("grey.ppm", lambda: encode_image(make_corpus_photo("L"), "PPM"), note="grey"),
    PhotoKind("16bit-rgb.ppm", lambda: b"P6 # a scan\n48 36\n65535\n" + make_16bit_samples(3).astype(">u2").tobytes(), note="colour"),
    PhotoKind("12bit-grey.ppm", lambda: b"P5 48 36 4095\n" + (make_16bit_samples(1) >> 4).astype(">u2").tobytes(), note="grey"),
    PhotoKind("rgba.tga", lambda: encode_image(make_cutout(), "TGA", compression="tga_rle"), frozenset({"alpha"})),
    PhotoKind("rgb.heic", lambda: encode_image(make_corpus_photo(), "HEIF", quality=95, exif=make_exif(1), xmp=XMP, icc_profile=DISPLAY_P3),
         frozenset({"icc", "exif", "xmp"}), lossless=False, required_plugin="pillow_heif"),
    PhotoKind("10bit-rgb.heic", lambda: encode_high_bit_depth_heif(3, 10, icc=DISPLAY_P3, exif=make_exif(1).removeprefix(b"Exif\0\0"), xmp=XMP),
         frozenset({"icc", "exif", "xmp"}), lossless=False, required_plugin="pillow_heif"),
    PhotoKind("12bit-grey.heic", lambda: encode_high_bit_depth_heif(1, 12), lossless=False, required_plugin="pillow_heif"),
    PhotoKind("rgba.avif", lambda: encode_image(make_cutout().resize((96, 72)), "AVIF", quality=90), frozenset({"alpha"}), lossless=False),
    PhotoKind("grey.avif", lambda: encode_image(make_corpus_photo("L"), "AVIF", quality=90), lossless=False),
    PhotoKind("grey-alpha.avif", lambda: encode_image(make_cutout("LA").resize((96, 72)), "AVIF", quality=90, subsampling="4:0:0"),
         frozenset({"alpha"}), lossless=False),
    PhotoKind("grey.heic", lambda: encode_image(make_corpus_photo("L"), "HEIF", quality=95), lossless=False, required_plugin="pillow_heif"),
    PhotoKind("p3.avif", encode_p3_avif, frozenset({"icc"}), lossless=False, note="Display P3 by numbers"),
    PhotoKind("rgb.jxl", lambda: add_jxl_metadata(encode_image(make_corpus_photo(), "JXL", lossless=True)), frozenset({"exif", "xmp"}), required_plugin="pillow_jxl"),
    PhotoKind("lossy.jxl", lambda: encode_image(make_corpus_photo(), "JXL", quality=90), lossless=False, required_plugin="pillow_jxl"),
    PhotoKind("one.png", lambda: encode_image(make_corpus_photo().crop((0, 0, 1, 1)), "PNG"), note="1 × 1"),
)  # fmt: skip


def encode_truncated(kind, **options):
    data = encode_image(make_photo(1, 120, 90), kind, **options)
    return data[: len(data) // 2]


def encode_animation(kind, **options):
    return encode_image(
        make_corpus_photo(), kind, save_all=True, append_images=[make_photo(2), make_photo(3)], **options
    )


ODD_FILES = {
    "animated.webp": (lambda: encode_animation("WEBP"), "skipped", "animated"),
    "animated.png": (lambda: encode_animation("PNG"), "skipped", "animated"),
    "animated.avif": (lambda: encode_animation("AVIF"), "skipped", "animated"),
    "pair.jpg": (
        lambda: encode_multi_picture_jpeg((0x020002, encode_image(make_photo(2), "JPEG"))),
        "skipped",
        "animated",
    ),
    "animated.jxl": (
        lambda: bytes(imagecodecs.jpegxl_encode(np.stack([np.asarray(make_corpus_photo())] * 2))),
        "skipped",
        "animated",
    ),
    "still.gif": (lambda: encode_image(make_corpus_photo("P"), "GIF"), "skipped", "unsupported_format"),
    "icon.ico.png": (lambda: encode_image(make_corpus_photo(), "ICO"), "skipped", "unsupported_format"),
    "10bit.avif": (
        lambda: bytes(imagecodecs.avif_encode(make_16bit_samples(3) >> 6, bitspersample=10)),
        "skipped",
        "unsupported_bit_depth",
    ),
    "lab.tif": (lambda: encode_tiff(np.asarray(make_corpus_photo()), "cielab"), "skipped", "unsupported_mode"),
    "layered.tif": (
        lambda: encode_tiff(np.asarray(make_cutout()), extrasamples=["unspecified"]),
        "skipped",
        "unsupported_mode",
    ),
    "12bit.ppm": (lambda: b"P3 1 1 4095 1 2 3\n", "skipped", "unsupported_bit_depth"),
    "32bit.tif": (lambda: encode_tiff(make_16bit_samples(3).astype(np.uint32)), "skipped", "unsupported_bit_depth"),
    "premultiplied.tif": (
        lambda: encode_tiff(make_16bit_samples(4), extrasamples=["assocalpha"]),
        "skipped",
        "unsupported_mode",
    ),
    "half.png": (lambda: encode_truncated("PNG"), "failed", "damaged"),
    "half.tif": (lambda: encode_truncated("TIFF", compression="tiff_lzw"), "failed", "damaged"),
    "half.webp": (lambda: encode_truncated("WEBP"), "failed", "damaged"),
    "half.jp2": (lambda: encode_image(make_corpus_photo(), "JPEG2000")[:90], "failed", "damaged"),
    "head.jxl": (lambda: b"\xff\x0a\0", "failed", "damaged"),
    "zeros.jpg": (lambda: bytes(5000), "failed", "not_an_image"),
    "<i>&lt;.jpg": (lambda: b"no photo", "failed", "not_an_image"),
    "page.jpg": (lambda: b"<!doctype html><title>404 Not Found</title>", "failed", "not_an_image"),
    "row.png": (lambda: encode_image(make_photo(4, 60_000, 1), "PNG"), "ok", None),
    "column.jpg": (lambda: encode_image(make_photo(4, 1, 60_000), "JPEG"), "ok", None),
    "a folder.jpg/inside.png": (lambda: encode_image(make_corpus_photo(), "PNG"), "ok", None),
    "a PNG.jpg": (lambda: encode_image(make_corpus_photo(), "PNG"), "ok", None),
    " .%23?ü\t😀.png": (lambda: encode_image(make_corpus_photo(), "PNG"), "ok", None),
}
"""Files as archives have them besides photos, by name: what makes them, and status and code of their rows."""
