"""JPEG: its segments, and the options that write a file the way it was written."""

import struct
from dataclasses import replace
from typing import Any

from PIL import Image, JpegImagePlugin

from pipeline.formats import photoshop
from pipeline.formats.metadata import Block, Metadata

_PHOTOSHOP = b"Photoshop 3.0\0"
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_OTHERWISE_KEPT = ("APP0", "APP2", "APP14", "COM")  # by Pillow, or made anew; APP2 is the profile
_CONTENT_CREDENTIALS = "APP11"  # signed over the pixels as they were
_LONGEST = 65533  # bytes of a segment


def blocks(image: JpegImagePlugin.JpegImageFile) -> tuple[Block, ...]:
    """The segments that Pillow does not write by itself: Photoshop resources, extended XMP, and those of cameras."""
    found = []
    for kind, data in image.applist:
        if kind in _OTHERWISE_KEPT or kind == _CONTENT_CREDENTIALS:
            continue
        if kind == "APP1" and not data.startswith(_MORE_XMP):
            continue
        found.append(Block(kind.encode(), bytes(data), located=True))
    found = _with_clean_resources(found)
    if image.info.get("comment"):
        found.append(Block(b"COM", bytes(image.info["comment"])))
    return tuple(found)


def _with_clean_resources(found: list[Block]) -> list[Block]:
    """The same segments; the first with Photoshop resources knows what all of them are without coordinates."""
    parts = [block for block in found if block.data.startswith(_PHOTOSHOP)]
    clean = photoshop.resources_without_gps(b"".join(block.data.removeprefix(_PHOTOSHOP) for block in parts))
    if clean is None or len(_PHOTOSHOP + clean) > _LONGEST:
        return found
    return [replace(block, placeless=_PHOTOSHOP + clean) if block is parts[0] else block for block in found]


def iptc(image: JpegImagePlugin.JpegImageFile) -> bytes | None:
    """The IPTC records among the Photoshop resources."""
    resources = image.info.get("photoshop")
    found = resources.get(photoshop.IPTC) if isinstance(resources, dict) else None
    return found if isinstance(found, bytes) else None


def saving(image: JpegImagePlugin.JpegImageFile) -> dict[str, Any]:
    """Pillow's options for the same quantisation, subsampling and order of scans."""
    sampling = JpegImagePlugin.get_sampling(image)
    options: dict[str, Any] = {"qtables": image.quantization, "progressive": bool(image.info.get("progressive"))}
    return options | ({"subsampling": sampling} if sampling >= 0 else {})


def extra(metadata: Metadata) -> dict[str, Any]:
    """Pillow's options that write what only JPEG has."""
    segments = b""
    for block in metadata.blocks:
        if block.kind.startswith(b"APP"):
            segments += _segment(int(block.kind[3:]), block.data)
    if metadata.iptc and not any(block.kind == b"APP13" for block in metadata.blocks):
        segments += _segment(13, _PHOTOSHOP + photoshop.iptc(metadata.iptc))
    comments = [block.data for block in metadata.blocks if block.kind == b"COM"]
    return ({"extra": segments} if segments else {}) | ({"comment": comments[0]} if comments else {})


def secondary_are_previews(image: Image.Image) -> bool:
    """Whether what follows the photo in a multi-picture file are smaller versions of it, as some cameras add them."""
    entries = getattr(image, "mpinfo", {}).get(0xB002, [])
    kinds = [str(entry.get("Attribute", {}).get("MPType", "")) for entry in entries[1:]]
    return bool(kinds) and all(kind.startswith("Large Thumbnail") for kind in kinds)


def _segment(number: int, data: bytes) -> bytes:
    if len(data) > _LONGEST:
        return b""
    return struct.pack(">BBH", 0xFF, 0xE0 + number, len(data) + 2) + data
