"""The record of a run: a file per shard with the preservation events of its photos."""

import json
import uuid
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline.config import parse_job
from pipeline.errors import RunError
from pipeline.escaping import to_json_line
from pipeline.progress import Progress
from pipeline.provenance.photo_event import SETTING_NAMES, PhotoEvent, make_event
from pipeline.provenance.premis import to_premis
from pipeline.runs import (
    RunPaths,
    ShardCommit,
    ShardSet,
    iter_committed_rows,
    iter_shard_commits,
    list_commits,
    require_run,
)
from pipeline.storage import absolute_uri, join_uri, prefetch_map, read, read_range, write

_VERSION = 1  # of what a record contains; raised whenever records of the same commit change
_IO_THREADS, _MAX_SHARDS_AHEAD = 8, 64
_MARKER_BYTES = 1024  # at the start of a file, in which its marker lies


class RecordFormat(StrEnum):
    """How the events are written: as PREMIS 3.0 in XML, or one JSON object a line."""

    PREMIS = "premis"
    JSONL = "jsonl"


@dataclass(frozen=True)
class RecordSummary:
    """What was written.

    Attributes:
        uri: the folder.
        written: files that were written now.
        unchanged: files that were there already.
        succeeded: events with a result, in all of these files.
        failed: events without one.
    """

    uri: str
    written: int
    unchanged: int
    succeeded: int
    failed: int


def write_record(run: RunPaths, record_format: RecordFormat, folder: str | None, progress: Progress) -> RecordSummary:
    """Write a file for each committed shard; those that describe the present commit of their shard stay as they are.

    Args:
        run: the run.
        record_format: the format.
        folder: where the files go; `record/` in the run's folder by default.
        progress: is advanced by every photo.

    Raises:
        RunError: the folder is not that of a run, a manifest file is missing or not the one that was committed, or a
            file of that name is there and no record of this run.
    """
    require_run(run)
    target = run.record if folder is None else absolute_uri(folder).rstrip("/")
    recorder = _ShardRecorder(run, record_format, target)
    written = unchanged = succeeded = failed = 0
    progress.begin("record", 0)
    outdated = array("q")
    commits = iter_shard_commits(run, list_commits(run))
    for (shard, commit), is_current in prefetch_map(recorder.is_current, commits, _IO_THREADS, _MAX_SHARDS_AHEAD):
        if is_current:
            unchanged += 1
            succeeded, failed = succeeded + commit.n_results, failed + commit.n_rows - commit.n_results
            progress.advance(commit.n_rows, 0)
        else:
            outdated.append(shard)
    found = iter_committed_rows(run, shards=ShardSet(outdated))
    shards = (each for rows in found for each in rows.split(run))
    for (_, commit, _), _ in prefetch_map(recorder.write, shards, _IO_THREADS, _MAX_SHARDS_AHEAD):
        written += 1
        succeeded, failed = succeeded + commit.n_results, failed + commit.n_rows - commit.n_results
        progress.advance(commit.n_rows, 0)
    progress.end()
    return RecordSummary(target, written, unchanged, succeeded, failed)


class _ShardRecorder:
    """Writes the files of shards; called by several threads."""

    def __init__(self, run: RunPaths, record_format: RecordFormat, folder: str) -> None:
        self._run, self._format, self._folder = run, record_format, folder
        about = json.loads(read(run.run_json))
        self._job = parse_job(about["job"], run.run_json)
        self._time_of_run = _read_finishing_time(run) or str(about.get("started", ""))

    def is_current(self, item: tuple[int, ShardCommit]) -> bool:
        """Whether the file of a shard describes this commit."""
        return _is_current(self._uri(item[0]), self._marker(item[1]))

    def write(self, item: tuple[int, ShardCommit, pa.Table]) -> None:
        """Write the file of a shard, from its commit and its rows."""
        shard, commit, rows = item
        write(self._uri(shard), _WRITERS[self._format](self._marker(commit), list(self._iter_events(commit, rows))))

    def _uri(self, shard: int) -> str:
        return join_uri(self._folder, f"{shard:05d}{_SUFFIXES[self._format]}")

    def _marker(self, commit: ShardCommit) -> dict[str, str]:
        return {"run": self._run.fingerprint, "record": _record_id(commit)}

    def _iter_events(self, commit: ShardCommit, table: pa.Table) -> Iterator[PhotoEvent]:
        rows = iter(table.to_pylist())
        for file in commit.files:
            for number, row in enumerate(islice(rows, file.n_rows)):
                yield make_event(self._job, row, f"{file.sha256}\n{number}", commit.committed or self._time_of_run)


def _write_premis(marker: Mapping[str, str], events: Sequence[PhotoEvent]) -> bytes:
    return to_premis(f"deepot {json.dumps(marker)}", events)


def _write_lines(marker: Mapping[str, str], events: Sequence[PhotoEvent]) -> bytes:
    """Return the events as lines of JSON, with the settings among their other fields."""
    return "".join(f"{to_json_line({**marker, **_flatten(event)})}\n" for event in events).encode()


def _flatten(event: PhotoEvent) -> dict[str, Any]:
    fields = asdict(event)
    settings = fields.pop("settings")
    del fields["restorer"]
    return fields | {name: settings.get(name) for name in SETTING_NAMES}


_SUFFIXES = {RecordFormat.PREMIS: ".premis.xml", RecordFormat.JSONL: ".jsonl"}
_WRITERS = {RecordFormat.PREMIS: _write_premis, RecordFormat.JSONL: _write_lines}


def _record_id(commit: ShardCommit) -> str:
    """Return the UUID of what is recorded about a commit."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:deepot:record:{_VERSION}\n{commit.sha256}"))


def _is_current(uri: str, marker: Mapping[str, str]) -> bool:
    """Whether a file describes a commit, by the marker at its start.

    Raises:
        RunError: it is there, and no record of this run.
    """
    try:
        start = read_range(uri, 0, _MARKER_BYTES)
    except FileNotFoundError:
        return False
    if _as_text({"run": marker["run"]}) not in start:
        raise RunError(
            f"{uri} is there already and is no record of run {marker['run']}: name another folder with --out"
        )
    return _as_text(marker) in start


def _as_text(marker: Mapping[str, str]) -> bytes:
    """Return a marker as it stands in a file, without the braces, as lines have other fields after it."""
    return json.dumps(marker)[1:-1].encode()


def _read_finishing_time(run: RunPaths) -> str:
    """Return when the run was finished; empty if it was not, or if that is not known."""
    try:
        return str(json.loads(read(run.success_marker)).get("finished", ""))
    except (FileNotFoundError, ValueError, AttributeError):
        return ""
