"""Storage: reading and whole-object writing through fsspec, local or remote."""

import errno
import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from pipeline.errors import StorageError
from pipeline.redaction import has_credentials, redact
from pipeline.storage.atomic import atomic_create, atomic_write, probe_conditional_create, s3_error_code
from pipeline.storage.filenames import escape_surrogates, unescape_filename

_PERMANENT_ERRORS = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
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


def absolute_uri(uri: str) -> str:
    """A local path made absolute; a URI with a protocol as it is."""
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    return uri if "://" in uri else escape_surrogates(str(Path(os.path.expanduser(uri)).absolute()))


def join_uri(uri: str, *names: str) -> str:
    """A URI below another one."""
    return "/".join([uri.rstrip("/"), *names])


def parent_uri(uri: str) -> str:
    """The folder above; empty for a bucket or the root of a file system."""
    parent = uri.rstrip("/").rpartition("/")[0]
    return "" if parent.endswith((":/", ":")) else parent


def with_retries(function: Callable[P, T]) -> Callable[P, T]:
    """Try again what may pass, and turn what does not into a StorageError that says what to do."""

    @wraps(function)
    def call_with_retries(*args: P.args, **kwargs: P.kwargs) -> T:
        attempts = Retrying(
            retry=retry_if_exception(_is_transient),
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
            if isinstance(error, OSError | ValueError | ImportError) or _is_client_error(error):
                raise _storage_error(str(args[0]), error) from error
            raise

    return call_with_retries


def _is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed another time: throttling, resets, timeouts, bodies cut short, a full disk."""
    if isinstance(error, OSError):
        return not isinstance(error, _PERMANENT_ERRORS) and error.errno != errno.ENAMETOOLONG
    return _is_client_error(error) and not type(error).__name__.endswith(("CredentialsError", "ParamValidationError"))


def _is_client_error(error: BaseException) -> bool:
    """Whether it comes from the libraries below s3fs, which lets some of their exceptions through as they are."""
    return type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp")


def _storage_error(uri: str, error: Exception) -> StorageError:
    return StorageError(redact(f"{uri}: {type(error).__name__}: {' '.join(str(error).split())}"))


@with_retries
def read(uri: str) -> bytes:
    """The bytes of an object.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read, after retries.
    """
    fs, path = resolve_filesystem(uri)
    single_request = (
        {"max_concurrency": 1} if "s3" in fs.protocol else {}
    )  # ranges of an object that changes do not fit
    data: bytes = fs.cat_file(path, **single_request)
    return data


@with_retries
def read_range(uri: str, start: int, end: int) -> bytes:
    """The bytes of an object from `start` up to `end`, or up to its own end.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read, after retries.
    """
    fs, path = resolve_filesystem(uri)
    try:
        data: bytes = fs.cat_file(path, start=start, end=end)
    except OSError as error:
        if s3_error_code(error) in ("InvalidRange", "416"):
            return b""  # S3 refuses ranges that begin behind the end
        raise
    return data


@with_retries
def write(uri: str, data: bytes) -> None:
    """Write an object whole: readers see the old one or all of the new one."""
    fs, path = resolve_filesystem(uri)
    atomic_write(fs, path, data)


@with_retries
def create_if_absent(uri: str, data: bytes) -> bool:
    """Write an object whole unless there is one of that name; atomic where `supports_conditional_create` says so.

    Returns:
        Whether the object holds `data` now: also True where an earlier try of the same write had landed.
    """
    fs, path = resolve_filesystem(uri)
    try:
        atomic_create(fs, path, data)
    except FileExistsError:
        stored: bytes = fs.cat_file(path)
        return stored == data
    return True


@with_retries
def supports_conditional_create(folder: str) -> bool:
    """Whether storage itself decides between two that create the same object in a folder."""
    fs, path = resolve_filesystem(folder)
    return probe_conditional_create(fs, path)


@with_retries
def delete(uri: str) -> None:
    """Remove one object; nothing where there is none."""
    fs, path = resolve_filesystem(uri)
    try:
        fs.rm_file(path)
    except FileNotFoundError:
        return


def sha256_hex(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def resolve_filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a URI, without a cache of listings, and the path on it.

    Raises:
        StorageError: the URI holds credentials.
    """
    if has_credentials(uri):
        raise StorageError(
            f"{redact(uri)}: this URI holds credentials, which would end up in manifests and reports: "
            "take them out, and give them in the environment or the storage's own settings"
        )
    fs, path = fsspec.core.url_to_fs(absolute_uri(uri), use_listings_cache=False)
    return fs, unescape_filename(str(path)) if isinstance(fs, LocalFileSystem) else str(path)


def utc_timestamp() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
