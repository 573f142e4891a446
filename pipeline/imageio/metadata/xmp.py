"""XMP packets edited as text: coordinates, size, orientation and references to appended pictures."""

import re

# GPSLatitude (EXIF), GpsLatitude (drones), lat and long (RDF's geo vocabulary), decimalLatitude (museums)
_GPS_PROPERTY = rb"[\w.-]+:(?:\w*(?:gps|latitude|longt?itude|altitude)\w*|lat|long?)"
# gain maps, the directory of appended pictures, videos of motion photos
_TRAILER_PROPERTY = rb"(?:hdrgm:[\w.-]+|[\w.-]+:(?:MotionPhoto|MicroVideo)\w*|Container:Directory)"
_ATTRIBUTE = rb"""\s+%s\s*=\s*("[^"]*"|'[^']*')"""
_ELEMENT = rb"<(%s)(?=[\s/>])[^>]*?(?:/>|>.*?</\1\s*>)"
_GPS_ATTRIBUTE, _GPS_ELEMENT, _TRAILER_ATTRIBUTE, _TRAILER_ELEMENT = (
    re.compile(shape % name, re.IGNORECASE | re.DOTALL)
    for name in (_GPS_PROPERTY, _TRAILER_PROPERTY)
    for shape in (_ATTRIBUTE, _ELEMENT)
)

_SIZE_PROPERTY = re.compile(
    rb"""((?:exif:Pixel([XY])Dimension|tiff:Image(Width|Length))\s*(?:=\s*["']|>)\s*)[0-9]+""", re.IGNORECASE
)
_ORIENTATION_PROPERTY = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)[0-9]""")


def strip_xmp_gps(packet: bytes) -> bytes | None:
    """Return an XMP packet without coordinates; None if it still mentions GPS, so that it must be dropped."""
    clean = _GPS_ELEMENT.sub(b"", _GPS_ATTRIBUTE.sub(b"", packet))
    return None if mentions_gps(clean) else clean


def set_xmp_size(packet: bytes, width: int, height: int) -> bytes:
    """Return an XMP packet with this size in all properties that state one."""

    def sized(found: re.Match[bytes]) -> bytes:
        across = (found[2] or found[3]).lower() in (b"x", b"width")
        return found[1] + b"%d" % (width if across else height)

    return _SIZE_PROPERTY.sub(sized, packet)


def reset_xmp_orientation(packet: bytes) -> bytes:
    """Return an XMP packet whose orientation, if it states one, is upright."""
    return _ORIENTATION_PROPERTY.sub(rb"\g<1>1", packet)


def strip_trailer_references(packet: bytes) -> bytes:
    """Return an XMP packet without references to what is appended to the photo."""
    return _TRAILER_ELEMENT.sub(b"", _TRAILER_ATTRIBUTE.sub(b"", packet))


def mentions_gps(data: bytes) -> bool:
    """Whether text of one or two bytes per letter contains the letters GPS."""
    small = data.lower()
    return any(word in small for word in (b"gps", b"g\0p\0s"))
