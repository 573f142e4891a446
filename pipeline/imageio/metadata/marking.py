"""Adding a mark to the metadata of a result, as far as its format holds it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.imageio.metadata.exif_software import SOFTWARE, software_tag, with_software
from pipeline.imageio.metadata.ifd import Tag
from pipeline.imageio.metadata.mark_text import Mark
from pipeline.imageio.metadata.metadata import Metadata, MetadataPolicy
from pipeline.imageio.metadata.tiff_tags import XMP_TAG, PageStyle
from pipeline.imageio.metadata.xmp_marks import merge_mark
from pipeline.imageio.metadata.xmp_text import XmpError

UNMARKED = "none"
"""What the manifest states of a result without any mark."""
_UNLIMITED = 2**31


@dataclass(frozen=True)
class MarkCapacity:
    """How much a file can hold of what a mark is written into.

    Attributes:
        xmp_bytes: the most bytes of an XMP packet; 0 if the file has none.
        exif_bytes: the most bytes of an EXIF block; 0 if the file has none.
        xmp_obstacle: why the packet cannot be changed; empty if it can.
    """

    xmp_bytes: int = _UNLIMITED
    exif_bytes: int = _UNLIMITED
    xmp_obstacle: str = ""


NO_MARKS = MarkCapacity(0, 0)
"""The capacity of files without XMP and EXIF."""


@dataclass(frozen=True)
class MarkReport:
    """What of a mark was written.

    Attributes:
        no_xmp: why the XMP packet has no mark; None if it has one.
        no_exif: the same of EXIF.
    """

    no_xmp: str | None = None
    no_exif: str | None = None

    def __str__(self) -> str:
        """Return what the manifest states: `xmp+exif`, or less with the reasons."""
        written = [name for name, reason in (("xmp", self.no_xmp), ("exif", self.no_exif)) if reason is None]
        reasons = dict.fromkeys(filter(None, (self.no_xmp, self.no_exif)))
        return ("+".join(written) or UNMARKED) + (f" ({'; '.join(reasons)})" if reasons else "")


def add_mark(
    metadata: Metadata, mark: Mark | None, policy: MetadataPolicy, capacity: MarkCapacity
) -> tuple[Metadata, str]:
    """Add a mark to metadata, as far as a file can hold it; what cannot have the mark stays as it is.

    Args:
        metadata: what the policy has left of it.
        mark: the mark; None if there is none.
        policy: which metadata is kept, besides the mark.
        capacity: of the file.

    Returns:
        The metadata, and what the manifest states.
    """
    if mark is None:
        return metadata, UNMARKED
    if not capacity.xmp_bytes and not capacity.exif_bytes:
        reason = "the format holds neither XMP nor EXIF"
        return metadata, str(MarkReport(reason, reason))
    mark = mark.apply_policy(policy)
    xmp, no_xmp = metadata.xmp, capacity.xmp_obstacle or None
    if no_xmp is None:
        xmp, no_xmp = _merge_xmp(metadata.xmp, mark, capacity.xmp_bytes)
    exif, no_exif = _set_software(metadata.exif, mark, capacity.exif_bytes)
    return replace(metadata, xmp=xmp, exif=exif), str(MarkReport(no_xmp, no_exif))


def add_mark_to_pages(
    styles: Sequence[PageStyle], mark: Mark | None, policy: MetadataPolicy
) -> tuple[list[PageStyle], str]:
    """Add a mark to the tags of TIFF pages: see `add_mark`."""
    if mark is None:
        return list(styles), UNMARKED
    marked = [_add_mark_to_page(style, mark.apply_policy(policy)) for style in styles]
    no_xmp = next((reason for _, reason in marked if reason), None)
    return [style for style, _ in marked], str(MarkReport(no_xmp))


def _add_mark_to_page(style: PageStyle, mark: Mark) -> tuple[PageStyle, str | None]:
    """Return the style of a page with a mark, and why its XMP packet has none; None if it has."""
    tags = dict(style.tags.tags)
    old = tags.get(XMP_TAG)
    xmp, no_xmp = _merge_xmp(old.data if old else None, mark, _UNLIMITED)
    if xmp is not None and no_xmp is None:
        tags[XMP_TAG] = Tag(old.field_type if old else 1, len(xmp), xmp)
    tags[SOFTWARE] = software_tag(mark.software)
    return replace(style, tags=replace(style.tags, tags=tags)), no_xmp


def _merge_xmp(packet: bytes | None, mark: Mark, max_bytes: int) -> tuple[bytes | None, str | None]:
    """Return a packet with a mark and None, or the packet as it was and the reason."""
    try:
        merged = merge_mark(packet, mark)
    except XmpError as error:
        return packet, str(error)
    if len(merged) > max_bytes:
        return packet, f"the XMP packet would have {len(merged)} bytes, more than {max_bytes}"
    return merged, None


def _set_software(block: bytes | None, mark: Mark, max_bytes: int) -> tuple[bytes | None, str | None]:
    """Return an EXIF block with a mark and None, or the block as it was and the reason."""
    marked = with_software(block, mark.software)
    if marked is None:
        return block, "the EXIF block cannot be read"
    if len(marked) > max_bytes:
        return block, f"the EXIF block would have {len(marked)} bytes, more than {max_bytes}"
    return marked, None
