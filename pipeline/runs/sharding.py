"""Cut: a listing into shards of about the same cost, by what it says of each image."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.members import sample_of
from pipeline.storage.objects import Entry

_MOST_SHARD_IMAGES, _SHARDS_WANTED, _MOST_SHARD_BYTES = 32, 64, 512 * 2**20
_MOST_SHARD_COST = 32 * 12_000_000  # pixels
_MOST_LATE = 8  # images that a shard takes beyond that, so that a sample of a tar is not cut in two

_BYTES_A_PIXEL = {
    **dict.fromkeys(("bmp", "ppm", "tga"), 3.0),
    **dict.fromkeys(("tif", "tiff"), 1.9),
    **dict.fromkeys(("png", "gif", "pgm"), 1.7),
    "jp2": 1.2,
    **dict.fromkeys(("heic", "heif"), 0.8),
    **dict.fromkeys(("webp", "avif", "jxl"), 0.35),
}
"""Medians of two sets of photos (`benchmarks/sizes.py`). Others have a few times more or less, but those of one listing
are much alike, and it is those that are compared."""
_JPEG = 0.5
_ALWAYS = 2**16
"""Pixels' worth of reading, writing and all else that an image takes whatever its size."""


@dataclass(frozen=True)
class Shard:
    """Images that are worked on by one worker and committed together."""

    number: int
    entries: tuple[Entry, ...]


def cost(entry: Entry) -> int:
    """Pixels that an image should have by its bytes and the format of its name, and a little that each takes."""
    suffix = entry.key.rpartition(".")[2].lower()
    return _ALWAYS + int(entry.size / _BYTES_A_PIXEL.get(suffix, _JPEG))


def costs(keys: pa.Array, sizes: pa.Array) -> pa.Array:
    """The `cost` of many images by their keys and bytes, int64: in a plan of millions each one counts."""
    suffixes = pc.utf8_lower(pc.replace_substring_regex(keys, r"^(?s:.*)\.", ""))
    known = pc.index_in(suffixes, value_set=pa.array(list(_BYTES_A_PIXEL)))
    bytes_a_pixel = pc.fill_null(pc.take(pa.array(list(_BYTES_A_PIXEL.values())), known), _JPEG)
    return pc.add(pc.cast(pc.trunc(pc.divide(sizes, bytes_a_pixel)), pa.int64()), _ALWAYS)


def cut(entries: Iterable[Entry], shard_images: int | str = "auto", first: int = 0) -> Iterator[Shard]:
    """Cut a listing into shards; where the cuts fall depends on the listing alone.

    Args:
        entries: in any order, which is kept.
        shard_images: images a shard; `auto` makes shards of about the same `cost`, some 64 of a short
            listing, and of at most 32 images.
        first: number of the first shard.
    """
    entries = iter(entries)
    most, budget = shard_images, 2**62
    if isinstance(most, str):
        ahead = list(islice(entries, _SHARDS_WANTED * _MOST_SHARD_IMAGES + 1))
        whole = len(ahead) <= _SHARDS_WANTED * _MOST_SHARD_IMAGES
        wanted = -(-sum(map(cost, ahead)) // _SHARDS_WANTED) if whole else _MOST_SHARD_COST
        most, budget, entries = _MOST_SHARD_IMAGES, min(wanted, _MOST_SHARD_COST), chain(ahead, entries)
    held: list[Entry] = []
    size = spent = late = 0
    for entry in entries:
        more = cost(entry)
        full = len(held) >= most or size + entry.size > _MOST_SHARD_BYTES or 2 * spent + more > 2 * budget
        too_much = late == _MOST_LATE or size + entry.size > 2 * _MOST_SHARD_BYTES
        if held and full and (too_much or not _in_one_sample(held[-1], entry)):
            yield Shard(first, tuple(held))
            held, size, spent, late, first = [], 0, 0, 0, first + 1
        late += bool(held and full)
        held.append(entry)
        size, spent = size + entry.size, spent + more
    if held:
        yield Shard(first, tuple(held))


def _in_one_sample(one: Entry, other: Entry) -> bool:
    sample = sample_of(one.uri)
    return sample is not None and sample == sample_of(other.uri)
