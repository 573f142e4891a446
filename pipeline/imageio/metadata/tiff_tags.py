"""The tags of a TIFF page that are metadata, and which of them a result keeps."""

import struct
from dataclasses import dataclass, field
from typing import Any

from pipeline.imageio.metadata.ifd import ORIENTATION, Ifd, Tag, parse_exif_block, read_orientation, size_tag_values
from pipeline.imageio.metadata.iptc import strip_iptc_location
from pipeline.imageio.metadata.location import LOCATION_TAGS
from pipeline.imageio.metadata.metadata import Metadata, MetadataPolicy, validate_resolution
from pipeline.imageio.metadata.photoshop import strip_resources_gps
from pipeline.imageio.metadata.xmp import set_xmp_size, strip_xmp_gps

RESOLUTION_TAGS = (282, 283, 296)
ICC_TAG, XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG = 34675, 700, 33723, 34377
CREDENTIALS_TAG = 52545
"""The tag of a C2PA manifest store, which signs the original file."""
PIXEL_LAYOUT_TAGS = frozenset(
    (
        *(*range(256, 267), 273, *range(275, 282), 284, *range(288, 296), 317, *range(320, 327), 330, *range(332, 337)),
        *(*range(338, 342), 347, *range(512, 522), *range(529, 533), *range(32995, 32999)),
        50674,  # parameters of LERC
        37724,  # Photoshop's layers, with the original pixels
        CREDENTIALS_TAG,
    )
)
"""Tags that state how pixels are stored, contain pixels themselves, or sign them."""
_CLEANED_TAGS = (
    (XMP_TAG, strip_xmp_gps),
    (IPTC_TAG, strip_iptc_location),
    (PHOTOSHOP_TAG, strip_resources_gps),
)
"""Tags that may contain coordinates besides other things, and what removes them."""
_RENDERING_TAGS = (ICC_TAG, ORIENTATION, *RESOLUTION_TAGS, 254, 255, 286, 287, 297, 301)  # what viewers need


@dataclass(frozen=True)
class PageStyle:
    """How a page is written.

    Attributes:
        tags: all but those that state how the pixels are stored.
        options: of tifffile: compression, predictor, tiles.
    """

    tags: Ifd
    options: dict[str, Any] = field(default_factory=dict)

    def apply_policy(self, policy: MetadataPolicy) -> "PageStyle":
        """Return the style with the tags that a policy keeps."""
        if policy is MetadataPolicy.STRIP:
            tags = Ifd(
                self.tags.byte_order, {code: tag for code, tag in self.tags.tags.items() if code in _RENDERING_TAGS}
            )
            return PageStyle(tags, self.options)
        if policy is MetadataPolicy.STRIP_GPS:
            tags = self.tags.without_tags(LOCATION_TAGS)
            for code, cleaned in _CLEANED_TAGS:
                if tag := tags.tags.pop(code, None):
                    data = cleaned(tag.data)
                    tags.tags |= {} if data is None else {code: Tag(tag.field_type, len(data), data)}
            return PageStyle(tags, self.options)
        return self

    def with_size(self, width: int, height: int) -> "PageStyle":
        """Return the style with this size, in pixels, in all tags that state one."""
        tags = self.tags.with_integers(size_tag_values(width, height))
        if tag := tags.tags.get(XMP_TAG):
            data = set_xmp_size(tag.data, width, height)
            tags.tags[XMP_TAG] = Tag(tag.field_type, len(data), data)
        return PageStyle(tags, self.options)


def metadata_from_tags(tags: Ifd) -> Metadata:
    """Return the metadata of a page, for another format."""
    found = {code: tag.data for code, tag in tags.tags.items()}
    exif = tags.without_tags((ICC_TAG, XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG))
    if ORIENTATION in exif.tags:  # may have another type, which only TIFF readers accept
        exif.tags[ORIENTATION] = Tag(3, 1, struct.pack(tags.byte_order + "H", read_orientation(exif.to_exif_block())))
    block = exif.to_exif_block() if exif.tags or exif.children else None
    return Metadata(found.get(ICC_TAG), block, found.get(XMP_TAG), found.get(IPTC_TAG), _read_dpi(tags))


def read_exif_resolution(exif: bytes) -> tuple[float, float] | None:
    """Return the resolution that an EXIF block states, in dots per inch; None if it states none."""
    found = parse_exif_block(exif)
    return _read_dpi(found) if found else None


def page_style_from_metadata(metadata: Metadata, options: dict[str, Any]) -> PageStyle:
    """Return the style of a page with the metadata of a photo of another format."""
    found = parse_exif_block(metadata.exif) if metadata.exif else None
    tags = Ifd("<") if found is None else found.without_tags(PIXEL_LAYOUT_TAGS)
    for code, kind, data in ((ICC_TAG, 7, metadata.icc), (XMP_TAG, 1, metadata.xmp), (IPTC_TAG, 7, metadata.iptc)):
        if data:
            tags.tags[code] = Tag(kind, len(data), data)
    if metadata.dpi:
        for code, value in zip(RESOLUTION_TAGS[:2], metadata.dpi, strict=True):
            tags.tags[code] = Tag(5, 1, struct.pack(tags.byte_order + "II", round(value * 1000), 1000))
        tags.tags[RESOLUTION_TAGS[2]] = Tag(3, 1, struct.pack(tags.byte_order + "H", 2))
    return PageStyle(tags, options)


def _read_dpi(tags: Ifd) -> tuple[float, float] | None:
    """Return the resolution in dots per inch; None if there is none, or if it is implausible."""
    try:
        across, down = (struct.unpack(tags.byte_order + "II", tags.tags[code].data[:8]) for code in RESOLUTION_TAGS[:2])
        unit = tags.tags.get(RESOLUTION_TAGS[2])
        scale = {2: 1.0, 3: 2.54}[struct.unpack(tags.byte_order + "H", unit.data[:2])[0] if unit else 2]
        return validate_resolution(across[0] / across[1] * scale, down[0] / down[1] * scale)
    except (KeyError, struct.error, ZeroDivisionError):
        return None
