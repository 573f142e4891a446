"""Metadata: what a photo says of itself, and what of it a result may keep."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipeline.formats.ifd import orientation_alone, without_gps

EXIF_HEAD = b"Exif\0\0"
"""Before an EXIF block in JPEGs, and in what Pillow gives and takes."""
# GPSLatitude of EXIF, GpsLatitude of drones, lat and long of RDF's geo vocabulary, decimalLatitude of museums
_PLACED = rb"[\w.-]+:(?:\w*(?:gps|latitude|longt?itude|altitude)\w*|lat|long?)"
_GPS_ATTRIBUTE = re.compile(rb"""\s+%s\s*=\s*("[^"]*"|'[^']*')""" % _PLACED, re.IGNORECASE)
_GPS_ELEMENT = re.compile(rb"<(%s)(?=[\s/>])[^>]*?(?:/>|>.*?</\1\s*>)" % _PLACED, re.IGNORECASE | re.DOTALL)


class Policy(StrEnum):
    """What a result keeps.

    KEEP: everything.
    STRIP_GPS: everything but where the photo was taken by its coordinates.
    STRIP: what viewers need to show the photo as before: ICC profile, orientation and resolution.
    """

    KEEP = "keep"
    STRIP_GPS = "strip-gps"
    STRIP = "strip"


@dataclass(frozen=True)
class Block:
    """A part of a file that only that format has: a PNG chunk or a JPEG segment, copied as it is.

    Attributes:
        kind: its name.
        data: its content.
        shown: whether the photo looks different without it.
        located: whether it may hold coordinates.
        placeless: what of a located one holds none; None if all of it has to go.
    """

    kind: bytes
    data: bytes
    shown: bool = False
    located: bool = False
    placeless: bytes | None = None

    def unlocated(self) -> "Block | None":
        """The block without coordinates; None if nothing is left."""
        if not self.located:
            return self
        return None if self.placeless is None else replace(self, data=self.placeless)


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
    blocks: tuple[Block, ...] = field(default=(), repr=False)

    def under(self, policy: Policy, orientation: int) -> "Metadata":
        """What of it a result keeps.

        Args:
            policy: how much.
            orientation: the EXIF orientation of the photo, 1 to 8.
        """
        if policy is Policy.STRIP:
            upright = orientation_alone(orientation) if orientation != 1 else None
            shown = tuple(block for block in self.blocks if block.shown)
            return Metadata(self.icc, upright, dpi=self.dpi, blocks=shown)
        if policy is Policy.STRIP_GPS:
            exif = without_gps(self.exif) if self.exif else None
            xmp = xmp_without_gps(self.xmp) if self.xmp else None
            return replace(self, exif=exif, xmp=xmp, blocks=tuple(filter(None, map(Block.unlocated, self.blocks))))
        return self

    def abroad(self) -> "Metadata":
        """What of it another format can hold."""
        return replace(self, blocks=())


def xmp_without_gps(packet: bytes) -> bytes | None:
    """An XMP packet without properties of coordinates; None where some would be left: the packet has to go then."""
    clean = _GPS_ELEMENT.sub(b"", _GPS_ATTRIBUTE.sub(b"", packet))
    return None if holds_gps(clean) else clean


def holds_gps(data: bytes) -> bool:
    """Whether the letters GPS are in it, one or two bytes each."""
    small = data.lower()
    return any(word in small for word in (b"gps", b"g\0p\0s"))
