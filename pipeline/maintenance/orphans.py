"""Orphaned files: those that a run wrote and that no commit or committed manifest row names.

A result counts as the run's if one of its uncommitted manifest files names it and it still has the SHA-256 of its row,
or if its name is one that only this run gives. Whatever else lies in an output folder stays, also under the name of a
photo. There may be many millions of files: they are listed as a stream, and only hashes of the named ones are held.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, groupby, islice
from typing import Any

from pipeline.calibration import calibration_of_run, is_merged_statistics, list_run_maps
from pipeline.config import Job, output_folder, parse_job
from pipeline.errors import RunError
from pipeline.runs import (
    INDEX_SUFFIX,
    HashSet,
    RunPaths,
    ShardSet,
    find_row_problem,
    hash_name,
    is_attempt_name,
    is_manifest_file_name,
    is_segment_file_name,
    iter_committed_rows,
    list_committed_shards,
    list_segments,
    read_output_owner,
    read_uncommitted_rows,
    require_run,
    segment_files,
)
from pipeline.sources import file_of
from pipeline.storage import (
    Entry,
    delete,
    file_uri,
    get_mtime,
    is_temporary_name,
    iter_files,
    prefetch_map,
    read,
    sha256_hex,
    stat,
    storage_clock,
)

_IO_THREADS, _MAX_AHEAD = 16, 64  # for reading shards and for removing files
_RECHECK_BATCH = 10_000  # orphans after which the commits are listed again
_SHARD_FILE_SUFFIXES = ("tar", "parquet")
_MTIME_RESOLUTION_S = 1.0  # the coarsest resolution of modification times among stores


class OrphanKind(StrEnum):
    """What kind of file an orphan is."""

    MANIFEST_FILE = "manifest files that no commit names, or whose rows are in a segment"
    SEGMENT_INDEX_FILE = "indexes of segments that later ones have replaced"
    SEGMENT_FILE = "segments without an index, or that later ones have replaced"
    MERGED_FILE = "merged statistics, which are made again from those of shards"
    PARTIAL = "partially written files"
    RESULT = "results that no manifest row names"


@dataclass(frozen=True)
class Orphan:
    """A file that no commit or manifest row names."""

    kind: OrphanKind
    entry: Entry


def find_orphans(run: RunPaths, changed_before: float) -> Iterator[Orphan]:
    """Stream the orphans of a run: uncommitted manifest files, the results that only these name, temporary files.

    So are manifest files whose rows are in a segment that is older than `changed_before` and has been read here, and
    the files of segments from which nothing is read.

    Files that the run did not write are left alone, and so are all results if the folder belongs to another run now.
    Results come before the manifest files that name them.

    Args:
        run: the run.
        changed_before: time in seconds since 1970; files that were modified later are left alone.

    Raises:
        RunError: the folder is not that of a run, or a commit or committed manifest file cannot be read, so that nobody
            knows what is an orphan.
    """
    require_run(run)
    job = parse_job(json.loads(read(run.run_json))["job"], run.run_json)
    outputs = _find_owned_outputs(job, run)
    committed = list_committed_shards(run)
    folded = set[bytes]()
    uris = _iter_referenced_uris(run, rows=bool(outputs), changed_before=changed_before, folded=folded)
    referenced = HashSet(uris)

    def is_candidate(entry: Entry) -> bool:
        return 0 < entry.mtime < changed_before and entry.uri not in referenced

    def is_uncommitted(entry: Entry) -> bool:
        return is_candidate(entry) and hash_name(entry.uri) not in folded

    manifest_files = filter(is_uncommitted, iter_files(run.manifest()))
    results = _find_uncommitted_results(manifest_files, outputs, is_candidate) if outputs else iter(())
    run_files = (Orphan(kind, entry) for entry in iter_files(run.uri) if (kind := _classify(run, entry)))
    others = chain(
        *(_find_files_by_name(run, output) for output in outputs),
        _find_calibration_files(job, run),
        run_files,
        _find_segment_files(run),
    )
    candidates = chain(results, (each for each in others if is_candidate(each.entry)))
    seen = set[bytes]()
    while batch := list(islice(candidates, _RECHECK_BATCH)):
        newly_committed = list_committed_shards(run) - committed
        committed |= newly_committed
        newly_referenced = newly_committed and HashSet(
            _iter_referenced_uris(run, rows=bool(outputs), shards=newly_committed)
        )
        for orphan in batch:
            if orphan.entry.uri not in newly_referenced and (digest := hash_name(orphan.entry.uri)) not in seen:
                seen.add(digest)  # several uncommitted manifest files may name one result
                yield orphan


def read_storage_clock(run: RunPaths) -> float:
    """Return the time by the storage's clock, which sets modification times; this machine's clock may differ.

    Returns:
        Seconds since 1970; by this machine's clock if the run's folder cannot be written.

    Raises:
        RunError: the folder is not that of a run.
    """
    require_run(run)
    return storage_clock(run.uri)


def remove_orphans(found: Iterable[Orphan]) -> Iterator[Orphan]:
    """Remove orphans and yield those that were removed; one that was written again since it was listed is kept.

    No manifest file is removed before all results that come before it: without it they are not known to be the run's.
    The files of segments, which come last, are removed after their indexes.
    """
    for _, group in groupby(found, lambda orphan: orphan.kind):
        for orphan, removed in prefetch_map(_remove_if_unchanged, group, _IO_THREADS, _MAX_AHEAD):
            if removed:
                yield orphan


def _remove_if_unchanged(orphan: Orphan) -> bool:
    try:
        if get_mtime(orphan.entry.uri) >= orphan.entry.mtime + _MTIME_RESOLUTION_S:
            return False
    except FileNotFoundError:
        return False
    delete(orphan.entry.uri)
    return True


def _classify(run: RunPaths, entry: Entry) -> OrphanKind | None:
    """Return the kind of orphan that a file of a run is unless something names it; None for other files."""
    folder, _, name = entry.key.rpartition("/")
    if is_temporary_name(name):
        return OrphanKind.PARTIAL
    return OrphanKind.MANIFEST_FILE if folder == "manifest" and is_manifest_file_name(run, name) else None


def _find_owned_outputs(job: Job, run: RunPaths) -> list[str]:
    """Return the output folders of the run's maps that the run still owns."""
    run_id = run.uri.rpartition("/")[2]
    map_uris = [job.map] if job.map else list_run_maps(calibration_of_run(run))
    found = sorted({output_folder(job.output.uri, sha256_hex(read(uri)), run_id) for uri in map_uris})
    return [output for output in found if read_output_owner(output) == run.uri]


