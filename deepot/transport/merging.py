"""Merging of statistics over a fixed tree."""

from collections.abc import Iterable, Iterator, Sequence
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

    Example:
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


def merge_all_but_one(items: Sequence[MergeableT], *more: MergeableT) -> Iterator[MergeableT]:
    """Yield for each of n items, in their order, the others and `more` merged.

    Each half is merged for all items of the other half at once, so there are about n log₂ n merges in all, and at most
    2 log₂(n) + 2 results are held at a time.

    Raises:
        MomentsError: There is nothing to merge for a single item, or dimensions differ.
    """
    if len(items) == 1:
        yield merge_in_order(more)
    elif items:
        middle = len(items) // 2
        for half, other_half in ((items[:middle], items[middle:]), (items[middle:], items[:middle])):
            yield from merge_all_but_one(half, merge_in_order([*more, *other_half]))
