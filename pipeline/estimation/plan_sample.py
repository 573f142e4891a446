"""A sample of the planned images that are not committed yet, stratified by file size."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import NothingFoundError
from pipeline.estimation.stratified_sampling import sample_strata, stratify_by_size
from pipeline.runs import RunPaths, Shard, list_committed_shards, read_plan
from pipeline.storage import Entry

_SEED = 0


@dataclass(frozen=True)
class PlanSample:
    """The remaining images of a plan, and a sample of them.

    Attributes:
        shards: number of shards without a commit.
        images: number of images in these shards.
        strata: positions of the images in the plan, by size.
        sampled: positions of the sampled images of each stratum.
        entries: the sampled images by position.
    """

    shards: int
    images: int
    strata: list[NDArray[np.int64]]
    sampled: list[NDArray[np.int64]]
    entries: dict[int, Entry]


def sample_remaining(run: RunPaths, pilot_photos: int) -> PlanSample:
    """Sample the images of a plan that have no commit.

    The plan is streamed twice and never held in memory.

    Args:
        run: a run with a plan.
        pilot_photos: about how many images to sample.

    Raises:
        NothingFoundError: all planned images are committed.
    """
    committed = list_committed_shards(run)
    n_shards = 0

    def shards() -> Iterator[Shard]:
        return (shard for shard in read_plan(run) if shard.number not in committed)

    def counted_shards() -> Iterator[Shard]:
        nonlocal n_shards
        for shard in shards():
            n_shards += 1
            yield shard

    sizes = np.fromiter((entry.size for shard in counted_shards() for entry in shard.entries), np.int64)
    if not len(sizes):
        raise NothingFoundError(
            f"{run.uri}: all planned photos are committed, so nothing is left to do or to estimate; add photos to the "
            "input and plan again"
        )
    strata = stratify_by_size(sizes)
    sampled = sample_strata(strata, pilot_photos, np.random.default_rng(_SEED))
    positions = {int(position) for stratum in sampled for position in stratum}
    entries = chain.from_iterable(shard.entries for shard in shards())
    sampled_entries = {position: entry for position, entry in enumerate(entries) if position in positions}
    return PlanSample(n_shards, len(sizes), strata, sampled, sampled_entries)
