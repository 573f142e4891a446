"""What the workers of a stage must see before they work: marks of the driver, and some of the photos."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import islice

from pipeline.calibration import MomentsTask
from pipeline.config import split_source_kind
from pipeline.errors import NothingFoundError, StorageError
from pipeline.sources import find_images, parse_member_uri
from pipeline.stages.job_context import JobContext
from pipeline.storage import Entry, absolute_uri, is_local_path
from pipeline.workers import SharedStorage, can_stat, mark_storage

_SAMPLE_SIZE = 8


def mark_calibration(
    context: JobContext, tasks: Sequence[MomentsTask], result_folders: Sequence[str]
) -> AbstractContextManager[SharedStorage]:
    """Return a context in which the workers of a calibration can be checked.

    Args:
        context: the job.
        tasks: what the workers are to do.
        result_folders: folders of results, to find out at once whether those could be stored later on.
    """
    folders = [context.calibration.uri, *result_folders]
    samples = [sample_local_files(task.shard.entries) for task in {task.side: task for task in tasks}.values()]
    return mark_storage(folders, samples)


def mark_run(context: JobContext, output: str, map_uri: str) -> AbstractContextManager[SharedStorage]:
    """Return a context in which the workers of a run can be checked.

    Args:
        context: the job.
        output: URI of the folder of the results.
        map_uri: URI of the map.
    """
    return mark_storage([context.run.uri, output], [_sample_input(context), _existing_local_files([map_uri])])


def sample_local_files(entries: Iterable[Entry]) -> list[str]:
    """Return up to eight existing local files that are photos, or hold photos, of a collection."""
    members = ((entry.uri, parse_member_uri(entry.uri)) for entry in entries)
    return _existing_local_files(member.container if member else uri for uri, member in members)


def _sample_input(context: JobContext) -> list[str]:
    photos = context.job.input
    if not is_local_path(absolute_uri(split_source_kind(photos.images)[1])):
        return []
    try:
        found = find_images(photos.images, "input", context.excluded_folders, photos.exclude, photos.allow)
        return sample_local_files(islice(found, _SAMPLE_SIZE))
    except (NothingFoundError, StorageError):  # all were moved away since they were planned
        return []


def _existing_local_files(uris: Iterable[str]) -> list[str]:
    local = (uri for uri in dict.fromkeys(uris) if is_local_path(uri))
    return [uri for uri in islice(local, _SAMPLE_SIZE) if can_stat(uri)]
