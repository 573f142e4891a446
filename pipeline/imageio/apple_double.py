"""AppleDouble and AppleSingle files, in which macOS keeps what other file systems cannot hold (RFC 1740)."""

_SIGNATURES = (b"\0\5\x16\7", b"\0\5\x16\0")  # AppleDouble, AppleSingle


def is_apple_double(data: bytes) -> bool:
    """Whether a file is no photo but what macOS keeps about one: its attributes, its resource fork, a preview."""
    return data.startswith(_SIGNATURES)
