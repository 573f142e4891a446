"""Parts: a stored object as a file of which only what is wanted is read; each read is tried again by itself."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.errors import ContainerError
from pipeline.storage.objects import filesystem, told

_BUFFER_BYTES = 64 * 2**10  # what is read less than that at a time, such as the headers of a tar
_AHEAD_BYTES = 4 * 2**20  # that storage is asked for beyond what is wanted: more than it gives while a request waits


@contextlib.contextmanager
def opened(uri: str) -> Iterator[BinaryIO]:
    """An object as a file that can be read in parts.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be opened or read, after retries; a ContainerError where what reads it finds it damaged.
    """
    with io.BufferedReader(_Parts(uri, _open(uri)), _BUFFER_BYTES) as file:
        try:
            yield file
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ContainerError(f"{uri}: {error}") from error


class _Parts(io.RawIOBase):
    """Reads of an fsspec file."""

    def __init__(self, uri: str, file: Any) -> None:  # noqa: ANN401 — fsspec has no types
        self._uri, self._file, self._at = uri, file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = int(self._file.seek(offset, whence))
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 — any writable buffer
        data = _read(self._uri, self._file, self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@told
def _open(uri: str) -> Any:  # noqa: ANN401
    fs, path = filesystem(uri)
    return fs.open(path, "rb", block_size=_AHEAD_BYTES)  # s3fs would hold 50 MiB of each file


@told
def _read(_: str, file: Any, start: int, length: int) -> bytes:  # noqa: ANN401
    file.seek(start)  # a read that failed may have left it anywhere
    data: bytes = file.read(length)
    return data
