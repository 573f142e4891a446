"""Sinks: where results go: files that mirror the input, WebDatasetWriter tar shards, or Parquet files."""

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import OutputLayout
from pipeline.errors import ErrorCode, ImageError
from pipeline.outputs.tar_writer import TarWriter
from pipeline.outputs.webdataset import group_by_key, iter_tar_files
from pipeline.sources import make_member_uri
from pipeline.storage import delete, join_uri, write

_ROW_GROUP_BYTES, _MAX_CELL_BYTES = 2**30, 2**31 - 2
_SHARD_FILE_NAME = re.compile(r"(\d{5,})(?:-[01]+)?\.(?:tar|parquet)")


class Writer(Protocol):
    """Takes the results of one piece of work."""

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Take one result; several threads call this."""

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """All results are there: write what is left, and put into the rows where they are."""


class FileWriter:
    """Writes every result at once, as a file of its own."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Write a file."""
        uri = join_uri(self._folder, key)
        write(uri, data)
        row["output_uri"] = uri

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """Nothing is left."""


class _ShardFileWriter:
    """Holds the results of a shard, which become one file, written whole under a name that a second try has too."""

    suffix = ""

    def __init__(self, folder: str, shard: int, split_path: str) -> None:
        """A `split_path` is what a search for a poisonous image has halved the shard to: a digit a halving."""
        self._folder = folder
        self._file_names = [
            f"{shard:05d}",
            *(f"{shard:05d}-{split_path[:end]}" for end in range(1, len(split_path) + 1)),
        ]
        self._results: dict[int, tuple[str, bytes]] = {}

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Hold a result."""
        self._results[id(row)] = (key, data)

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write the file; one of a larger piece, left by a worker that died, goes away."""
        items = [(row, *self._results[id(row)]) for row in rows if id(row) in self._results]
        *ancestors, name = (join_uri(self._folder, name + self.suffix) for name in self._file_names)
        for uri in ancestors:
            delete(uri)
        if items:
            self._write(name, items)

    def _write(self, uri: str, items: Sequence[tuple[dict[str, Any], str, bytes]]) -> None:
        raise NotImplementedError


class WebDatasetWriter(_ShardFileWriter):
    """A tar of samples."""

    suffix = ".tar"

    def _write(self, uri: str, items: Sequence[tuple[dict[str, Any], str, bytes]]) -> None:
        entries, tar = group_by_key(items), TarWriter()
        offsets = {name: tar.add(name, content) for name, content in iter_tar_files(entries)}
        write(uri, tar.close())
        for result in entries:
            result.row["output_uri"] = make_member_uri(uri, offsets[result.name], len(result.data), result.name)


class ParquetShardWriter(_ShardFileWriter):
    """A Parquet file with the columns `image` (bytes and path) and `file_name`."""

    suffix = ".parquet"
    _SCHEMA = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("file_name", pa.string())],
        metadata={"huggingface": '{"info": {"features": {"image": {"_type": "Image"}, '
                                 '"file_name": {"dtype": "string", "_type": "Value"}}}}'},
    )  # fmt: skip

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Hold a result."""
        if len(data) > _MAX_CELL_BYTES:
            raise ImageError(
                ErrorCode.UNSUPPORTED_OUTPUT, "its result has more than the 2 GiB that a cell of Parquet holds"
            )
        super().add(row, key, data)

    def _write(self, uri: str, items: Sequence[tuple[dict[str, Any], str, bytes]]) -> None:
        groups = list(_split_row_groups(items))
        with io.BytesIO() as file:
            with pq.ParquetWriter(file, self._SCHEMA, compression="none") as writer:
                for group in groups:
                    rows = [
                        {"image": {"bytes": data, "path": key.rpartition("/")[2]}, "file_name": row["file_name"]}
                        for row, key, data in group
                    ]
                    writer.write_table(pa.Table.from_pylist(rows, schema=self._SCHEMA))
            write(uri, file.getvalue())
        for group_number, group in enumerate(groups):
            for row_number, (row, _, _) in enumerate(group):
                row["output_uri"] = f"{uri}#image/{group_number}/{row_number}"


def _split_row_groups(
    items: Sequence[tuple[dict[str, Any], str, bytes]],
) -> Iterator[Sequence[tuple[dict[str, Any], str, bytes]]]:
    """Neighbours that make a row group: Arrow counts the bytes of a column in 32 bits."""
    first = size = 0
    for index, (_, _, data) in enumerate(items):
        if index > first and size + len(data) > _ROW_GROUP_BYTES:
            yield items[first:index]
            first, size = index, 0
        size += len(data)
    yield items[first:]


def parse_shard_number(name: str) -> int | None:
    """The shard of the file of results that has such a name, or of a piece of it; None if none would have it."""
    match = _SHARD_FILE_NAME.fullmatch(name)
    return int(match[1]) if match else None


def make_writer(layout: OutputLayout, folder: str, shard: int, split_path: str) -> Writer:
    """The sink for one piece of work."""
    if layout is OutputLayout.FILES:
        return FileWriter(folder)
    return (WebDatasetWriter if layout is OutputLayout.WEBDATASET else ParquetShardWriter)(folder, shard, split_path)
