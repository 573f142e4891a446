"""Metadata: what a photo says of itself, and what of it a result may keep."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipeline.formats.ifd import orientation_alone, without_gps

_GPS_ATTRIBUTE = re.compile(rb"""\s+[\w.-]+:GPS\w*\s*=\s*("[^"]*"|'[^']*')""")
_GPS_ELEMENT = re.compile(rb"<([\w.-]+:GPS\w*)\b[^>]*?(?:/>|>.*?</\1\s*>)", re.DOTALL)


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
    """

    kind: bytes
    data: bytes
    shown: bool = False
    located: bool = False


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
            return replace(self, exif=exif, xmp=xmp, blocks=tuple(block for block in self.blocks if not block.located))
        return self

    def abroad(self) -> "Metadata":
        """What of it another format can hold."""
        return replace(self, blocks=())


def xmp_without_gps(packet: bytes) -> bytes | None:
    """An XMP packet without `exif:GPS…` properties; None where some would be left: the packet has to go then."""
    clean = _GPS_ELEMENT.sub(b"", _GPS_ATTRIBUTE.sub(b"", packet))
    return None if b"GPS" in clean or b"G\0P\0S" in clean or b"\0G\0P\0S" in clean else clean
