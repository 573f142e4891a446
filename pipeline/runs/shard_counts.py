"""Numbers of images by shard, in 12 bytes for each shard."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from pipeline.runs.shard_set import Numbers, ShardSet


class ShardCounts(Mapping[int, int]):
    """An immutable mapping from the numbers of shards, in ascending order, to their numbers of images.

    Attributes:
        shards: the shards.
        images: their numbers of images, in the order of the shards.
    """

    def __init__(self, parts: Iterable[tuple[Numbers, npt.NDArray[np.integer]]] = ()) -> None:
        """Add up parts of the counts, each with the numbers of shards and the numbers of their images."""
        found = list(parts)
        numbers = np.concatenate([np.zeros(0, np.int64), *(numbers for numbers, _ in found)])
        self.shards = ShardSet(numbers)
        self.images = np.zeros(len(self.shards), np.int32)
        for part, images in found:
            np.add.at(self.images, self.shards.positions(part)[0], images.astype(np.int32))

    def __getitem__(self, number: int) -> int:
        positions, found = self.shards.positions(np.array([number]))
        if not found[0]:
            raise KeyError(number)
        return int(self.images[positions[0]])

    def __iter__(self) -> Iterator[int]:
        return iter(self.shards)

    def __len__(self) -> int:
        return len(self.shards)

    def __or__(self, other: "ShardCounts") -> "ShardCounts":
        """Return the counts of two mappings without a common shard."""
        return ShardCounts([(each.shards.numbers, each.images) for each in (self, other)])

    @property
    def total(self) -> int:
        """The number of all images."""
        return int(self.images.sum(dtype=np.int64))

    def only(self, shards: ShardSet) -> "ShardCounts":
        """Return the counts of these shards, as far as there are any."""
        kept = self.shards & shards
        return ShardCounts([(kept.numbers, self.images[self.shards.positions(kept.numbers)[0]])])
