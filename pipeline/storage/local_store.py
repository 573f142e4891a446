"""Files on a disk, or on a share that is mounted like one."""

import errno
import os
import shutil
import stat
from typing import BinaryIO

from pipeline.errors import NotAFileError, StorageError
from pipeline.storage.filenames import escape_filename, escape_hashes, unescape_filename, unescape_hashes
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.probes import probe_once
from pipeline.storage.temporary_names import temporary_path

_DEFAULT_MODE, _ALL_PERMISSIONS = 0o666, 0o777  # the process's umask takes bits away
_CHUNK_BYTES = 2**20
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


class LocalStore(FsspecStore):
    """An `ObjectStore` of files: written beside their place, synced, and renamed or linked into it.

    Paths hold the bytes of a name as Python reads them from the disk; URIs and keys hold them escaped.
    """

    def to_path(self, path: str) -> str:
        """Return the path with the bytes of its name."""
        return unescape_filename(unescape_hashes(path))

    def to_uri(self, path: str) -> str:
        """Return the path in characters that can be stored."""
        return escape_hashes(escape_filename(path))

    def read(self, path: str) -> bytes:
        """Return the bytes of a regular file."""
        with _open_regular_file(path) as file:
            return file.read()

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return some of the bytes of a regular file."""
        with _open_regular_file(path) as file:
            file.seek(start)
            return _read_up_to(file, end - start)

    def open(self, path: str, read_ahead: int) -> BinaryIO:
        """Open a regular file for reading."""
        return _open_regular_file(path)

    def write(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Rename a complete file into place."""
        self.write_unsynced(path, data, permissions)
        _fsync_folder(os.path.dirname(path))

    def write_unsynced(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Rename a complete file into place, and leave it to the caller to sync the folder."""
        os.replace(_write_temporary(path, data, _to_mode(permissions)), path)

    def sync_folder(self, folder: str) -> None:
        """Sync a folder."""
        _fsync_folder(folder)

    def create(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Link a complete file into place, where the file system has links."""
        if self.supports_conditional_create(os.path.dirname(path)):
            _create_by_link(path, data, _to_mode(permissions))
        else:
            super().create(path, data, permissions)

    def supports_conditional_create(self, folder: str) -> bool:
        """Whether the file system of a folder has hard links."""
        return probe_once(folder, lambda: _probe_hard_links(temporary_path(folder)))

    def is_case_insensitive(self, folder: str) -> bool:
        """Whether a new file is also found by its name in capitals, as on most disks of Windows and macOS."""
        probe = _write_temporary(f"{folder}/probe", b"")
        try:
            return os.path.lexists(f"{folder}/{os.path.basename(probe).upper()}")
        finally:
            os.unlink(probe)

    def get_permissions(self, path: str) -> int | None:
        """Return the permission bits of a file, or of the file that a link points to."""
        return stat.S_IMODE(os.stat(path).st_mode) & _ALL_PERMISSIONS

    def find_link_out(self, path: str, folder: str) -> str:
        """Follow the folders on the way to a file one by one."""
        way = os.path.relpath(os.path.dirname(path), folder)
        place = folder.rstrip("/")
        for name in way.split("/") if way != "." else ():
            place = f"{place}/{name}"
            if os.path.islink(place) and not _is_within(os.path.realpath(place), os.path.realpath(folder)):
                return self.to_uri(place)
        return ""

    def delete_folder(self, path: str) -> None:
        """Delete the files, and the folders with them."""
        super().delete_folder(path)
        if self._fs.exists(path):
            shutil.rmtree(path)

    def _to_key(self, path: str) -> str:
        return escape_filename(path)


def _is_within(path: str, folder: str) -> bool:
    return os.path.commonpath([folder, path]) == folder


def _open_regular_file(path: str) -> BinaryIO:
    """Open a file for reading.

    Raises:
        NotAFileError: it is a folder, or a device, FIFO or socket, which may never end or keep the caller waiting.
    """
    _check_is_regular(path, os.stat(path).st_mode)  # merely opening a device may set it going
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # in case a FIFO has taken its place
    try:
        _check_is_regular(path, os.fstat(handle).st_mode)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check_is_regular(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise NotAFileError(f"{escape_filename(path)} is {kind}, not a file; name a file")


def _read_up_to(file: BinaryIO, max_bytes: int) -> bytes:
    """Return the bytes from here to the end, `max_bytes` of them at most, whatever size the file claims to have."""
    expected = max(0, os.fstat(file.fileno()).st_size - file.tell())
    data = file.read(min(max_bytes, expected + 1))
    while len(data) < max_bytes and (more := file.read(min(max_bytes - len(data), _CHUNK_BYTES))):
        data += more
    return data


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


def _to_mode(permissions: int | None) -> int:
    """Return the mode of a file that may have no other permissions than the given ones; its owner can read it."""
    return _DEFAULT_MODE if permissions is None else permissions & _DEFAULT_MODE | stat.S_IRUSR


def _create_by_link(path: str, data: bytes, mode: int = _DEFAULT_MODE) -> None:
    temporary = _write_temporary(path, data, mode)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
    _fsync_folder(os.path.dirname(path))


def _write_temporary(path: str, data: bytes, mode: int = _DEFAULT_MODE) -> str:
    """Write a complete, synced file beside `path`, with a mode that nobody may ever exceed, and return its path."""
    folder = os.path.dirname(path)
    _make_folder(folder)
    temporary = temporary_path(folder)
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return temporary


def _make_folder(folder: str) -> None:
    """Create a folder and its missing ancestors, and sync their parents."""
    missing, ancestor = list[str](), folder
    while not os.path.isdir(ancestor) and os.path.dirname(ancestor) != ancestor:
        missing.append(ancestor)
        ancestor = os.path.dirname(ancestor)
    try:
        os.makedirs(folder, exist_ok=True)
    except FileNotFoundError as error:
        raise StorageError(f"the folder {folder} cannot be created: {error.strerror}") from error
    for created in missing:
        _fsync_folder(os.path.dirname(created))


def _fsync_folder(folder: str) -> None:
    """Flush the names in a folder to the disk, so that after a power failure no commit names a file that was lost."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder may be writable and not readable
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF):  # folders cannot be synced here
            raise
    finally:
        os.close(handle)
