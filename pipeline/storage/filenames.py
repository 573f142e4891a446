"""Undecoded: file names whose bytes are no UTF-8, as text that can be stored everywhere, and back.

Python shows such a byte as half a surrogate pair, which no Parquet file, JSON line or terminal takes. Here the byte
0x80 + n is the private character U+F780 + n; a name that has such a character of its own has its bytes shown so, too.
"""

import re

_PRIVATE_USE_BASE = 0xF700
_SURROGATES = re.compile(r"[\udc80-\udcff]")
_NEEDS_ESCAPE = re.compile(r"[\udc80-\udcff\uf780-\uf7ff]")
_ESCAPED = re.compile(r"[\uf780-\uf7ff]+")


def escape_filename(name: str) -> str:
    """A name as Python reads it from a disk or a tar, as text that can be stored; once only."""
    return _NEEDS_ESCAPE.sub(_escape_match, name)


def escape_surrogates(name: str) -> str:
    """A name as somebody typed it: what is text in it stays as it is."""
    return _SURROGATES.sub(_escape_match, name)


def unescape_filename(name: str) -> str:
    """A name as Python hands it to a disk or a tar; the inverse of `shown`."""
    return _ESCAPED.sub(_unescape_match, name)


def _escape_match(match: re.Match[str]) -> str:
    return "".join(chr(_PRIVATE_USE_BASE + byte) for byte in match[0].encode(errors="surrogateescape"))


def _unescape_match(match: re.Match[str]) -> str:
    return bytes(ord(character) - _PRIVATE_USE_BASE for character in match[0]).decode(errors="surrogateescape")
