"""Objects by their URIs: read, written, created and deleted, with retries."""

import hashlib
import time
from datetime import UTC, datetime

from pipeline.errors import StorageError, TooLargeError
from pipeline.storage.resolve import resolve_store
from pipeline.storage.retries import with_retries
from pipeline.storage.store import Entry
from pipeline.storage.temporary_names import temporary_path


@with_retries
def read(uri: str, max_bytes: int | None = None) -> bytes:
    """Return the bytes of an object.

    Args:
        uri: of the object.
        max_bytes: the most bytes that it may have; of a larger one, no more than one byte beyond these is read.

    Raises:
        FileNotFoundError: there is no such object.
        TooLargeError: it has more than `max_bytes` bytes.
        NotAFileError: it is a device, a FIFO or the like.
        StorageError: it cannot be read, after retries.
    """
    store, path = resolve_store(uri)
    if max_bytes is None:
        return store.read(path)
    data = store.read_range(path, 0, max_bytes + 1)
    if len(data) > max_bytes:
        raise TooLargeError(f"{uri} has more than {max_bytes} bytes")
    return data


@with_retries
def read_range(uri: str, start: int, end: int) -> bytes:
    """Return the bytes of an object from `start` up to `end` or its own end; none if `start` is beyond that.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: it cannot be read, after retries.
    """
    store, path = resolve_store(uri)
    return store.read_range(path, start, end)


@with_retries
def write(uri: str, data: bytes, permissions: int | None = None) -> None:
    """Create or overwrite an object atomically: readers see all of the old one or all of the new one.

    Args:
        uri: the object.
        data: its bytes.
        permissions: the most permission bits that a local file gets, as `os.stat` has them; None: as umask allows.

    Raises:
        StorageError: it cannot be written, after retries.
    """
    store, path = resolve_store(uri)
    store.write(path, data, permissions)


@with_retries
def write_unsynced(uri: str, data: bytes, permissions: int | None = None) -> None:
    """Write an object as `write` does, except that a power failure may undo it until `sync_folder` has returned.

    So a folder of many files is synced once. Arguments and errors are those of `write`.
    """
    store, path = resolve_store(uri)
    store.write_unsynced(path, data, permissions)


@with_retries
def get_permissions(uri: str) -> int | None:
    """Return the permission bits of an object, up to 0o777; None if its store has none.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: storage gives no answer, after retries.
    """
    store, path = resolve_store(uri)
    return store.get_permissions(path)


@with_retries
def find_link_out(uri: str, folder: str) -> str:
    """Return the symbolic link through which the way to an object leaves a folder that is above it; empty if none.

    The object itself may be a link: writing replaces that. Only local folders have links.
    """
    store, path = resolve_store(uri)
    return store.find_link_out(path, resolve_store(folder)[1])


@with_retries
def create_if_absent(uri: str, data: bytes, permissions: int | None = None) -> bool:
    """Write an object unless there is one of that name; atomic where `supports_conditional_create`.

    Args:
        uri: the object.
        data: its bytes.
        permissions: as for `write`.

    Returns:
        Whether the object now holds `data`: also True if an earlier attempt at the same write had landed.
    """
    store, path = resolve_store(uri)
    try:
        store.create(path, data, permissions)
    except FileExistsError:
        return store.read(path) == data
    return True


@with_retries
def supports_conditional_create(folder: str) -> bool:
    """Whether the store itself lets only one of two concurrent creates in a folder succeed."""
    store, path = resolve_store(folder)
    return store.supports_conditional_create(path)


@with_retries
def is_case_insensitive(folder: str) -> bool:
    """Whether `A.png` and `a.png` are one object in a folder."""
    store, path = resolve_store(folder)
    return store.is_case_insensitive(path)


@with_retries
def delete(uri: str) -> None:
    """Delete one object; a missing one is no error."""
    store, path = resolve_store(uri)
    store.delete(path)


@with_retries
def stat(uri: str) -> Entry:
    """Return the listing entry of one object; its key is its full path.

    Raises:
        FileNotFoundError: there is no such object; a folder is none.
        StorageError: storage gives no answer, after retries.
    """
    store, path = resolve_store(uri)
    return store.stat(path)


def get_mtime(uri: str) -> float:
    """Return when an object was last changed, seconds since 1970; 0 if unknown.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: storage gives no answer, after retries.
    """
    return stat(uri).mtime


def storage_clock(folder: str) -> float:
    """Return the time by the clock that dates the objects of a folder, which may differ from this machine's.

    Without the right to write, or if the store dates nothing, it is this machine's clock.

    Returns:
        Seconds since 1970.
    """
    probe = temporary_path(folder.rstrip("/"))
    try:
        write(probe, b"")
        try:
            return get_mtime(probe) or time.time()
        finally:
            delete(probe)
    except StorageError:
        return time.time()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def utc_timestamp() -> str:
    """Return the current time in UTC, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
