"""Copying photos of a run to an export, each checked against its manifest row."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config import Job
from pipeline.errors import ImageError, StorageError
from pipeline.exports.names import NamedRow
from pipeline.runs import RESULT_STATUSES
from pipeline.sources import common_permissions, read_photo
from pipeline.storage import escape_hashes, join_uri, prefetch_map, sha256_hex, write

_THREADS = 8
INPUT, OUTPUT = "input", "output"
"""The sides of a row: the photo that the job read, and its result."""


@dataclass(frozen=True)
class Copy:
    """A photo to copy: which side of a row, and its path below the folder of the export."""

    side: str
    path: str


@dataclass(frozen=True)
class CopiedFile:
    """A photo that was copied.

    Attributes:
        side: which side of the row.
        path: its path below the folder of the export.
        sha256: its SHA-256, which is that of the row.
        size: bytes.
    """

    side: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class CopiedRow:
    """What became of a row.

    Attributes:
        row: the row.
        files: the photos that were copied.
        reason: why its result was not; empty if it was.
    """

    row: Mapping[str, Any]
    files: tuple[CopiedFile, ...]
    reason: str


def copy_photos(
    job: Job, folder: str, rows: Iterable[NamedRow], plan: Callable[[NamedRow], Sequence[Copy]]
) -> Iterator[CopiedRow]:
    """Copy photos, several at a time; yield what became of each row, in the order of the rows.

    Args:
        job: the job of the run; inputs are read within its limits.
        folder: URI of the folder of the export.
        rows: the rows, with the names of their results.
        plan: returns what is copied of a row that has a result, or of one that has none.
    """

    def copy_row(named: NamedRow) -> CopiedRow:
        files, reason = list[CopiedFile](), explain_missing_result(named.row)
        for copy in plan(named):
            data = read_verified(job, named.row, copy.side)
            if isinstance(data, str):
                reason = reason or (data if copy.side == OUTPUT else f"the input: {data}")
                continue
            uri = join_uri(folder, escape_hashes(copy.path))
            write(uri, data, common_permissions([named.row[f"{copy.side}_uri"]]))
            files.append(CopiedFile(copy.side, copy.path, named.row[f"{copy.side}_sha256"], len(data)))
        return CopiedRow(named.row, tuple(files), reason)

    for _, copied in prefetch_map(copy_row, rows, _THREADS):
        yield copied


def explain_missing_result(row: Mapping[str, Any]) -> str:
    """Return why a row has no result; empty if it has one."""
    if row["status"] in RESULT_STATUSES:
        return ""
    return f"{row['status']}: {row['error_code']}: {row['error_message']}"


def read_verified(job: Job, row: Mapping[str, Any], side: str) -> bytes | str:
    """Return the bytes of a photo of a row if they are those that the run read or wrote; otherwise the reason."""
    uri, sha256 = row[f"{side}_uri"], row[f"{side}_sha256"]
    try:
        data = read_photo(uri) if side == OUTPUT else read_photo(uri, job.limits.max_bytes, job.input.allow)
    except FileNotFoundError:
        return "the file no longer exists"
    except (StorageError, ImageError) as error:
        return str(error)
    if sha256_hex(data) != sha256:
        return "the file has changed since the run: its SHA-256 differs from the manifest"
    return data
