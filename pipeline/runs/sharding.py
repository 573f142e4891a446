"""Splitting a listing into shards of about the same cost, which is estimated from each image's name and size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources import webdataset_sample
from pipeline.storage import Entry

_MAX_SHARD_IMAGES, _TARGET_SHARDS, _MAX_SHARD_BYTES = 32, 64, 512 * 2**20
_MAX_SHARD_COST = 32 * 12_000_000  # pixels
_MAX_SAMPLE_OVERFLOW = 8  # images that a full shard still takes, so that a WebDataset sample is not split

_BYTES_PER_PIXEL = {
    **dict.fromkeys(("bmp", "ppm", "tga"), 3.0),
    **dict.fromkeys(("tif", "tiff"), 1.9),
    **dict.fromkeys(("png", "gif", "pgm"), 1.7),
    "jp2": 1.2,
    **dict.fromkeys(("heic", "heif"), 0.8),
    **dict.fromkeys(("webp", "avif", "jxl"), 0.35),
}
"""Medians over two sets of photos (`research/measure_bytes_per_pixel.py`). Other sets differ by a small factor, but the
photos of one listing are alike, and only those are compared."""
_JPEG_BYTES_PER_PIXEL = 0.5
_PER_IMAGE_COST = 2**16
"""The cost of an image apart from its pixels (reading, writing, bookkeeping), as a number of pixels."""


@dataclass(frozen=True)
class Shard:
    """Images that one worker processes and one commit covers."""

    number: int
    entries: tuple[Entry, ...]


def estimate_cost(entry: Entry) -> int:
    """Estimate the cost of an image: its pixels, by its bytes and extension, and `_PER_IMAGE_COST`."""
    suffix = entry.key.rpartition(".")[2].lower()
    return _PER_IMAGE_COST + int(entry.size / _BYTES_PER_PIXEL.get(suffix, _JPEG_BYTES_PER_PIXEL))


def estimate_costs(keys: pa.Array, sizes: pa.Array) -> pa.Array:
    """Estimate the costs of many images at once, as `estimate_cost` does for each.

    Args:
        keys: their keys, string.
        sizes: their bytes, int64.

    Returns:
        Costs, int64.
    """
    suffixes = pc.utf8_lower(pc.replace_substring_regex(keys, r"^(?s:.*)\.", ""))
    known = pc.index_in(suffixes, value_set=pa.array(list(_BYTES_PER_PIXEL)))
    bytes_per_pixel = pc.fill_null(pc.take(pa.array(list(_BYTES_PER_PIXEL.values())), known), _JPEG_BYTES_PER_PIXEL)
    return pc.add(pc.cast(pc.trunc(pc.divide(sizes, bytes_per_pixel)), pa.int64()), _PER_IMAGE_COST)


def split_into_shards(
    entries: Iterable[Entry], images_per_shard: int | str = "auto", first_number: int = 0
) -> Iterator[Shard]:
    """Split a listing into shards; the boundaries depend on the listing alone.

    Args:
        entries: the images in any order, which is kept.
        images_per_shard: images in a shard; `auto` makes shards of about the same `estimate_cost` and at most 32
            images, about 64 shards from a short listing.
        first_number: the number of the first shard.
    """
    entries = iter(entries)
    max_images, budget = images_per_shard, 2**62
    if isinstance(max_images, str):
        lookahead = list(islice(entries, _TARGET_SHARDS * _MAX_SHARD_IMAGES + 1))
        is_complete = len(lookahead) <= _TARGET_SHARDS * _MAX_SHARD_IMAGES
        target_cost = -(-sum(map(estimate_cost, lookahead)) // _TARGET_SHARDS) if is_complete else _MAX_SHARD_COST
        max_images, budget, entries = _MAX_SHARD_IMAGES, min(target_cost, _MAX_SHARD_COST), chain(lookahead, entries)
    batch: list[Entry] = []
    size = batch_cost = overflow = 0
    for entry in entries:
        image_cost = estimate_cost(entry)
        full = (
            len(batch) >= max_images or size + entry.size > _MAX_SHARD_BYTES or 2 * batch_cost + image_cost > 2 * budget
        )
        overflows = overflow == _MAX_SAMPLE_OVERFLOW or size + entry.size > 2 * _MAX_SHARD_BYTES
        if batch and full and (overflows or not _is_same_sample(batch[-1], entry)):
            yield Shard(first_number, tuple(batch))
            batch, size, batch_cost, overflow, first_number = [], 0, 0, 0, first_number + 1
        overflow += bool(batch and full)
        batch.append(entry)
        size, batch_cost = size + entry.size, batch_cost + image_cost
    if batch:
        yield Shard(first_number, tuple(batch))


def _is_same_sample(one: Entry, other: Entry) -> bool:
    """Whether two entries belong to one WebDataset sample."""
    sample = webdataset_sample(one.uri)
    return sample is not None and sample == webdataset_sample(other.uri)
