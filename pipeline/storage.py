"""Storage: reading and whole-object writing through fsspec, local or remote."""

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, ParamSpec, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from pipeline.errors import StorageError

_FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
P = ParamSpec("P")
T = TypeVar("T")


class Entry(NamedTuple):
    """A stored object; a tuple, because a listing makes millions of them.

    Attributes:
        uri: where it is.
        key: its path below the folder that was listed.
        size: bytes.
        etag: what the store says identifies its content; empty where it says nothing.
        mtime: time of last change, seconds since 1970; 0 where unknown.
    """

    uri: str
    key: str
    size: int
    etag: str
    mtime: float


def absolute(uri: str) -> str:
    """A local path made absolute; a URI with a protocol as it is."""
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def join(uri: str, *names: str) -> str:
    """A URI below another one."""
    return "/".join([uri.rstrip("/"), *names])


def told(function: Callable[P, T]) -> Callable[P, T]:
    """Try again what may pass, and turn what does not into a StorageError that says what to do."""

    @wraps(function)
    def tried(*args: P.args, **kwargs: P.kwargs) -> T:
        attempts = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, OSError) and not isinstance(error, _FINAL)),
            stop=stop_after_attempt(4),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            reraise=True,
        )
        try:
            return attempts(function, *args, **kwargs)
        except (FileNotFoundError, FileExistsError, StorageError):
            raise  # an answer, not a fault
        except Exception as error:
            if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
                raise StorageError(
                    f"{args[0]}: no credentials for this storage (set AWS_PROFILE or the AWS_… variables)"
                ) from error
            if isinstance(error, OSError | ValueError | ImportError) or "botocore" in type(error).__module__:
                raise StorageError(f"{args[0]}: {type(error).__name__}: {' '.join(str(error).split())}") from error
            raise

    return tried


@told
def read(uri: str) -> bytes:
    """The bytes of an object.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read, after retries.
    """
    fs, path = filesystem(uri)
    data: bytes = fs.cat_file(path)
    return data


@told
def read_part(uri: str, start: int, end: int) -> bytes:
    """The bytes of an object from `start` up to `end`, or up to its own end.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read, after retries.
    """
    fs, path = filesystem(uri)
    data: bytes = fs.cat_file(path, start=start, end=end)
    return data


@contextlib.contextmanager
def opened(uri: str) -> Iterator[BinaryIO]:
    """An object as a file that can be read in parts.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read.
    """
    fs, path = filesystem(uri)
    try:
        with fs.open(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"{uri}: {type(error).__name__}: {' '.join(str(error).split())}") from error


@told
def put(uri: str, data: bytes) -> None:
    """Write an object whole: readers see the old one or all of the new one."""
    fs, path = filesystem(uri)
    if isinstance(fs, LocalFileSystem):
        os.replace(_temporary(path, data), path)
    else:
        _pipe(fs, path, data)


@told
def create(uri: str, data: bytes) -> bool:
    """Write an object whole unless there is one of that name; atomic locally and on S3 (`If-None-Match: *`).

    Returns:
        Whether the object holds `data` now: also True where an earlier try of the same write had landed.
    """
    fs, path = filesystem(uri)
    try:
        if isinstance(fs, LocalFileSystem):
            temporary = _temporary(path, data)
            try:
                os.link(temporary, path)
            finally:
                os.unlink(temporary)
        elif "s3" in fs.protocol:
            _pipe(fs, path, data, mode="create")
        elif fs.exists(path):
            raise FileExistsError(path)
        else:
            _pipe(fs, path, data)
    except FileExistsError:
        written: bytes = fs.cat_file(path)
        return written == data
    return True


@told
def names(folder: str) -> set[str]:
    """Names of the objects right below a folder; empty where there is no such folder."""
    fs, path = filesystem(folder)
    fs.invalidate_cache()
    try:
        return {PurePosixPath(found).name for found in fs.ls(path, detail=False)}
    except FileNotFoundError:
        return set()


@told
def remove(folder: str) -> None:
    """Remove all objects in a folder; nothing where there is no such folder."""
    fs, path = filesystem(folder)
    fs.invalidate_cache()
    for found in fs.find(path):  # one by one: removing folders expands globs, and passes over what cannot be removed
        fs.rm_file(found)
    if "file" in fs.protocol and fs.exists(path):
        shutil.rmtree(path)


@told
def remove_file(uri: str) -> None:
    """Remove one object."""
    fs, path = filesystem(uri)
    fs.rm_file(path)


def exists(uri: str) -> bool:
    """Whether there is an object of that name."""
    return uri.rstrip("/").rpartition("/")[2] in names(uri.rstrip("/").rpartition("/")[0])


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a URI, without a cache of listings, and the path on it."""
    fs, path = fsspec.core.url_to_fs(absolute(uri), use_listings_cache=False)
    return fs, str(path)


def _pipe(fs: Any, path: str, data: bytes, **options: str) -> None:  # noqa: ANN401
    try:
        fs.pipe_file(path, data, **options)
    except FileNotFoundError as error:
        raise StorageError(f"{fs.unstrip_protocol(path)} cannot be written: there is no such bucket") from error


def _temporary(path: str, data: bytes) -> str:
    """A complete, synced file beside `path`."""
    folder, name = os.path.split(path)
    try:
        os.makedirs(folder, exist_ok=True)
    except FileNotFoundError as error:
        raise StorageError(f"{folder} cannot be made: {error.strerror}") from error
    temporary = os.path.join(folder, f".{name[-80:]}.{uuid.uuid4().hex}.partial")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return temporary


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
