"""Coordinates in the files that lie beside a photo in a WebDataset sample: JSON, XMP, EXIF, text."""

import gzip
import io
import json
import re
from collections.abc import Mapping
from typing import Any

from pipeline.imageio.metadata.gps import strip_exif_gps
from pipeline.imageio.metadata.ifd import GPS_IFD, read_byte_order
from pipeline.imageio.metadata.location import (
    is_location_name,
    is_location_namespace,
    may_hold_coordinates,
    mentions_location,
    mentions_location_in_binary,
    starts_with_number,
    states_coordinates,
)
from pipeline.imageio.metadata.xmp import strip_xmp_gps

_JSON_SUFFIXES, _XML_SUFFIXES = ("json", "geojson"), ("xmp", "xml", "rdf", "kml", "gpx", "gml", "svg")
_GZIP_START = b"\x1f\x8b"
_MAX_UNPACKED_BYTES = 64 * 2**20
_AMBIGUOUS_NAMES = ("long", "geo")  # of a long text, of geometry
_GPS_TAG_NAMES = (str(GPS_IFD), hex(GPS_IFD))
_NUMBERS = re.compile(r"[-+0-9.,;:/°'\"′″\sNSEWnsew]+")


def strip_sidecar_location(name: str, content: bytes) -> bytes | None:
    """Return a file that belongs to a photo without coordinates; unchanged if it has none.

    JSON loses the keys, XMP the properties and EXIF the tags with coordinates. Text of other kinds has no structure
    that would show where they end.

    Args:
        name: of the file; its suffix states what it is.
        content: of the file.

    Returns:
        None if the file is about nothing but coordinates, or if it mentions them and cannot be cleaned.
    """
    *words, suffix = name.rpartition("/")[2].lower().split(".")
    if content.startswith(_GZIP_START):
        return _strip_packed(name[: -len(suffix) - 1] if suffix == "gz" else name, content)
    if any(mentions_location(b"", word.encode()) for word in (*words, suffix) if word not in _XML_SUFFIXES):
        return None
    if suffix in _JSON_SUFFIXES:
        return _strip_json(content)
    if suffix in _XML_SUFFIXES:
        return strip_xmp_gps(content)
    if read_byte_order(content):
        return strip_exif_gps(content)
    mentions = mentions_location if _is_text(content) else mentions_location_in_binary
    return None if mentions(content) else content


def _strip_packed(name: str, content: bytes) -> bytes | None:
    """Return a file compressed by gzip without coordinates; None as for one that is not, or if it cannot be read."""
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(_MAX_UNPACKED_BYTES + 1)
    except (OSError, EOFError, ValueError):
        return None
    if len(unpacked) > _MAX_UNPACKED_BYTES or unpacked.startswith(_GZIP_START):
        return None
    clean = strip_sidecar_location(name, unpacked)
    return content if clean == unpacked else None if clean is None else gzip.compress(clean, mtime=0)


def _strip_json(content: bytes) -> bytes | None:
    cleaning = _JsonCleaning()
    try:
        value = cleaning.clean_item(json.loads(content, object_pairs_hook=cleaning.clean_object))
    except (ValueError, RecursionError):
        return None if mentions_location(content) else content
    if not cleaning.has_removed:
        return content
    return json.dumps(value).encode() if value not in (None, {}, []) else None


class _JsonCleaning:
    """Removes keys and items with coordinates while JSON is parsed, the innermost objects first."""

    def __init__(self) -> None:
        self.has_removed = False

    def clean_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return an object without its keys of coordinates."""
        kept = {}
        for key, value in pairs:
            if _is_location(key, value) or (isinstance(value, str) and states_coordinates(value)):
                self.has_removed = True
            else:
                kept[key] = self.clean_item(value)
        return kept

    def clean_item(self, value: Any) -> Any:  # noqa: ANN401 — JSON
        """Return a value, a list without its texts of coordinates; objects in it are clean already."""
        if isinstance(value, str) and states_coordinates(value):
            self.has_removed = True
            return None
        if not isinstance(value, list):
            return value
        kept = [each for each in value if not (isinstance(each, str) and states_coordinates(each))]
        self.has_removed |= len(kept) < len(value)
        return [self.clean_item(each) for each in kept]


def _is_location(key: str, value: Any) -> bool:  # noqa: ANN401 — JSON
    """Whether a key is one of coordinates, or one of a place or height whose value is numbers."""
    namespace, _, name = key.rpartition(":")
    if key in _GPS_TAG_NAMES or (namespace and is_location_namespace(namespace.rpartition(":")[2], namespace)):
        return True
    if is_location_name(name):
        is_text = isinstance(value, str) and not starts_with_number(value)
        return not (name.lower() in _AMBIGUOUS_NAMES and (is_text or isinstance(value, Mapping)))
    return may_hold_coordinates(name) and _is_numbers(value)


def _is_numbers(value: Any) -> bool:  # noqa: ANN401 — JSON
    """Whether a value is a number, a list of numbers, or a text of nothing but numbers."""
    if isinstance(value, str):
        return _NUMBERS.fullmatch(value) is not None and any(map(str.isdigit, value))
    if isinstance(value, list):
        return len(value) > 0 and all(map(_is_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(content: bytes) -> bool:
    """Whether bytes are text in UTF-8 or, with a byte order mark, in UTF-16 or UTF-32."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content
