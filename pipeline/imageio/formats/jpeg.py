"""JPEG: its segments, and the options that write a file the way it was written."""

import struct
from dataclasses import replace
from typing import Any

from PIL import JpegImagePlugin

from pipeline.imageio.formats import jpeg_mpf as appended
from pipeline.imageio.metadata import photoshop
from pipeline.imageio.metadata.gps import mentions_location
from pipeline.imageio.metadata.metadata import EXIF_HEADER, TRAILER_KIND, Metadata, MetadataBlock

_PHOTOSHOP_HEADER = b"Photoshop 3.0\0"
_REWRITTEN_SEGMENTS = {  # by what they begin with: Pillow writes them of what it is given
    "APP0": (b"JFIF\0",),
    "APP1": (EXIF_HEADER, b"http://ns.adobe.com/xap/1.0/\0"),
    "APP2": (b"ICC_PROFILE\0", appended.MPF_HEADER),
    "APP11": (b"",),  # content credentials and residuals: they belong to the pixels as they were
    "APP14": (b"Adobe",),
}
_GPS_FREE_HEADERS = (b"JFXX\0", b"Ducky")  # a thumbnail, and what Photoshop says of its compression
_MAX_SEGMENT_BYTES = 65533  # bytes of a segment
_SUBSAMPLING_422, _SUBSAMPLING_420 = 1, 2  # Pillow's numbers for 4:2:2 and 4:2:0
_ADOBE_TRANSFORM_YCCK = 2  # Adobe's number for YCbCr and YCCK
_COM_MARKER = 0xFE
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # segments that begin with the bits of a sample
_ALL_ONES_TABLE = [1] * 64
_JFIF_HEADER = b"JFIF\0"
_JFIF_DENSITY = (
    b"density"  # the kind of the block with unit and resolution out of a JFIF header, or the shape of a pixel
)
JFIF_RESOLUTION_UNITS = (1, 2)
"""Of the resolution in a JFIF header: inches and centimetres; anything else is the shape of a pixel alone."""