def _find_segment_files(run: RunPaths) -> Iterator[Orphan]:
    """Find the files of segments: all indexes first, as a segment without one does not exist."""
    entries = sorted(iter_files(run.segment()), key=lambda entry: not entry.key.endswith(INDEX_SUFFIX))
    for entry in entries:
        if is_segment_file_name(entry.key):
            is_index = entry.key.endswith(INDEX_SUFFIX)
            yield Orphan(OrphanKind.SEGMENT_INDEX_FILE if is_index else OrphanKind.SEGMENT_FILE, entry)


def _find_calibration_files(job: Job, run: RunPaths) -> Iterator[Orphan]:
    """Find partially written files, and merged statistics, of the calibration that the run uses."""
    for entry in iter_files(calibration_of_run(run).uri) if job.map is None else ():
        if _classify(run, entry) is OrphanKind.PARTIAL:
            yield Orphan(OrphanKind.PARTIAL, entry)
        elif is_merged_statistics(entry.key):
            yield Orphan(OrphanKind.MERGED_FILE, entry)


def _find_files_by_name(run: RunPaths, output: str) -> Iterator[Orphan]:
    """Find files in an output folder whose names only deepot gives: shards' files of the run, partially written files.

    An attempt that was killed has left such a file without a manifest file.
    """
    for entry in iter_files(output):
        stem, _, suffix = entry.key.rpartition(".")
        if suffix in _SHARD_FILE_SUFFIXES and is_attempt_name(run, stem):
            yield Orphan(OrphanKind.RESULT, entry)
        elif _classify(run, entry) is OrphanKind.PARTIAL and not entry.uri.startswith(file_uri(run.uri) + "/"):
            yield Orphan(OrphanKind.PARTIAL, entry)


