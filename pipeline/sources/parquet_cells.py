"""Cells of a Parquet column, decoded one at a time, so that compressed ones cannot fill the memory."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ContainerError, ErrorCode, ImageError, StorageError
from pipeline.sources.container import open_container
from pipeline.sources.parquet_pages import read_page_sizes

_KEPT_BYTES, _KEPT_PER_LIMIT = 256 * 2**20, 4  # of the cells that were decoded last; and as a multiple of the limit
_MIN_KEPT_BYTES = 16 * 2**20
_BUFFER_BYTES = 2**20
_MAX_PAGE_BYTES = 2**31  # what the format can hold
_SMALL_PAGE_BYTES = 2 * 2**20
_MAX_STORED_PAGE_BYTES = 512 * 2**20


@contextmanager
def open_parquet(uri: str) -> Iterator[tuple[BinaryIO, pq.ParquetFile]]:
    """Open a Parquet file, for reading column chunks in parts.

    Raises:
        ContainerError: the body raised anything but an error of storage or of one image, or ran out of memory.
        StorageError: it cannot be read.
    """
    try:
        with (
            open_container(uri) as file,
            pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False) as parquet,
        ):
            yield file, parquet
    except (StorageError, ImageError, FileNotFoundError):
        raise
    except MemoryError as error:
        raise MemoryError(f"{uri}: {error}") from error
    except Exception as error:  # its readers raise anything over corrupt bytes
        raise ContainerError(f"{uri} is not a Parquet file, or a corrupt one: {error}") from error


def iter_cell_batches(
    parquet: pq.ParquetFile, group: int, columns: Sequence[str], batch_rows: int
) -> Iterator[pa.Array]:
    """Stream the cells of one column, or of the fields of one struct, in a row group."""
    for batch in parquet.iter_batches(batch_rows, row_groups=[group], columns=list(columns), use_threads=False):
        yield batch.column(0)


def largest_page_bytes(file: BinaryIO, parquet: pq.ParquetFile, group: int, leaf: str) -> int:
    """Return the bytes of the largest page of a column in a row group, which no cell exceeds."""
    pages = read_page_sizes(file, _column_chunk(parquet, group, leaf))
    return max((max(page) for page in pages), default=0)


def _column_chunk(parquet: pq.ParquetFile, group: int, leaf: str) -> pq.ColumnChunkMetaData:
    row_group = parquet.metadata.row_group(group)
    chunks = (row_group.column(index) for index in range(row_group.num_columns))
    return next(chunk for chunk in chunks if chunk.path_in_schema == leaf)


class RowGroupReader:
    """The cells of one row group, decoded in order; the last ones are kept for threads that come a little late.

    Not for several threads at a time.
    """

    def __init__(self, container: str, column: str, group: int, max_bytes: int | None) -> None:
        self._container, self._column, self._group, self._max_bytes = container, column, group, max_bytes
        limit = _KEPT_BYTES if max_bytes is None else max(_KEPT_PER_LIMIT * max_bytes, _MIN_KEPT_BYTES)
        self._max_kept_bytes = min(_KEPT_BYTES, limit)
        self._error: ContainerError | ImageError | None = None
        self._restart()

    def read(self, row: int) -> Any:  # noqa: ANN401 — whatever a cell holds
        """Return a cell.

        Raises:
            IndexError: there is no such row.
            ImageError: it has more bytes than allowed, or cannot be decoded without more memory than is allowed.
            ContainerError: the row group is corrupt up to there.
            StorageError: the file cannot be read.
        """
        if row < self._next_row - len(self._kept):
            self._restart()
        while self._next_row <= row:
            self._read_next()
        size, value = self._kept[row - self._next_row]
        if self._max_bytes is not None and size > self._max_bytes:
            raise ImageError(ErrorCode.TOO_LARGE, f"the cell has more than limits.max_bytes = {self._max_bytes} bytes")
        return value

    def _restart(self) -> None:
        self._cells, self._kept, self._kept_bytes, self._next_row = self._iter_cells(), deque[Any](), 0, 0

    def _read_next(self) -> None:
        if self._error is not None:
            raise self._error
        try:
            size, value = next(self._cells)
        except StopIteration:
            raise IndexError(f"row group {self._group} has {self._next_row} rows") from None
        except (ContainerError, ImageError) as error:
            self._error = error
            raise
        except BaseException:
            self._restart()
            raise
        self._kept.append((size, value))
        self._kept_bytes, self._next_row = self._kept_bytes + _held_bytes(size, value), self._next_row + 1
        while self._kept_bytes > self._max_kept_bytes and len(self._kept) > 1:
            self._kept_bytes -= _held_bytes(*self._kept.popleft())

    def _iter_cells(self) -> Iterator[tuple[int, Any]]:
        """Yield the size and value of each cell; None in place of a value that is too large."""
        with open_parquet(self._container) as (file, parquet):
            if not 0 <= self._group < parquet.num_row_groups:
                return
            columns = self._leaves(parquet)
            self._check_pages(file, parquet, columns)
            for cells in iter_cell_batches(parquet, self._group, columns, batch_rows=1):
                for cell in cells:
                    size = _cell_bytes(cell)
                    yield size, cell.as_py() if self._max_bytes is None or size <= self._max_bytes else None

    def _leaves(self, parquet: pq.ParquetFile) -> list[str]:
        if self._column not in parquet.schema_arrow.names:
            raise ContainerError(f"{self._container} has no column '{self._column}'")
        dtype = parquet.schema_arrow.field(self._column).type
        if not pa.types.is_struct(dtype):
            return [self._column]
        names = {field.name for field in dtype}
        return [f"{self._column}.{name}" for name in ("bytes", "path") if name in names]

    def _check_pages(self, file: BinaryIO, parquet: pq.ParquetFile, leaves: Sequence[str]) -> None:
        """Check that each page can be decompressed without much more memory than the limit, or than it takes stored."""
        if self._max_bytes is None or self._max_bytes >= _MAX_PAGE_BYTES:
            return
        allowed = 2 * self._max_bytes + _SMALL_PAGE_BYTES
        for leaf in leaves:
            for page in read_page_sizes(file, _column_chunk(parquet, self._group, leaf)):
                if max(page) > max(allowed, min(2 * page.stored, _MAX_STORED_PAGE_BYTES)):
                    raise ImageError(
                        ErrorCode.TOO_LARGE,
                        f"row group {self._group} of {self._container} has a page of {page.stored} bytes that inflates "
                        f"to {page.decompressed}, which is too much for limits.max_bytes = {self._max_bytes}",
                    )


def _held_bytes(size: int, value: object) -> int:
    return 0 if value is None else size


def _cell_bytes(cell: pa.Scalar) -> int:
    """Return how many bytes a cell has, without copying them."""
    if not cell.is_valid:
        return 0
    if isinstance(cell, pa.StructScalar):
        return sum(map(_cell_bytes, cell.values()))
    if isinstance(cell, pa.DictionaryScalar):
        return _cell_bytes(cell.value)
    return cell.as_buffer().size if hasattr(cell, "as_buffer") else len(cell.as_py())
