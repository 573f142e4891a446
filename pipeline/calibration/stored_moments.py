"""Reading and merging the moments that tasks have stored."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from deepot.transport import (
    ChangeByPhoto,
    EnergySums,
    Moments,
    MomentsByPhoto,
    ToneCurve,
    ToneSums,
    load_map_kind,
    merge_in_order,
)
from pipeline.calibration.merged_statistics import (
    StatisticsFiles,
    StatisticsKind,
    merge_on_workers,
    read_merged,
)
from pipeline.calibration.paths import CalibrationPaths
from pipeline.calibration.sides import Side
from pipeline.calibration.tasks import MomentsTask, list_shard_numbers
from pipeline.config import Job
from pipeline.storage import read
from pipeline.workers import TaskExecutor

MAX_MOMENT_BLOCKS = 32
"""The most blocks that the shards of a side are merged into; the map's uncertainty is estimated by leaving one out."""


def read_moment_blocks(paths: CalibrationPaths, side: Side, numbers: Sequence[int]) -> list[Moments]:
    """Read the moments of some shards of a side, merged into at most `MAX_MOMENT_BLOCKS` blocks of neighbours."""
    return [read_merged_moments(paths, side, block) for block in split_into_blocks(numbers)]


def read_merged_moments(paths: CalibrationPaths, side: Side, numbers: Sequence[int]) -> Moments:
    """Read the moments of some shards of a side, merged in order."""
    return cast(Moments, read_merged(StatisticsFiles(paths, StatisticsKind.MOMENTS, side), numbers))


def read_tone_blocks(paths: CalibrationPaths, numbers: Sequence[int]) -> list[ToneSums]:
    """Read the sums of the tone curve over some shards, in blocks as `read_moment_blocks`."""
    files = StatisticsFiles(paths, StatisticsKind.TONE)
    return [read_merged(files, block) for block in split_into_blocks(numbers)]


def merge_blocks_on_workers(tasks: Sequence[MomentsTask], execute: TaskExecutor[Any, Any]) -> None:
    """Have workers merge what `read_moment_blocks` and `read_map_statistics` read of tasks, if it is many files."""
    paths, map_kind = tasks[0].paths, tasks[0].job.transport.map_kind
    has_statistics = load_map_kind(map_kind).statistics is not Moments
    groups: list[tuple[StatisticsFiles, Sequence[int]]] = []
    for side in (Side.SOURCE, Side.REFERENCE):
        numbers = list_shard_numbers(tasks, side)
        moments = StatisticsFiles(paths, StatisticsKind.MOMENTS, side)
        groups += [(moments, block) for block in split_into_blocks(numbers)]
        if has_statistics:
            groups.append((StatisticsFiles(paths, StatisticsKind.MAP_STATISTICS, side, map_kind), numbers))
    merge_on_workers(groups, execute)


def merge_drift_on_workers(
    paths: CalibrationPaths, numbers: Sequence[int], n_fitted: int, execute: TaskExecutor[Any, Any]
) -> None:
    """Have workers merge the moments of the source side that drift is measured from, if they are many files."""
    files = StatisticsFiles(paths, StatisticsKind.MOMENTS, Side.SOURCE)
    blocks = [*split_into_blocks(numbers[:n_fitted]), numbers[n_fitted:]]
    merge_on_workers([(files, block) for block in blocks], execute)


def merge_tone_on_workers(paths: CalibrationPaths, numbers: Sequence[int], execute: TaskExecutor[Any, Any]) -> None:
    """Have workers merge what `read_tone_blocks` reads, if it is many files."""
    files = StatisticsFiles(paths, StatisticsKind.TONE)
    merge_on_workers([(files, block) for block in split_into_blocks(numbers)], execute)


def read_change_blocks(paths: CalibrationPaths, map_sha256: str, numbers: Sequence[int]) -> list[ChangeByPhoto]:
    """Read what a map changes in the photos of some shards, in blocks as `read_moment_blocks`."""
    blocks = ([paths.change_sums(map_sha256, number) for number in block] for block in split_into_blocks(numbers))
    return [merge_in_order(ChangeByPhoto.from_bytes(read(uri), uri) for uri in block) for block in blocks]


def read_energies(paths: CalibrationPaths, map_sha256: str, side: Side, numbers: Iterable[int]) -> EnergySums:
    """Read the band energies of some shards of a side, merged in order."""
    uris = (paths.energy_sums(map_sha256, side, number) for number in numbers)
    return merge_in_order(EnergySums.from_bytes(read(uri), uri) for uri in uris)


def read_moments_by_photo(
    paths: CalibrationPaths, map_sha256: str, state: str, numbers: Iterable[int]
) -> list[Moments]:
    """Read the moments of each photo of some shards in a state, in order."""
    uris = (paths.moments_by_photo(map_sha256, state, number) for number in numbers)
    return [photo for uri in uris for photo in MomentsByPhoto.from_bytes(read(uri), uri).photos]


def split_into_blocks(numbers: Sequence[int]) -> list[Sequence[int]]:
    """Split the numbers of shards into at most `MAX_MOMENT_BLOCKS` blocks of neighbours."""
    size = -(-len(numbers) // MAX_MOMENT_BLOCKS)
    return [numbers[first : first + size] for first in range(0, len(numbers), size)]


def read_tone_curve(job: Job, paths: CalibrationPaths) -> ToneCurve | None:
    """Read the tone curve of a calibration; None if it has none, or none yet."""
    if not job.fits_tone:
        return None
    try:
        return ToneCurve.from_bytes(read(paths.tone_curve), paths.tone_curve)
    except FileNotFoundError:
        return None


def read_map_statistics(tasks: Sequence[MomentsTask]) -> tuple[Any, Any] | None:
    """Read the statistics that the kind of map is fitted from, merged over all tasks.

    Returns:
        Those of the source and of the reference side; None if moments are all that the kind of map needs.
    """
    paths, map_kind = tasks[0].paths, tasks[0].job.transport.map_kind
    if load_map_kind(map_kind).statistics is Moments:
        return None
    source, reference = (
        read_merged(
            StatisticsFiles(paths, StatisticsKind.MAP_STATISTICS, side, map_kind), list_shard_numbers(tasks, side)
        )
        for side in (Side.SOURCE, Side.REFERENCE)
    )
    return source, reference
