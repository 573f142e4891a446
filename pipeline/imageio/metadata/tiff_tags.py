"""Tags: what the directory of a TIFF page says besides its pixels, and what of it a result keeps."""

import struct
from dataclasses import dataclass, field
from typing import Any

from pipeline.imageio.metadata.gps import LOCATED
from pipeline.imageio.metadata.ifd import ORIENTATION, Ifd, Tag, of_size, orientation_of, read_block
from pipeline.imageio.metadata.metadata import Metadata, Policy, resolution, xmp_of_size, xmp_without_gps
from pipeline.imageio.metadata.photoshop import resources_without_gps

RESOLUTION = (282, 283, 296)
ICC, XMP, IPTC, PHOTOSHOP = 34675, 700, 33723, 34377
OF_PIXELS = frozenset(
    (
        *(*range(255, 267), 273, *range(275, 282), 284, *range(288, 296), 317, *range(320, 327), 330, *range(332, 337)),
        *(*range(338, 342), 347, *range(512, 522), *range(529, 533), *range(32995, 32999)),
        37724,  # Photoshop's layers: the photo as it was
    )
)
"""Tags that say how pixels are stored, or hold some themselves."""
_SHOWN = (ICC, ORIENTATION, *RESOLUTION, 254, 286, 287, 297, 301)  # what a viewer needs


@dataclass(frozen=True)
class Style:
    """How a page is written.

    Attributes:
        tags: those that are not about how the pixels are stored.
        options: of tifffile: compression, predictor, tiles.
    """

    tags: Ifd
    options: dict[str, Any] = field(default_factory=dict)

    def under(self, policy: Policy) -> "Style":
        """The style with the tags that a policy keeps."""
        if policy is Policy.STRIP:
            tags = Ifd(self.tags.order, {code: tag for code, tag in self.tags.tags.items() if code in _SHOWN})
            return Style(tags, self.options)
        if policy is Policy.STRIP_GPS:
            tags = self.tags.without(LOCATED)
            for code, cleaned in ((XMP, xmp_without_gps), (PHOTOSHOP, resources_without_gps)):
                if tag := tags.tags.pop(code, None):
                    data = cleaned(tag.data)
                    tags.tags |= {} if data is None else {code: Tag(tag.kind, len(data), data)}
            return Style(tags, self.options)
        return self

    def of_size(self, width: int, height: int) -> "Style":
        """The style where its tags say how large the photo is."""
        tags = self.tags.with_numbers(of_size(width, height))
        if tag := tags.tags.get(XMP):
            data = xmp_of_size(tag.data, width, height)
            tags.tags[XMP] = Tag(tag.kind, len(data), data)
        return Style(tags, self.options)


def metadata_of(tags: Ifd) -> Metadata:
    """What a page carries, for another format."""
    found = {code: tag.data for code, tag in tags.tags.items()}
    exif = tags.without((ICC, XMP, IPTC, PHOTOSHOP))
    if ORIENTATION in exif.tags:  # may be of another kind, which TIFF readers take and others do not
        exif.tags[ORIENTATION] = Tag(3, 1, struct.pack(tags.order + "H", orientation_of(exif.block())))
    block = exif.block() if exif.tags or exif.children else None
    return Metadata(found.get(ICC), block, found.get(XMP), found.get(IPTC), _dpi(tags))


def resolution_of(exif: bytes) -> tuple[float, float] | None:
    """The resolution that an EXIF block states, in dots an inch."""
    found = read_block(exif)
    return _dpi(found) if found else None


def style_of(metadata: Metadata, options: dict[str, Any]) -> Style:
    """The style of a page with what a photo of another format carried."""
    found = read_block(metadata.exif) if metadata.exif else None
    tags = Ifd("<") if found is None else found.without(OF_PIXELS)
    for code, kind, data in ((ICC, 7, metadata.icc), (XMP, 1, metadata.xmp), (IPTC, 7, metadata.iptc)):
        if data:
            tags.tags[code] = Tag(kind, len(data), data)
    if metadata.dpi:
        for code, value in zip(RESOLUTION[:2], metadata.dpi, strict=True):
            tags.tags[code] = Tag(5, 1, struct.pack(tags.order + "II", round(value * 1000), 1000))
        tags.tags[RESOLUTION[2]] = Tag(3, 1, struct.pack(tags.order + "H", 2))
    return Style(tags, options)


def _dpi(tags: Ifd) -> tuple[float, float] | None:
    """Resolution in dots an inch."""
    try:
        across, down = (struct.unpack(tags.order + "II", tags.tags[code].data[:8]) for code in RESOLUTION[:2])
        unit = tags.tags.get(RESOLUTION[2])
        scale = {2: 1.0, 3: 2.54}[struct.unpack(tags.order + "H", unit.data[:2])[0] if unit else 2]
        return resolution(across[0] / across[1] * scale, down[0] / down[1] * scale)
    except (KeyError, struct.error, ZeroDivisionError):
        return None
