"""Calibration: the photos of either side, frozen in numbered lists of shards that are only added to."""

from collections.abc import Iterable, Iterator
from itertools import chain

from pipeline.calibration.paths import CalibrationPaths
from pipeline.runs import Shard, list_numbered_files, read_shards, shards_to_parquet, split_into_shards
from pipeline.storage import Entry, create_if_absent


def append_photos(paths: CalibrationPaths, side: str, photos: Iterable[Entry]) -> None:
    """Freeze what is new of the chosen photos of a side as one more list: what no earlier list has.

    What is in a list stays in it: its moments cannot be taken out of those of its shard. So a photo that has changed is
    another one, one that has missing still counts, and of a collection that grows to twice its size half of a sample
    is new. Where another driver adds a list at the same moment, that one counts.

    Args:
        paths: of the calibration.
        side: source, reference, or both.
        photos: photos in the order of their keys.
    """
    known, last = set[Entry](), -1
    for shard in iter_photo_shards(paths, side):
        known.update(shard.entries)
        last = shard.number
    new = [entry for entry in photos if entry not in known]
    if new:
        number = max((number for number, _ in _list_photo_files(paths, side)), default=0) + 1
        create_if_absent(
            paths.photo_list(side, number), shards_to_parquet(split_into_shards(new, first_number=last + 1))
        )


def iter_photo_shards(paths: CalibrationPaths, side: str) -> Iterator[Shard]:
    """The shards of all lists of a side, in order."""
    return chain.from_iterable(read_shards(uri) for _, uri in _list_photo_files(paths, side))


def _list_photo_files(paths: CalibrationPaths, side: str) -> list[tuple[int, str]]:
    return list_numbered_files(paths.uri + "/moments", side, "parquet")
