"""Sinks: where results go: files that mirror the input, WebDataset tar shards, or Parquet files."""

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.output_layout import Layout
from pipeline.errors import Code, ImageError
from pipeline.outputs.tar_writer import TarWriter
from pipeline.outputs.webdataset import files, in_samples
from pipeline.sources.members import member_uri
from pipeline.storage.objects import delete, join, put

_GROUP_BYTES, _MOST_CELL_BYTES = 2**30, 2**31 - 2
_SHARD_FILE = re.compile(r"(\d{5,})(?:-[01]+)?\.(?:tar|parquet)")


class Sink(Protocol):
    """Takes the results of one piece of work."""

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Take one result; several threads call this."""

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """All results are there: write what is left, and put into the rows where they are."""


class Mirror:
    """Writes every result at once, as a file of its own."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Write a file."""
        uri = join(self._folder, key)
        put(uri, data)
        row["output_uri"] = uri

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """Nothing is left."""


class _Whole:
    """Holds the results of a shard, which become one file, written whole under a name that a second try has too."""

    suffix = ""

    def __init__(self, folder: str, shard: int, piece: str) -> None:
        """A `piece` is what a search for a poisonous image has halved the shard to: a digit a halving."""
        self._folder = folder
        self._names = [f"{shard:05d}", *(f"{shard:05d}-{piece[:end]}" for end in range(1, len(piece) + 1))]
        self._results: dict[int, tuple[str, bytes]] = {}

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Hold a result."""
        self._results[id(row)] = (key, data)

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write the file; one of a larger piece, left by a worker that died, goes away."""
        done = [(row, *self._results[id(row)]) for row in rows if id(row) in self._results]
        *larger, name = (join(self._folder, name + self.suffix) for name in self._names)
        for uri in larger:
            delete(uri)
        if done:
            self._write(name, done)

    def _write(self, uri: str, done: Sequence[tuple[dict[str, Any], str, bytes]]) -> None:
        raise NotImplementedError


class WebDataset(_Whole):
    """A tar of samples."""

    suffix = ".tar"

    def _write(self, uri: str, done: Sequence[tuple[dict[str, Any], str, bytes]]) -> None:
        results, tar = in_samples(done), TarWriter()
        places = {name: tar.add(name, content) for name, content in files(results)}
        put(uri, tar.close())
        for result in results:
            result.row["output_uri"] = member_uri(uri, places[result.name], len(result.data), result.name)


class Parquet(_Whole):
    """A Parquet file with the columns `image` (bytes and path) and `file_name`."""

    suffix = ".parquet"
    _SCHEMA = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("file_name", pa.string())],
        metadata={"huggingface": '{"info": {"features": {"image": {"_type": "Image"}, '
                                 '"file_name": {"dtype": "string", "_type": "Value"}}}}'},
    )  # fmt: skip

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Hold a result."""
        if len(data) > _MOST_CELL_BYTES:
            raise ImageError(Code.UNSUPPORTED_OUTPUT, "its result has more than the 2 GiB that a cell of Parquet holds")
        super().add(row, key, data)

    def _write(self, uri: str, done: Sequence[tuple[dict[str, Any], str, bytes]]) -> None:
        groups = list(_groups(done))
        with io.BytesIO() as file:
            with pq.ParquetWriter(file, self._SCHEMA, compression="none") as writer:
                for group in groups:
                    rows = [
                        {"image": {"bytes": data, "path": key.rpartition("/")[2]}, "file_name": row["file_name"]}
                        for row, key, data in group
                    ]
                    writer.write_table(pa.Table.from_pylist(rows, schema=self._SCHEMA))
            put(uri, file.getvalue())
        for number, group in enumerate(groups):
            for place, (row, _, _) in enumerate(group):
                row["output_uri"] = f"{uri}#image/{number}/{place}"


def _groups(
    done: Sequence[tuple[dict[str, Any], str, bytes]],
) -> Iterator[Sequence[tuple[dict[str, Any], str, bytes]]]:
    """Neighbours that make a row group: Arrow counts the bytes of a column in 32 bits."""
    first = size = 0
    for place, (_, _, data) in enumerate(done):
        if place > first and size + len(data) > _GROUP_BYTES:
            yield done[first:place]
            first, size = place, 0
        size += len(data)
    yield done[first:]


def shard_of(name: str) -> int | None:
    """The shard of the file of results that has such a name, or of a piece of it; None if none would have it."""
    match = _SHARD_FILE.fullmatch(name)
    return int(match[1]) if match else None


def sink(layout: Layout, folder: str, shard: int, piece: str) -> Sink:
    """The sink for one piece of work."""
    if layout is Layout.MIRROR:
        return Mirror(folder)
    return (WebDataset if layout is Layout.WEBDATASET else Parquet)(folder, shard, piece)
