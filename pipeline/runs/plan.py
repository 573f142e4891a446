"""Plan: a listing of any length, streamed, frozen into numbered shards that nothing later changes."""

import heapq
import io
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import RunError
from pipeline.runs.missing_inputs import PresenceTracker
from pipeline.runs.numbered_files import PARQUET_OPTIONS, ROWS_PER_BATCH, iter_parquet_batches, list_numbered_files
from pipeline.runs.paths import RunPaths
from pipeline.runs.sharding import Shard, estimate_costs, split_into_shards
from pipeline.storage import Entry, create_if_absent, delete, exists

PLAN_SCHEMA = pa.schema(
    [
        ("uri", pa.string()),
        ("key", pa.string()),
        ("size", pa.int64()),
        ("etag", pa.string()),
        ("mtime", pa.float64()),
        ("shard", pa.int32()),
        ("cost", pa.int64()),
    ]
)
_COST_CLASSES = 4  # of cost, a factor of two apart
_IMAGES_PER_PLAN_FILE = 1_000_000  # a part of the plan is one file: some 50 MB
_MERGE_BATCH_ROWS = 2_000  # as entries, of each part: a listing is merged with all parts at once
_PLAN_PARQUET_OPTIONS = PARQUET_OPTIONS | {"use_dictionary": ["etag", "shard", "cost"]}


@dataclass(frozen=True)
class PlanSummary:
    """What was found.

    Attributes:
        found: images.
        found_bytes: of all images.
        new: images that are new or have changed.
        new_bytes: of these.
        shards: that the new ones make.
        missing: images of earlier plans that are gone, whenever that was noticed.
        presence_changes: images that have missing or come back since the last plan.
    """

    found: int = 0
    found_bytes: int = 0
    new: int = 0
    new_bytes: int = 0
    shards: int = 0
    missing: int = 0
    presence_changes: int = 0


def extend_plan(
    run: RunPaths,
    entries: Iterable[Entry],
    images_per_shard: int | str = "auto",
    valid_shards: Container[int] | None = None,
) -> PlanSummary:
    """Freeze what is new of a listing as further parts of the plan, and say what was found.

    An image is new if its uri, etag, size or mtime is. Parts hold a bounded number of images; a call that is cut short
    leaves whole parts, and the next one goes on behind them. What was planned earlier and is no longer there is marked
    (`pipeline.runs.missing_inputs`), once the listing has come to its end.

    Args:
        run: the run.
        entries: in the order of their keys.
        images_per_shard: images a shard, or `auto`.
        valid_shards: numbers of the shards whose images count as planned; all of them if None.

    Raises:
        RunError: another driver has just written such a part.
    """
    found, new, tracker = Counter[str](), Counter[str](), PresenceTracker(run)
    plan_files = list_plan_files(run)
    first = max(count_planned_images(run), default=-1) + 1
    shards = split_into_shards(
        _count_entries(
            _filter_new_entries(
                _count_entries(entries, found), _read_planned_entries(plan_files), tracker, valid_shards
            ),
            new,
        ),
        images_per_shard,
        first,
    )
    number, last = len(plan_files) + 1, first - 1
    for shard in shards:
        with io.BytesIO() as file:
            last = _write_shards(file, _take_images(chain([shard], shards), _IMAGES_PER_PLAN_FILE))
            clear_success_marker(run)  # first
            if not create_if_absent(run.plan(number), file.getvalue()):
                raise RunError(
                    f"{run.plan(number)} has just been written by another driver; run the same command again"
                )
        number += 1
    tracker.save()
    counts = found["images"], found["bytes"], new["images"], new["bytes"]
    return PlanSummary(*counts, last + 1 - first, tracker.n_missing, tracker.n_changes)


def clear_success_marker(run: RunPaths) -> None:
    """Take _SUCCESS.json away: a run that is not whole must not look so."""
    if exists(run.success_marker):  # who may not delete can do a run to its end all the same
        delete(run.success_marker)


def count_planned_images(run: RunPaths) -> dict[int, int]:
    """Shard numbers of all parts of the plan, and how many images each has; empty where there is no plan yet."""
    found: dict[int, int] = {}
    for uri in list_plan_files(run):
        found |= count_images_in_plan_file(uri)
    return found


def count_images_in_plan_file(uri: str) -> dict[int, int]:
    """Shard numbers of one part of the plan, and how many images each has; no shard is in two parts."""
    found: dict[int, int] = {}
    for batch in iter_parquet_batches(uri, ["shard"]):
        counts = batch.column("shard").value_counts()
        for number, images in zip(*(field.to_pylist() for field in counts.flatten()), strict=True):
            found[number] = found.get(number, 0) + images
    return found


def find_last_shards(run: RunPaths, uris: Collection[str]) -> dict[str, int]:
    """The last shard that each of these photos is planned in: one that has changed, or is redone, is in several."""
    wanted, found = pa.array(list(uris), pa.string()), dict[str, int]()
    for plan_file in list_plan_files(run):
        for batch in iter_parquet_batches(plan_file, ["uri", "shard"]):
            rows = batch.filter(pc.is_in(batch.column("uri"), wanted))
            found |= dict(zip(rows.column("uri").to_pylist(), rows.column("shard").to_pylist(), strict=True))
    return found


def read_plan(run: RunPaths) -> Iterator[Shard]:
    """All shards of all parts of the plan, streamed in the order of their numbers."""
    return chain.from_iterable(map(read_shards, list_plan_files(run)))


