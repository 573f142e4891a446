"""XMP packets edited: coordinates, size, orientation and references to appended pictures."""

import re

from pipeline.imageio.metadata.location import (
    is_location_name,
    is_location_namespace,
    mentions_location,
    states_coordinates,
)
from pipeline.imageio.metadata.xmp_filter import filter_xmp
from pipeline.imageio.metadata.xmp_text import XmpError

_TRAILER_PREFIXES = ("hdrgm", "Container")
_TRAILER_NAMESPACES = ("http://ns.adobe.com/hdr-gain-map/1.0/", "http://ns.google.com/photos/1.0/container/")
_TRAILER_NAMES = ("MotionPhoto", "MicroVideo")
_SIZE_PROPERTY = re.compile(
    rb"""((?:exif:Pixel([XY])Dimension|tiff:Image(Width|Length))\s*(?:=\s*["']|>)\s*)[0-9]+""", re.IGNORECASE
)
_ORIENTATION_PROPERTY = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)[0-9]""")


class _LocationRules:
    """Removes coordinates."""

    removes_namespace = staticmethod(is_location_namespace)
    removes_value = staticmethod(states_coordinates)

    def removes_name(self, prefix: str, local_name: str) -> bool:
        del prefix
        return is_location_name(local_name)

    def removes_comment(self, text: str) -> bool:
        return mentions_location(text.encode())


class _TrailerRules:
    """Removes gain maps, the directory of appended pictures, and the videos of motion photos."""

    def removes_namespace(self, prefix: str, uri: str) -> bool:
        return prefix in _TRAILER_PREFIXES or uri in _TRAILER_NAMESPACES

    def removes_name(self, prefix: str, local_name: str) -> bool:
        del prefix
        return local_name.startswith(_TRAILER_NAMES)

    def removes_value(self, value: str) -> bool:
        del value
        return False

    removes_comment = removes_value


def strip_xmp_gps(packet: bytes) -> bytes | None:
    """Return an XMP packet without coordinates.

    Returns:
        None if nothing is left, or if the packet is not well-formed XML, so that its content is unknown.
    """
    try:
        return filter_xmp(packet, _LocationRules())
    except XmpError:
        return None


def set_xmp_size(packet: bytes, width: int, height: int) -> bytes:
    """Return an XMP packet with this size in all properties that state one."""

    def sized(found: re.Match[bytes]) -> bytes:
        across = (found[2] or found[3]).lower() in (b"x", b"width")
        return found[1] + b"%d" % (width if across else height)

    return _SIZE_PROPERTY.sub(sized, packet)


def reset_xmp_orientation(packet: bytes) -> bytes:
    """Return an XMP packet whose orientation, if it states one, is upright."""
    return _ORIENTATION_PROPERTY.sub(rb"\g<1>1", packet)


def strip_trailer_references(packet: bytes) -> bytes | None:
    """Return an XMP packet without references to what is appended to the photo; unchanged if it cannot be read.

    Returns:
        None if nothing is left.
    """
    try:
        return filter_xmp(packet, _TrailerRules())
    except XmpError:
        return packet
