"""The plan of a run: numbered files of numbered shards, read as streams and never changed."""

from collections.abc import Collection, Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.runs.numbered_files import iter_parquet_batches, list_numbered_files
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan_file import count_images_in_plan_file, read_shards
from pipeline.runs.shard_counts import ShardCounts
from pipeline.runs.shard_set import ShardSet
from pipeline.runs.sharding import Shard
from pipeline.storage import delete, exists

_COST_CLASSES = 4  # each covers a factor of two


def list_plan_files(run: RunPaths) -> list[str]:
    """List the URIs of a run's plan files, in order."""
    return [uri for _, uri in list_numbered_files(run.uri, "plan", "parquet")]


def read_plan(run: RunPaths) -> Iterator[Shard]:
    """Stream all planned shards in the order of their numbers."""
    return chain.from_iterable(map(read_shards, list_plan_files(run)))


def count_planned_images(run: RunPaths) -> ShardCounts:
    """Count the images of every planned shard, by shard number; empty if there is no plan yet."""
    counts = map(count_images_in_plan_file, list_plan_files(run))
    return ShardCounts((each.shards.numbers, each.images) for each in counts)


def find_last_shards(run: RunPaths, uris: Collection[str]) -> dict[str, int]:
    """Find the last shard that each of these photos is planned in.

    A photo is in several shards if it has changed, or if it was planned again for another map.
    """
    wanted, found = pa.array(list(uris), pa.string()), dict[str, int]()
    for plan_file in list_plan_files(run):
        for batch in iter_parquet_batches(plan_file, ["uri", "shard"]):
            rows = batch.filter(pc.is_in(batch.column("uri"), wanted))
            found |= dict(zip(rows.column("uri").to_pylist(), rows.column("shard").to_pylist(), strict=True))
    return found


def iter_shards_by_descending_cost(run: RunPaths, numbers: Collection[int]) -> Iterator[Shard]:
    """Stream the shards of these numbers, the most expensive ones first.

    Shards are sorted into a few classes of cost, each half as expensive as the one before, and the last one holding
    the rest; within a class they come in the order of their numbers. So the plan is read a few times and never held
    in memory.
    """
    wanted = numbers if isinstance(numbers, ShardSet) else ShardSet(numbers)
    cost_classes = _classify_by_cost(run, wanted)
    for cost_class in np.unique(cost_classes):
        group = ShardSet(wanted.numbers[cost_classes == cost_class])
        for plan_file in list_plan_files(run):
            yield from read_shards(plan_file, group)


def _classify_by_cost(run: RunPaths, wanted: ShardSet) -> npt.NDArray[np.int8]:
    """Return the class of each shard: the number of bits of the highest cost divided by its own, or the last class."""
    costs = np.zeros(len(wanted), np.int64)
    for plan_file in list_plan_files(run):
        for batch in iter_parquet_batches(plan_file, ["shard", "cost"]):
            positions, is_wanted = wanted.positions(batch.column("shard").to_numpy())
            np.add.at(costs, positions[is_wanted], batch.column("cost").to_numpy()[is_wanted])
    quotients = costs.max(initial=0) // np.maximum(costs, 1)
    classes: npt.NDArray[np.int8] = np.minimum(np.frexp(quotients)[1], _COST_CLASSES).astype(np.int8)
    return classes


def clear_success_marker(run: RunPaths) -> None:
    """Remove _SUCCESS.json, so that an incomplete run does not look complete."""
    if exists(run.success_marker):  # without one, a driver that may not delete objects can still finish the run
        delete(run.success_marker)
