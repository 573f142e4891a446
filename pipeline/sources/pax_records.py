"""The records of extended (PAX) headers of tars."""

import re
from collections.abc import Iterator

_WANTED = frozenset(
    ["path", "linkpath", "size"]
    + [f"GNU.sparse.{name}" for name in ("major", "minor", "name", "realsize", "size", "map")]
)
_RECORD_LENGTH = re.compile(rb"(\d{1,20}) ")


def parse_pax_records(data: bytes) -> dict[str, str]:
    """Return those records of an extended header that locate a member's bytes and name it.

    The pairs of records of sparse format 0.0 (`GNU.sparse.offset`, `GNU.sparse.numbytes`) are returned as the one
    record `GNU.sparse.map` of format 0.1. Bytes that are not UTF-8 become surrogates, as Python reads file names.

    Raises:
        ValueError: the data are not records.

    Example:
        >>> parse_pax_records(b"14 path=a.jpg" + bytes([10]))
        {'path': 'a.jpg'}
    """
    found: dict[str, str] = {}
    regions: list[str] = []
    for key, value in _iter_records(data):
        if key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            regions.append(value)
        elif key in _WANTED:
            found[key] = value
    return found | {"GNU.sparse.map": ",".join(regions)} if regions else found


def _iter_records(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield keys and values: a record is its own length in digits, a blank, the key, `=`, the value, a line feed."""
    position, end = 0, len(data.rstrip(b"\0"))
    while position < end:
        match = _RECORD_LENGTH.match(data, position)
        length = int(match[1]) if match else 0
        record = data[match.end() : position + length] if match else b""
        key, equals, value = record.partition(b"=")
        if not (equals and value.endswith(b"\n") and position + length <= len(data)):
            raise ValueError(f"byte {position} of an extended header is not the start of a record")
        yield key.decode(errors="surrogateescape"), value[:-1].decode(errors="surrogateescape")
        position += length