def iter_shards_by_descending_cost(run: RunPaths, numbers: Collection[int]) -> Iterator[Shard]:
    """Shards of these numbers, streamed, those that cost most before the others.

    They come in classes, each of half the cost of the one before and the last of all that is less; within a class in
    the order of their numbers. So the plan is read a few times and never held.
    """
    shard_costs = Counter[int]()
    for plan_file in list_plan_files(run):
        for batch in iter_parquet_batches(plan_file, ["shard", "cost"]):
            sums = pa.Table.from_batches([batch]).group_by("shard").aggregate([("cost", "sum")])
            shard_costs.update(dict(zip(sums["shard"].to_pylist(), sums["cost_sum"].to_pylist(), strict=True)))
    costs = {number: shard_costs[number] for number in numbers}
    largest = max(costs.values(), default=0)
    classes: list[list[int]] = [[] for _ in range(_COST_CLASSES)]
    for number, cost in costs.items():
        classes[min(_COST_CLASSES, (largest // max(cost, 1)).bit_length()) - 1].append(number)
    for group in filter(None, classes):
        wanted = pa.array(group, pa.int32())
        for plan_file in list_plan_files(run):
            yield from read_shards(plan_file, wanted)


def read_shards(uri: str, numbers: pa.Array | None = None) -> Iterator[Shard]:
    """Shards out of a Parquet file of `SCHEMA`, streamed; of certain numbers or all."""
    for number, group in groupby(_read_entries(uri, numbers), key=itemgetter(1)):
        yield Shard(number, tuple(entry for entry, _ in group))


def shards_to_parquet(shards: Iterable[Shard]) -> bytes:
    """Shards as a Parquet file of `SCHEMA`."""
    with io.BytesIO() as file:
        _write_shards(file, shards)
        return file.getvalue()


def _take_images(shards: Iterator[Shard], images: int) -> Iterator[Shard]:
    """Shards until they have so many images."""
    for shard in shards:
        yield shard
        images -= len(shard.entries)
        if images <= 0:
            return


def _write_shards(file: io.BytesIO, shards: Iterable[Shard]) -> int:
    """Write shards as a Parquet file; returns the number of the last one."""
    number = -1
    with pq.ParquetWriter(file, PLAN_SCHEMA, **_PLAN_PARQUET_OPTIONS) as writer:
        entries: list[Entry] = []
        numbers: list[int] = []
        for shard in shards:
            number = shard.number
            entries += shard.entries
            numbers += [number] * len(shard.entries)
            if len(entries) >= ROWS_PER_BATCH:
                writer.write_batch(_to_record_batch(entries, numbers))
                entries, numbers = [], []
        if entries:
            writer.write_batch(_to_record_batch(entries, numbers))
    return number


def _to_record_batch(entries: Sequence[Entry], numbers: Sequence[int]) -> pa.RecordBatch:
    columns = [[entry[place] for entry in entries] for place in range(len(Entry._fields))]
    arrays = [pa.array(column, field.type) for column, field in zip([*columns, numbers], PLAN_SCHEMA, strict=False)]
    of = dict(zip(Entry._fields, arrays, strict=False))
    return pa.RecordBatch.from_arrays([*arrays, estimate_costs(of["key"], of["size"])], schema=PLAN_SCHEMA)


def list_plan_files(run: RunPaths) -> list[str]:
    """URIs of the parts of a run's plan, in order."""
    return [uri for _, uri in list_numbered_files(run.uri, "plan", "parquet")]


def _read_entries(uri: str, numbers: pa.Array | None = None) -> Iterator[tuple[Entry, int]]:
    for batch in iter_parquet_batches(uri, [*Entry._fields, "shard"], _MERGE_BATCH_ROWS):
        rows = batch if numbers is None else batch.filter(pc.is_in(batch.column("shard"), value_set=numbers))
        columns = [rows.column(name).to_pylist() for name in Entry._fields]
        yield from zip(map(Entry, *columns), rows.column("shard").to_pylist(), strict=True)


def _read_planned_entries(uris: Sequence[str]) -> Iterator[tuple[Entry, int]]:
    """The entries of all parts and their shards, in the order of their keys."""
    return heapq.merge(*map(_read_entries, uris), key=_entry_key)


def _entry_key(row: tuple[Entry, int]) -> str:
    return row[0].key


def _filter_new_entries(
    entries: Iterable[Entry],
    planned: Iterator[tuple[Entry, int]],
    tracker: PresenceTracker,
    valid_shards: Container[int] | None,
) -> Iterator[Entry]:
    """Entries that are not among the known ones of valid shards; both come in the order of their keys.

    All known ones answer the roll.
    """
    end: tuple[None, int] = None, -1
    before = ""
    planned_entry, shard = next(planned, end)
    for entry in entries:
        if entry.key < before:
            raise ValueError(f"'{entry.key}' comes after '{before}': a plan takes entries in the order of their keys")
        before = entry.key
        while planned_entry is not None and planned_entry.key < entry.key:
            tracker.observe(planned_entry, False)
            planned_entry, shard = next(planned, end)
        seen = False
        while planned_entry is not None and planned_entry.key == entry.key:
            tracker.observe(planned_entry, True)
            seen = seen or (planned_entry == entry and (valid_shards is None or shard in valid_shards))
            planned_entry, shard = next(planned, end)
        if not seen:
            yield entry
    while planned_entry is not None:
        tracker.observe(planned_entry, False)
        planned_entry, shard = next(planned, end)


def _count_entries(entries: Iterable[Entry], counter: Counter[str]) -> Iterator[Entry]:
    """Entries as they are; once they have all been drawn, their number and bytes are in `counter`."""
    images = size = 0
    for entry in entries:
        images += 1
        size += entry.size
        yield entry
    counter.update(images=images, bytes=size)
