"""Photoshop: the image resources that JPEGs and TIFFs carry: IPTC records, copies of EXIF and XMP, guides, paths."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.imageio.metadata.gps import without_gps
from pipeline.imageio.metadata.metadata import EXIF_HEAD, holds_gps, xmp_without_gps

IPTC = 0x0404
_EXIF, _MORE_EXIF, _XMP = 0x0422, 0x0423, 0x0424


class Resource(NamedTuple):
    """One resource.

    Attributes:
        signature: four letters, `8BIM` but for a few old programs.
        number: what it is.
        name: mostly empty.
        data: its content.
    """

    signature: bytes
    number: int
    name: bytes
    data: bytes

    def dump(self) -> bytes:
        """As it lies in a file: name and content take an even number of bytes."""
        name = _even(bytes([len(self.name)]) + self.name)
        return (
            struct.pack(">4sH", self.signature, self.number)
            + name
            + struct.pack(">I", len(self.data))
            + _even(self.data)
        )


def iptc(records: bytes) -> bytes:
    """Resources that hold nothing but IPTC records."""
    return Resource(b"8BIM", IPTC, b"", records).dump()


def iptc_of(data: bytes) -> bytes | None:
    """The IPTC records among resources."""
    try:
        return next((each.data for each in _resources(data) if each.number == IPTC), None)
    except ValueError:
        return None


def resources_without_gps(data: bytes) -> bytes | None:
    """Resources without coordinates: EXIF and XMP are cleaned as elsewhere, others that speak of GPS go.

    Returns:
        None where nothing is left, or where they cannot be read, so that one does not know what they hold.
    """
    try:
        kept = [clean.dump() for each in _resources(data) if (clean := _cleaned(each)) is not None]
    except ValueError:
        return None
    return b"".join(kept) or None


def _cleaned(resource: Resource) -> Resource | None:
    content: bytes | None = resource.data
    if resource.number == _EXIF:
        content = without_gps(resource.data.removeprefix(EXIF_HEAD))
    elif resource.number == _XMP:
        content = xmp_without_gps(resource.data)
    elif resource.number == _MORE_EXIF or (resource.number != IPTC and holds_gps(resource.data)):
        content = None
    return None if content is None else resource._replace(data=content)


def _resources(data: bytes) -> Iterator[Resource]:
    place = 0
    while place + 7 <= len(data):
        signature, number, length = struct.unpack_from(">4sHB", data, place)
        name = data[place + 7 : place + 7 + length]
        start = place + 6 + (length + 2) // 2 * 2 + 4
        if start > len(data) or not signature.isalnum():
            raise ValueError("these are no Photoshop resources")
        (size,) = struct.unpack_from(">I", data, start - 4)
        if start + size > len(data):
            raise ValueError("Photoshop resources are cut short")
        yield Resource(signature, number, name, data[start : start + size])
        place = start + size + size % 2
    if data[place:].strip(b"\0"):
        raise ValueError("something else lies behind the Photoshop resources")


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)
