"""What exports state about a run: its rows, its preservation events, and the photos that were left out."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from tempfile import TemporaryFile
from typing import BinaryIO

from pipeline.config import Job, parse_job
from pipeline.curation import Selection, open_selection, write_parquet
from pipeline.exports.copying import CopiedRow
from pipeline.exports.names import NAME_COLUMNS, NAME_ORDER, NamedRow, Namer, check_collisions
from pipeline.exports.options import ExportOptions
from pipeline.progress import NullProgress
from pipeline.provenance import RecordFormat, write_record
from pipeline.runs import RunPaths, require_run
from pipeline.storage import (
    is_case_insensitive,
    iter_names,
    join_uri,
    prefetch_map,
    read,
    read_range,
    sha256_hex,
    write_file,
)

_CHUNK_BYTES, _THREADS = 2**24, 8


@dataclass(frozen=True)
class ExportedRun:
    """The selected rows of a run, with the names of their results.

    Attributes:
        run: the run.
        job: its job.
        selection: the rows, in `NAME_ORDER`.
        namer: names the results.
    """

    run: RunPaths
    job: Job
    selection: Selection
    namer: Namer

    def iter_named(self, columns: Sequence[str] | None = None) -> Iterator[NamedRow]:
        """Yield the rows with the names of their results, as often as needed.

        Args:
            columns: the columns, `NAME_COLUMNS` at least; None for all.
        """
        rows = (row for batch in self.selection.iter_batches(columns) for row in batch.to_pylist())
        return self.namer.iter_named(rows)

    def check_names(self, folder: str, *, originals: bool) -> None:
        """Check that the names of photos can be those of files in a folder.

        Args:
            folder: the folder.
            originals: whether the photos that the job read are exported too.

        Raises:
            ConfigError: one is none, or two photos have the same.
        """
        ignore_case = is_case_insensitive(folder)
        check_collisions(lambda: self._iter_names("result"), ignore_case=ignore_case)
        if originals:
            check_collisions(lambda: self._iter_names("original"), ignore_case=ignore_case)

    def _iter_names(self, side: str) -> Iterator[tuple[str, str]]:
        for named in self.iter_named(NAME_COLUMNS):
            if path := getattr(named, side):
                yield named.row["file_name"], path


@contextmanager
def open_exported_run(run: RunPaths, options: ExportOptions) -> Iterator[ExportedRun]:
    """Select the rows of a run for as long as the context is open.

    Raises:
        ConfigError: the condition or the template is not valid.
        RunError: the folder has no run.
    """
    require_run(run)
    job = parse_job(json.loads(read(run.run_json))["job"], run.run_json)
    namer = Namer(job, run.fingerprint, options.names)
    with open_selection(run, options.where, NAME_ORDER) as selection:
        yield ExportedRun(run, job, selection, namer)


class CsvTable:
    """A table in CSV that is collected on this machine's disk and then written to storage."""

    def __init__(self, file: BinaryIO, header: Sequence[str]) -> None:
        self._file = file
        self.add(header)

    def add(self, values: Sequence[object]) -> None:
        """Add a row."""
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(values)
        self._file.write(line.getvalue().encode())

    def write(self, uri: str) -> str:
        """Write the table, and return its SHA-256."""
        return write_collected(self._file, uri)


@contextmanager
def open_table(*header: str) -> Iterator[CsvTable]:
    """Return a table with these columns, for as long as the context is open."""
    with TemporaryFile() as file:
        yield CsvTable(file, header)


def write_collected(file: BinaryIO, uri: str) -> str:
    """Write a file of this machine to storage, and return the SHA-256 of its bytes."""
    file.seek(0)
    digest = sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    write_file(uri, file)
    return digest.hexdigest()


class LeftOut:
    """The photos whose results are not in an export, as a table."""

    def __init__(self, table: CsvTable) -> None:
        self._table = table

    def add(self, copied: CopiedRow) -> None:
        """Add a row, with the reason."""
        row = copied.row
        self._table.add([row["file_name"], row["status"], row["error_code"] or "", copied.reason])

    def write(self, uri: str) -> str:
        """Write the table, and return its SHA-256."""
        return self._table.write(uri)


@contextmanager
def open_left_out() -> Iterator[LeftOut]:
    """Return the table of photos without exported result, for as long as the context is open."""
    with open_table("file_name", "status", "error_code", "reason") as table:
        yield LeftOut(table)


def write_run_files(exported: ExportedRun, folder: str) -> Iterator[tuple[str, str]]:
    """Write the selected rows and the preservation events of the run; yield the path of each file and its SHA-256.

    Args:
        exported: the run.
        folder: URI of the folder, which gets `manifest.parquet`, `run.json` and `premis/`.
    """
    rows = join_uri(folder, "manifest.parquet")
    write_parquet(exported.selection, rows)
    yield "manifest.parquet", _hash_object(rows)
    with TemporaryFile() as file:
        file.write(read(exported.run.run_json))
        yield "run.json", write_collected(file, join_uri(folder, "run.json"))
    events = join_uri(folder, "premis")
    write_record(exported.run, RecordFormat.PREMIS, events, NullProgress())

    def hash_one(name: str) -> str:
        return sha256_hex(read(join_uri(events, name)))

    for name, digest in prefetch_map(hash_one, iter_names(events), _THREADS):
        yield f"premis/{name}", digest


def _hash_object(uri: str) -> str:
    digest, start = sha256(), 0
    while chunk := read_range(uri, start, start + _CHUNK_BYTES):
        digest.update(chunk)
        start += len(chunk)
    return digest.hexdigest()
