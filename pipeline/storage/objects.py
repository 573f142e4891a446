"""Storage: reading and whole-object writing through fsspec, local or remote."""

import errno
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from pipeline.errors import StorageError
from pipeline.redaction import holds_credentials, redacted
from pipeline.storage.atomic import create_whole, decides, error_code, put_whole
from pipeline.storage.filenames import raw, typed

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
    return uri if "://" in uri else typed(str(Path(uri).expanduser().absolute()))


def join(uri: str, *names: str) -> str:
    """A URI below another one."""
    return "/".join([uri.rstrip("/"), *names])


def told(function: Callable[P, T]) -> Callable[P, T]:
    """Try again what may pass, and turn what does not into a StorageError that says what to do."""

    @wraps(function)
    def tried(*args: P.args, **kwargs: P.kwargs) -> T:
        attempts = Retrying(
            retry=retry_if_exception(_may_pass),
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
            if isinstance(error, OSError | ValueError | ImportError) or _of_the_client(error):
                raise _error(str(args[0]), error) from error
            raise

    return tried


def _may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed another time: throttling, resets, timeouts, bodies cut short, a full disk."""
    if isinstance(error, OSError):
        return not isinstance(error, _FINAL) and error.errno != errno.ENAMETOOLONG
    return _of_the_client(error) and not type(error).__name__.endswith(("CredentialsError", "ParamValidationError"))


def _of_the_client(error: BaseException) -> bool:
    """Whether it comes from the libraries below s3fs, which lets some of their exceptions through as they are."""
    return type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp")


def _error(uri: str, error: Exception) -> StorageError:
    return StorageError(redacted(f"{uri}: {type(error).__name__}: {' '.join(str(error).split())}"))


@told
def read(uri: str) -> bytes:
    """The bytes of an object.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read, after retries.
    """
    fs, path = filesystem(uri)
    one_answer = {"max_concurrency": 1} if "s3" in fs.protocol else {}  # ranges of an object that changes do not fit
    data: bytes = fs.cat_file(path, **one_answer)
    return data


@told
def read_range(uri: str, start: int, end: int) -> bytes:
    """The bytes of an object from `start` up to `end`, or up to its own end.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read, after retries.
    """
    fs, path = filesystem(uri)
    try:
        data: bytes = fs.cat_file(path, start=start, end=end)
    except OSError as error:
        if error_code(error) in ("InvalidRange", "416"):
            return b""  # S3 refuses ranges that begin behind the end
        raise
    return data


@told
def put(uri: str, data: bytes) -> None:
    """Write an object whole: readers see the old one or all of the new one."""
    fs, path = filesystem(uri)
    put_whole(fs, path, data)


@told
def create(uri: str, data: bytes) -> bool:
    """Write an object whole unless there is one of that name; atomic where `decided` says so.

    Returns:
        Whether the object holds `data` now: also True where an earlier try of the same write had landed.
    """
    fs, path = filesystem(uri)
    try:
        create_whole(fs, path, data)
    except FileExistsError:
        written: bytes = fs.cat_file(path)
        return written == data
    return True


@told
def decided(folder: str) -> bool:
    """Whether storage itself decides between two that create the same object in a folder."""
    fs, path = filesystem(folder)
    return decides(fs, path)


@told
def delete(uri: str) -> None:
    """Remove one object; nothing where there is none."""
    fs, path = filesystem(uri)
    try:
        fs.rm_file(path)
    except FileNotFoundError:
        return


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a URI, without a cache of listings, and the path on it.

    Raises:
        StorageError: the URI holds credentials.
    """
    if holds_credentials(uri):
        raise StorageError(
            f"{redacted(uri)}: this URI holds credentials, which would end up in manifests and reports: "
            "take them out, and give them in the environment or the storage's own settings"
        )
    fs, path = fsspec.core.url_to_fs(absolute(uri), use_listings_cache=False)
    return fs, raw(str(path)) if isinstance(fs, LocalFileSystem) else str(path)


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
