"""File names as parts of URIs: text that can be stored everywhere and is not taken for something else, and back.

Python decodes such a byte to half a surrogate pair, which Parquet files, JSON lines and terminals refuse. Here the byte
0x80 + n is the private-use character U+F780 + n; in a name that has such a character itself, its bytes are escaped too.

A `#` after `.tar`, `.zip` or `.parquet` begins the place of a photo inside such a file. Where it is part of a file's
own name or of a folder's (`box.tar#2/scan.png`), URIs have `%23` for it, and `%2523` for a `%23` in that place.
"""

import re

_PRIVATE_USE_BASE = 0xF700
_SURROGATES = re.compile(r"[\udc80-\udcff]")
_UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")
_UNSTORABLE_BUT_BYTES = re.compile(r"[\0\ud800-\udc7f\udd00-\udfff]")
_NEEDS_ESCAPE = re.compile(r"[\udc80-\udcff\uf780-\uf7ff]")
_ESCAPED = re.compile(r"[\uf780-\uf7ff]+")
_NEEDS_HASH_ESCAPE = re.compile(r"(\.(?:tar|zip|parquet))(#|%(?=(?:25)*23))", re.IGNORECASE)
_ESCAPED_HASH = re.compile(r"(\.(?:tar|zip|parquet))(%23|%25(?=(?:25)*23))", re.IGNORECASE)


def escape_filename(name: str) -> str:
    """Return a name that Python read from a disk or a tar as text that can be stored; to be applied once."""
    return _NEEDS_ESCAPE.sub(_escape_match, name)


def escape_surrogates(name: str) -> str:
    """Return a name that somebody typed as text that can be stored; what is text in it stays as it is."""
    return _SURROGATES.sub(_escape_match, name)


def unescape_filename(name: str) -> str:
    """Return a name as Python hands it to a disk or a tar; the inverse of `escape_filename`."""
    return _ESCAPED.sub(_unescape_match, name)


def escape_hashes(path: str) -> str:
    """Return a path as part of a URI that no member of a tar, ZIP or Parquet file has.

    Example:
        >>> escape_hashes("/in/box.tar#1+2/scan#3.png")
        '/in/box.tar%231+2/scan#3.png'
    """
    return _NEEDS_HASH_ESCAPE.sub(lambda match: match[1] + ("%23" if match[2] == "#" else "%25"), path)


def unescape_hashes(path: str) -> str:
    """Return a path as storage has it; the inverse of `escape_hashes`, which leaves other paths as they are."""
    return _ESCAPED_HASH.sub(lambda match: match[1] + ("#" if match[2] == "%23" else "%"), path)


def has_unstorable_characters(text: str, *, allow_bytes: bool = False) -> bool:
    """Whether a text holds half a surrogate pair or a zero byte, which files, requests and file names refuse.

    Args:
        text: the text.
        allow_bytes: whether it may hold bytes that are not UTF-8, which `escape_surrogates` makes text of.
    """
    return (_UNSTORABLE_BUT_BYTES if allow_bytes else _UNSTORABLE).search(text) is not None


def _escape_match(match: re.Match[str]) -> str:
    return "".join(chr(_PRIVATE_USE_BASE + byte) for byte in match[0].encode(errors="surrogateescape"))


def _unescape_match(match: re.Match[str]) -> str:
    return bytes(ord(character) - _PRIVATE_USE_BASE for character in match[0]).decode(errors="surrogateescape")
