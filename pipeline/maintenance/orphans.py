"""Orphaned files: those of a run that no commit or manifest row names.

There may be many millions of files: they are listed as a stream, and only hashes of the named ones are held.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice

from pipeline.calibration import calibration_of_run, list_run_maps
from pipeline.config import Job, OutputLayout, output_folder, parse_job
from pipeline.errors import RunError
from pipeline.outputs import is_parquet_row_key, output_key_for, parse_shard_number
from pipeline.runs import (
    HashSet,
    ManifestFile,
    RunPaths,
    count_planned_images,
    list_committed_shards,
    read_commit,
    read_manifest_file,
    read_output_owner,
    read_plan,
    require_run,
)
from pipeline.sources import parse_member_uri
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
    storage_clock,
)

_IO_THREADS, _MAX_AHEAD = 16, 64  # for reading shards and for removing files
_RECHECK_BATCH = 10_000  # orphans after which the commits are listed again
_MTIME_RESOLUTION_S = 1.0  # the coarsest resolution of modification times among stores


class OrphanKind(StrEnum):
    """What kind of file an orphan is."""

    MANIFEST_FILE = "manifest files that no commit names"
    PARTIAL = "partially written files"
    RESULT = "results that no manifest row names"


@dataclass(frozen=True)
class Orphan:
    """A file that no commit or manifest row names."""

    kind: OrphanKind
    entry: Entry


def find_orphans(run: RunPaths, changed_before: float) -> Iterator[Orphan]:
    """Stream the orphans of a run: uncommitted manifest files, temporary files, and results that no row names.

    Other files in the output folder are left alone, and so are all results if the folder belongs to another run now.

    Args:
        run: the run.
        changed_before: time in seconds since 1970; files that were modified later are left alone.

    Raises:
        RunError: the folder is not that of a run, or a commit or manifest file cannot be read, so that nobody knows
            what is an orphan.
    """
    require_run(run)
    job = parse_job(json.loads(read(run.run_json))["job"], run.run_json)
    outputs = _find_owned_outputs(job, run)
    committed = list_committed_shards(run)
    referenced = HashSet(_iter_referenced_uris(run, committed, rows=bool(outputs)))
    run_files = (Orphan(kind, entry) for entry in iter_files(run.uri) if (kind := _classify(entry)))
    files_found = chain(
        run_files,
        _find_partial_calibration_files(job, run),
        _find_unnamed_results(job, run, outputs) if outputs else (),
    )
    candidates = (
        each for each in files_found if 0 < each.entry.mtime < changed_before and each.entry.uri not in referenced
    )
    while batch := list(islice(candidates, _RECHECK_BATCH)):
        newly_committed = list_committed_shards(run) - committed
        committed |= newly_committed
        newly_referenced = HashSet(_iter_referenced_uris(run, newly_committed, rows=bool(outputs)))
        yield from (orphan for orphan in batch if orphan.entry.uri not in newly_referenced)


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
    """Remove orphans and yield those that were removed; one that was written again since it was listed is kept."""
    return (orphan for orphan, removed in prefetch_map(_remove_if_unchanged, found, _IO_THREADS, _MAX_AHEAD) if removed)


def _remove_if_unchanged(orphan: Orphan) -> bool:
    try:
        if get_mtime(orphan.entry.uri) >= orphan.entry.mtime + _MTIME_RESOLUTION_S:
            return False
    except FileNotFoundError:
        return False
    delete(orphan.entry.uri)
    return True


def _classify(entry: Entry) -> OrphanKind | None:
    """Return the kind of orphan that a file of a run is unless something names it; None for other files."""
    folder, _, name = entry.key.rpartition("/")
    if is_temporary_name(name):
        return OrphanKind.PARTIAL
    return OrphanKind.MANIFEST_FILE if folder == "manifest" and name.endswith(".parquet") else None


def _find_owned_outputs(job: Job, run: RunPaths) -> list[str]:
    """Return the output folders of the run's maps that the run still owns."""
    run_id = run.uri.rpartition("/")[2]
    map_uris = [job.map] if job.map else list_run_maps(calibration_of_run(run))
    found = sorted({output_folder(job.output.uri, sha256_hex(read(uri)), run_id) for uri in map_uris})
    return [output for output in found if read_output_owner(output) == run.uri]


def _find_partial_calibration_files(job: Job, run: RunPaths) -> Iterator[Orphan]:
    """Find partially written files of the calibration that the run uses."""
    files = iter_files(calibration_of_run(run).uri) if job.map is None else iter(())
    return (Orphan(OrphanKind.PARTIAL, entry) for entry in files if _classify(entry) is OrphanKind.PARTIAL)


def _find_unnamed_results(job: Job, run: RunPaths, outputs: Iterable[str]) -> Iterator[Orphan]:
    """Find files whose names the run gives to results, and partially written files outside the run's folder."""
    is_result_name = _make_result_name_filter(job, run)
    for entry in chain.from_iterable(map(iter_files, outputs)):
        if is_result_name(entry.key):
            yield Orphan(OrphanKind.RESULT, entry)
        elif _classify(entry) is OrphanKind.PARTIAL and not entry.uri.startswith(file_uri(run.uri) + "/"):
            yield Orphan(OrphanKind.PARTIAL, entry)


def _make_result_name_filter(job: Job, run: RunPaths) -> Callable[[str], bool]:
    """Return a predicate: whether the run gives a result this key."""
    if job.output.layout is not OutputLayout.FILES:
        numbers = set(count_planned_images(run))
        return lambda key: parse_shard_number(key) in numbers
    keys = HashSet(output_key_for(entry.key, job.output.format) for shard in read_plan(run) for entry in shard.entries)

    def is_result_name(key: str) -> bool:
        stem = key.rpartition(".")[0]  # inputs in Parquet rows may have no suffix, but their results have one
        return key in keys or (is_parquet_row_key(stem) and stem in keys)

    return is_result_name


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
    return [*uris, *{member.container for uri in uris if (member := parse_member_uri(uri))}]
