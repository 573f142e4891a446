"""Metadata: what a photo says of itself, and what of it a result may keep."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipeline.imageio.metadata.gps import strip_exif_gps
from pipeline.imageio.metadata.ifd import make_orientation_exif, size_tag_values, with_integers

TRAILER_KIND = b"appended"
"""The kind of the block that lies behind a JPEG, of which XMP may tell."""
EXIF_HEADER = b"Exif\0\0"
"""Before an EXIF block in JPEGs, and in what Pillow gives and takes."""
# GPSLatitude of EXIF, GpsLatitude of drones, lat and long of RDF's geo vocabulary, decimalLatitude of museums
_GPS_PROPERTY = rb"[\w.-]+:(?:\w*(?:gps|latitude|longt?itude|altitude)\w*|lat|long?)"
# of gain maps, the directory of what is appended, and videos of motion photos
_TRAILER_PROPERTY = rb"(?:hdrgm:[\w.-]+|[\w.-]+:(?:MotionPhoto|MicroVideo)\w*|Container:Directory)"
_ATTRIBUTE = rb"""\s+%s\s*=\s*("[^"]*"|'[^']*')"""
_ELEMENT = rb"<(%s)(?=[\s/>])[^>]*?(?:/>|>.*?</\1\s*>)"
_GPS_ATTRIBUTE, _GPS_ELEMENT, _TRAILER_ATTRIBUTE, _TRAILER_ELEMENT = (
    re.compile(shape % name, re.IGNORECASE | re.DOTALL)
    for name in (_GPS_PROPERTY, _TRAILER_PROPERTY)
    for shape in (_ATTRIBUTE, _ELEMENT)
)

_SIZE_PROPERTY = re.compile(
    rb"""((?:exif:Pixel([XY])Dimension|tiff:Image(Width|Length))\s*(?:=\s*["']|>)\s*)[0-9]+""", re.IGNORECASE
)
_ORIENTATION_PROPERTY = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)[0-9]""")


class MetadataPolicy(StrEnum):
    """What a result keeps.

    KEEP: everything.
    STRIP_GPS: everything but where the photo was taken by its coordinates.
    STRIP: what viewers need to show the photo as before: ICC profile, orientation and resolution.
    """

    KEEP = "keep"
    STRIP_GPS = "strip-gps"
    STRIP = "strip"


@dataclass(frozen=True)
class MetadataBlock:
    """A part of a file that only that format has: a PNG chunk or a JPEG segment, copied as it is.

    Attributes:
        kind: its name.
        data: its content.
        affects_rendering: whether the photo looks different without it.
        may_contain_gps: whether it may hold coordinates.
        gps_free_data: what of a located one holds none; None if all of it has to go.
    """

    kind: bytes
    data: bytes
    affects_rendering: bool = False
    may_contain_gps: bool = False
    gps_free_data: bytes | None = None

    def strip_gps(self) -> "MetadataBlock | None":
        """The block without coordinates; None if nothing is left."""
        if not self.may_contain_gps:
            return self
        return None if self.gps_free_data is None else replace(self, data=self.gps_free_data)


@dataclass(frozen=True)
class Metadata:
    """What a photo carries.

    Attributes:
        icc: its ICC profile.
        exif: its EXIF block, from the TIFF header on.
        xmp: its XMP packet.
        iptc: its IPTC records.
        dpi: its resolution, horizontal and vertical.
        blocks: what only its own format has.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    blocks: tuple[MetadataBlock, ...] = field(default=(), repr=False)

    def apply_policy(self, policy: MetadataPolicy, orientation: int) -> "Metadata":
        """What of it a result keeps.

        Args:
            policy: how much.
            orientation: the EXIF orientation of the photo, 1 to 8.
        """
        if policy is MetadataPolicy.STRIP:
            orientation_exif = make_orientation_exif(orientation) if orientation != 1 else None
            rendering_blocks = tuple(block for block in self.blocks if block.affects_rendering)
            return Metadata(self.icc, orientation_exif, dpi=self.dpi, blocks=rendering_blocks)
        if policy is MetadataPolicy.STRIP_GPS:
            exif = strip_exif_gps(self.exif) if self.exif else None
            xmp = strip_xmp_gps(self.xmp) if self.xmp else None
            return replace(self, exif=exif, xmp=xmp)._with_blocks(
                tuple(filter(None, map(MetadataBlock.strip_gps, self.blocks)))
            )
        return self

    def for_other_format(self) -> "Metadata":
        """What of it another format can hold."""
        return self._with_blocks(())

    def with_size(self, width: int, height: int) -> "Metadata":
        """The same where it says how large the photo is."""
        exif = with_integers(self.exif, size_tag_values(width, height)) if self.exif else None
        return replace(self, exif=exif, xmp=set_xmp_size(self.xmp, width, height) if self.xmp else None)

    def _with_blocks(self, blocks: tuple[MetadataBlock, ...]) -> "Metadata":
        """The same with fewer blocks; where what lies behind the photo goes, XMP tells no more of it."""
        gone = {block.kind for block in self.blocks} - {block.kind for block in blocks}
        return replace(
            self,
            blocks=blocks,
            xmp=_strip_trailer_references(self.xmp) if self.xmp and TRAILER_KIND in gone else self.xmp,
        )


def validate_resolution(across: float, down: float) -> tuple[float, float] | None:
    """A resolution in dots an inch; None for one that no photo has and most formats cannot hold."""
    minimum, maximum = 0.0254, 65535.0  # a dot a metre; what JPEG can say
    return (float(across), float(down)) if minimum <= min(across, down) and max(across, down) <= maximum else None


def strip_xmp_gps(packet: bytes) -> bytes | None:
    """An XMP packet without properties of coordinates; None where some would be left: the packet has to go then."""
    clean = _GPS_ELEMENT.sub(b"", _GPS_ATTRIBUTE.sub(b"", packet))
    return None if mentions_gps(clean) else clean


def set_xmp_size(packet: bytes, width: int, height: int) -> bytes:
    """An XMP packet that gives this size where it gives one."""

    def sized(found: re.Match[bytes]) -> bytes:
        across = (found[2] or found[3]).lower() in (b"x", b"width")
        return found[1] + b"%d" % (width if across else height)

    return _SIZE_PROPERTY.sub(sized, packet)


def reset_xmp_orientation(packet: bytes) -> bytes:
    """An XMP packet that says a photo is to be shown as its pixels are."""
    return _ORIENTATION_PROPERTY.sub(rb"\g<1>1", packet)


def _strip_trailer_references(packet: bytes) -> bytes:
    """An XMP packet that tells of nothing behind the photo."""
    return _TRAILER_ELEMENT.sub(b"", _TRAILER_ATTRIBUTE.sub(b"", packet))


def mentions_gps(data: bytes) -> bool:
    """Whether the letters GPS are in it, one or two bytes each."""
    small = data.lower()
    return any(word in small for word in (b"gps", b"g\0p\0s"))
