"""Checksums that an archive states for its photos, in the place of the ETag of a listed photo.

    fixity:sha512:9b71d2…                    the digest that the bytes must have
    fixity:!invalid_package:the bag has …    why the photo fails without being read: an error code, and a message

The text goes through the plan into each row, so that a photo counts as changed when its archive states another
checksum, and a worker compares the checksum without reading the manifest of the archive again.
"""

import hashlib

from pipeline.errors import ErrorCode, ImageError

ALGORITHMS = ("sha512", "sha384", "sha256", "sha224", "sha1", "md5")
"""The algorithms of checksums that are read, the strongest first."""
_PREFIX, _FAILURE_MARK = "fixity:", "!"
_MAX_REASON_CHARS = 400


def make_fixity(algorithm: str, digest: str) -> str:
    """Return the text for a photo whose bytes must have a digest.

    Example:
        >>> make_fixity("md5", "D41D8CD98F00B204E9800998ECF8427E")
        'fixity:md5:d41d8cd98f00b204e9800998ecf8427e'
    """
    return f"{_PREFIX}{algorithm}:{digest.lower()}"


def make_failure(code: ErrorCode, reason: str) -> str:
    """Return the text for a photo that is not to be read."""
    line = " ".join(reason.split()).encode(errors="backslashreplace").decode()
    return f"{_PREFIX}{_FAILURE_MARK}{code.value}:{line[:_MAX_REASON_CHARS]}"


def digest_length(algorithm: str) -> int:
    """Return how many hexadecimal digits the digests of an algorithm have."""
    return 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size


def has_fixity(etag: str) -> bool:
    """Whether the ETag of a listed photo is a checksum that an archive states."""
    return etag.startswith(_PREFIX)


def check_readable(etag: str) -> None:
    """Check that a photo is to be read.

    Raises:
        ImageError: its archive gives a reason against it.
    """
    if etag.startswith(_PREFIX + _FAILURE_MARK):
        code, _, reason = etag.removeprefix(_PREFIX + _FAILURE_MARK).partition(":")
        raise ImageError(ErrorCode(code) if code in list(ErrorCode) else ErrorCode.FIXITY, reason)


def check_fixity(etag: str, data: bytes) -> None:
    """Compare the bytes of a photo with the checksum that its archive states; without one there is nothing to compare.

    Raises:
        ImageError: they have another checksum.
    """
    if not has_fixity(etag):
        return
    algorithm, _, expected = etag.removeprefix(_PREFIX).partition(":")
    if algorithm not in ALGORITHMS:
        raise ImageError(
            ErrorCode.FIXITY,
            f"its checksum is of the algorithm '{algorithm}', and only {', '.join(ALGORITHMS)} are read",
        )
    found = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    if found != expected:
        raise ImageError(
            ErrorCode.FIXITY,
            f"its {len(data)} bytes have the {algorithm} {found}, but its archive states {expected}: restore the file "
            "from another copy",
        )
