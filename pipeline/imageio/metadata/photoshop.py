"""Photoshop's image resources in JPEGs and TIFFs: IPTC records, copies of EXIF and XMP, guides, paths."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.imageio.metadata.gps import strip_exif_gps
from pipeline.imageio.metadata.iptc import strip_iptc_location
from pipeline.imageio.metadata.location import mentions_location
from pipeline.imageio.metadata.metadata import EXIF_HEADER
from pipeline.imageio.metadata.xmp import strip_xmp_gps

IPTC_RESOURCE = 0x0404
_EXIF_RESOURCE, _EXIF3_RESOURCE, _XMP_RESOURCE = 0x0422, 0x0423, 0x0424


class ImageResource(NamedTuple):
    """An image resource.

    Attributes:
        signature: four letters, `8BIM` except from a few old programs.
        resource_id: the number of its kind.
        name: mostly empty.
        data: its content.
    """

    signature: bytes
    resource_id: int
    name: bytes
    data: bytes

    def to_bytes(self) -> bytes:
        """Return the bytes in a file; name and content are padded to an even number of bytes."""
        name = _pad_to_even(bytes([len(self.name)]) + self.name)
        return (
            struct.pack(">4sH", self.signature, self.resource_id)
            + name
            + struct.pack(">I", len(self.data))
            + _pad_to_even(self.data)
        )


def pack_iptc(records: bytes) -> bytes:
    """Return resources that contain nothing but IPTC records."""
    return ImageResource(b"8BIM", IPTC_RESOURCE, b"", records).to_bytes()


def read_iptc(data: bytes) -> bytes | None:
    """Return the IPTC records among resources; None if there are none, or if the resources cannot be read."""
    try:
        return next((each.data for each in _iter_resources(data) if each.resource_id == IPTC_RESOURCE), None)
    except ValueError:
        return None


def strip_resources_gps(data: bytes) -> bytes | None:
    """Return resources without coordinates: EXIF, XMP and IPTC are cleaned, others that mention some are dropped.

    Returns:
        None if nothing is left, or if they cannot be read, so that their content is unknown.
    """
    try:
        kept = [clean.to_bytes() for each in _iter_resources(data) if (clean := _strip_resource_gps(each)) is not None]
    except ValueError:
        return None
    return b"".join(kept) or None


def _strip_resource_gps(resource: ImageResource) -> ImageResource | None:
    content: bytes | None = resource.data
    if resource.resource_id == _EXIF_RESOURCE:
        content = strip_exif_gps(resource.data.removeprefix(EXIF_HEADER))
    elif resource.resource_id == _XMP_RESOURCE:
        content = strip_xmp_gps(resource.data)
    elif resource.resource_id == IPTC_RESOURCE:
        content = strip_iptc_location(resource.data)
    elif resource.resource_id == _EXIF3_RESOURCE or mentions_location(resource.data):
        content = None
    return None if content is None else resource._replace(data=content)


def _iter_resources(data: bytes) -> Iterator[ImageResource]:
    offset = 0
    while offset + 7 <= len(data):
        signature, number, length = struct.unpack_from(">4sHB", data, offset)
        name = data[offset + 7 : offset + 7 + length]
        start = offset + 6 + (length + 2) // 2 * 2 + 4
        if start > len(data) or not signature.isalnum():
            raise ValueError("these are not Photoshop resources")
        (size,) = struct.unpack_from(">I", data, start - 4)
        if start + size > len(data):
            raise ValueError("the Photoshop resources are truncated")
        yield ImageResource(signature, number, name, data[start : start + size])
        offset = start + size + size % 2
    if data[offset:].strip(b"\0"):
        raise ValueError("there is something else after the Photoshop resources")


def _pad_to_even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)
