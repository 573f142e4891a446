"""Exporting selected photos as a list, as a Parquet file, or as tar shards in WebDataset format."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, ImageError, RunError, StorageError
from pipeline.imageio import extension_for
from pipeline.outputs import TarWriter
from pipeline.progress import Progress
from pipeline.sources import common_permissions, format_lines, read_photo
from pipeline.storage import absolute_uri, join_uri, list_names, prefetch_map, sha256_hex, write

_READER_THREADS, _MAX_SHARD_PHOTOS, _MAX_SHARD_BYTES = 16, 1000, 256 * 2**20


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        uri: URI of the file or folder.
        photos: number of exported photos.
        skipped: name and reason of each photo that was not exported.
    """

    uri: str
    photos: int
    skipped: tuple[tuple[str, str], ...] = ()


def export_photos(rows: pa.Table, destination: str, photo_kind: str, progress: Progress) -> ExportResult:
    """Export rows of a manifest in the format that the destination's name implies.

    Args:
        rows: rows with the schema `pipeline.runs.MANIFEST_SCHEMA`.
        destination: a list of URIs (`NAME.txt`), a Parquet file of the rows (`NAME.parquet`), or a folder for tar
            shards (`FOLDER/`).
        photo_kind: which photos a list and tar shards contain, `output` or `input`.
        progress: is advanced by every photo in a tar shard.

    Raises:
        ConfigError: the destination's name implies no format.
        RunError: the folder already contains tar shards.
    """
    uri = absolute_uri(destination).rstrip("/") + ("/" if destination.endswith("/") else "")
    if destination.endswith(".parquet"):
        write_parquet(rows, destination)
        return ExportResult(uri, len(rows))
    if destination.endswith(".txt"):
        photo_uris = rows[f"{photo_kind}_uri"].drop_null().to_pylist()
        write(uri, format_lines(photo_uris).encode())
        return ExportResult(uri, len(photo_uris), _list_rows_without_photo(rows, photo_kind))
    if destination.endswith("/"):
        return _export_tars(rows, uri, photo_kind, progress)
    raise ConfigError(
        f"'{destination}' implies no format: name a list (NAME.txt), a Parquet file (NAME.parquet) or a folder for tar "
        "shards (FOLDER/)"
    )


def write_parquet(rows: pa.Table, destination: str) -> None:
    """Write a table as a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(rows, buffer)
    write(absolute_uri(destination), buffer.getvalue())


def _list_rows_without_photo(rows: pa.Table, photo_kind: str) -> tuple[tuple[str, str], ...]:
    rows_without = rows.filter(pc.is_null(rows[f"{photo_kind}_uri"])).select(["file_name", "status"]).to_pylist()
    return tuple((row["file_name"], f"no {photo_kind} photo, its status is {row['status']}") for row in rows_without)


def _export_tars(rows: pa.Table, folder: str, photo_kind: str, progress: Progress) -> ExportResult:
    """Write tar shards 000000.tar, 000001.tar, … of photos, each followed by its row as JSON."""
    if any(name.endswith(".tar") for name in list_names(folder)):
        raise RunError(f"{folder} already contains tar shards, and two selections must not mix: name another folder")
    skipped = [*_list_rows_without_photo(rows, photo_kind)]
    selected = rows.filter(pc.is_valid(rows[f"{photo_kind}_uri"]))
    progress.begin("pack", len(selected))
    shard, photos = _TarShard(), 0
    number = 0
    for row, outcome in _read_photos(selected, photo_kind):
        if isinstance(outcome, str):
            skipped.append((row["file_name"], outcome))
        else:
            shard.add(f"{photos:09d}", *outcome, row, row[f"{photo_kind}_uri"])
            photos += 1
        if shard.is_full:
            shard.write(join_uri(folder, f"{number:06d}.tar"))
            shard, number = _TarShard(), number + 1
        progress.advance(1, int(isinstance(outcome, str)))
    if shard.photos:
        shard.write(join_uri(folder, f"{number:06d}.tar"))
    progress.end()
    return ExportResult(folder, photos, tuple(skipped))


def _read_photos(rows: pa.Table, photo_kind: str) -> Iterator[tuple[dict[str, Any], tuple[str, bytes] | str]]:
    """Prefetch photos; yield each row with the suffix and bytes of its photo, or with the reason to skip it."""

    def read_one(row: dict[str, Any]) -> tuple[str, bytes] | str:
        try:
            data = read_photo(row[f"{photo_kind}_uri"])
        except FileNotFoundError:
            return "the file no longer exists"
        except (StorageError, ImageError) as error:
            return str(error)
        if sha256_hex(data) != row[f"{photo_kind}_sha256"]:
            return "the file has changed since the run: its sha256 differs from the manifest"
        suffix = extension_for(row[f"{photo_kind}_uri"], data)
        return (suffix, data) if suffix else "unknown image format, by its name and by its bytes"

    row_batches = (batch.to_pylist() for batch in rows.to_batches(_MAX_SHARD_PHOTOS))
    return prefetch_map(read_one, chain.from_iterable(row_batches), _READER_THREADS)


class _TarShard:
    """A tar file of photos, each followed by its row as JSON."""

    def __init__(self) -> None:
        self.photos = 0
        self._tar, self._uris = TarWriter(), list[str]()

    @property
    def is_full(self) -> bool:
        """Whether the shard has enough photos or bytes to be written."""
        return self.photos >= _MAX_SHARD_PHOTOS or self._tar.size >= _MAX_SHARD_BYTES

    def add(self, key: str, suffix: str, photo: bytes, row: dict[str, Any], uri: str) -> None:
        """Add a photo from a URI, and its row."""
        self.photos += 1
        self._uris.append(uri)
        self._tar.add(key + suffix, photo)
        self._tar.add(f"{key}.json", json.dumps(row).encode())

    def write(self, uri: str) -> None:
        """Write the tar file, which only those may read who may read all of its photos."""
        write(uri, self._tar.close(), common_permissions(self._uris))
