"""Merging the statistics of many shards on workers, so that the driver reads a few files and not one for each shard.

Statistics are merged over a binary tree that depends on the order and number of the shards alone (`merge_in_order`).
Its nodes over `FAN_IN` shards, and over as many such nodes, can be merged anywhere: as `FAN_IN` is a power of two, the
tree over them is the same one, and so are the bytes of what comes out. What is merged is stored beside the statistics
of the shards and can be removed at any time: it is made again, or read from what it was merged from.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deepot.transport import Moments, ToneSums, load_map_kind, merge_in_order
from pipeline.calibration.paths import CalibrationPaths
from pipeline.calibration.sides import Side
from pipeline.calibration.tasks import MomentsTaskResult
from pipeline.storage import list_names, parent_uri, read, write
from pipeline.workers import TaskExecutor

log = logging.getLogger(__name__)

FAN_IN = 64
"""Files that are merged into one; a power of two."""
MAX_READ_ONE_BY_ONE = 8
"""The most files that are not merged before they are read: it would save nothing."""


class StatisticsKind(StrEnum):
    """What is merged."""

    MOMENTS = "moments"
    MAP_STATISTICS = "statistics of the map"
    TONE = "sums of the tone curve"


@dataclass(frozen=True)
class StatisticsFiles:
    """The files of one kind of statistics, one for each shard.

    Attributes:
        paths: the calibration.
        kind: the kind of statistics.
        side: whose they are; those of the tone curve belong to both sides.
        map_kind: the kind of map, which decides its statistics.
    """

    paths: CalibrationPaths
    kind: StatisticsKind
    side: Side = Side.BOTH
    map_kind: str = ""

    def uri(self, shard: int) -> str:
        """Return the URI of a shard's file."""
        if self.kind is StatisticsKind.TONE:
            return self.paths.tone_sums(shard)
        is_moments = self.kind is StatisticsKind.MOMENTS
        return self.paths.moments(self.side, shard) if is_moments else self.paths.map_statistics(self.side, shard)

    def merged_uri(self, shards: range) -> str:
        """Return the URI of the file of several shards."""
        return self.paths.merged(self.uri(shards.start), shards)

    def read(self, uri: str) -> Any:  # noqa: ANN401 — Moments, ToneSums, or the statistics of a kind of map
        """Read a file.

        Raises:
            FileNotFoundError: there is none.
            MomentsError: it is not such a file.
        """
        if self.kind is StatisticsKind.MOMENTS:
            return Moments.from_bytes(read(uri), uri)
        if self.kind is StatisticsKind.TONE:
            return ToneSums.from_bytes(read(uri), uri)
        return load_map_kind(self.map_kind).statistics.from_bytes(read(uri), uri)


@dataclass(frozen=True)
class MergeTask:
    """Shards whose statistics a worker merges.

    Attributes:
        files: the statistics.
        shards: the numbers of the shards.
    """

    files: StatisticsFiles
    shards: range


def read_merged(files: StatisticsFiles, shards: Sequence[int]) -> Any:  # noqa: ANN401 — as `StatisticsFiles.read`
    """Return the statistics of some shards, merged in order; what workers have merged is used.

    Raises:
        MomentsError: there are no shards, or a file is not one of these statistics.
        FileNotFoundError: the statistics of a shard are missing.
    """
    span = _to_range(shards)
    if span is None:
        return merge_in_order(files.read(files.uri(shard)) for shard in shards)
    return _read_node(files, span)


def merge_on_workers(groups: Iterable[tuple[StatisticsFiles, Sequence[int]]], execute: TaskExecutor[Any, Any]) -> None:
    """Have workers merge and store the statistics of each group of shards, and what is needed for that.

    What is stored already is not merged again, so an interrupted run continues where it was. If a worker dies over a
    task, whoever reads the group merges those files instead.

    Args:
        groups: some statistics and the numbers of shards, in order; those of a few shards are left as they are.
        execute: runs a function on tasks.
    """
    tasks_by_height = defaultdict[int, list[MergeTask]](list)
    stored = dict[str, set[str]]()
    for files, shards in groups:
        if (span := _to_range(shards)) is not None and len(span) > MAX_READ_ONE_BY_ONE:
            if (folder := parent_uri(files.merged_uri(span))) not in stored:
                stored[folder] = list_names(folder)
            for node in _iter_missing_nodes(files, span, stored[folder]):
                tasks_by_height[_height(node)].append(MergeTask(files, node))
    for height in sorted(tasks_by_height):
        tasks = list(dict.fromkeys(tasks_by_height[height]))
        log.info("merging the statistics of shards into %d files", len(tasks))
        for result in execute(merge_shards, tasks):
            if (task := result.crashed_task) is not None:
                log.warning("a worker died merging %s", task.files.merged_uri(task.shards))


def merge_shards(task: MergeTask) -> MomentsTaskResult:
    """Merge and store the statistics of a task's shards, from those of their parts."""
    merged = merge_in_order(_read_node(task.files, part) for part in _split(task.shards))
    write(task.files.merged_uri(task.shards), merged.to_bytes())
    return MomentsTaskResult(0)


def _read_node(files: StatisticsFiles, node: range) -> Any:  # noqa: ANN401 — as `StatisticsFiles.read`
    if len(node) == 1:
        return files.read(files.uri(node.start))
    if len(node) > MAX_READ_ONE_BY_ONE:
        try:
            return files.read(files.merged_uri(node))
        except FileNotFoundError:
            pass
    return merge_in_order(_read_node(files, part) for part in _split(node))


def _iter_missing_nodes(files: StatisticsFiles, node: range, stored: set[str]) -> Iterator[range]:
    """Yield the nodes that are to be merged for a node, those that it needs before it."""
    if len(node) > MAX_READ_ONE_BY_ONE and files.merged_uri(node).rpartition("/")[2] not in stored:
        for part in _split(node):
            yield from _iter_missing_nodes(files, part, stored)
        yield node


def _split(node: range) -> list[range]:
    """Return the parts that a node is merged from: single shards, or equal powers of `FAN_IN` and a rest."""
    size = FAN_IN ** (_height(node) - 1)
    return [node[first : first + size] for first in range(0, len(node), size)]


def _height(node: range) -> int:
    """Return the number of levels of files that a node is merged from: 1 for up to `FAN_IN` shards."""
    height = 1
    while FAN_IN**height < len(node):
        height += 1
    return height


def _to_range(shards: Sequence[int]) -> range | None:
    """Return numbers as a range; None if their steps differ or there are none."""
    if not shards:
        return None
    step = shards[1] - shards[0] if len(shards) > 1 else 1
    found = range(shards[0], shards[0] + step * len(shards), step) if step > 0 else range(0)
    return found if list(found) == list(shards) else None
