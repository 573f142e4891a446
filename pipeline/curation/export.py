"""Export: chosen photos as a list, as a Parquet file, or as tar shards that WebDatasetWriter reads."""

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
from pipeline.sources import read_photo
from pipeline.storage import absolute_uri, join_uri, list_names, prefetch_map, sha256_hex, write

PHOTO_KINDS = ("output", "input")
_READER_THREADS, _MAX_SHARD_PHOTOS, _MAX_SHARD_BYTES = 16, 1000, 256 * 2**20


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote.

    Attributes:
        uri: where.
        photos: how many.
        skipped: photos that are not in it, and why.
    """

    uri: str
    photos: int
    skipped: tuple[tuple[str, str], ...] = ()


def export_photos(rows: pa.Table, destination: str, photo_kind: str, progress: Progress) -> ExportResult:
    """Write chosen rows of a manifest as what the name says: `….txt`, `….parquet`, or a folder of tar shards, `…/`.

    Args:
        rows: of `pipeline.runs.manifest.SCHEMA`.
        destination: where.
        photo_kind: whose photos a list and tar shards hold: `output` or `source`.
        progress: told of photos that are packed.

    Raises:
        ConfigError: a name that says none of the three.
        RunError: the folder holds tar shards already.
    """
    uri = absolute_uri(destination).rstrip("/") + ("/" if destination.endswith("/") else "")
    if destination.endswith(".parquet"):
        write_parquet(rows, destination)
        return ExportResult(uri, len(rows))
    if destination.endswith(".txt"):
        photo_uris = rows[f"{photo_kind}_uri"].drop_null().to_pylist()
        write(uri, "".join(f"{photo}\n" for photo in photo_uris).encode())
        return ExportResult(uri, len(photo_uris), _list_rows_without_photo(rows, photo_kind))
    if destination.endswith("/"):
        return _export_tars(rows, uri, photo_kind, progress)
    raise ConfigError(
        f"'{destination}': name a list (….txt), a Parquet file (….parquet) or a folder for tar shards (…/)"
    )


def write_parquet(rows: pa.Table, destination: str) -> None:
    """Write a table as one Parquet file."""
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    write(absolute_uri(destination), sink.getvalue())


def _list_rows_without_photo(rows: pa.Table, photo_kind: str) -> tuple[tuple[str, str], ...]:
    rows_without = rows.filter(pc.is_null(rows[f"{photo_kind}_uri"])).select(["file_name", "status"]).to_pylist()
    return tuple((row["file_name"], f"it has no {photo_kind}: {row['status']}") for row in rows_without)


def _export_tars(rows: pa.Table, folder: str, photo_kind: str, progress: Progress) -> ExportResult:
    """Tar shards 000000.tar, … of photos, each with its row as JSON beside it."""
    if any(name.endswith(".tar") for name in list_names(folder)):
        raise RunError(f"{folder} holds tar shards already, and two selections must not mix: name another folder")
    skipped = [*_list_rows_without_photo(rows, photo_kind)]
    chosen = rows.filter(pc.is_valid(rows[f"{photo_kind}_uri"]))
    progress.begin("pack", len(chosen))
    shard, photos = _TarShard(), 0
    number = 0
    for row, outcome in _read_photos(chosen, photo_kind):
        if isinstance(outcome, str):
            skipped.append((row["file_name"], outcome))
        else:
            shard.add(f"{photos:09d}", *outcome, row)
            photos += 1
        if shard.is_full:
            write(join_uri(folder, f"{number:06d}.tar"), shard.close())
            shard, number = _TarShard(), number + 1
        progress.advance(1, int(isinstance(outcome, str)))
    if shard.photos:
        write(join_uri(folder, f"{number:06d}.tar"), shard.close())
    progress.end()
    return ExportResult(folder, photos, tuple(skipped))


def _read_photos(rows: pa.Table, photo_kind: str) -> Iterator[tuple[dict[str, Any], tuple[str, bytes] | str]]:
    """Rows with the suffix and bytes of their photos, or with the reason why there are none."""

    def read_one(row: dict[str, Any]) -> tuple[str, bytes] | str:
        try:
            data = read_photo(row[f"{photo_kind}_uri"])
        except FileNotFoundError:
            return "it is no longer there"
        except (StorageError, ImageError) as error:
            return str(error)
        if sha256_hex(data) != row[f"{photo_kind}_sha256"]:
            return "it is not the photo of its row: the sha256 differs"
        suffix = extension_for(row[f"{photo_kind}_uri"], data)
        return (suffix, data) if suffix else "neither its name nor its bytes say what format it is of"

    row_batches = (batch.to_pylist() for batch in rows.to_batches(_MAX_SHARD_PHOTOS))
    return prefetch_map(read_one, chain.from_iterable(row_batches), _READER_THREADS)


class _TarShard:
    """A tar file of photos, each with its row beside it."""

    def __init__(self) -> None:
        self.photos = 0
        self._tar = TarWriter()

    @property
    def is_full(self) -> bool:
        """Whether it should be written."""
        return self.photos >= _MAX_SHARD_PHOTOS or self._tar.size >= _MAX_SHARD_BYTES

    def add(self, key: str, suffix: str, photo: bytes, row: dict[str, Any]) -> None:
        """A photo and its row."""
        self.photos += 1
        self._tar.add(key + suffix, photo)
        self._tar.add(f"{key}.json", json.dumps(row).encode())

    def close(self) -> bytes:
        """All of its bytes."""
        return self._tar.close()
