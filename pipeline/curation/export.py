"""Exporting selected photos as a list, as a Parquet file, or as a folder of the photos themselves."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.curation.options import LAYOUTS
from pipeline.curation.packing import FolderPacker, MetadataWriter, PhotoPacker, TarPacker
from pipeline.curation.skipped_photos import SkippedPhotos
from pipeline.errors import ConfigError, ImageError, RunError, StorageError
from pipeline.imageio import extension_for
from pipeline.progress import Progress
from pipeline.sources import format_lines, read_photo
from pipeline.storage import absolute_uri, list_names, prefetch_map, sha256_hex, write_file

LIST_COLUMNS = ("file_name", "status", "input_uri", "output_uri")
"""The columns that lists are made from, each from the URIs of its own kind of photo."""
_READER_THREADS, _MAX_BATCH_ROWS = 16, 10_000
_PACKERS: dict[str, type[PhotoPacker]] = dict(zip(LAYOUTS, (TarPacker, FolderPacker), strict=True))


class Rows(Protocol):
    """Manifest rows that are streamed as often as needed, such as a `Selection`."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows."""

    def __len__(self) -> int:
        """The number of rows."""

    def iter_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Iterate over batches of some thousand rows with the given columns, or all of them."""


@dataclass(frozen=True)
class TableRows:
    """The rows of a table."""

    table: pa.Table

    @property
    def schema(self) -> pa.Schema:
        """The columns of the table."""
        return self.table.schema

    def __len__(self) -> int:
        return len(self.table)

    def iter_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Iterate over batches."""
        yield from (self.table if columns is None else self.table.select(list(columns))).to_batches(_MAX_BATCH_ROWS)


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        uri: URI of the file or folder.
        photos: number of exported photos.
        skipped: name and reason of the first photos that were not exported, at most `MAX_NAMED`.
        n_skipped: the number of such photos.
    """

    uri: str
    photos: int
    skipped: tuple[tuple[str, str], ...] = ()
    n_skipped: int = 0


CardWriter = Callable[[ExportResult, PhotoPacker, pa.Schema], None]
"""Writes a card into the folder of an export."""


def _to_result(uri: str, photos: int, skipped: SkippedPhotos) -> ExportResult:
    return ExportResult(uri, photos, tuple(skipped.first), skipped.count)


def export_photos(
    rows: Rows | pa.Table,
    destination: str,
    photo_kind: str,
    progress: Progress,
    *,
    layout: str = "webdataset",
    write_card: CardWriter | None = None,
) -> ExportResult:
    """Export rows of a manifest in the format that the destination's name implies; few rows are held at a time.

    Args:
        rows: rows with the schema `pipeline.runs.MANIFEST_SCHEMA`, of which a list needs `LIST_COLUMNS` only.
        destination: a list of URIs (`NAME.txt`), a Parquet file of the rows (`NAME.parquet`), or a folder for the
            photos (`FOLDER/`).
        photo_kind: which photos a list and a folder contain, `output` or `input`.
        progress: is advanced by every photo in a folder.
        layout: one of `LAYOUTS`: how a folder holds photos.
        write_card: describes the folder, given the result, the packer and the schema of the table of photos.

    Raises:
        ConfigError: the destination's name implies no format, or is none of a folder, which a card and other layouts
            need.
        RunError: the folder contains tar shards, or, with a card or in another layout, anything.
    """
    stream = TableRows(rows) if isinstance(rows, pa.Table) else rows
    uri = absolute_uri(destination).rstrip("/") + ("/" if destination.endswith("/") else "")
    if not destination.endswith("/") and (write_card is not None or layout != "webdataset"):
        raise ConfigError(f"'{destination}' is no folder, which a card and the layout {layout} need: name FOLDER/")
    if destination.endswith(".parquet"):
        write_parquet(rows, destination)
        return ExportResult(uri, len(rows))
    if destination.endswith(".txt"):
        return _export_list(stream, uri, photo_kind)
    if destination.endswith("/"):
        return _export_photos(stream, uri, photo_kind, progress, layout, write_card)
    raise ConfigError(
        f"'{destination}' implies no format: name a list (NAME.txt), a Parquet file (NAME.parquet) or a folder for "
        "photos (FOLDER/)"
    )


def write_parquet(rows: Rows | pa.Table, destination: str) -> None:
    """Write rows as a Parquet file, through a temporary file on this machine."""
    stream = TableRows(rows) if isinstance(rows, pa.Table) else rows
    with TemporaryFile() as file:
        with pq.ParquetWriter(file, stream.schema) as writer:
            for batch in stream.iter_batches():
                writer.write_batch(batch)
        write_file(absolute_uri(destination), file)


def _export_list(rows: Rows, uri: str, photo_kind: str) -> ExportResult:
    """Write the URIs of the photos as a list, through a temporary file on this machine."""
    photos, skipped = 0, SkippedPhotos()
    with TemporaryFile() as file:
        for batch in rows.iter_batches(["file_name", "status", f"{photo_kind}_uri"]):
            uris = batch.column(f"{photo_kind}_uri")
            present = uris.drop_null().to_pylist()
            file.write(format_lines(present).encode())
            photos += len(present)
            _skip_without_photo(batch.filter(pc.is_null(uris)), photo_kind, skipped)
        write_file(uri, file)
    return _to_result(uri, photos, skipped)


def _skip_without_photo(batch: pa.RecordBatch, photo_kind: str, skipped: SkippedPhotos) -> None:
    for row in batch.select(["file_name", "status"]).to_pylist():
        skipped.add(row["file_name"], f"no {photo_kind} photo, its status is {row['status']}")


def _export_photos(
    rows: Rows, folder: str, photo_kind: str, progress: Progress, layout: str, write_card: CardWriter | None
) -> ExportResult:
    """Pack photos into a folder, with the table of their rows and a card if there is to be one."""
    names = list_names(folder)
    if any(name.endswith(".tar") for name in names):
        raise RunError(f"{folder} already contains tar shards, and two selections must not mix: name another folder")
    if names and (write_card is not None or layout != "webdataset"):
        raise RunError(f"{folder} is not empty, and a card would not describe what is there: name another folder")
    skipped, packer = SkippedPhotos(), _PACKERS[layout](folder)
    progress.begin("pack", len(rows))
    with MetadataWriter(rows.schema) as metadata:
        for row, outcome in _read_photos(_with_photo(rows, photo_kind, skipped), photo_kind):
            if isinstance(outcome, str):
                skipped.add(row["file_name"], outcome)
            else:
                metadata.add(row, packer.add(row, *outcome, row[f"{photo_kind}_uri"]))
            progress.advance(1, int(isinstance(outcome, str)))
        packer.close()
        result = _to_result(folder, packer.photos, skipped)
        if write_card is not None or layout == "imagefolder":
            packer.files.append(metadata.write(folder))
        if write_card is not None:
            write_card(result, packer, metadata.schema)
    progress.end()
    return result


def _with_photo(rows: Rows, photo_kind: str, skipped: SkippedPhotos) -> Iterator[dict[str, Any]]:
    """Yield the rows that name a photo; the others are skipped."""
    for batch in rows.iter_batches():
        uris = batch.column(f"{photo_kind}_uri")
        _skip_without_photo(batch.filter(pc.is_null(uris)), photo_kind, skipped)
        yield from batch.filter(pc.is_valid(uris)).to_pylist()


def _read_photos(
    rows: Iterator[dict[str, Any]], photo_kind: str
) -> Iterator[tuple[dict[str, Any], tuple[str, bytes] | str]]:
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

    return prefetch_map(read_one, rows, _READER_THREADS)
