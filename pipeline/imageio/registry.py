"""The one list of photo formats."""

from pipeline.imageio.formats.avif import AvifFormat
from pipeline.imageio.formats.bmp import BmpFormat
from pipeline.imageio.formats.gif import GifFormat
from pipeline.imageio.formats.heif import HeifFormat
from pipeline.imageio.formats.jpeg import JpegFormat
from pipeline.imageio.formats.jpeg2000 import Jpeg2000Format
from pipeline.imageio.formats.jxl import JxlFormat
from pipeline.imageio.formats.png import PngFormat
from pipeline.imageio.formats.ppm import PpmFormat
from pipeline.imageio.formats.tga import TgaFormat
from pipeline.imageio.formats.tiff import TiffFormat
from pipeline.imageio.formats.webp import WebpFormat
from pipeline.imageio.image_format import ImageFormat

FORMATS: tuple[ImageFormat, ...] = (
    PngFormat(),
    JpegFormat(),
    TiffFormat(),
    WebpFormat(),
    AvifFormat(),  # before HEIF: a file of the codec-neutral brand may be either
    Jpeg2000Format(),
    HeifFormat(),
    JxlFormat(),
    GifFormat(),
    BmpFormat(),  # from here on, formats without an unmistakable signature
    PpmFormat(),
    TgaFormat(),
)
"""All formats, in the order in which files are matched with them."""


def detect_format(data: bytes) -> ImageFormat | None:
    """Return the format of a file, judged by its first bytes; None if it has none of `FORMATS`."""
    return next((each for each in FORMATS if each.matches(data)), None)
