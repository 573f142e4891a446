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

from pipeline.errors import NothingFoundError, RunError, StorageError
from pipeline.runs.missing_inputs import Roll
from pipeline.runs.numbered_files import ROWS, WRITING, batches, series
from pipeline.runs.paths import Run
from pipeline.runs.sharding import Shard, costs, cut
from pipeline.sources.discovery import photos
from pipeline.storage.folders import exists
from pipeline.storage.objects import Entry, absolute, create, delete

SCHEMA = pa.schema(
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
_CLASSES = 4  # of cost, a factor of two apart
_PART_IMAGES = 1_000_000  # a part of the plan is one file: some 50 MB
_HELD_ROWS = 2_000  # as entries, of each part: a listing is merged with all parts at once
_WRITING = WRITING | {"use_dictionary": ["etag", "shard", "cost"]}


@dataclass(frozen=True)
class Outlook:
    """What was found.

    Attributes:
        found: images.
        found_bytes: of all images.
        new: images that are new or have changed.
        new_bytes: of these.
        shards: that the new ones make.
        vanished: images of earlier plans that are gone, whenever that was noticed.
        marked: images that have vanished or come back since the last plan.
    """

    found: int = 0
    found_bytes: int = 0
    new: int = 0
    new_bytes: int = 0
    shards: int = 0
    vanished: int = 0
    marked: int = 0


def find_images(uri: str, what: str, exclude: Sequence[str] = ()) -> Iterator[Entry]:
    """Stream the images that a URI names (see `photos`) in the order of their keys, but for excluded folders.

    Raises:
        NothingFoundError: there are none.
        StorageError: the place does not exist or cannot be listed.
    """
    below = tuple(absolute(folder).rstrip("/") + "/" for folder in exclude)
    kept, outside = 0, ""
    try:
        for entry in photos(uri):
            if entry.uri.startswith(below):
                outside = entry.uri
            else:
                kept += 1
                yield entry
    except FileNotFoundError as error:
        raise StorageError(f"{what} {uri}: there is no such folder, bucket or file") from error
    if not kept and outside:
        (folder, *_) = (folder.rstrip("/") for folder in below if outside.startswith(folder))
        raise NothingFoundError(
            f"{what} {uri}: no images found but in {folder}, where this job's own files go, and those are never taken "
            f"({outside} for one): name another output.uri or run"
        )
    if not kept:
        raise NothingFoundError(
            f"{what} {uri}: no images found; in folders they are known by their suffixes, such as .jpg and .tif"
        )


def extend(
    run: Run, entries: Iterable[Entry], shard_images: int | str = "auto", valid: Container[int] | None = None
) -> Outlook:
    """Freeze what is new of a listing as further parts of the plan, and say what was found.

    An image is new if its uri, etag, size or mtime is. Parts hold a bounded number of images; a call that is cut short
    leaves whole parts, and the next one goes on behind them. What was planned earlier and is no longer there is marked
    (`pipeline.runs.missing_inputs`), once the listing has come to its end.

    Args:
        run: the run.
        entries: in the order of their keys.
        shard_images: images a shard, or `auto`.
        valid: numbers of the shards whose images count as planned; all of them if None.

    Raises:
        RunError: another driver has just written such a part.
    """
    found, new, roll = Counter[str](), Counter[str](), Roll(run)
    parts = plan_parts(run)
    first = max(planned(run), default=-1) + 1
    shards = cut(_counted(_unknown(_counted(entries, found), _known(parts), roll, valid), new), shard_images, first)
    number, last = len(parts) + 1, first - 1
    for shard in shards:
        with io.BytesIO() as file:
            last = _write(file, _until(chain([shard], shards), _PART_IMAGES))
            unfinish(run)  # first
            if not create(run.plan(number), file.getvalue()):
                raise RunError(
                    f"{run.plan(number)} has just been written by another driver; run the same command again"
                )
        number += 1
    roll.freeze()
    counts = found["images"], found["bytes"], new["images"], new["bytes"]
    return Outlook(*counts, last + 1 - first, roll.gone, roll.changes)


def unfinish(run: Run) -> None:
    """Take _SUCCESS.json away: a run that is not whole must not look so."""
    if exists(run.success):  # who may not delete can do a run to its end all the same
        delete(run.success)


def planned(run: Run) -> dict[int, int]:
    """Shard numbers of all parts of the plan, and how many images each has; empty where there is no plan yet."""
    found: dict[int, int] = {}
    for part in plan_parts(run):
        found |= planned_in(part)
    return found


def planned_in(part: str) -> dict[int, int]:
    """Shard numbers of one part of the plan, and how many images each has; no shard is in two parts."""
    found: dict[int, int] = {}
    for batch in batches(part, ["shard"]):
        counts = batch.column("shard").value_counts()
        for number, images in zip(*(field.to_pylist() for field in counts.flatten()), strict=True):
            found[number] = found.get(number, 0) + images
    return found


def last_shards(run: Run, uris: Collection[str]) -> dict[str, int]:
    """The last shard that each of these photos is planned in: one that has changed, or is redone, is in several."""
    wanted, found = pa.array(list(uris), pa.string()), dict[str, int]()
    for part in plan_parts(run):
        for batch in batches(part, ["uri", "shard"]):
            some = batch.filter(pc.is_in(batch.column("uri"), wanted))
            found |= dict(zip(some.column("uri").to_pylist(), some.column("shard").to_pylist(), strict=True))
    return found


def read_plan(run: Run) -> Iterator[Shard]:
    """All shards of all parts of the plan, streamed in the order of their numbers."""
    return chain.from_iterable(map(read_shards, plan_parts(run)))


def slowest_first(run: Run, numbers: Collection[int]) -> Iterator[Shard]:
    """Shards of these numbers, streamed, those that cost most before the others.

    They come in classes, each of half the cost of the one before and the last of all that is less; within a class in
    the order of their numbers. So the plan is read a few times and never held.
    """
    spent = Counter[int]()
    for part in plan_parts(run):
        for batch in batches(part, ["shard", "cost"]):
            sums = pa.Table.from_batches([batch]).group_by("shard").aggregate([("cost", "sum")])
            spent.update(dict(zip(sums["shard"].to_pylist(), sums["cost_sum"].to_pylist(), strict=True)))
    costs = {number: spent[number] for number in numbers}
    largest = max(costs.values(), default=0)
    classes: list[list[int]] = [[] for _ in range(_CLASSES)]
    for number, each in costs.items():
        classes[min(_CLASSES, (largest // max(each, 1)).bit_length()) - 1].append(number)
    for group in filter(None, classes):
        wanted = pa.array(group, pa.int32())
        for part in plan_parts(run):
            yield from read_shards(part, wanted)


def read_shards(uri: str, numbers: pa.Array | None = None) -> Iterator[Shard]:
    """Shards out of a Parquet file of `SCHEMA`, streamed; of certain numbers or all."""
    for number, group in groupby(_rows(uri, numbers), key=itemgetter(1)):
        yield Shard(number, tuple(entry for entry, _ in group))


def to_parquet(shards: Iterable[Shard]) -> bytes:
    """Shards as a Parquet file of `SCHEMA`."""
    with io.BytesIO() as file:
        _write(file, shards)
        return file.getvalue()


def _until(shards: Iterator[Shard], images: int) -> Iterator[Shard]:
    """Shards until they have so many images."""
    for shard in shards:
        yield shard
        images -= len(shard.entries)
        if images <= 0:
            return


def _write(file: io.BytesIO, shards: Iterable[Shard]) -> int:
    """Write shards as a Parquet file; returns the number of the last one."""
    number = -1
    with pq.ParquetWriter(file, SCHEMA, **_WRITING) as writer:
        held: list[Entry] = []
        numbers: list[int] = []
        for shard in shards:
            number = shard.number
            held += shard.entries
            numbers += [number] * len(shard.entries)
            if len(held) >= ROWS:
                writer.write_batch(_batch(held, numbers))
                held, numbers = [], []
        if held:
            writer.write_batch(_batch(held, numbers))
    return number


def _batch(entries: Sequence[Entry], numbers: Sequence[int]) -> pa.RecordBatch:
    columns = [[entry[place] for entry in entries] for place in range(len(Entry._fields))]
    arrays = [pa.array(column, field.type) for column, field in zip([*columns, numbers], SCHEMA, strict=False)]
    of = dict(zip(Entry._fields, arrays, strict=False))
    return pa.RecordBatch.from_arrays([*arrays, costs(of["key"], of["size"])], schema=SCHEMA)


def plan_parts(run: Run) -> list[str]:
    """URIs of the parts of a run's plan, in order."""
    return [uri for _, uri in series(run.uri, "plan", "parquet")]


def _rows(uri: str, numbers: pa.Array | None = None) -> Iterator[tuple[Entry, int]]:
    for batch in batches(uri, [*Entry._fields, "shard"], _HELD_ROWS):
        rows = batch if numbers is None else batch.filter(pc.is_in(batch.column("shard"), value_set=numbers))
        columns = [rows.column(name).to_pylist() for name in Entry._fields]
        yield from zip(map(Entry, *columns), rows.column("shard").to_pylist(), strict=True)


def _known(parts: Sequence[str]) -> Iterator[tuple[Entry, int]]:
    """The entries of all parts and their shards, in the order of their keys."""
    return heapq.merge(*map(_rows, parts), key=_key)


def _key(row: tuple[Entry, int]) -> str:
    return row[0].key


def _unknown(
    entries: Iterable[Entry], known: Iterator[tuple[Entry, int]], roll: Roll, valid: Container[int] | None
) -> Iterator[Entry]:
    """Entries that are not among the known ones of valid shards; both come in the order of their keys.

    All known ones answer the roll.
    """
    nobody: tuple[None, int] = None, -1
    before = ""
    latest, shard = next(known, nobody)
    for entry in entries:
        if entry.key < before:
            raise ValueError(f"'{entry.key}' comes after '{before}': a plan takes entries in the order of their keys")
        before = entry.key
        while latest is not None and latest.key < entry.key:
            roll.call(latest, False)
            latest, shard = next(known, nobody)
        seen = False
        while latest is not None and latest.key == entry.key:
            roll.call(latest, True)
            seen = seen or (latest == entry and (valid is None or shard in valid))
            latest, shard = next(known, nobody)
        if not seen:
            yield entry
    while latest is not None:
        roll.call(latest, False)
        latest, shard = next(known, nobody)


def _counted(entries: Iterable[Entry], into: Counter[str]) -> Iterator[Entry]:
    """Entries as they are; once they have all been drawn, their number and bytes are in `into`."""
    images = size = 0
    for entry in entries:
        images += 1
        size += entry.size
        yield entry
    into.update(images=images, bytes=size)
