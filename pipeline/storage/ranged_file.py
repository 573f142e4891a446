"""Parts: a stored object as a file of which only what is wanted is read; each read is tried again by itself."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.errors import ContainerError
from pipeline.storage.objects import resolve_filesystem, with_retries

_BUFFER_BYTES = 64 * 2**10  # what is read less than that at a time, such as the headers of a tar
_READ_AHEAD_BYTES = (
    4 * 2**20
)  # that storage is asked for beyond what is wanted: more than it gives while a request waits


@contextlib.contextmanager
def open_ranged(uri: str) -> Iterator[BinaryIO]:
    """An object as a file that can be read in parts.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be opened or read, after retries; a ContainerError where what reads it finds it damaged.
    """
    with io.BufferedReader(_RangedReader(uri, _open_with_retries(uri)), _BUFFER_BYTES) as file:
        try:
            yield file
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ContainerError(f"{uri}: {error}") from error


class _RangedReader(io.RawIOBase):
    """Reads of an fsspec file."""

    def __init__(self, uri: str, file: Any) -> None:  # noqa: ANN401 — fsspec has no types
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
def _open_with_retries(uri: str) -> Any:  # noqa: ANN401
    fs, path = resolve_filesystem(uri)
    return fs.open(path, "rb", block_size=_READ_AHEAD_BYTES)  # s3fs would hold 50 MiB of each file


@with_retries
def _read_at(uri: str, file: Any, start: int, length: int) -> bytes:  # noqa: ANN401
    file.seek(start)  # a read that failed may have left it anywhere
    data: bytes = file.read(length)
    return data
