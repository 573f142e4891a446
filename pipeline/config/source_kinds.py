"""The prefixes of URIs that state by whose rules the photos below are found, as in `bagit:s3://archive/bag-1912`."""

SOURCE_KINDS = {"bagit": "BagIt bags", "iiif": "a IIIF manifest or collection", "ocfl": "OCFL objects"}
"""Prefix, without its colon → what lies at the URI after it."""


def split_source_kind(uri: str) -> tuple[str, str]:
    """Return the prefix of a URI, empty if it has none of `SOURCE_KINDS`, and the URI itself.

    Example:
        >>> split_source_kind("bagit:/archive/bag-1912")
        ('bagit', '/archive/bag-1912')
        >>> split_source_kind("s3://archive/bag-1912")
        ('', 's3://archive/bag-1912')
    """
    kind, colon, rest = uri.partition(":")
    return (kind.lower(), rest) if colon and kind.lower() in SOURCE_KINDS else ("", uri)
