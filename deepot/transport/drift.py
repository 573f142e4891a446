"""Moved: how far a set of photos has moved by those that were added to it, and how far it would have by chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepot.transport.gaussian import wasserstein2_squared_from
from deepot.transport.moments import Moments, merge_in_order


@dataclass(frozen=True)
class Moved:
    """W2 distances between Gaussians of latent patches.

    Attributes:
        apart: the photos that were added from those before; of a few photos it is large by chance alone.
        merged: all photos from those before.
        chance: root mean square of `merged` where the added photos are of the same kind.
    """

    apart: float
    merged: float
    chance: float

    @property
    def beyond_chance(self) -> float:
        """What is left of `merged` without chance: √max(0, merged² − chance²)."""
        return math.sqrt(max(0.0, self.merged**2 - self.chance**2))


def moved(before: Moments, added: Moments, variance: float) -> Moved:
    """How far a set has moved.

    Close to one another, Gaussians of n photos and of m more have a squared distance of C (1/n − 1/(n + m)) by chance,
    as it is quadratic in the differences of their moments.

    Args:
        before: moments of the set.
        added: moments of the photos that were added.
        variance: C of the set (`choice_variance`).

    Raises:
        MomentsError: fewer than two patches before or added.
    """
    squared, whole = wasserstein2_squared_from(before.gaussian()), before.merge(added)
    apart, merged = (squared(each.gaussian()) for each in (added, whole))
    chance = variance * (1 / before.images - 1 / whole.images)
    return Moved(math.sqrt(apart), math.sqrt(merged), math.sqrt(chance))


def choice_variance(blocks: Sequence[Moments]) -> float:
    """The C of sets of such photos, in squared distance times photos, by leaving out one block at a time.

    Blocks count by their photos. Of fewer than two of them nothing is known of chance, and C is 0.
    """
    blocks = [block for block in blocks if block.count]
    if len(blocks) < 2:
        return 0.0
    whole = merge_in_order(blocks)
    squared, total = wasserstein2_squared_from(whole.gaussian()), 0.0
    for index, block in enumerate(blocks):
        others = merge_in_order(blocks[:index] + blocks[index + 1 :])
        apart = squared(others.gaussian())
        total += block.images * apart / (1 / others.images - 1 / whole.images)
    return total / whole.images
