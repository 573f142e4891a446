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
from pipeline.imageio.formats import heif, jxl
from pipeline.imageio.metadata.ifd import GPS, Ifd, Tag
from pipeline.imageio.metadata.metadata import Metadata
from tests.support.icc_profiles import cmyk_profile
from tests.support.photos import picture

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
LATITUDE = (52, 1, 31, 1, 12, 1)
IPTC = b"\x1c\x02\x78\x00\x09A caption" + b"\x1c\x02\x50\x00\x06A name"


def exif(orientation=6):
    """An EXIF block with description, orientation, exposure time and coordinates."""
    made = Image.Exif()
    made[0x010E], made[0x0112] = "Street with a tram", orientation
    made.get_ifd(0x8769)[0x829A] = (1, 125)
    made.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return made.tobytes()


@dataclass(frozen=True)
class Kind:
    """A kind of photo.

    Attributes:
        name: of the file.
        make: its bytes.
        keeps: what a result of the same format keeps, besides size and depth: icc, exif, xmp, iptc, dpi, comment, segments, appended, text,
            alpha, pages.
        becomes: the mode of the result; None for that of the photo.
        lossless: whether α = 1 gives a file of the same pixels.
        note: for the table.
        needs: the plugin without which it is skipped.
    """

    name: str
    make: Callable[[], bytes]
    keeps: frozenset[str] = frozenset()
    becomes: str | None = None
    lossless: bool = True
    note: str = ""
    needs: str | None = None


def saved(image, kind, **options):
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return file.getvalue()


def photo(mode="RGB"):
    return picture(1).convert(mode)


def cut_out(mode="RGBA"):
    """A photo with a transparent left third and a soft border, black where it is transparent."""
    image = photo("RGB")
    alpha = np.tile(np.clip((np.arange(image.width) - 16) * 32, 0, 255).astype(np.uint8), (image.height, 1))
    samples = np.array(image) * (alpha > 0)[:, :, None]
    image = Image.fromarray(samples.astype(np.uint8))
    image.putalpha(Image.fromarray(alpha))
    return image.convert(mode)


def deep(channels):
    """16-bit samples whose lower bytes matter: (H, W, channels)."""
    generator = np.random.default_rng(5)
    wide = np.asarray(photo()).astype(np.uint16) * 256 + generator.integers(0, 256, (36, 48, 3), dtype=np.uint16)
    more = wide[::-1, :, :1]
    return np.ascontiguousarray(np.dstack([wide, more])[:, :, :channels] if channels > 2 else wide[:, :, :channels])


def tiff(array, photometric="rgb", **options):
    with io.BytesIO() as file:
        tifffile.imwrite(file, array, photometric=photometric, metadata=None, software=False, **options)
        return file.getvalue()


def five_inks():
    """8-bit CMYK and alpha: (H, W, 5)."""
    return np.dstack([np.asarray(photo("CMYK")), np.asarray(cut_out())[:, :, 3]])


def tagged_tiff(array, **options):
    """A TIFF with everything, places included."""
    tags = [(GPS + 1, 4, 1, 0x44332211, True), (33922, 12, 6, (0.0, 0.0, 0.0, 13.4, 52.5, 0.0), True)]
    tags += [(270, 2, 0, "Street with a tram", True), (274, 3, 1, 6, True), (700, 1, len(XMP), XMP, True)]
    tags.append((33723, 7, len(IPTC), IPTC, True))
    data = tiff(array, extratags=tags, resolution=(300, 300), resolutionunit=2, **options)
    places = Ifd("<", {1: Tag(2, 2, b"N\0"), 2: Tag(5, 3, struct.pack("<6I", *LATITUDE)), 29: Tag(2, 4, b"GPS\0")})
    pointer = struct.pack("<HHI", GPS + 1, 4, 1) + b"\x11\x22\x33\x44"  # tifffile would leave it out under its own code
    assert data.count(pointer) == 1
    return data.replace(pointer, struct.pack("<HHII", GPS, 4, 1, len(data))) + places.dump(len(data))


