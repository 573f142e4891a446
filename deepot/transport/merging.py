"""Merging of statistics over a fixed tree."""

from collections.abc import Iterable
from typing import Protocol, Self, TypeVar

from deepot.errors import MomentsError


class Mergeable(Protocol):
    """Statistics of a set that can be merged with those of a disjoint set."""

    def merge(self, other: Self) -> Self:
        """Return the statistics of the union."""


MergeableT = TypeVar("MergeableT", bound=Mergeable)


def merge_in_order(items: Iterable[MergeableT]) -> MergeableT:
    """Merge statistics pairwise over a binary tree that depends only on their order and number.

    Floating-point addition is not associative, so the shape of the tree decides the last bits of the result. At most
    log₂(n) + 1 items are held at a time.

    Raises:
        MomentsError: There are no items, or their dimensions differ.

    >>> import deepot, torch
    >>> halves = torch.arange(8.0).reshape(4, 2).split(2)
    >>> merged = deepot.merge_in_order(deepot.Moments.from_patches(half) for half in halves)
    >>> merged.count, merged.images, merged.mean.tolist()
    (4, 2, [3.0, 4.0])
    """
    tree: list[tuple[int, MergeableT]] = []  # (height, subtree), heights strictly falling
    for item in items:
        height = 0
        while tree and tree[-1][0] == height:
            item = tree.pop()[1].merge(item)
            height += 1
        tree.append((height, item))
    if not tree:
        raise MomentsError("there are no moments to merge: no image yielded any latent patches")
    merged = tree.pop()[1]
    while tree:
        merged = tree.pop()[1].merge(merged)
    return merged
