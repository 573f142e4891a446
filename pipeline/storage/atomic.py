"""Whole writes on an fsspec file system: an object is there with all of its bytes or not at all."""

import errno
import os
import uuid
from contextlib import suppress
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import StorageError

_PROBE_RESULTS: dict[str, bool] = {}  # folder or bucket → what `probe_conditional_create` found there


def atomic_write(fs: Any, path: str, data: bytes) -> None:  # noqa: ANN401 — fsspec has no types
    """Write an object, over another one if need be."""
    if isinstance(fs, LocalFileSystem):
        os.replace(_write_temporary(path, data), path)
        _fsync_folder(os.path.dirname(path))
    else:
        _pipe_file(fs, path, data)


def atomic_create(fs: Any, path: str, data: bytes) -> None:  # noqa: ANN401
    """Write an object unless there is one of that name; atomic where `probe_conditional_create` says so.

    Raises:
        FileExistsError: there is one.
    """
    if not probe_conditional_create(fs, path.rpartition("/")[0]):
        _create_after_check(fs, path, data)
    elif isinstance(fs, LocalFileSystem):
        _create_by_link(path, data)
    else:
        _create_if_none_match(fs, path, data)


def probe_conditional_create(fs: Any, folder: str) -> bool:  # noqa: ANN401
    """Whether storage itself decides between two that create the same object in a folder; tried out once a process.

    Local files are linked into place and S3 is asked with `If-None-Match: *`, but some file systems have no links and
    some endpoints ignore the condition. Everywhere else `atomic_create` looks first and writes then.
    """
    is_local = isinstance(fs, LocalFileSystem)
    if not is_local and "s3" not in fs.protocol:
        return False
    probe_key = folder if is_local else fs.split_path(folder)[0]
    if probe_key not in _PROBE_RESULTS:
        probe = f"{folder}/.{uuid.uuid4().hex}.partial"
        _PROBE_RESULTS[probe_key] = _probe_hard_links(probe) if is_local else _probe_if_none_match(fs, probe)
    return _PROBE_RESULTS[probe_key]


def _probe_hard_links(probe: str) -> bool:
    """Whether files can be linked into place."""
    try:
        _create_by_link(probe, b"probe")
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            return False
        raise
    os.unlink(probe)
    return True


def _probe_if_none_match(fs: Any, probe: str) -> bool:  # noqa: ANN401
    """Whether a bucket refuses to create an object that is there: two creates of one new name, with other contents."""
    try:
        with suppress(FileExistsError):  # the first had landed and its answer was lost
            _create_if_none_match(fs, probe, b"first")
        _create_if_none_match(fs, probe, b"second")
    except FileExistsError:
        return True
    except OSError as error:
        if s3_error_code(error) not in ("NotImplemented", "501"):
            raise
    finally:
        with suppress(OSError):  # without the right to delete, the probe stays
            fs.rm_file(probe)
    return False


def _create_by_link(path: str, data: bytes) -> None:
    temporary = _write_temporary(path, data)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
    _fsync_folder(os.path.dirname(path))


def _create_if_none_match(fs: Any, path: str, data: bytes) -> None:  # noqa: ANN401
    try:
        _pipe_file(fs, path, data, mode="create")
    except OSError as error:
        if s3_error_code(error) in ("PreconditionFailed", "412"):  # s3fs knows it only with the details that AWS adds
            raise FileExistsError(path) from error
        raise


def _create_after_check(fs: Any, path: str, data: bytes) -> None:  # noqa: ANN401
    """Look, write, and read back: who was written over in between learns of it."""
    if fs.exists(path):
        raise FileExistsError(path)
    atomic_write(fs, path, data)
    if fs.cat_file(path) != data:
        raise FileExistsError(path)


def _pipe_file(fs: Any, path: str, data: bytes, **options: str) -> None:  # noqa: ANN401
    try:
        fs.pipe_file(path, data, **options)
    except FileNotFoundError as error:
        if s3_error_code(error) == "NoSuchUpload":  # of many parts, ended by a try whose answer was lost
            raise OSError(errno.EIO, f"the upload of {path} is over") from error
        raise StorageError(f"{fs.unstrip_protocol(path)} cannot be written: there is no such bucket") from error


def s3_error_code(error: BaseException) -> str:
    """What an S3 endpoint called an error; empty where it came from elsewhere."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _write_temporary(path: str, data: bytes) -> str:
    """A complete, synced file beside `path`."""
    folder = os.path.dirname(path)
    _make_folder(folder)
    temporary = os.path.join(folder, f".{uuid.uuid4().hex}.partial")  # any name that fits can be written
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


def _make_folder(folder: str) -> None:
    """Make a folder, and those that it is in."""
    missing, ancestor = list[str](), folder
    while not os.path.isdir(ancestor) and os.path.dirname(ancestor) != ancestor:
        missing.append(ancestor)
        ancestor = os.path.dirname(ancestor)
    try:
        os.makedirs(folder, exist_ok=True)
    except FileNotFoundError as error:
        raise StorageError(f"{folder} cannot be made: {error.strerror}") from error
    for each in missing:
        _fsync_folder(os.path.dirname(each))


def _fsync_folder(folder: str) -> None:
    """See that the names in a folder are on the disk, so that after a power failure no commit speaks of what is not."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may write there and not read
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF):  # it knows no such thing
            raise
    finally:
        os.close(handle)
