"""The metadata of a photo, and the policy of what a result keeps of it."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipeline.imageio.metadata.gps import strip_exif_gps
from pipeline.imageio.metadata.ifd import make_orientation_exif, size_tag_values, with_integers
from pipeline.imageio.metadata.iptc import strip_iptc_location
from pipeline.imageio.metadata.xmp import set_xmp_size, strip_trailer_references, strip_xmp_gps

TRAILER_KIND = b"appended"
"""The kind of the block that is appended to a JPEG; XMP may refer to it."""
EXIF_HEADER = b"Exif\0\0"
"""Precedes an EXIF block in JPEGs, and in what Pillow returns and takes."""
METRES_PER_INCH = 0.0254


class MetadataPolicy(StrEnum):
    """Which metadata a result keeps.

    KEEP: all.
    STRIP_GPS: all but the coordinates of where the photo was taken.
    STRIP: only what viewers need to show the photo as before: ICC profile, orientation and resolution.
    """

    KEEP = "keep"
    STRIP_GPS = "strip-gps"
    STRIP = "strip"


@dataclass(frozen=True)
class MetadataBlock:
    """A format-specific part of a file, e.g. a PNG chunk or a JPEG segment, copied unchanged.

    Attributes:
        kind: its name.
        data: its content.
        affects_rendering: whether the photo looks different without it.
        may_contain_gps: whether it may contain coordinates.
        gps_free_data: for a block that may, its content without coordinates; None if nothing of it can be kept.
    """

    kind: bytes
    data: bytes
    affects_rendering: bool = False
    may_contain_gps: bool = False
    gps_free_data: bytes | None = None

    def strip_gps(self) -> "MetadataBlock | None":
        """Return the block without coordinates; None if nothing is left."""
        if not self.may_contain_gps:
            return self
        return None if self.gps_free_data is None else replace(self, data=self.gps_free_data)


@dataclass(frozen=True)
class Metadata:
    """The metadata of a photo.

    Attributes:
        icc: ICC profile.
        exif: EXIF block, from the TIFF header on.
        xmp: XMP packet.
        iptc: IPTC records.
        dpi: horizontal and vertical resolution in dots per inch.
        blocks: parts that only its own format has.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    blocks: tuple[MetadataBlock, ...] = field(default=(), repr=False)

    def apply_policy(self, policy: MetadataPolicy, orientation: int) -> "Metadata":
        """Return the metadata that a result keeps.

        Args:
            policy: which.
            orientation: the EXIF orientation of the photo, 1 to 8.
        """
        if policy is MetadataPolicy.STRIP:
            orientation_exif = make_orientation_exif(orientation) if orientation != 1 else None
            rendering_blocks = tuple(block for block in self.blocks if block.affects_rendering)
            return Metadata(self.icc, orientation_exif, dpi=self.dpi, blocks=rendering_blocks)
        if policy is MetadataPolicy.STRIP_GPS:
            exif = strip_exif_gps(self.exif) if self.exif else None
            xmp = strip_xmp_gps(self.xmp) if self.xmp else None
            iptc = strip_iptc_location(self.iptc) if self.iptc else None
            return replace(self, exif=exif, xmp=xmp, iptc=iptc)._with_blocks(
                tuple(filter(None, map(MetadataBlock.strip_gps, self.blocks)))
            )
        return self

    def for_other_format(self) -> "Metadata":
        """Return the metadata that other formats can hold."""
        return self._with_blocks(())

    def with_size(self, width: int, height: int) -> "Metadata":
        """Return the metadata with this size, in pixels, wherever it states one."""
        exif = with_integers(self.exif, size_tag_values(width, height)) if self.exif else None
        return replace(self, exif=exif, xmp=set_xmp_size(self.xmp, width, height) if self.xmp else None)

    def _with_blocks(self, blocks: tuple[MetadataBlock, ...]) -> "Metadata":
        """Return the metadata with these blocks only; XMP loses its references to a trailer that is dropped."""
        gone = {block.kind for block in self.blocks} - {block.kind for block in blocks}
        return replace(
            self,
            blocks=blocks,
            xmp=strip_trailer_references(self.xmp) if self.xmp and TRAILER_KIND in gone else self.xmp,
        )


def validate_resolution(across: float, down: float) -> tuple[float, float] | None:
    """Return a resolution in dots per inch; None if it is implausible, as most formats cannot hold it."""
    minimum, maximum = METRES_PER_INCH, 65535.0  # one dot per metre; the largest that JPEG can state
    return (float(across), float(down)) if minimum <= min(across, down) and max(across, down) <= maximum else None
