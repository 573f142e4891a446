"""Metadata: what a photo says of itself, and what of it a result may keep."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipeline.imageio.metadata.gps import without_gps
from pipeline.imageio.metadata.ifd import of_size, orientation_alone, with_numbers

APPENDED = b"appended"
"""The kind of the block that lies behind a JPEG, of which XMP may tell."""
EXIF_HEAD = b"Exif\0\0"
"""Before an EXIF block in JPEGs, and in what Pillow gives and takes."""
# GPSLatitude of EXIF, GpsLatitude of drones, lat and long of RDF's geo vocabulary, decimalLatitude of museums
_PLACED = rb"[\w.-]+:(?:\w*(?:gps|latitude|longt?itude|altitude)\w*|lat|long?)"
# of gain maps, the directory of what is appended, and videos of motion photos
_TOLD = rb"(?:hdrgm:[\w.-]+|[\w.-]+:(?:MotionPhoto|MicroVideo)\w*|Container:Directory)"
_ATTRIBUTE = rb"""\s+%s\s*=\s*("[^"]*"|'[^']*')"""
_ELEMENT = rb"<(%s)(?=[\s/>])[^>]*?(?:/>|>.*?</\1\s*>)"
_GPS_ATTRIBUTE, _GPS_ELEMENT, _TOLD_ATTRIBUTE, _TOLD_ELEMENT = (
    re.compile(shape % name, re.IGNORECASE | re.DOTALL) for name in (_PLACED, _TOLD) for shape in (_ATTRIBUTE, _ELEMENT)
)

_SIZE = re.compile(
    rb"""((?:exif:Pixel([XY])Dimension|tiff:Image(Width|Length))\s*(?:=\s*["']|>)\s*)[0-9]+""", re.IGNORECASE
)
_TURNED = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)[0-9]""")


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
            return replace(self, exif=exif, xmp=xmp)._with(tuple(filter(None, map(Block.unlocated, self.blocks))))
        return self

    def abroad(self) -> "Metadata":
        """What of it another format can hold."""
        return self._with(())

    def of_size(self, width: int, height: int) -> "Metadata":
        """The same where it says how large the photo is."""
        exif = with_numbers(self.exif, of_size(width, height)) if self.exif else None
        return replace(self, exif=exif, xmp=xmp_of_size(self.xmp, width, height) if self.xmp else None)

    def _with(self, blocks: tuple[Block, ...]) -> "Metadata":
        """The same with fewer blocks; where what lies behind the photo goes, XMP tells no more of it."""
        gone = {block.kind for block in self.blocks} - {block.kind for block in blocks}
        return replace(self, blocks=blocks, xmp=_alone(self.xmp) if self.xmp and APPENDED in gone else self.xmp)


def resolution(across: float, down: float) -> tuple[float, float] | None:
    """A resolution in dots an inch; None for one that no photo has and most formats cannot hold."""
    least, most = 0.0254, 65535.0  # a dot a metre; what JPEG can say
    return (float(across), float(down)) if least <= min(across, down) and max(across, down) <= most else None


def xmp_without_gps(packet: bytes) -> bytes | None:
    """An XMP packet without properties of coordinates; None where some would be left: the packet has to go then."""
    clean = _GPS_ELEMENT.sub(b"", _GPS_ATTRIBUTE.sub(b"", packet))
    return None if holds_gps(clean) else clean


def xmp_of_size(packet: bytes, width: int, height: int) -> bytes:
    """An XMP packet that gives this size where it gives one."""

    def sized(found: re.Match[bytes]) -> bytes:
        across = (found[2] or found[3]).lower() in (b"x", b"width")
        return found[1] + b"%d" % (width if across else height)

    return _SIZE.sub(sized, packet)


def xmp_upright(packet: bytes) -> bytes:
    """An XMP packet that says a photo is to be shown as its pixels are."""
    return _TURNED.sub(rb"\g<1>1", packet)


def _alone(packet: bytes) -> bytes:
    """An XMP packet that tells of nothing behind the photo."""
    return _TOLD_ELEMENT.sub(b"", _TOLD_ATTRIBUTE.sub(b"", packet))


def holds_gps(data: bytes) -> bool:
    """Whether the letters GPS are in it, one or two bytes each."""
    small = data.lower()
    return any(word in small for word in (b"gps", b"g\0p\0s"))
