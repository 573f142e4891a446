"""The marker segments of a JPEG that Pillow does not write by itself, and what follows the photo."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from PIL import JpegImagePlugin

from pipeline.imageio.formats import jpeg_mpf
from pipeline.imageio.formats.jpeg_segments import MAX_SEGMENT_BYTES, XMP_HEADER
from pipeline.imageio.metadata import photoshop
from pipeline.imageio.metadata.location import mentions_location
from pipeline.imageio.metadata.metadata import EXIF_HEADER, TRAILER_KIND, Metadata, MetadataBlock

_PHOTOSHOP_HEADER = b"Photoshop 3.0\0"
_JFIF_HEADER = b"JFIF\0"
_REWRITTEN_SEGMENTS = {  # by their first bytes: Pillow writes them from its arguments
    "APP0": (_JFIF_HEADER,),
    "APP1": (EXIF_HEADER, XMP_HEADER),
    "APP2": (b"ICC_PROFILE\0", jpeg_mpf.MPF_HEADER),
    "APP11": (b"",),  # content credentials and residuals: they belong to the original pixels
    "APP14": (b"Adobe",),
}
_GPS_FREE_HEADERS = (b"JFXX\0", b"Ducky")  # a thumbnail; Photoshop's compression settings
_COM_MARKER, _APP11_MARKER, _SOS_MARKER = 0xFE, 0xEB, 0xDA
_JFIF_DENSITY = b"density"  # kind of the block with unit and resolution, or pixel aspect ratio, of a JFIF header


def read_blocks(image: JpegImagePlugin.JpegImageFile, data: bytes) -> tuple[MetadataBlock, ...]:
    """Return the segments that Pillow does not write by itself, in their order, and what follows the photo.

    The segments are those of cameras and programs, and comments. Any of them may contain coordinates; comments do only
    if they mention GPS, latitude or longitude, and a few known segments never do.
    """
    trailer_blocks = _read_trailer_blocks(data)
    gps_free_headers = (
        (*_GPS_FREE_HEADERS, jpeg_mpf.GAIN_MAP_HEADER)
        if trailer_blocks and not trailer_blocks[-1].may_contain_gps
        else _GPS_FREE_HEADERS
    )
    found = []
    if "jfif_density" in image.info:
        density = struct.pack(">BHH", image.info.get("jfif_unit", 0), *image.info["jfif_density"])
        found.append(MetadataBlock(_JFIF_DENSITY, density, affects_rendering=True))
    for kind, content in image.applist:
        if not content.startswith(_REWRITTEN_SEGMENTS.get(kind, ())):
            may_contain_gps = (
                mentions_location(content) if kind == "COM" or content.startswith(gps_free_headers) else True
            )
            found.append(MetadataBlock(kind.encode(), bytes(content), may_contain_gps=may_contain_gps))
    return (*_with_gps_free_resources(found), *trailer_blocks)


def iter_app11(data: bytes) -> Iterator[bytes]:
    """Yield the contents of the segments APP11 before the coded pixels."""
    for marker, start, end in jpeg_mpf.iter_segments(data, 0):
        if marker == _SOS_MARKER:
            return
        if marker == _APP11_MARKER:
            yield data[start:end]


def _read_trailer_blocks(data: bytes) -> list[MetadataBlock]:
    """Return the index of pictures, and the pictures and videos after the photo: both may contain GPS, or neither."""
    trailer = jpeg_mpf.read_trailer(data)
    if not trailer:
        return []
    may_contain_gps, index = not jpeg_mpf.is_gps_free(trailer), jpeg_mpf.read_relocatable_index(data)
    leading = [MetadataBlock(b"APP2", index, may_contain_gps=may_contain_gps)] if index else []
    return [*leading, MetadataBlock(TRAILER_KIND, trailer, may_contain_gps=may_contain_gps)]


def _with_gps_free_resources(found: list[MetadataBlock]) -> list[MetadataBlock]:
    """Return the segments; the first one with Photoshop resources has all of them without coordinates."""
    resource_blocks = [block for block in found if block.data.startswith(_PHOTOSHOP_HEADER)]
    clean = photoshop.strip_resources_gps(
        b"".join(block.data.removeprefix(_PHOTOSHOP_HEADER) for block in resource_blocks)
    )
    if clean is None or len(_PHOTOSHOP_HEADER + clean) > MAX_SEGMENT_BYTES:
        return found
    return [
        replace(block, gps_free_data=_PHOTOSHOP_HEADER + clean) if block is resource_blocks[0] else block
        for block in found
    ]


def read_iptc(image: JpegImagePlugin.JpegImageFile) -> bytes | None:
    """Return the IPTC records among the Photoshop resources, which may span several segments."""
    parts = (data.removeprefix(_PHOTOSHOP_HEADER) for _, data in image.applist if data.startswith(_PHOTOSHOP_HEADER))
    if found := photoshop.read_iptc(b"".join(parts)):
        return found
    resources = image.info.get("photoshop")  # Pillow finds those that precede damaged ones
    known = resources.get(photoshop.IPTC_RESOURCE) if isinstance(resources, dict) else None
    return known if isinstance(known, bytes) else None


def build_extra_option(metadata: Metadata) -> dict[str, Any]:
    """Return Pillow's options that write the segments of JPEG's own."""
    marker_blocks = (block for block in metadata.blocks if block.kind not in (TRAILER_KIND, _JFIF_DENSITY))
    segments = b"".join(_pack_segment(block.kind, block.data) for block in marker_blocks)
    if metadata.iptc and not any(block.kind == b"APP13" for block in metadata.blocks):
        resources, step = photoshop.pack_iptc(metadata.iptc), MAX_SEGMENT_BYTES - len(_PHOTOSHOP_HEADER)
        for start in range(0, len(resources), step):
            segments += _pack_segment(b"APP13", _PHOTOSHOP_HEADER + resources[start : start + step])
    return {"extra": segments} if segments else {}


def restore_density_and_trailer(data: bytes, metadata: Metadata) -> bytes:
    """Return a file with the resolution of the original JFIF header, and with what followed the photo."""
    content_by_kind = {
        block.kind: block.data for block in metadata.blocks if block.kind in (TRAILER_KIND, _JFIF_DENSITY)
    }
    header_offset, density = data.find(_JFIF_HEADER, 0, 16), content_by_kind.get(_JFIF_DENSITY)
    # unless EXIF alone states the resolution
    if header_offset > 0 and density and (density[0] or metadata.dpi is None):
        start = header_offset + len(_JFIF_HEADER) + 2  # after the version
        data = data[:start] + density + data[start + len(density) :]
    return jpeg_mpf.append_trailer(data, content_by_kind[TRAILER_KIND]) if TRAILER_KIND in content_by_kind else data


def _pack_segment(kind: bytes, data: bytes) -> bytes:
    marker = _COM_MARKER if kind == b"COM" else 0xE0 + int(kind[3:])
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
