"""Fetch: the bytes of a planned photo, within the limits of the job."""

from pipeline.config import Limits
from pipeline.errors import ContainerError, ErrorCode, ImageError, StorageError
from pipeline.sources.members import is_container, read_photo
from pipeline.storage import Entry

_RESERVED_NAMES = ("_deepot", "_owner.json")  # what runs keep in the output folder


def read_input(entry: Entry, limits: Limits) -> bytes:
    """Read a photo.

    Raises:
        ImageError: gone, unreadable, larger than `limits.max_bytes`, or of a name whose result would lie elsewhere than
            in the output folder.
    """
    components = entry.key.split("/")
    if not {"", ".", ".."}.isdisjoint(components) or components[0] in _RESERVED_NAMES or "\0" in entry.key:
        raise ImageError(
            ErrorCode.UNSAFE_NAME, "its result would lie outside the output folder or among the run's files"
        )
    if is_container(entry.uri):
        raise ImageError(
            ErrorCode.DAMAGED, "the photos inside of it cannot be told: it is damaged, or two have one name"
        )
    _check_size(entry.size, limits)
    try:
        data = read_photo(entry.uri, limits.max_bytes)
    except FileNotFoundError as error:
        raise ImageError(ErrorCode.MISSING, "it is no longer there") from error
    except ContainerError as error:
        raise ImageError(ErrorCode.DAMAGED, str(error)) from error
    except (StorageError, OSError) as error:
        raise ImageError(ErrorCode.READ_FAILED, str(error)) from error
    _check_size(len(data), limits)
    return data


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise ImageError(ErrorCode.TOO_LARGE, f"{size} bytes are more than limits.max_bytes = {limits.max_bytes}")
