"""Garbage collection: files that a run left behind and that nothing names any more."""

import json
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from pipeline.config import Job, parse_job
from pipeline.errors import RunError
from pipeline.fit import stored_map
from pipeline.images import output_key
from pipeline.layout import Run
from pipeline.listing import files
from pipeline.manifest import committed, read_rows
from pipeline.plan import read_plan
from pipeline.run import MARKER, output_folder
from pipeline.storage import Entry, delete, exists, join, read


class Kind(StrEnum):
    """What an orphan is."""

    PART = "manifest parts that no commit names"
    PARTIAL = "half-written files"
    RESULT = "results that no row names"


@dataclass(frozen=True)
class Orphan:
    """A file that nothing names."""

    kind: Kind
    entry: Entry


def orphans(run: Run, before: float) -> list[Orphan]:
    """Files of a run that nothing names and that were last changed before a time (seconds since 1970).

    Uncommitted manifest parts, temporary files, and results of planned images that no committed row names. Whatever
    else lies in the output folder is left alone; so are all results where the folder belongs to another run by now.

    Raises:
        RunError: there is no run in that folder, or a commit or part of it cannot be read: then nothing is an orphan.
    """
    if not exists(run.about):
        raise RunError(f"{run.uri} is not the folder of a run: it has no run.json")
    job = parse_job(json.loads(read(run.about))["job"], run.about)
    found = {entry.uri: Orphan(kind, entry) for entry in files(run.uri) if (kind := _kind(entry))}
    found |= {orphan.entry.uri: orphan for orphan in _results(job, run)}
    named = _named(run)  # read after the files were listed: what is committed meanwhile is named
    return [orphan for uri, orphan in sorted(found.items()) if uri not in named and 0 < orphan.entry.mtime < before]


def remove_orphans(found: list[Orphan]) -> Counter[Kind]:
    """Remove orphans; returns how many of each kind."""
    for orphan in found:
        delete(orphan.entry.uri)
    return Counter(orphan.kind for orphan in found)


def _kind(entry: Entry) -> Kind | None:
    folder, _, name = entry.key.rpartition("/")
    if name.startswith(".") and name.endswith(".partial"):
        return Kind.PARTIAL
    return Kind.PART if folder == "manifest" and name.endswith(".parquet") else None


def _results(job: Job, run: Run) -> list[Orphan]:
    """Results of planned images and half-written files in the output folder, as long as the folder is the run's."""
    transport = stored_map(job, run)
    if transport is None:
        return []
    output = output_folder(job, transport)
    marker = join(output, MARKER)
    if not exists(marker) or json.loads(read(marker)).get("run") != run.uri:
        return []
    planned = {output_key(entry.key, job.output.format) for shard in read_plan(run) for entry in shard.entries}
    found = []
    for entry in files(output):
        if entry.key in planned:
            found.append(Orphan(Kind.RESULT, entry))
        elif _kind(entry) is Kind.PARTIAL:
            found.append(Orphan(Kind.PARTIAL, entry))
    return found


def _named(run: Run) -> set[str]:
    """Files that commits and committed rows name."""
    parts = {run.manifest(part.name) for _, group in committed(run) for part in group}
    return parts.union(*(filter(None, table["output_uri"].to_pylist()) for table in read_rows(run)))
