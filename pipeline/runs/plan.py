"""The plan of a run: numbered files of numbered shards, read as streams and never changed."""

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.runs.numbered_files import iter_parquet_batches, list_numbered_files
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan_file import count_images_in_plan_file, read_shards
from pipeline.runs.sharding import Shard
from pipeline.storage import delete, exists

_COST_CLASSES = 4  # each covers a factor of two


def list_plan_files(run: RunPaths) -> list[str]:
    """List the URIs of a run's plan files, in order."""
    return [uri for _, uri in list_numbered_files(run.uri, "plan", "parquet")]


def read_plan(run: RunPaths) -> Iterator[Shard]:
    """Stream all planned shards in the order of their numbers."""
    return chain.from_iterable(map(read_shards, list_plan_files(run)))


def count_planned_images(run: RunPaths) -> dict[int, int]:
    """Count the images of every planned shard, by shard number; empty if there is no plan yet."""
    found: dict[int, int] = {}
    for uri in list_plan_files(run):
        found |= count_images_in_plan_file(uri)
    return found


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
    shard_costs = Counter[int]()
    for plan_file in list_plan_files(run):
        for batch in iter_parquet_batches(plan_file, ["shard", "cost"]):
            sums = pa.Table.from_batches([batch]).group_by("shard").aggregate([("cost", "sum")])
            shard_costs.update(dict(zip(sums["shard"].to_pylist(), sums["cost_sum"].to_pylist(), strict=True)))
    costs = {number: shard_costs[number] for number in numbers}
    largest = max(costs.values(), default=0)
    classes: list[list[int]] = [[] for _ in range(_COST_CLASSES)]
    for number, cost in costs.items():
        classes[min(_COST_CLASSES, (largest // max(cost, 1)).bit_length()) - 1].append(number)
    for group in filter(None, classes):
        wanted = pa.array(group, pa.int32())
        for plan_file in list_plan_files(run):
            yield from read_shards(plan_file, wanted)


def clear_success_marker(run: RunPaths) -> None:
    """Remove _SUCCESS.json, so that an incomplete run does not look complete."""
    if exists(run.success_marker):  # without one, a driver that may not delete objects can still finish the run
        delete(run.success_marker)
