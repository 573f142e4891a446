"""Storage: listing, reading and whole-object writing through fsspec, local or remote."""

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path, PurePosixPath
from typing import Any, ParamSpec, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from pipeline.credentials import holds_credentials, redacted
from pipeline.errors import StorageError

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "png", "tif", "tiff", "webp", "bmp", "gif"),
        *("avif", "heic", "heif", "jp2", "jxl", "ppm", "pgm", "tga"),
    )
)
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
_PROBED: dict[str, bool] = {}  # folder or bucket → whether two writers of one new object are told apart there
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A stored object.

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


def _told(function: Callable[P, T]) -> Callable[P, T]:
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
                where, why = redacted(str(args[0])), redacted(" ".join(str(error).split()))
                raise StorageError(f"{where}: {type(error).__name__}: {why}") from error
            raise

    return tried


def _may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed another time: throttling, resets, timeouts, bodies cut short, a full disk."""
    if isinstance(error, OSError):
        return not isinstance(error, _FINAL)
    return _of_the_client(error) and not type(error).__name__.endswith(("CredentialsError", "ParamValidationError"))


def _of_the_client(error: BaseException) -> bool:
    """Whether it comes from the libraries below s3fs, which lets some of their exceptions through as they are."""
    return type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp")


@_told
def read(uri: str) -> bytes:
    """The bytes of an object.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read, after retries.
    """
    fs, path = _open(uri)
    one_answer = {"max_concurrency": 1} if "s3" in fs.protocol else {}  # ranges of an object that changes do not fit
    data: bytes = fs.cat_file(path, **one_answer)
    return data


def target(entry: Entry) -> str | None:
    """Where a local file lies that is a symbolic link out of the folder that was listed; None for all others."""
    if "://" in entry.uri or not entry.uri.endswith(entry.key):
        return None
    root = os.path.realpath(entry.uri.removesuffix(entry.key))
    real = os.path.realpath(entry.uri)
    return None if os.path.commonpath([root, real]) == root else real


@_told
def put(uri: str, data: bytes) -> None:
    """Write an object whole: readers see the old one or all of the new one."""
    fs, path = _open(uri)
    if isinstance(fs, LocalFileSystem):
        os.replace(_temporary(path, data), path)
    else:
        _pipe(fs, path, data)


@_told
def create(uri: str, data: bytes) -> bool:
    """Write an object whole unless there is one of that name; atomic where `decides` says so.

    Returns:
        Whether the object holds `data` now: also True where an earlier try of the same write had landed.
    """
    fs, path = _open(uri)
    try:
        if not _decides(fs, path.rpartition("/")[0]):
            _create_unless_seen(fs, path, data)
        elif isinstance(fs, LocalFileSystem):
            _link(path, data)
        else:
            _create_on_s3(fs, path, data)
    except FileExistsError:
        written: bytes = fs.cat_file(path)
        return written == data
    return True


@_told
def decides(folder: str) -> bool:
    """Whether storage itself decides between two that create the same object in a folder: one probe a process and place.

    Local files are linked into place and S3 is asked with `If-None-Match: *`; both are tried out, because some file systems
    have no links and some endpoints ignore the condition. Elsewhere `create` looks first and writes then.
    """
    fs, path = _open(folder)
    return _decides(fs, path)


@_told
def names(folder: str) -> set[str]:
    """Names of the objects right below a folder; empty where there is no such folder."""
    fs, path = _open(folder)
    fs.invalidate_cache()
    try:
        return {PurePosixPath(found).name for found in fs.ls(path, detail=False)}
    except FileNotFoundError:
        return set()


@_told
def remove(folder: str) -> None:
    """Remove all objects in a folder; nothing where there is no such folder."""
    fs, path = _open(folder)
    fs.invalidate_cache()
    for found in fs.find(path):  # one by one: removing folders expands globs, and passes over what cannot be removed
        fs.rm_file(found)
    if "file" in fs.protocol and fs.exists(path):
        shutil.rmtree(path)


@_told
def delete(uri: str) -> None:
    """Remove one object; nothing where there is none."""
    fs, path = _open(uri)
    fs.invalidate_cache()
    try:
        fs.rm_file(path)
    except FileNotFoundError:
        return


@_told
def files(folder: str) -> list[Entry]:
    """Every file below a folder, whatever its name, sorted by key; none where there is no such folder."""
    fs, path = _open(folder)
    fs.invalidate_cache()
    root = path.rstrip("/")
    try:
        return sorted((_entry(fs, item, root) for item in _walk(fs, root)), key=lambda entry: entry.key)
    except FileNotFoundError:
        return []


def exists(uri: str) -> bool:
    """Whether there is an object of that name."""
    return uri.rstrip("/").rpartition("/")[2] in names(uri.rstrip("/").rpartition("/")[0])


@_told
def listing(uri: str) -> list[Entry]:
    """Every image below a folder (by its suffix), every file that matches a glob, or one file; sorted by key.

    Raises:
        FileNotFoundError: no such folder, bucket or file.
        StorageError: it cannot be listed.
    """
    fs, path = _open(uri)
    fs.invalidate_cache()
    if "*" in path or "?" in path:
        fixed = path[: min(path.find(mark) for mark in "*?[" if mark in path)]
        root = fixed.rpartition("/")[0]
        pattern = re.compile(glob_translate(path))
        found = (item for item in _walk(fs, root) if pattern.fullmatch(item["name"]))
    elif fs.isfile(path):
        root, found = path.rpartition("/")[0], (item for item in [fs.info(path)])
    else:
        root = path.rstrip("/")
        found = (item for item in _walk(fs, root) if PurePosixPath(item["name"]).suffix.lower() in IMAGE_SUFFIXES)
    return sorted((_entry(fs, item, root) for item in found), key=lambda entry: entry.key)


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def _open(uri: str) -> tuple[Any, str]:
    if holds_credentials(uri):
        raise StorageError(
            f"{redacted(uri)}: this URI holds credentials, which would end up in manifests and reports: "
            "take them out, and give them in the environment or the storage's own settings"
        )
    fs, path = fsspec.core.url_to_fs(absolute(uri), use_listings_cache=False)
    return fs, str(path)


def _walk(fs: Any, root: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401 — fsspec has no types
    """Files below a folder, one listing a folder at a time; raises where the folder itself cannot be listed."""
    fs.ls(root, detail=False)
    for _, _, files in fs.walk(root, detail=True, on_error="raise"):
        yield from (item for item in files.values() if item["type"] == "file")


def _entry(fs: Any, item: dict[str, Any], root: str) -> Entry:  # noqa: ANN401
    etag = str(item.get("ETag", item.get("etag", ""))).strip('"')
    changed = item.get("LastModified", item.get("mtime", item.get("created", 0)))
    mtime = changed.timestamp() if isinstance(changed, datetime) else float(changed or 0)
    name = str(item["name"])
    uri = name if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(name)
    return Entry(uri, name.removeprefix(root).lstrip("/"), int(item["size"]), etag, mtime)


def _decides(fs: Any, folder: str) -> bool:  # noqa: ANN401
    local = isinstance(fs, LocalFileSystem)
    if not local and "s3" not in fs.protocol:
        return False
    place = folder if local else fs.split_path(folder)[0]
    if place not in _PROBED:
        probe = f"{folder}/.{uuid.uuid4().hex}.partial"
        _PROBED[place] = _links(probe) if local else _conditions(fs, probe)
    return _PROBED[place]


def _links(probe: str) -> bool:
    """Whether files can be linked into place."""
    try:
        _link(probe, b"probe")
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            return False
        raise
    os.unlink(probe)
    return True


def _conditions(fs: Any, probe: str) -> bool:  # noqa: ANN401
    """Whether a bucket refuses to create an object that is there: two creates of one new name, with other contents."""
    try:
        with suppress(FileExistsError):  # the first had landed and its answer was lost
            _create_on_s3(fs, probe, b"first")
        _create_on_s3(fs, probe, b"second")
    except FileExistsError:
        return True
    except OSError as error:
        if _code(error) not in ("NotImplemented", "501"):
            raise
    finally:
        with suppress(OSError):  # without the right to delete, the probe stays
            fs.rm_file(probe)
    return False


def _link(path: str, data: bytes) -> None:
    """Create a local file whole; FileExistsError where there is one."""
    temporary = _temporary(path, data)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)


def _create_on_s3(fs: Any, path: str, data: bytes) -> None:  # noqa: ANN401
    """Create an object under the condition that there is none; FileExistsError where there is one."""
    try:
        _pipe(fs, path, data, mode="create")
    except OSError as error:
        if _code(error) in ("PreconditionFailed", "412"):  # s3fs knows it only with the details that AWS adds
            raise FileExistsError(path) from error
        raise


def _create_unless_seen(fs: Any, path: str, data: bytes) -> None:  # noqa: ANN401
    """Look, write, and read back: who was written over in between learns of it."""
    if fs.exists(path):
        raise FileExistsError(path)
    if isinstance(fs, LocalFileSystem):
        os.replace(_temporary(path, data), path)
    else:
        _pipe(fs, path, data)
    if fs.cat_file(path) != data:
        raise FileExistsError(path)


def _code(error: BaseException) -> str:
    """What an S3 endpoint called an error; empty where it came from elsewhere."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _pipe(fs: Any, path: str, data: bytes, **options: str) -> None:  # noqa: ANN401
    try:
        fs.pipe_file(path, data, **options)
    except FileNotFoundError as error:
        if _code(error) == "NoSuchUpload":  # of many parts, ended by a try whose answer was lost
            raise OSError(errno.EIO, f"the upload of {path} is over") from error
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
