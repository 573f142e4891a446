"""Photos encoded as files of all formats, with and without metadata."""

import io
import struct

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

from deepot.photo.pixels import Pixels
from pipeline.imageio.formats import jxl
from pipeline.imageio.formats.heif import HeifFormat
from pipeline.imageio.metadata.ifd import GPS_IFD, Ifd, Tag
from pipeline.imageio.metadata.metadata import Metadata
from pipeline.imageio.registry import FORMATS
from tests.support.icc_profiles import ADOBE_RGB
from tests.support.photos import make_photo

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'exif:GPSLatitude="52,31.2N" dc:source="box 17"><exif:GPSLongitude>13,24.3E</exif:GPSLongitude>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
ORIENTATION_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
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


def encode_image(image, kind, **options):
    """Return the bytes of a file by Pillow's writer of this name, whose plugin is registered if it has one."""
    for each in FORMATS:
        if each.name == kind:
            each.is_available()
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


def encode_version5_bmp(image, profile):
    """A BMP file of an RGBA image with a profile inside, by its specification."""
    rows = np.asarray(image)[::-1, :, [2, 1, 0, 3]].tobytes()
    head = struct.pack("<I2i2H2I2i2I", 124, *image.size, 1, 32, 3, len(rows), 2835, 2835, 0, 0)
    head += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"DEBM" + bytes(48)
    head += struct.pack("<4I", 4, 124 + len(rows), len(profile), 0)
    return b"BM" + struct.pack("<I4xI", 14 + len(head) + len(rows) + len(profile), 138) + head + rows + profile
