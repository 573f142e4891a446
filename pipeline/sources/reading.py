"""Reading one photo, wherever it lives."""

import sys

from pipeline.config import Limits
from pipeline.errors import AccessDeniedError, ContainerError, ErrorCode, ImageError, StorageError
from pipeline.sources.containers import CONTAINERS
from pipeline.sources.member_uri import is_container, parse_member_uri
from pipeline.storage import Entry, read

_RESERVED_NAMES = ("_deepot", "_owner.json")  # what runs keep in the output folder


def read_photo(uri: str, max_inflated_bytes: int = sys.maxsize) -> bytes:
    """Return the bytes of a photo.

    Args:
        uri: of a file, or of a member of a container.
        max_inflated_bytes: the most bytes that a ZIP member may inflate to.

    Raises:
        ImageError: it is a ZIP member that inflates to more, is corrupt, or is packed in a way that is not read.
        FileNotFoundError: there is no such file.
        StorageError: it cannot be read; a ContainerError if its container can, and holds no such photo.
    """
    member = parse_member_uri(uri)
    if member is None:
        return read(uri)
    try:
        return CONTAINERS[member.kind].read_member(member, max_inflated_bytes)
    except (ValueError, TypeError, LookupError) as error:
        raise ContainerError(f"{uri} does not name a photo inside {member.container}: {error}") from error


def read_input(entry: Entry, limits: Limits) -> bytes:
    """Return the bytes of a planned photo, within the limits of the job.

    Raises:
        ImageError: it is missing, unreadable, larger than `limits.max_bytes`, or has a name whose result would lie
            outside the output folder.
    """
    components = entry.key.split("/")
    if not {"", ".", ".."}.isdisjoint(components) or components[0] in _RESERVED_NAMES or "\0" in entry.key:
        raise ImageError(
            ErrorCode.UNSAFE_NAME, "its result would lie outside the output folder or among the run's own files"
        )
    if is_container(entry.uri):
        raise ImageError(
            ErrorCode.DAMAGED, "the photos in this container cannot be listed: it is corrupt, or two have one name"
        )
    _check_size(entry.size, limits)
    try:
        data = read_photo(entry.uri, limits.max_bytes)
    except FileNotFoundError as error:
        raise ImageError(ErrorCode.MISSING, "the file no longer exists") from error
    except ContainerError as error:
        raise ImageError(ErrorCode.DAMAGED, str(error)) from error
    except AccessDeniedError as error:
        raise ImageError(ErrorCode.ACCESS_DENIED, str(error)) from error
    except (StorageError, OSError) as error:
        raise ImageError(ErrorCode.READ_FAILED, str(error)) from error
    _check_size(len(data), limits)
    return data


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise ImageError(ErrorCode.TOO_LARGE, f"{size} bytes are more than limits.max_bytes = {limits.max_bytes}")