def _find_uncommitted_results(
    manifest_files: Iterable[Entry], outputs: Sequence[str], is_candidate: Callable[[Entry], bool]
) -> Iterator[Orphan]:
    """Find the results that uncommitted manifest files name and that have the SHA-256 of their rows."""
    folders = tuple(output.rstrip("/") + "/" for output in outputs)

    def read_rows(entry: Entry) -> list[dict[str, Any]]:
        try:
            rows = read_uncommitted_rows(entry.uri)
        except (FileNotFoundError, RunError):
            return []  # whatever it is, it names no result of the run
        return list({file_of(row["output_uri"]): row for row in rows if row["output_uri"]}.values())

    def find_result(row: dict[str, Any]) -> Entry | None:
        uri = file_of(row["output_uri"])
        key = next(uri.removeprefix(folder) for folder in folders if uri.startswith(folder))
        try:
            entry = stat(uri)._replace(uri=uri, key=key)
        except FileNotFoundError:
            return None
        return entry if is_candidate(entry) and find_row_problem(row) is None else None

    rows = chain.from_iterable(rows for _, rows in prefetch_map(read_rows, manifest_files, _IO_THREADS, _MAX_AHEAD))
    own_rows = (row for row in rows if row["output_uri"].startswith(folders))
    for _, entry in prefetch_map(find_result, own_rows, _IO_THREADS, _MAX_AHEAD):
        if entry is not None:
            yield Orphan(OrphanKind.RESULT, entry)


def _iter_referenced_uris(
    run: RunPaths,
    *,
    rows: bool,
    changed_before: float = -math.inf,
    shards: ShardSet | None = None,
    folded: set[bytes] | None = None,
) -> Iterator[str]:
    """Yield the files that committed rows are read from and, with `rows`, the results that they name.

    Manifest files are among them unless their rows were read from a segment that is older than `changed_before`.

    Args:
        run: the run.
        rows: whether the results are wanted.
        changed_before: time in seconds since 1970.
        shards: the shards whose files are wanted; None for all.
        folded: is extended by the hashes of these manifest files.
    """
    seen = set[str]()
    old = {name for name in list_segments(run) if _is_older(run, name, changed_before)}
    for found in iter_committed_rows(run, ["output_uri"], shards, preferred=old):
        if found.segment is not None and found.segment not in seen:
            seen.add(found.segment)
            yield from (file_uri(run.segment(name)) for name in segment_files(found.segment))
        commits = (commit for _, commit, _ in found.split(run))
        manifest_files = (file_uri(run.manifest(file.name)) for commit in commits for file in commit.files)
        if found.segment not in old:
            yield from manifest_files
        elif folded is not None:
            folded.update(map(hash_name, manifest_files))
        if rows:
            uris = found.table["output_uri"].drop_null().to_pylist()
            yield from map(file_uri, uris)  # also of results that earlier versions named like members of a tar
            yield from {file_uri(file) for uri in uris if (file := file_of(uri)) != uri}


def _is_older(run: RunPaths, segment: str, changed_before: float) -> bool:
    """Whether a segment exists and was written before a point in time."""
    try:
        return 0 < get_mtime(run.segment(segment_files(segment)[0])) < changed_before
    except FileNotFoundError:
        return False
