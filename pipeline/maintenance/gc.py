"""Garbage collection: files that a run left behind and that nothing names any more.

Files may be many millions: they are listed as a stream, and of what commits name only hashes are held.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice

from pipeline.calibration.maps import map_uris
from pipeline.config.job import Job, output_folder
from pipeline.config.loading import parse_job
from pipeline.config.output_layout import Layout
from pipeline.errors import RunError, StorageError
from pipeline.outputs.naming import is_row, mirror_key
from pipeline.outputs.writers import shard_of
from pipeline.runs.commits import Part, committed_numbers, read_commit
from pipeline.runs.hash_set import Ledger
from pipeline.runs.manifest import read_part
from pipeline.runs.output_ownership import owner
from pipeline.runs.paths import Run, check_run
from pipeline.runs.plan import planned, read_plan
from pipeline.sources.members import member_of
from pipeline.storage.listing import files, modified
from pipeline.storage.objects import Entry, delete, put, read, sha256
from pipeline.storage.prefetch import read_ahead

_THREADS, _AHEAD = 16, 64  # shards whose manifests are read, and files that are removed, at a time
_BATCH = 10_000  # orphans between two looks at what has been committed meanwhile
_CLOCK_S = 1.0  # to which stores tell times


class Kind(StrEnum):
    """What an orphan is."""

    PART = "manifest parts that no commit names"
    PARTIAL = "half-written files"
    RESULT = "results that no row names"


@dataclass(frozen=True)
class Orphan:
    """A file that nothing names, by all that is known."""

    kind: Kind
    entry: Entry


def orphans(run: Run, before: float) -> Iterator[Orphan]:
    """Files of a run that nothing names and that were last changed before a time (seconds since 1970), streamed.

    Uncommitted manifest parts, temporary files, and results of planned images that no committed row names. Whatever
    else lies in the output folder is left alone; so are all results where the folder belongs to another run by now.

    Raises:
        RunError: there is no run in that folder, or a commit or part of it cannot be read: then nothing is an orphan.
    """
    check_run(run)
    job = parse_job(json.loads(read(run.about))["job"], run.about)
    outputs = _own_outputs(job, run)
    known = committed_numbers(run)
    named = Ledger(_named(run, known, rows=bool(outputs)))
    of_run = (Orphan(kind, entry) for entry in files(run.uri) if (kind := _kind(entry)))
    found = chain(of_run, _results(job, run, outputs) if outputs else ())
    left = (each for each in found if 0 < each.entry.mtime < before and each.entry.uri not in named)
    while batch := list(islice(left, _BATCH)):
        meanwhile = committed_numbers(run) - known
        known |= meanwhile
        lately = Ledger(_named(run, meanwhile, rows=bool(outputs)))
        yield from (orphan for orphan in batch if orphan.entry.uri not in lately)


def clock(run: Run) -> float:
    """The time by the clock that says when files were changed: the storage's, which this machine's may differ from.

    Raises:
        RunError: there is no run in that folder.
    """
    check_run(run)
    probe = f"{run.uri}/.{uuid.uuid4().hex}.partial"
    try:
        put(probe, b"")
        try:
            return modified(probe) or time.time()
        finally:
            delete(probe)
    except StorageError:  # who may only read sees what there is to remove
        return time.time()


def remove_orphans(found: Iterable[Orphan]) -> Iterator[Orphan]:
    """Remove orphans, and give those that were removed: not one that has been written anew since it was listed."""
    return (orphan for orphan, removed in read_ahead(_removed, found, _THREADS, _AHEAD) if removed)


def _removed(orphan: Orphan) -> bool:
    try:
        if modified(orphan.entry.uri) >= orphan.entry.mtime + _CLOCK_S:
            return False
    except FileNotFoundError:
        return False
    delete(orphan.entry.uri)
    return True


def _kind(entry: Entry) -> Kind | None:
    folder, _, name = entry.key.rpartition("/")
    if name.startswith(".") and name.endswith(".partial"):
        return Kind.PARTIAL
    return Kind.PART if folder == "manifest" and name.endswith(".parquet") else None


def _own_outputs(job: Job, run: Run) -> list[str]:
    """The output folders, of each map if they are apart, as long as they are the run's."""
    found = sorted({output_folder(job, sha256(read(uri))) for uri in map_uris(job, run)})
    return [output for output in found if owner(output) == run.uri]


def _results(job: Job, run: Run, outputs: Iterable[str]) -> Iterator[Orphan]:
    """Files of names that the run gives its results, and half-written files outside of the run's own folder."""
    would_write = _names_of_results(job, run)
    for entry in chain.from_iterable(map(files, outputs)):
        if would_write(entry.key):
            yield Orphan(Kind.RESULT, entry)
        elif _kind(entry) is Kind.PARTIAL and not entry.uri.startswith(run.uri + "/"):
            yield Orphan(Kind.PARTIAL, entry)


def _names_of_results(job: Job, run: Run) -> Callable[[str], bool]:
    """Whether the run gives a result such a name."""
    if job.output.layout is not Layout.MIRROR:
        numbers = set(planned(run))
        return lambda key: shard_of(key) in numbers
    keys = Ledger(mirror_key(entry.key, job.output.format) for shard in read_plan(run) for entry in shard.entries)

    def has(key: str) -> bool:
        bare = key.rpartition(".")[0]  # rows of Parquet files may have no suffixes, their results have
        return key in keys or (is_row(bare) and bare in keys)

    return has


def _named(run: Run, numbers: Iterable[int], *, rows: bool) -> Iterator[str]:
    """Files that some commits name, and their rows if these are wanted."""

    def of_shard(number: int) -> list[str]:
        try:
            parts = read_commit(run, number)
        except FileNotFoundError:
            return []  # taken back in the meantime
        found = [run.manifest(part.name) for part in parts]
        return found + [uri for part in parts if rows for uri in _outputs(run, part)]

    for _, found in read_ahead(of_shard, sorted(numbers), _THREADS, _AHEAD):
        yield from found


def _outputs(run: Run, part: Part) -> list[str]:
    try:
        uris = [uri for uri in read_part(run, part).column("output_uri").to_pylist() if uri]
    except FileNotFoundError as error:
        raise RunError(
            f"{run.manifest(part.name)} is gone, so that nobody knows which results it named: "
            f"deepot verify {run.uri} --repair, and then the job again"
        ) from error
    return [*uris, *{member.container for uri in uris if (member := member_of(uri))}]
