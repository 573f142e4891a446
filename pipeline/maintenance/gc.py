"""Garbage collection: files that a run left behind and that nothing names any more.

Files may be many millions: they are listed as a stream, and of what commits name only hashes are held.
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
    get_mtime,
    is_temporary_name,
    iter_files,
    prefetch_map,
    read,
    sha256_hex,
    storage_clock,
)

_IO_THREADS, _MAX_AHEAD = 16, 64  # shards whose manifests are read, and files that are removed, at a time
_RECHECK_BATCH = 10_000  # orphans between two looks at what has been committed meanwhile
_MTIME_RESOLUTION_S = 1.0  # to which stores tell times


class OrphanKind(StrEnum):
    """What an orphan is."""

    MANIFEST_FILE = "manifest parts that no commit names"
    PARTIAL = "half-written files"
    RESULT = "results that no row names"


@dataclass(frozen=True)
class Orphan:
    """A file that nothing names, by all that is known."""

    kind: OrphanKind
    entry: Entry


def find_orphans(run: RunPaths, changed_before: float) -> Iterator[Orphan]:
    """Files of a run that nothing names and that were last changed before a time (seconds since 1970), streamed.

    Uncommitted manifest parts, temporary files, and results of planned images that no committed row names. Whatever
    else lies in the output folder is left alone; so are all results where the folder belongs to another run by now.

    Raises:
        RunError: there is no run in that folder, or a commit or part of it cannot be read: then nothing is an orphan.
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
    """The time by the clock that says when files were changed: the storage's, which this machine's may differ from.

    Raises:
        RunError: there is no run in that folder.
    """
    require_run(run)
    return storage_clock(run.uri)


def remove_orphans(found: Iterable[Orphan]) -> Iterator[Orphan]:
    """Remove orphans, and give those that were removed: not one that has been written anew since it was listed."""
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
    folder, _, name = entry.key.rpartition("/")
    if is_temporary_name(name):
        return OrphanKind.PARTIAL
    return OrphanKind.MANIFEST_FILE if folder == "manifest" and name.endswith(".parquet") else None


def _find_owned_outputs(job: Job, run: RunPaths) -> list[str]:
    """The output folders, of each map if they are apart, as long as they are the run's."""
    run_id = run.uri.rpartition("/")[2]
    map_uris = [job.map] if job.map else list_run_maps(calibration_of_run(run))
    found = sorted({output_folder(job.output.uri, sha256_hex(read(uri)), run_id) for uri in map_uris})
    return [output for output in found if read_output_owner(output) == run.uri]


def _find_partial_calibration_files(job: Job, run: RunPaths) -> Iterator[Orphan]:
    """Half-written files of the calibration that the run uses."""
    files = iter_files(calibration_of_run(run).uri) if job.map is None else iter(())
    return (Orphan(OrphanKind.PARTIAL, entry) for entry in files if _classify(entry) is OrphanKind.PARTIAL)


def _find_unnamed_results(job: Job, run: RunPaths, outputs: Iterable[str]) -> Iterator[Orphan]:
    """Files of names that the run gives its results, and half-written files outside of the run's own folder."""
    is_result_name = _make_result_name_filter(job, run)
    for entry in chain.from_iterable(map(iter_files, outputs)):
        if is_result_name(entry.key):
            yield Orphan(OrphanKind.RESULT, entry)
        elif _classify(entry) is OrphanKind.PARTIAL and not entry.uri.startswith(run.uri + "/"):
            yield Orphan(OrphanKind.PARTIAL, entry)


def _make_result_name_filter(job: Job, run: RunPaths) -> Callable[[str], bool]:
    """Whether the run gives a result such a name."""
    if job.output.layout is not OutputLayout.FILES:
        numbers = set(count_planned_images(run))
        return lambda key: parse_shard_number(key) in numbers
    keys = HashSet(output_key_for(entry.key, job.output.format) for shard in read_plan(run) for entry in shard.entries)

    def is_result_name(key: str) -> bool:
        bare = key.rpartition(".")[0]  # rows of Parquet files may have no suffixes, their results have
        return key in keys or (is_parquet_row_key(bare) and bare in keys)

    return is_result_name


def _iter_referenced_uris(run: RunPaths, numbers: Iterable[int], *, rows: bool) -> Iterator[str]:
    """Files that some commits name, and their rows if these are wanted."""

    def read_shard(number: int) -> list[str]:
        try:
            files = read_commit(run, number)
        except FileNotFoundError:
            return []  # taken back in the meantime
        found = [run.manifest(part.name) for part in files]
        return found + [uri for part in files if rows for uri in _read_output_uris(run, part)]

    for _, found in prefetch_map(read_shard, sorted(numbers), _IO_THREADS, _MAX_AHEAD):
        yield from found


def _read_output_uris(run: RunPaths, file: ManifestFile) -> list[str]:
    try:
        uris = [uri for uri in read_manifest_file(run, file).column("output_uri").to_pylist() if uri]
    except FileNotFoundError as error:
        raise RunError(
            f"{run.manifest(file.name)} is gone, so that nobody knows which results it named: "
            f"deepot verify {run.uri} --requeue, and then the job again"
        ) from error
    return [*uris, *{member.container for uri in uris if (member := parse_member_uri(uri))}]