def read_blocks(image: JpegImagePlugin.JpegImageFile, data: bytes) -> tuple[MetadataBlock, ...]:
    """The segments that Pillow does not write by itself, in their order, and what lies behind the photo.

    Segments are those of cameras and programs, and comments. Any may hold coordinates; comments and the few that are
    known do only where they speak of GPS, latitude or longitude.
    """
    trailer_blocks = _read_trailer_blocks(data)
    gps_free_headers = (
        (*_GPS_FREE_HEADERS, appended.GAIN_MAP_HEADER)
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


def _read_trailer_blocks(data: bytes) -> list[MetadataBlock]:
    """The index of pictures, and the pictures and videos behind the photo: both go, or none."""
    trailer = appended.read_trailer(data)
    if not trailer:
        return []
    may_contain_gps, index = not appended.is_gps_free(trailer), appended.read_relocatable_index(data)
    leading = [MetadataBlock(b"APP2", index, may_contain_gps=may_contain_gps)] if index else []
    return [*leading, MetadataBlock(TRAILER_KIND, trailer, may_contain_gps=may_contain_gps)]


def _with_gps_free_resources(found: list[MetadataBlock]) -> list[MetadataBlock]:
    """The same segments; the first with Photoshop resources knows what all of them are without coordinates."""
    resource_blocks = [block for block in found if block.data.startswith(_PHOTOSHOP_HEADER)]
    clean = photoshop.strip_resources_gps(
        b"".join(block.data.removeprefix(_PHOTOSHOP_HEADER) for block in resource_blocks)
    )
    if clean is None or len(_PHOTOSHOP_HEADER + clean) > _MAX_SEGMENT_BYTES:
        return found
    return [
        replace(block, gps_free_data=_PHOTOSHOP_HEADER + clean) if block is resource_blocks[0] else block
        for block in found
    ]


def read_bit_depth(data: bytes) -> int:
    """Bits a sample, as the header of the frame states them; 8 where there is none."""
    frames = (
        data[start]
        for marker, start, end in appended.iter_segments(data, 0)
        if marker in _SOF_MARKERS and start < len(data)
    )
    return next(frames, 8)


def read_iptc(image: JpegImagePlugin.JpegImageFile) -> bytes | None:
    """The IPTC records among the Photoshop resources, which may go on from segment to segment."""
    parts = (data.removeprefix(_PHOTOSHOP_HEADER) for _, data in image.applist if data.startswith(_PHOTOSHOP_HEADER))
    if found := photoshop.read_iptc(b"".join(parts)):
        return found
    resources = image.info.get("photoshop")  # Pillow finds those before damaged ones
    known = resources.get(photoshop.IPTC_RESOURCE) if isinstance(resources, dict) else None
    return known if isinstance(known, bytes) else None


def read_save_options(image: JpegImagePlugin.JpegImageFile) -> dict[str, Any]:
    """Pillow's options for the same quantisation, coding of colours, subsampling and order of scans.

    Pillow writes 4:4:4, 4:2:2 and 4:2:0. Of those the one is taken that leaves out the most and still nothing that the
    file has: 4:4:4 for 4:4:0, 4:2:2 for 4:1:1.
    """
    options: dict[str, Any] = {
        "qtables": _read_quantization_tables(image),
        "progressive": bool(image.info.get("progressive")),
    }
    if image.layers != 3:
        return options
    if _is_rgb(image):
        return options | {"keep_rgb": True}
    (_, across, down, _), *colours = image.layer
    halved_across = min(across // part[1] for part in colours) >= 2
    halved_down = min(down // part[2] for part in colours) >= 2
    return options | {"subsampling": (_SUBSAMPLING_420 if halved_down else _SUBSAMPLING_422) if halved_across else 0}


def _read_quantization_tables(image: JpegImagePlugin.JpegImageFile) -> list[list[int]]:
    """The quantisation tables, as Pillow takes them: one a component, of which the last stands for those that follow.

    The inks of a file that codes them as lightness and colours are written as they are, all as finely as the lightness.
    A file without loss has none, and is written as finely as JPEG can with loss.
    """
    known = image.quantization
    if any(part[3] not in known for part in image.layer):
        return list(known.values()) or [_ALL_ONES_TABLE]
    tables = [known[part[3]] for part in image.layer]
    if image.layers == 4 and image.info.get("adobe_transform") == _ADOBE_TRANSFORM_YCCK:
        return tables[:1]
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()
    return tables


def _is_rgb(image: JpegImagePlugin.JpegImageFile) -> bool:
    """Whether a file of three components has red, green and blue in them, by the rules of libjpeg."""
    if "jfif" in image.info:
        return False
    transform = image.info.get("adobe_transform")
    return transform == 0 if transform is not None else [part[0] for part in image.layer] == list(b"RGB")


def build_extra_option(metadata: Metadata) -> dict[str, Any]:
    """Pillow's options that write what only JPEG has."""
    marker_blocks = (block for block in metadata.blocks if block.kind not in (TRAILER_KIND, _JFIF_DENSITY))
    segments = b"".join(_pack_segment(block.kind, block.data) for block in marker_blocks)
    if metadata.iptc and not any(block.kind == b"APP13" for block in metadata.blocks):
        resources, step = photoshop.pack_iptc(metadata.iptc), _MAX_SEGMENT_BYTES - len(_PHOTOSHOP_HEADER)
        for start in range(0, len(resources), step):
            segments += _pack_segment(b"APP13", _PHOTOSHOP_HEADER + resources[start : start + step])
    return {"extra": segments} if segments else {}


def restore_density_and_trailer(data: bytes, metadata: Metadata) -> bytes:
    """A file whose JFIF header says of resolution what it said, and with what lies behind the photo."""
    content_by_kind = {
        block.kind: block.data for block in metadata.blocks if block.kind in (TRAILER_KIND, _JFIF_DENSITY)
    }
    header_offset, density = data.find(_JFIF_HEADER, 0, 16), content_by_kind.get(_JFIF_DENSITY)
    if header_offset > 0 and density and (density[0] or metadata.dpi is None):  # else EXIF alone states the resolution
        start = header_offset + len(_JFIF_HEADER) + 2  # behind the version
        data = data[:start] + density + data[start + len(density) :]
    return appended.append_trailer(data, content_by_kind[TRAILER_KIND]) if TRAILER_KIND in content_by_kind else data


def _pack_segment(kind: bytes, data: bytes) -> bytes:
    marker = _COM_MARKER if kind == b"COM" else 0xE0 + int(kind[3:])
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