def pages(count=3):
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file) as writer:
            for number in range(count):
                array = np.asarray(picture(number, 40 + 8 * number, 24))
                writer.write(array, photometric="rgb", metadata=None, contiguous=False, compression="lzw")
        return file.getvalue()


def text_png():
    told = PngImagePlugin.PngInfo()
    told.add_text("Title", "Street with a tram")
    told.add_itxt("Beschreibung", "Straße", lang="de")
    told.add(b"gAMA", struct.pack(">I", 45455))
    told.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return saved(photo(), "PNG", pnginfo=told, dpi=(300, 300), exif=exif(), icc_profile=ADOBE_RGB)


def segment(marker, data):
    """A part of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def iptc_jpeg():
    resource = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + struct.pack(">I", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
    return saved(
        photo(), "JPEG", quality=91, subsampling="4:2:2", progressive=True, exif=exif(), xmp=XMP, icc_profile=DISPLAY_P3,
        dpi=(300, 300), comment=b"scanned 1912", extra=segment(0xED, resource),
    )  # fmt: skip


def camera_jpeg():
    """With what a thermal camera, an old one and two programs add."""
    added = segment(0xE1, b"FLIR\0\1\0\0thermal") + segment(0xE2, b"FPXR\0\0\0\0\0") + segment(0xFE, b"exported")
    return saved(photo(), "JPEG", exif=exif(), extra=added, comment=b"scanned 1912", dpi=(180, 180))


def sampled_jpeg(subsampling):
    return bytes(imagecodecs.jpeg8_encode(np.asarray(photo()), level=90, subsampling=subsampling))


def deep_heif(channels, bits, **carried):
    return heif.encode16(Pixels(deep(channels)), bits, {"quality": 98, "chroma": "444"}, carried)


def p3_avif():
    """Without a profile: with the numbers of H.273 for Display P3."""
    data = saved(photo(), "AVIF", quality=90)
    return data.replace(b"colrnclx\0\1\0\x0d", b"colrnclx\0\x0c\0\x0d")


def tagged_jxl(data):
    return jxl.with_metadata(data, Metadata(exif=exif(1).removeprefix(b"Exif\0\0"), xmp=XMP))


def sixteen(channels):
    array = deep(channels)
    return bytes(imagecodecs.png_encode(array[:, :, 0] if channels == 1 else array))


def keyed():
    """An RGB PNG one of whose colours is declared to be transparent."""
    image = photo()
    image.paste((1, 2, 3), (0, 0, 10, 10))
    return saved(image, "PNG", transparency=(1, 2, 3))


HDR_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'xmlns:Container="http://ns.google.com/photos/1.0/container/" dc:source="box 17" hdrgm:Version="1.0">'
    b'<Container:Directory><rdf:Seq><rdf:li Item:Semantic="GainMap" Item:Length="%d"/></rdf:Seq></Container:Directory>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
ISO_GAIN_MAP = segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0")
MAP_XMP = b'<x:xmpmeta><rdf:Description hdrgm:Version="1.0" hdrgm:GainMapMax="2.3"/></x:xmpmeta>'


def gain_map(**options):
    """A small grey JPEG that says what it is."""
    options = {"xmp": MAP_XMP, "extra": ISO_GAIN_MAP} | options
    return saved(photo("L").resize((24, 18)), "JPEG", **options)


def with_pictures(*others, order=">", extra=b"", **options):
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
    first = saved(photo(), "JPEG", extra=segment(0xE2, b"MPF\0" + index + bytes(16 * count)) + extra, **options)
    base, place = first.index(b"MPF\0") + 4, len(first)
    entries = struct.pack(order + "IIIHH", 0x20030000, len(first), 0, 0, 0)
    for kind, data in others:
        entries += struct.pack(order + "IIIHH", kind, len(data), place - base, 0, 0)
        place += len(data)
    first = first[: base + 50] + entries + first[base + 50 + len(entries) :]
    return first + b"".join(data for _, data in others)


def ultra_hdr():
    """As phones write it: the gain map in XMP's directory, in the index, and announced as ISO 21496-1 has it."""
    appended = gain_map()
    return with_pictures((0, appended), extra=ISO_GAIN_MAP, xmp=HDR_XMP % len(appended), exif=exif())


