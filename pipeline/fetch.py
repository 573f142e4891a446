"""Fetch: the bytes of a planned photo, within the limits of the job."""

from pipeline.config import Limits
from pipeline.errors import Code, ImageError, StorageError
from pipeline.storage import Entry, read, target


def fetch(entry: Entry, limits: Limits) -> bytes:
    """Read a photo.

    Raises:
        ImageError: gone, unreadable, larger than `limits.max_bytes`, or a link that leads where `limits.links` forbids.
    """
    if entry.size > limits.max_bytes:
        raise ImageError(Code.TOO_LARGE, f"{entry.size} bytes are more than limits.max_bytes = {limits.max_bytes}")
    try:
        if limits.links == "inside" and target(entry) is not None:
            raise ImageError(
                Code.LINK_OUTSIDE, "it is a symbolic link out of the folder; limits.links: follow takes such photos"
            )
        return read(entry.uri)
    except FileNotFoundError as error:
        raise ImageError(Code.VANISHED, "it is no longer there") from error
    except (StorageError, OSError) as error:
        raise ImageError(Code.READ_FAILED, str(error)) from error
