"""The words, namespaces, tags and notations of coordinates: the one list by which `strip-gps` finds them everywhere."""

import re

from pipeline.imageio.metadata.ifd import GPS_IFD

LOCATION_TAGS = frozenset((GPS_IFD, 33550, 33918, 33919, 33920, 33922, 34264, *range(34735, 34738), 42112))
"""Tags of EXIF and TIFF: the GPS directory, those of GeoTIFF and of its predecessors, GDAL's metadata."""
_WORDS = (  # anywhere in a name or text; in names `_`, `-`, `.` and blanks do not count
    *("gps", "latitude", "longitude", "longtitude", "altitude", "coordinates"),
    *("latlon", "latlng", "lonlat", "lnglat", "georef", "georss", "geohash", "geotag", "geotiff", "geojson"),
    *("geopoint", "geoposition", "geolocation", "geouri", "earthpos", "footprintwkt", "elevationinmeters"),
    *(
        "verbatimelevation",
        "verbatimdepth",
        "depthinmeters",
        "surfaceinmeters",
        "rtkstd",
        "iso6709",
        "what3words",
        "pluscode",
        "utmzone",
        "utmeasting",
        "utmnorthing",
    ),
)
_NAME_WORDS = (*_WORDS, "coordinate", "cellid")  # anywhere in a name; too common in texts
_LAST_WORDS = ("lat", "lon", "lng", "wkt")  # the last word of a name, as in geo_lat
_ENTIRE_NAMES = ("long", "geolong", "poslong", "loclong", "geo")
_EXCEPTIONS = ("isospeedlatitude", "exposurelatitude")  # how far an exposure may be off
_PREFIXES = ("geo", "gml", "georss", "kml", "gpx", "wgs84")
_NAMESPACES = (  # parts of their URIs, in lower case
    *("georss.org", "opengis.net", "wgs84_pos", "topografix.com/gpx", "earth.google.com/kml"),
    *("photos/dd/1.0/earthpose", "sonyericsson.com/cell"),
)
_PLACE_NAMES = ("location", "position", "place", "point", "loc", "pos", "geometry", "geom", "where")
_HEIGHT_NAMES = ("alt", "ele", "elevation")
_KEYWORD_ENDS = ("lat", "lon", "long", "lng", "location", "position")
_SEPARATORS = str.maketrans("", "", "_-. \t\r\n")
_WORDS_OF_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_MAX_LAST_WORD_CHARS = 16
_PREFIX_IN_TEXT = re.compile(rf"\b(?:{'|'.join(_PREFIXES)}):")
_DIGITS = r"[0-9]{1,3}(?:\.[0-9]{1,20})?"
_NOTATION_IN_TEXT = re.compile(
    rf"\bgeo:-?{_DIGITS},"  # a URI of RFC 5870
    r"|\b(?:multi)?(?:point|linestring|polygon) ?z?m? ?\({1,3} ?[+-]?[0-9]"  # WKT
)
_NOTATION = re.compile(
    rf"[0-9]{{1,3}},{_DIGITS}(?:,{_DIGITS})?[nsew]"  # XMP
    r"|[+-][0-9]{2,6}(?:\.[0-9]{1,20})?[+-][0-9]{3,7}(?:\.[0-9]{1,20})?(?:[+-][0-9.]{1,20})?(?:crs\w{1,20})?/?"  # ISO
)
_NUMBER_START = re.compile(r"[+-]?[0-9]")
_MAX_NOTATION_CHARS = 120
_MIN_WORD_IN_BINARY = 6


def is_location_name(name: str) -> bool:
    """Whether the name of a property or key, without its namespace, is one of coordinates."""
    small = name.lower().translate(_SEPARATORS)
    if any(word in small for word in _NAME_WORDS):
        return not any(word in small for word in _EXCEPTIONS)
    words = _WORDS_OF_NAME.findall(name[-_MAX_LAST_WORD_CHARS:])
    return small in _ENTIRE_NAMES or (bool(words) and words[-1].lower() in _LAST_WORDS)


def may_hold_coordinates(name: str) -> bool:
    """Whether a key may have coordinates for its value as well as something else, as `location` or `elevation`."""
    return name.lower().translate(_SEPARATORS) in (*_PLACE_NAMES, *_HEIGHT_NAMES)


def is_location_namespace(prefix: str, uri: str) -> bool:
    """Whether a namespace, by its usual prefix or its URI, contains nothing but coordinates."""
    prefix, uri = prefix.lower(), uri.lower()
    return prefix in _PREFIXES or "gps" in prefix or "gps" in uri or any(part in uri for part in _NAMESPACES)


def states_coordinates(value: str) -> bool:
    """Whether a value has a notation of coordinates (XMP's, ISO 6709, WKT, a `geo:` URI, XML) or mentions GPS."""
    small = value.lower()
    if "gps" in small or _NOTATION_IN_TEXT.search(small) or any(part in small for part in _NAMESPACES):
        return True
    if "<" in small and _PREFIX_IN_TEXT.search(small):
        return True
    trimmed = small.strip()
    return len(trimmed) <= _MAX_NOTATION_CHARS and _NOTATION.fullmatch(trimmed) is not None


def starts_with_number(value: str) -> bool:
    """Whether a value is a number, or begins with one as `52.5 N` does."""
    return _NUMBER_START.match(value.strip()) is not None


def mentions_location(text: bytes, keyword: bytes = b"") -> bool:
    """Whether a text of one, two or four bytes per letter, or its keyword, has a word that coordinates come with."""
    texts = (each.replace(b"\0", b"").decode("latin-1") for each in (text, keyword))
    return any(map(_mentions_location, texts)) or _is_location_keyword(keyword.decode("latin-1"))


def mentions_location_in_binary(data: bytes) -> bool:
    """Whether bytes that are no text have a word of coordinates that is too long to be there by chance."""
    small = data.replace(b"\0", b"").lower()
    return any(word.encode() in small for word in _WORDS if len(word) >= _MIN_WORD_IN_BINARY)


def _mentions_location(text: str) -> bool:
    small = text.lower()
    return (
        any(word in small for word in _WORDS) or _PREFIX_IN_TEXT.search(small) is not None or states_coordinates(small)
    )


def _is_location_keyword(keyword: str) -> bool:
    """Whether a keyword of PNG text is that of coordinates, or may be one."""
    small = keyword.lower()
    return is_location_name(keyword) or any(
        small.endswith(end) and not small[: -len(end)][-1:].isalpha() for end in _KEYWORD_ENDS
    )
