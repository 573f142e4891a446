"""JPEG: its segments, and the options that write a file the way it was written."""

import struct
from dataclasses import replace
from typing import Any

from PIL import JpegImagePlugin

from pipeline.imageio.formats import jpeg_mpf as appended
from pipeline.imageio.metadata import photoshop
from pipeline.imageio.metadata.gps import speaks_of_places
from pipeline.imageio.metadata.metadata import APPENDED, EXIF_HEAD, Block, Metadata

_PHOTOSHOP = b"Photoshop 3.0\0"
_MADE_ANEW = {  # by what they begin with: Pillow writes them of what it is given
    "APP0": (b"JFIF\0",),
    "APP1": (EXIF_HEAD, b"http://ns.adobe.com/xap/1.0/\0"),
    "APP2": (b"ICC_PROFILE\0", appended.INDEX),
    "APP11": (b"",),  # content credentials and residuals: they belong to the pixels as they were
    "APP14": (b"Adobe",),
}
_PLAIN = (b"JFXX\0", b"Ducky")  # a thumbnail, and what Photoshop says of its compression
_LONGEST = 65533  # bytes of a segment
_WIDER, _BOTH = 1, 2  # Pillow's numbers for 4:2:2 and 4:2:0
_AS_LIGHTNESS = 2  # Adobe's number for YCbCr and YCCK
_COMMENT = 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # segments that begin with the bits of a sample
_FINEST = [1] * 64
_JFIF = b"JFIF\0"
_DENSITY = b"density"  # the kind of the block with unit and resolution out of a JFIF header, or the shape of a pixel
UNITS = (1, 2)
"""Of the resolution in a JFIF header: inches and centimetres; anything else is the shape of a pixel alone."""


def blocks(image: JpegImagePlugin.JpegImageFile, data: bytes) -> tuple[Block, ...]:
    """The segments that Pillow does not write by itself, in their order, and what lies behind the photo.

    Segments are those of cameras and programs, and comments. Any may hold coordinates; comments and the few that are
    known do only where they speak of GPS, latitude or longitude.
    """
    more = _appended(data)
    plain = (*_PLAIN, appended.GAIN_MAP) if more and not more[-1].located else _PLAIN
    found = []
    if "jfif_density" in image.info:
        density = struct.pack(">BHH", image.info.get("jfif_unit", 0), *image.info["jfif_density"])
        found.append(Block(_DENSITY, density, shown=True))
    for kind, content in image.applist:
        if not content.startswith(_MADE_ANEW.get(kind, ())):
            located = speaks_of_places(content) if kind == "COM" or content.startswith(plain) else True
            found.append(Block(kind.encode(), bytes(content), located=located))
    return (*_with_clean_resources(found), *more)


def _appended(data: bytes) -> list[Block]:
    """The index of pictures, and the pictures and videos behind the photo: both go, or none."""
    rest = appended.rest(data)
    if not rest:
        return []
    located, index = not appended.placeless(rest), appended.movable(data)
    leading = [Block(b"APP2", index, located=located)] if index else []
    return [*leading, Block(APPENDED, rest, located=located)]


def _with_clean_resources(found: list[Block]) -> list[Block]:
    """The same segments; the first with Photoshop resources knows what all of them are without coordinates."""
    parts = [block for block in found if block.data.startswith(_PHOTOSHOP)]
    clean = photoshop.resources_without_gps(b"".join(block.data.removeprefix(_PHOTOSHOP) for block in parts))
    if clean is None or len(_PHOTOSHOP + clean) > _LONGEST:
        return found
    return [replace(block, placeless=_PHOTOSHOP + clean) if block is parts[0] else block for block in found]


def depth(data: bytes) -> int:
    """Bits a sample, as the header of the frame states them; 8 where there is none."""
    frames = (
        data[start] for marker, start, end in appended.segments(data, 0) if marker in _FRAMES and start < len(data)
    )
    return next(frames, 8)


def iptc(image: JpegImagePlugin.JpegImageFile) -> bytes | None:
    """The IPTC records among the Photoshop resources, which may go on from segment to segment."""
    parts = (data.removeprefix(_PHOTOSHOP) for _, data in image.applist if data.startswith(_PHOTOSHOP))
    if found := photoshop.iptc_of(b"".join(parts)):
        return found
    resources = image.info.get("photoshop")  # Pillow finds those before damaged ones
    known = resources.get(photoshop.IPTC) if isinstance(resources, dict) else None
    return known if isinstance(known, bytes) else None


def saving(image: JpegImagePlugin.JpegImageFile) -> dict[str, Any]:
    """Pillow's options for the same quantisation, coding of colours, subsampling and order of scans.

    Pillow writes 4:4:4, 4:2:2 and 4:2:0. Of those the one is taken that leaves out the most and still nothing that the
    file has: 4:4:4 for 4:4:0, 4:2:2 for 4:1:1.
    """
    options: dict[str, Any] = {"qtables": _tables(image), "progressive": bool(image.info.get("progressive"))}
    if image.layers != 3:
        return options
    if _is_rgb(image):
        return options | {"keep_rgb": True}
    (_, across, down, _), *colours = image.layer
    wide = min(across // part[1] for part in colours) >= 2
    high = min(down // part[2] for part in colours) >= 2
    return options | {"subsampling": (_BOTH if high else _WIDER) if wide else 0}


def _tables(image: JpegImagePlugin.JpegImageFile) -> list[list[int]]:
    """The quantisation tables, as Pillow takes them: one a component, of which the last stands for those that follow.

    The inks of a file that codes them as lightness and colours are written as they are, all as finely as the lightness.
    A file without loss has none, and is written as finely as JPEG can with loss.
    """
    known = image.quantization
    if any(part[3] not in known for part in image.layer):
        return list(known.values()) or [_FINEST]
    tables = [known[part[3]] for part in image.layer]
    if image.layers == 4 and image.info.get("adobe_transform") == _AS_LIGHTNESS:
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


def extra(metadata: Metadata) -> dict[str, Any]:
    """Pillow's options that write what only JPEG has."""
    own = (block for block in metadata.blocks if block.kind not in (APPENDED, _DENSITY))
    segments = b"".join(_segment(block.kind, block.data) for block in own)
    if metadata.iptc and not any(block.kind == b"APP13" for block in metadata.blocks):
        resources, most = photoshop.iptc(metadata.iptc), _LONGEST - len(_PHOTOSHOP)
        for start in range(0, len(resources), most):
            segments += _segment(b"APP13", _PHOTOSHOP + resources[start : start + most])
    return {"extra": segments} if segments else {}


def finished(data: bytes, metadata: Metadata) -> bytes:
    """A file whose JFIF header says of resolution what it said, and with what lies behind the photo."""
    given = {block.kind: block.data for block in metadata.blocks if block.kind in (APPENDED, _DENSITY)}
    place, density = data.find(_JFIF, 0, 16), given.get(_DENSITY)
    if place > 0 and density and (density[0] or metadata.dpi is None):  # else EXIF alone states the resolution
        start = place + len(_JFIF) + 2  # behind the version
        data = data[:start] + density + data[start + len(density) :]
    return appended.attached(data, given[APPENDED]) if APPENDED in given else data


def _segment(kind: bytes, data: bytes) -> bytes:
    marker = _COMMENT if kind == b"COM" else 0xE0 + int(kind[3:])
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
