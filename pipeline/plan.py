"""Plan: a listing frozen into numbered shards, which nothing later changes."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import NothingFoundError, RunError, StorageError
from pipeline.layout import Run
from pipeline.storage import Entry, absolute, create, listing, names, read, sha256

SCHEMA = pa.schema(
    [
        ("uri", pa.string()),
        ("key", pa.string()),
        ("size", pa.int64()),
        ("etag", pa.string()),
        ("mtime", pa.float64()),
        ("shard", pa.int32()),
    ]
)
_MOST_SHARD_IMAGES, _SHARDS_WANTED, _MOST_SHARD_BYTES = 32, 64, 512 * 2**20


@dataclass(frozen=True)
class Shard:
    """Images that are worked on by one worker and committed together."""

    number: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Outlook:
    """What a plan would do: images and bytes found, of which new, and the shards that the new ones make."""

    found: int
    found_bytes: int
    new: int
    new_bytes: int
    shards: tuple[Shard, ...]


def find_images(uri: str, what: str, exclude: Sequence[str] = ()) -> list[Entry]:
    """List the images of a folder, glob or file, without those below the excluded folders.

    Raises:
        NothingFoundError: there are none.
        StorageError: the place does not exist or cannot be listed.
    """
    try:
        entries = listing(uri)
    except FileNotFoundError as error:
        raise StorageError(f"{what} {uri}: there is no such folder, bucket or file") from error
    below = tuple(absolute(folder).rstrip("/") + "/" for folder in exclude)
    kept = [entry for entry in entries if not entry.uri.startswith(below)]
    if not kept:
        raise NothingFoundError(f"{what} {uri}: no images found (of {len(entries)} files there)")
    return kept


def sample(entries: Sequence[Entry], limit: int) -> list[Entry]:
    """At most `limit` entries, chosen by a hash of their keys: from all over, and the same ones each time."""
    chosen = sorted(entries, key=lambda entry: sha256(entry.key.encode()))[:limit]
    return sorted(chosen, key=lambda entry: entry.key)


def cut(entries: Sequence[Entry], shard_images: int | str = "auto", first: int = 0) -> tuple[Shard, ...]:
    """Cut a listing into shards; where the cuts fall depends on the listing alone."""
    wanted = -(-len(entries) // _SHARDS_WANTED)
    most = min(wanted, _MOST_SHARD_IMAGES) if isinstance(shard_images, str) else shard_images
    shards: list[list[Entry]] = []
    size = 0
    for entry in entries:
        if not shards or len(shards[-1]) == most or size + entry.size > _MOST_SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(entry)
        size += entry.size
    return tuple(Shard(first + number, tuple(part)) for number, part in enumerate(shards))


def outlook(run: Run, entries: Sequence[Entry], shard_images: int | str = "auto") -> Outlook:
    """Compare a listing with the run's plans: an image is new if its uri, etag, size or mtime is."""
    planned = read_plans(run)
    known = {entry for shard in planned for entry in shard.entries}
    new = [entry for entry in entries if entry not in known]
    first = max((shard.number for shard in planned), default=-1) + 1
    return Outlook(
        len(entries),
        sum(entry.size for entry in entries),
        len(new),
        sum(entry.size for entry in new),
        cut(new, shard_images, first),
    )


def extend(run: Run, ahead: Outlook) -> None:
    """Freeze the new shards of an outlook as the next part of the plan.

    Raises:
        RunError: another driver has just written that part.
    """
    if not ahead.shards:
        return
    number = len(_parts(run)) + 1
    if not create(run.plan(number), to_parquet(ahead.shards)):
        raise RunError(f"{run.plan(number)} has just been written by another driver; run the same command again")


def read_plans(run: Run) -> list[Shard]:
    """All shards of all parts of the plan, by number; none where there is no plan yet."""
    return [shard for part in _parts(run) for shard in from_parquet(read(f"{run.uri}/{part}"))]


def to_parquet(shards: Sequence[Shard]) -> bytes:
    """Shards as a Parquet file of `SCHEMA`."""
    rows = [asdict(entry) | {"shard": shard.number} for shard in shards for entry in shard.entries]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), sink)
    return sink.getvalue()


def from_parquet(data: bytes) -> list[Shard]:
    """Shards out of a Parquet file."""
    rows = pq.read_table(io.BytesIO(data), schema=SCHEMA).to_pylist()
    return [
        Shard(number, tuple(Entry(**{key: row[key] for key in row if key != "shard"}) for row in group))
        for number, group in groupby(rows, key=lambda row: row["shard"])
    ]


def _parts(run: Run) -> list[str]:
    return sorted(name for name in names(run.uri) if name.startswith("plan-") and name.endswith(".parquet"))
