"""The frozen lists of calibration photos of each side; lists are added and never changed."""

from collections.abc import Iterable, Iterator
from itertools import chain

from pipeline.calibration.paths import CalibrationPaths
from pipeline.calibration.sides import Side
from pipeline.runs import Shard, check_lease, list_numbered_files, read_shards, shards_to_parquet, split_into_shards
from pipeline.storage import Entry, create_if_absent


def append_photos(paths: CalibrationPaths, side: Side, photos: Iterable[Entry]) -> None:
    """Freeze those of the chosen photos that no earlier list has as one more list.

    Photos stay in their lists, because their moments cannot be subtracted from those of their shard. So a photo that
    has changed counts as another one, a photo that is missing still counts, and when a collection grows to twice its
    size, half of a sample is new. If another driver adds a list at the same moment, that one counts.

    Args:
        paths: the folder of the calibration.
        side: the side that the photos belong to.
        photos: the chosen photos, in the order of their keys.

    Raises:
        RunError: this driver held the lease of the calibration, and another driver has taken it over.
    """
    known, last_number = set[Entry](), -1
    for shard in iter_photo_shards(paths, side):
        known.update(shard.entries)
        last_number = shard.number
    new = [entry for entry in photos if entry not in known]
    if new:
        list_number = max((number for number, _ in _list_photo_files(paths, side)), default=0) + 1
        data = shards_to_parquet(split_into_shards(new, first_number=last_number + 1))
        check_lease(paths)
        create_if_absent(paths.photo_list(side, list_number), data)


def iter_photo_shards(paths: CalibrationPaths, side: Side) -> Iterator[Shard]:
    """Iterate over the shards of all lists of a side, in order."""
    return chain.from_iterable(read_shards(uri) for _, uri in _list_photo_files(paths, side))


def _list_photo_files(paths: CalibrationPaths, side: Side) -> list[tuple[int, str]]:
    return list_numbered_files(paths.moments_folder, side, "parquet")
