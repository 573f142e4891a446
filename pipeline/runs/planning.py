"""Extending the plan of a run by what a listing has that earlier plans have not."""

import io
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from pipeline.errors import RunError
from pipeline.runs.lazy_merge import merge_lazily
from pipeline.runs.missing_inputs import PresenceTracker
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import clear_success_marker, count_planned_images, list_plan_files
from pipeline.runs.plan_file import read_entries, read_first_key, write_shards
from pipeline.runs.sharding import Shard, split_into_shards
from pipeline.runs.unwritable_names import UnwritableNames
from pipeline.storage import Entry, create_if_absent, prefetch_map

_IMAGES_PER_PLAN_FILE = 1_000_000  # about 50 MB
_MAX_ROWS_HELD, _MAX_BATCH_ROWS, _MIN_BATCH_ROWS = 100_000, 2_000, 100  # of plan files that are merged
_READ_THREADS = 8


@dataclass(frozen=True)
class PlanSummary:
    """What a listing of the input contained.

    Attributes:
        found: number of images.
        found_bytes: their size.
        new: number of images that are new or have changed.
        new_bytes: their size.
        shards: number of shards that the new ones make.
        missing: images of earlier plans that are missing now, whichever listing was the first without them.
        presence_changes: images that went missing or came back since the previous listing.
        passed_over: files that are no images to work on, by kind (`pipeline.sources.passed_over`).
        unwritable: images whose names show that their results cannot be written.
    """

    found: int = 0
    found_bytes: int = 0
    new: int = 0
    new_bytes: int = 0
    shards: int = 0
    missing: int = 0
    presence_changes: int = 0
    passed_over: Mapping[str, int] = field(default_factory=dict)
    unwritable: UnwritableNames = field(default_factory=UnwritableNames)


def extend_plan(
    run: RunPaths,
    entries: Iterable[Entry],
    images_per_shard: int | str = "auto",
    valid_shards: Container[int] | None = None,
) -> PlanSummary:
    """Write the new images of a listing as further plan files.

    An image is new if no planned one has the same URI, ETag, size and modification time. A plan file holds a bounded
    number of images; an interrupted call leaves complete files, and the next call continues after them. Once the
    listing is complete, planned images that it lacks are recorded as missing (`pipeline.runs.missing_inputs`).

    Args:
        run: the run.
        entries: the listing, in the order of the keys.
        images_per_shard: images in a shard, or `auto`.
        valid_shards: numbers of the shards whose images count as planned; None for all shards.

    Raises:
        RunError: another driver has just written such a file.
        ValueError: the listing is not in the order of the keys.
    """
    found, new, tracker = Counter[str](), Counter[str](), PresenceTracker(run)
    plan_files = list_plan_files(run)
    first_shard = int(count_planned_images(run).shards.numbers.max(initial=-1)) + 1
    planned = _merge_plan_files(plan_files)
    new_entries = _filter_new_entries(_count_entries(entries, found), planned, tracker, valid_shards)
    shards = split_into_shards(_count_entries(new_entries, new), images_per_shard, first_shard)
    last_shard = _write_plan_files(run, shards, len(plan_files) + 1, first_shard)
    tracker.save()
    counts = found["images"], found["bytes"], new["images"], new["bytes"]
    return PlanSummary(*counts, last_shard + 1 - first_shard, tracker.n_missing, tracker.n_changes)


def _write_plan_files(run: RunPaths, shards: Iterator[Shard], file_number: int, first_shard: int) -> int:
    """Write shards as plan files with numbers from `file_number` on; returns the number of the last shard."""
    last_shard = first_shard - 1
    for shard in shards:
        with io.BytesIO() as file:
            last_shard = write_shards(file, _take_images(chain([shard], shards), _IMAGES_PER_PLAN_FILE))
            clear_success_marker(run)  # before the plan file, which makes the run incomplete
            if not create_if_absent(run.plan(file_number), file.getvalue()):
                raise RunError(
                    f"{run.plan(file_number)} has just been written by another driver; run the same command again"
                )
        file_number += 1
    return last_shard


def _take_images(shards: Iterator[Shard], images: int) -> Iterator[Shard]:
    """Yield shards until they hold at least this many images."""
    for shard in shards:
        yield shard
        images -= len(shard.entries)
        if images <= 0:
            return


def _merge_plan_files(uris: Sequence[str]) -> Iterator[tuple[Entry, int]]:
    """Stream the images of plan files in the order of their keys.

    The files of one listing follow each other, so that few are open at a time. Those of many listings are open at once,
    with the fewer images held of each the more there are.
    """
    batch_rows = min(_MAX_BATCH_ROWS, max(_MIN_BATCH_ROWS, _MAX_ROWS_HELD // max(1, len(uris))))
    first_keys = prefetch_map(read_first_key, uris, _READ_THREADS)
    streams = [(key, partial(read_entries, uri, None, batch_rows)) for uri, key in first_keys if key is not None]
    return merge_lazily(streams, lambda row: row[0].key)


def _filter_new_entries(
    entries: Iterable[Entry],
    planned: Iterator[tuple[Entry, int]],
    tracker: PresenceTracker,
    valid_shards: Container[int] | None,
) -> Iterator[Entry]:
    """Yield the entries that are not among the planned ones of valid shards; both are in the order of their keys.

    Whether a planned entry is present is reported to the tracker.
    """
    end: tuple[None, int] = None, -1
    previous_key = ""
    planned_entry, shard = next(planned, end)
    for entry in entries:
        if entry.key < previous_key:
            raise ValueError(f"'{entry.key}' comes after '{previous_key}': a plan needs entries in the order of keys")
        previous_key = entry.key
        while planned_entry is not None and planned_entry.key < entry.key:
            tracker.observe(planned_entry, False)
            planned_entry, shard = next(planned, end)
        is_planned = False
        while planned_entry is not None and planned_entry.key == entry.key:
            tracker.observe(planned_entry, True)
            is_planned = is_planned or (planned_entry == entry and (valid_shards is None or shard in valid_shards))
            planned_entry, shard = next(planned, end)
        if not is_planned:
            yield entry
    while planned_entry is not None:
        tracker.observe(planned_entry, False)
        planned_entry, shard = next(planned, end)


def _count_entries(entries: Iterable[Entry], counter: Counter[str]) -> Iterator[Entry]:
    """Yield the entries unchanged; once they are exhausted, add their number and bytes to the counter."""
    images = size = 0
    for entry in entries:
        images += 1
        size += entry.size
        yield entry
    counter.update(images=images, bytes=size)
