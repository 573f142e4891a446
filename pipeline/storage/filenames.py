"""Undecoded: file names whose bytes are no UTF-8, as text that can be stored everywhere, and back.

Python shows such a byte as half a surrogate pair, which no Parquet file, JSON line or terminal takes. Here the byte
0x80 + n is the private character U+F780 + n; a name that has such a character of its own has its bytes shown so, too.
"""

import re

_FIRST = 0xF700
_SURROGATES = re.compile(r"[\udc80-\udcff]")
_ODD = re.compile(r"[\udc80-\udcff\uf780-\uf7ff]")
_SHOWN = re.compile(r"[\uf780-\uf7ff]+")


def shown(name: str) -> str:
    """A name as Python reads it from a disk or a tar, as text that can be stored; once only."""
    return _ODD.sub(_characters, name)


def typed(name: str) -> str:
    """A name as somebody typed it: what is text in it stays as it is."""
    return _SURROGATES.sub(_characters, name)


def raw(name: str) -> str:
    """A name as Python hands it to a disk or a tar; the inverse of `shown`."""
    return _SHOWN.sub(_decoded, name)


def _characters(match: re.Match[str]) -> str:
    return "".join(chr(_FIRST + byte) for byte in match[0].encode(errors="surrogateescape"))


def _decoded(match: re.Match[str]) -> str:
    return bytes(ord(character) - _FIRST for character in match[0]).decode(errors="surrogateescape")
