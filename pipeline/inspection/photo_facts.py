"""What one photo is like: its format, size and samples, its quality scores, and the degradation it shows."""

from dataclasses import dataclass

from deepot.forensics import DegradationEstimate, JpegCoding, estimate_degradation
from deepot.photo import QualityScores, score_quality
from pipeline.imageio import DecodedImage

_COLOURS = {1: "grey", 3: "colour", 4: "CMYK"}
_UPRIGHT = (None, 1)


@dataclass(frozen=True)
class PhotoFacts:
    """What is known of a photo.

    Attributes:
        key: its name in the input.
        format: the name of its format, such as `JPEG`.
        width: number of columns of the first page, as stored.
        height: number of rows.
        bit_depth: bits per sample.
        colour: `grey`, `colour` or `CMYK`.
        has_alpha: whether it has transparency.
        has_icc: whether it has an ICC profile.
        is_rotated: whether its EXIF data rotate or mirror it.
        pages: number of pages.
        jpeg_quality: quality of the tables of a JPEG file; None for other formats.
        scores: its quality scores.
        degradation: what happened to it.
    """

    key: str
    format: str
    width: int
    height: int
    bit_depth: int
    colour: str
    has_alpha: bool
    has_icc: bool
    is_rotated: bool
    pages: int
    jpeg_quality: int | None
    scores: QualityScores
    degradation: DegradationEstimate


def examine_photo(key: str, photo: DecodedImage) -> PhotoFacts:
    """Examine the first page of a photo.

    Args:
        key: its name in the input.
        photo: the decoded photo.
    """
    pixels, properties, coding = photo.pixels, photo.properties, read_jpeg_coding(photo)
    return PhotoFacts(
        key,
        str(properties["format"]),
        pixels.width,
        pixels.height,
        int(properties["bit_depth"]),
        _COLOURS[pixels.samples.shape[2]],
        bool(properties["has_alpha"]),
        bool(properties["has_icc"]),
        properties["orientation"] not in _UPRIGHT,
        int(properties["pages"]),
        coding.quality if coding is not None else None,
        score_quality(pixels),
        estimate_degradation(pixels, coding),
    )


def read_jpeg_coding(photo: DecodedImage) -> JpegCoding | None:
    """Return how a JPEG file is coded; None for other formats."""
    options = photo.matching_format.options if photo.matching_format is not None else {}
    tables = options.get("qtables")
    return JpegCoding(tables, is_chroma_subsampled=bool(options.get("subsampling"))) if tables else None
