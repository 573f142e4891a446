"""Reading one photo, wherever it lives."""

from collections.abc import Sequence

from pipeline.config import Limits
from pipeline.errors import (
    AccessDeniedError,
    ContainerError,
    ErrorCode,
    ImageError,
    NotAFileError,
    NotAllowedError,
    StorageError,
    TooLargeError,
)
from pipeline.imageio import is_apple_double
from pipeline.sources.containers import CONTAINERS
from pipeline.sources.fixity import check_fixity, check_readable, has_fixity
from pipeline.sources.iiif_etags import is_polite
from pipeline.sources.member_uri import is_container, parse_member_uri
from pipeline.storage import Entry, read, read_politely

_RESERVED_NAMES = ("_deepot", "_owner.json")  # what runs keep in the output folder


def read_photo(uri: str, max_bytes: int | None = None, allow: Sequence[str] = ()) -> bytes:
    """Return the bytes of a photo.

    Args:
        uri: of a file, or of a member of a container.
        max_bytes: the most bytes that it may have; of a larger one, no more than a small multiple of these is held.
        allow: prefixes of URIs that a cell of a Parquet file may name, besides what lies below the file's folder.

    Raises:
        ImageError: it is a member that inflates to more, is corrupt, or is packed in a way that is not read.
        FileNotFoundError: there is no such file.
        TooLargeError: it has more bytes than that.
        NotAFileError: it is a folder, a device or the like.
        NotAllowedError: the container may not name it.
        StorageError: it cannot be read; a ContainerError if its container can, and holds no such photo.
    """
    member = parse_member_uri(uri)
    if member is None:
        return read(uri, max_bytes)
    try:
        return CONTAINERS[member.kind].read_member(member, max_bytes, allow)
    except (ValueError, TypeError, LookupError) as error:
        raise ContainerError(f"{uri} does not name a photo inside {member.container}: {error}") from error


def read_input(entry: Entry, limits: Limits, allow: Sequence[str] = ()) -> bytes:
    """Return the bytes of a planned photo, within the limits of the job.

    Args:
        entry: the photo.
        limits: the limits.
        allow: as for `read_photo`.

    Raises:
        ImageError: it is missing, unreadable, larger than `limits.max_bytes`, no file, named by a container that may
            not name it, has another checksum than its archive states, has a name whose result would lie outside the
            output folder, or is called `._…` and an AppleDouble file.
    """
    check_readable(entry.etag)
    components = entry.key.split("/")
    if not {"", ".", ".."}.isdisjoint(components) or components[0] in _RESERVED_NAMES or "\0" in entry.key:
        raise ImageError(
            ErrorCode.UNSAFE_NAME, "its result would lie outside the output folder or among the run's own files"
        )
    if is_container(entry.uri):
        raise ImageError(ErrorCode.DAMAGED, f"the photos in this container cannot be listed: {_why_unlistable(entry)}")
    member = parse_member_uri(entry.uri)
    if member is None or member.kind != "parquet":  # the listing has only the mean size of a Parquet file's cells
        _check_size(entry.size, limits)
    data = _read_or_image_error(entry, limits, allow)
    check_fixity(entry.etag, data)
    if components[-1].startswith("._") and is_apple_double(data):
        raise ImageError(
            ErrorCode.APPLE_DOUBLE,
            f"it is an AppleDouble file, which holds what macOS keeps about {components[-1][2:]} and no photo",
        )
    return data


def _read_or_image_error(entry: Entry, limits: Limits, allow: Sequence[str]) -> bytes:
    """Return the bytes of a photo; what storage raises becomes an ImageError."""
    try:
        if is_polite(entry.etag):
            return read_politely(entry.uri, limits.max_bytes, limits.request_pace)
        return read_photo(entry.uri, limits.max_bytes, allow)
    except FileNotFoundError as error:
        stated = "its bag or OCFL object lists it, but there is no such file" if has_fixity(entry.etag) else ""
        raise ImageError(ErrorCode.MISSING, stated or "the file no longer exists") from error
    except TooLargeError as error:
        raise ImageError(
            ErrorCode.TOO_LARGE, f"it has more bytes than limits.max_bytes = {limits.max_bytes}"
        ) from error
    except NotAFileError as error:
        raise ImageError(ErrorCode.NOT_AN_IMAGE, str(error)) from error
    except NotAllowedError as error:
        raise ImageError(ErrorCode.NOT_ALLOWED, str(error)) from error
    except ContainerError as error:
        raise ImageError(ErrorCode.DAMAGED, str(error)) from error
    except AccessDeniedError as error:
        raise ImageError(ErrorCode.ACCESS_DENIED, str(error)) from error
    except (StorageError, OSError) as error:
        raise ImageError(ErrorCode.READ_FAILED, str(error)) from error


def _why_unlistable(container: Entry) -> str:
    """Return why the photos of a container could not be listed."""
    reason = "it is corrupt, or two have one name"
    if not container.uri.lower().endswith(".parquet"):  # whose column is not known here
        try:
            next(CONTAINERS[container.uri.lower().rpartition(".")[2]].entries(container, ""), None)
        except StorageError as error:
            reason += f": {error}"
        except Exception as error:  # what a parser raises over bytes made to harm
            reason += f": {type(error).__name__}"
    return reason


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise ImageError(ErrorCode.TOO_LARGE, f"{size} bytes are more than limits.max_bytes = {limits.max_bytes}")
