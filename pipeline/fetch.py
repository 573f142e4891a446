"""Fetch: the bytes of a planned photo, within the limits of the job and of the input folder."""

from pipeline.config import Limits
from pipeline.errors import Code, ImageError, StorageError
from pipeline.storage import Entry, read, target

_OWN = ("_deepot", "_deepot.json")  # what runs keep in the output folder


def fetch(entry: Entry, limits: Limits) -> bytes:
    """Read a photo.

    Raises:
        ImageError: gone, unreadable, larger than `limits.max_bytes`, a link that leads where `limits.links` forbids, or
            of a name whose result would lie outside the output folder.
    """
    folders = entry.key.split("/")
    if not {"", ".", ".."}.isdisjoint(folders) or folders[0] in _OWN or "\0" in entry.key:
        raise ImageError(
            Code.UNSAFE_NAME, "its result would lie outside the output folder or among the run's own files"
        )
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
