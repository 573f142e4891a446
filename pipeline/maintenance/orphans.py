"""Orphaned files: those that a run wrote and that no commit or committed manifest row names.

A result counts as the run's if one of its uncommitted manifest files names it and it still has the SHA-256 of its row,
or if its name is one that only this run gives. Whatever else lies in an output folder stays, also under the name of a
photo. There may be many millions of files: they are listed as a stream, and only hashes of the named ones are held.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, groupby, islice
from typing import Any

from pipeline.calibration import calibration_of_run, is_merged_statistics, list_run_maps
from pipeline.config import Job, output_folder, parse_job
from pipeline.errors import RunError
from pipeline.runs import (
    HashSet,
    ManifestFile,
    RunPaths,
    find_row_problem,
    hash_name,
    is_attempt_name,
    is_manifest_file_name,
    list_committed_shards,
    read_commit,
    read_manifest_file,
    read_output_owner,
    read_uncommitted_rows,
    require_run,
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

    MANIFEST_FILE = "manifest files that no commit names"
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
    referenced = HashSet(_iter_referenced_uris(run, committed, rows=bool(outputs)))

    def is_candidate(entry: Entry) -> bool:
        return 0 < entry.mtime < changed_before and entry.uri not in referenced

    results = _find_uncommitted_results(run, outputs, is_candidate) if outputs else iter(())
    run_files = (Orphan(kind, entry) for entry in iter_files(run.uri) if (kind := _classify(run, entry)))
    others = chain(
        *(_find_files_by_name(run, output) for output in outputs), _find_calibration_files(job, run), run_files
    )
    candidates = chain(results, (each for each in others if is_candidate(each.entry)))
    seen = set[bytes]()
    while batch := list(islice(candidates, _RECHECK_BATCH)):
        newly_committed = list_committed_shards(run) - committed
        committed |= newly_committed
        newly_referenced = HashSet(_iter_referenced_uris(run, newly_committed, rows=bool(outputs)))
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
    """
    for _, group in groupby(found, lambda orphan: orphan.kind is OrphanKind.MANIFEST_FILE):
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
    run: RunPaths, outputs: Sequence[str], is_candidate: Callable[[Entry], bool]
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

    manifest_files = (entry for entry in iter_files(run.manifest()) if is_candidate(entry))
    rows = chain.from_iterable(rows for _, rows in prefetch_map(read_rows, manifest_files, _IO_THREADS, _MAX_AHEAD))
    own_rows = (row for row in rows if row["output_uri"].startswith(folders))
    for _, entry in prefetch_map(find_result, own_rows, _IO_THREADS, _MAX_AHEAD):
        if entry is not None:
            yield Orphan(OrphanKind.RESULT, entry)


def _iter_referenced_uris(run: RunPaths, numbers: Iterable[int], *, rows: bool) -> Iterator[str]:
    """Yield the manifest files that the given commits name and, with `rows`, the results that their rows name."""

    def read_shard(number: int) -> list[str]:
        try:
            files = read_commit(run, number)
        except FileNotFoundError:
            return []  # the shard was requeued since the commits were listed
        found = [run.manifest(file.name) for file in files]
        found += [uri for file in files if rows for uri in _read_output_uris(run, file)]
        return [*map(file_uri, found)]  # also of results that earlier versions named like members of a tar

    for _, found in prefetch_map(read_shard, sorted(numbers), _IO_THREADS, _MAX_AHEAD):
        yield from found


def _read_output_uris(run: RunPaths, file: ManifestFile) -> list[str]:
    """Read the results, and the containers of results, that the rows of a manifest file name."""
    try:
        uris = [uri for uri in read_manifest_file(run, file).column("output_uri").to_pylist() if uri]
    except FileNotFoundError as error:
        raise RunError(
            f"{run.manifest(file.name)} is missing, so nobody knows which results it named: run "
            f"'deepot verify {run.uri} --requeue', then the job again"
        ) from error
    return [*uris, *{file_of(uri) for uri in uris}]