EVERYTHING = frozenset({"icc", "exif", "xmp", "dpi"})
KINDS = (
    Kind("rgb.jpg", lambda: saved(photo(), "JPEG", quality=90), lossless=False),
    Kind("full.jpg", iptc_jpeg, EVERYTHING | {"iptc", "comment"}, lossless=False, note="Display P3, progressive, 4:2:2"),
    Kind("camera.jpg", camera_jpeg, frozenset({"exif", "dpi", "comment", "segments"}), lossless=False, note="of a thermal camera"),
    Kind("440.jpg", lambda: sampled_jpeg("440"), lossless=False, note="4:4:0"),
    Kind("411.jpg", lambda: sampled_jpeg("411"), lossless=False, note="4:1:1"),
    Kind("rgb-coded.jpg", lambda: saved(photo(), "JPEG", keep_rgb=True, quality=90), lossless=False, note="coded as RGB"),
    Kind("ultra-hdr.jpg", ultra_hdr, frozenset({"exif", "xmp", "segments", "appended"}), lossless=False, note="Ultra HDR"),
    Kind("grey.jpg", lambda: saved(photo("L"), "JPEG", icc_profile=GREY_18), frozenset({"icc"}), lossless=False),
    Kind("cmyk.jpg", lambda: saved(photo("CMYK"), "JPEG", quality=95, icc_profile=cmyk_profile()), frozenset({"icc"}), lossless=False),
    Kind("plain-cmyk.jpg", lambda: saved(photo("CMYK"), "JPEG", quality=95), lossless=False, note="no profile"),
    Kind("rgb.png", lambda: saved(photo(), "PNG")),
    Kind("full.png", text_png, EVERYTHING | {"text"}, note="Adobe RGB"),
    Kind("grey.png", lambda: saved(photo("L"), "PNG")),
    Kind("grey-alpha.png", lambda: saved(cut_out("LA"), "PNG"), frozenset({"alpha"})),
    Kind("rgba.png", lambda: saved(cut_out(), "PNG"), frozenset({"alpha"})),
    Kind("16bit-grey.png", lambda: sixteen(1)),
    Kind("16bit-grey-alpha.png", lambda: sixteen(2), frozenset({"alpha"})),
    Kind("16bit-rgb.png", lambda: sixteen(3)),
    Kind("16bit-rgba.png", lambda: sixteen(4), frozenset({"alpha"})),
    Kind("palette.png", lambda: saved(photo().quantize(32), "PNG"), becomes="RGB"),
    Kind("palette-alpha.png", lambda: saved(photo().quantize(32), "PNG", transparency=3), frozenset({"alpha"}), becomes="RGBA"),
    Kind("keyed.png", keyed, frozenset({"alpha"}), becomes="RGBA", note="one colour transparent"),
    Kind("bilevel.png", lambda: saved(photo("1"), "PNG"), becomes="L"),
    Kind("rgb.tif", lambda: tagged_tiff(np.asarray(photo()), compression="lzw", predictor=True, iccprofile=PROPHOTO),
         EVERYTHING | {"iptc"}, note="ProPhoto, LZW"),
    Kind("tiled.tif", lambda: tiff(np.asarray(photo()), tile=(16, 16), compression="zlib"), note="tiles, deflate"),
    Kind("cmyk.tif", lambda: tiff(np.asarray(photo("CMYK")), "separated", iccprofile=cmyk_profile()), frozenset({"icc"})),
    Kind("rgba.tif", lambda: tiff(np.asarray(cut_out()), extrasamples=["unassalpha"]), frozenset({"alpha"})),
    Kind("grey-alpha.tif", lambda: tiff(np.asarray(cut_out("LA")), "minisblack", extrasamples=["unassalpha"], planarconfig="contig"), frozenset({"alpha"})),
    Kind("cmyk-alpha.tif", lambda: tiff(five_inks(), "separated", extrasamples=["unassalpha"], planarconfig="contig"), frozenset({"alpha"})),
    Kind("16bit-grey-alpha.tif", lambda: tiff(deep(2), "minisblack", extrasamples=["unassalpha"], planarconfig="contig"), frozenset({"alpha"})),
    Kind("16bit-grey.tif", lambda: tiff(deep(1)[:, :, 0], "minisblack", compression="lzw")),
    Kind("16bit-rgb.tif", lambda: tagged_tiff(deep(3), compression="zlib", predictor=True, iccprofile=ADOBE_RGB),
         EVERYTHING | {"iptc"}, note="Adobe RGB, deflate"),
    Kind("16bit-rgba.tif", lambda: tiff(deep(4), extrasamples=["unassalpha"], byteorder=">"), frozenset({"alpha"}), note="big-endian"),
    Kind("16bit-cmyk.tif", lambda: tiff(deep(4), "separated"), note="no profile"),
    Kind("pages.tif", pages, frozenset({"pages"}), note="pages of different sizes"),
    Kind("lossless.webp", lambda: saved(cut_out(), "WEBP", lossless=True, exact=True, exif=exif(), xmp=XMP, icc_profile=ADOBE_RGB),
         frozenset({"alpha", "icc", "exif", "xmp"})),
    Kind("lossy.webp", lambda: saved(photo(), "WEBP", quality=80), lossless=False),
    Kind("rgb.avif", lambda: saved(photo(), "AVIF", quality=90, exif=exif(), xmp=XMP, icc_profile=DISPLAY_P3),
         frozenset({"icc", "exif", "xmp"}), lossless=False),
    Kind("rgb.jp2", lambda: saved(photo(), "JPEG2000", mct=1)),
    Kind("16bit-rgb.jp2", lambda: bytes(imagecodecs.jpeg2k_encode(deep(3), 0, codecformat="jp2", reversible=True))),
    Kind("12bit-grey.jp2", lambda: bytes(
        imagecodecs.jpeg2k_encode(deep(1)[:, :, 0] >> 4, 0, codecformat="jp2", bitspersample=12, reversible=True))),
    Kind("rgb.bmp", lambda: saved(photo(), "BMP")),
    Kind("rgb.ppm", lambda: saved(photo(), "PPM"), note="colour"),
    Kind("grey.ppm", lambda: saved(photo("L"), "PPM"), note="grey"),
    Kind("16bit-rgb.ppm", lambda: b"P6 # a scan\n48 36\n65535\n" + deep(3).astype(">u2").tobytes(), note="colour"),
    Kind("12bit-grey.ppm", lambda: b"P5 48 36 4095\n" + (deep(1) >> 4).astype(">u2").tobytes(), note="grey"),
    Kind("rgba.tga", lambda: saved(cut_out(), "TGA", compression="tga_rle"), frozenset({"alpha"})),
    Kind("rgb.heic", lambda: saved(photo(), "HEIF", quality=95, exif=exif(1), xmp=XMP, icc_profile=DISPLAY_P3),
         frozenset({"icc", "exif", "xmp"}), lossless=False, needs="pillow_heif"),
    Kind("10bit-rgb.heic", lambda: deep_heif(3, 10, icc_profile=DISPLAY_P3, exif=exif(1), xmp=XMP),
         frozenset({"icc", "exif", "xmp"}), lossless=False, needs="pillow_heif"),
    Kind("12bit-grey.heic", lambda: deep_heif(1, 12), lossless=False, needs="pillow_heif"),
    Kind("rgba.avif", lambda: saved(cut_out().resize((96, 72)), "AVIF", quality=90), frozenset({"alpha"}), lossless=False),
    Kind("grey.avif", lambda: saved(photo("L"), "AVIF", quality=90), lossless=False),
    Kind("grey-alpha.avif", lambda: saved(cut_out("LA").resize((96, 72)), "AVIF", quality=90, subsampling="4:0:0"),
         frozenset({"alpha"}), lossless=False),
    Kind("grey.heic", lambda: saved(photo("L"), "HEIF", quality=95), lossless=False, needs="pillow_heif"),
    Kind("p3.avif", p3_avif, frozenset({"icc"}), lossless=False, note="Display P3 by numbers"),
    Kind("rgb.jxl", lambda: tagged_jxl(saved(photo(), "JXL", lossless=True)), frozenset({"exif", "xmp"}), needs="pillow_jxl"),
    Kind("lossy.jxl", lambda: saved(photo(), "JXL", quality=90), lossless=False, needs="pillow_jxl"),
    Kind("one.png", lambda: saved(photo().crop((0, 0, 1, 1)), "PNG"), note="1 × 1"),
)  # fmt: skip


