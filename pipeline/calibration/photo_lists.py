"""Calibration: the photos of either side, frozen in numbered lists of shards that are only added to."""

from collections.abc import Iterable, Iterator
from itertools import chain

from pipeline.runs.numbered_files import series
from pipeline.runs.paths import Run
from pipeline.runs.plan import read_shards, to_parquet
from pipeline.runs.sharding import Shard, cut
from pipeline.storage.objects import Entry, create


def enlist(run: Run, side: str, chosen: Iterable[Entry]) -> None:
    """Freeze what is new of the chosen photos of a side as one more list: what no earlier list has.

    What is in a list stays in it: its moments cannot be taken out of those of its shard. So a photo that has changed is
    another one, one that has vanished still counts, and of a collection that grows to twice its size half of a sample
    is new. Where another driver adds a list at the same moment, that one counts.

    Args:
        run: the run.
        side: source, reference, or both.
        chosen: photos in the order of their keys.
    """
    known, last = set[Entry](), -1
    for shard in enlisted(run, side):
        known.update(shard.entries)
        last = shard.number
    new = [entry for entry in chosen if entry not in known]
    if new:
        number = max((number for number, _ in _lists(run, side)), default=0) + 1
        create(run.calibration(side, number), to_parquet(cut(new, first=last + 1)))


def enlisted(run: Run, side: str) -> Iterator[Shard]:
    """The shards of all lists of a side, in order."""
    return chain.from_iterable(read_shards(uri) for _, uri in _lists(run, side))


def _lists(run: Run, side: str) -> list[tuple[int, str]]:
    return series(run.uri + "/moments", side, "parquet")
