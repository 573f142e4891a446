"""A stored object as a seekable file of which only what is asked for is read, each read with its own retries."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.errors import StorageError
from pipeline.storage.resolve import resolve_store
from pipeline.storage.retries import with_retries

_BUFFER_BYTES = 64 * 2**10  # smaller reads, such as the headers of a tar, are served from a buffer of this size
_READ_AHEAD_BYTES = 4 * 2**20  # more than a store sends in the time that another request takes


@contextlib.contextmanager
def open_ranged(uri: str) -> Iterator[BinaryIO]:
    """Open an object as a file that can be read in ranges.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: it cannot be opened or read, after retries, or its reader finds it corrupt (OSError).
    """
    with io.BufferedReader(_RangedReader(uri, _open_with_retries(uri)), _BUFFER_BYTES) as file:
        try:
            yield file
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"{uri}: {error}") from error


class _RangedReader(io.RawIOBase):
    """Reads of a store's file."""

    def __init__(self, uri: str, file: BinaryIO) -> None:
        self._uri, self._file, self._position = uri, file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = int(self._file.seek(offset, whence))
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 — any writable buffer
        data = _read_at(self._uri, self._file, self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@with_retries
def _open_with_retries(uri: str) -> BinaryIO:
    store, path = resolve_store(uri)
    return store.open(path, _READ_AHEAD_BYTES)  # s3fs would hold 50 MiB of each file by default


@with_retries
def _read_at(uri: str, file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)  # a read that failed may have left it anywhere
    return file.read(length)