def truncated(kind, **options):
    data = saved(picture(1, 120, 90), kind, **options)
    return data[: len(data) // 2]


def frames(kind, **options):
    return saved(photo(), kind, save_all=True, append_images=[picture(2), picture(3)], **options)


ODD = {
    "animated.webp": (lambda: frames("WEBP"), "skipped", "animated"),
    "animated.png": (lambda: frames("PNG"), "skipped", "animated"),
    "animated.avif": (lambda: frames("AVIF"), "skipped", "animated"),
    "pair.jpg": (lambda: with_pictures((0x020002, saved(picture(2), "JPEG"))), "skipped", "animated"),
    "animated.jxl": (
        lambda: bytes(imagecodecs.jpegxl_encode(np.stack([np.asarray(photo())] * 2))),
        "skipped",
        "animated",
    ),
    "still.gif": (lambda: saved(photo("P"), "GIF"), "skipped", "unsupported_format"),
    "icon.ico.png": (lambda: saved(photo(), "ICO"), "skipped", "unsupported_format"),
    "10bit.avif": (
        lambda: bytes(imagecodecs.avif_encode(deep(3) >> 6, bitspersample=10)),
        "skipped",
        "unsupported_bit_depth",
    ),
    "lab.tif": (lambda: tiff(np.asarray(photo()), "cielab"), "skipped", "unsupported_mode"),
    "layered.tif": (lambda: tiff(np.asarray(cut_out()), extrasamples=["unspecified"]), "skipped", "unsupported_mode"),
    "12bit.ppm": (lambda: b"P3 1 1 4095 1 2 3\n", "skipped", "unsupported_bit_depth"),
    "32bit.tif": (lambda: tiff(deep(3).astype(np.uint32)), "skipped", "unsupported_bit_depth"),
    "premultiplied.tif": (lambda: tiff(deep(4), extrasamples=["assocalpha"]), "skipped", "unsupported_mode"),
    "half.png": (lambda: truncated("PNG"), "failed", "damaged"),
    "half.tif": (lambda: truncated("TIFF", compression="tiff_lzw"), "failed", "damaged"),
    "half.webp": (lambda: truncated("WEBP"), "failed", "damaged"),
    "half.jp2": (lambda: saved(photo(), "JPEG2000")[:90], "failed", "damaged"),
    "head.jxl": (lambda: b"\xff\x0a\0", "failed", "damaged"),
    "zeros.jpg": (lambda: bytes(5000), "failed", "not_an_image"),
    "<i>&lt;.jpg": (lambda: b"no photo", "failed", "not_an_image"),
    "page.jpg": (lambda: b"<!doctype html><title>404 Not Found</title>", "failed", "not_an_image"),
    "row.png": (lambda: saved(picture(4, 60_000, 1), "PNG"), "ok", None),
    "column.jpg": (lambda: saved(picture(4, 1, 60_000), "JPEG"), "ok", None),
    "a folder.jpg/inside.png": (lambda: saved(photo(), "PNG"), "ok", None),
    "a PNG.jpg": (lambda: saved(photo(), "PNG"), "ok", None),
    " .%23?ü\t😀.png": (lambda: saved(photo(), "PNG"), "ok", None),
}
"""Files as archives have them besides photos, by name: what makes them, and status and code of their rows."""
