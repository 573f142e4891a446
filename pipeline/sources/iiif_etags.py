"""The mark in the ETag of a listed photo that has its server asked at the pace of the job."""

_PREFIX = "iiif:"


def mark_polite(etag: str) -> str:
    """Return the ETag of a photo whose server is asked at the pace of the job."""
    return _PREFIX + etag


def is_polite(etag: str) -> bool:
    """Whether the server of a photo is asked at the pace of the job."""
    return etag.startswith(_PREFIX)
