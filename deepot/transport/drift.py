"""Moved: how far a set of photos has moved by those that were added to it, and how far it would have by chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepot.transport.gaussian import wasserstein2_squared_from
from deepot.transport.moments import Moments, merge_in_order


@dataclass(frozen=True)
class DriftDistance:
    """W2 distances between Gaussians of latent patches.

    Attributes:
        new_vs_old: the photos that were added from those before; of a few photos it is large by chance alone.
        all_vs_old: all photos from those before.
        sampling_rms: root mean square of `all_vs_old` where the added photos are of the same kind.
    """

    new_vs_old: float
    all_vs_old: float
    sampling_rms: float

    @property
    def excess(self) -> float:
        """What is left of `merged` without chance: √max(0, merged² − chance²)."""
        return math.sqrt(max(0.0, self.all_vs_old**2 - self.sampling_rms**2))


def measure_drift_distance(before: Moments, added: Moments, sampling_variance: float) -> DriftDistance:
    """How far a set has moved.

    Close to one another, Gaussians of n photos and of m more have a squared distance of C (1/n − 1/(n + m)) by chance,
    as it is quadratic in the differences of their moments.

    Args:
        before: moments of the set.
        added: moments of the photos that were added.
        sampling_variance: C of the set (`estimate_sampling_variance`).

    Raises:
        MomentsError: fewer than two patches before or added.
    """
    squared_distance_to, everything = wasserstein2_squared_from(before.gaussian()), before.merge(added)
    new_vs_old_squared, all_vs_old_squared = (squared_distance_to(each.gaussian()) for each in (added, everything))
    sampling_squared = sampling_variance * (1 / before.images - 1 / everything.images)
    return DriftDistance(math.sqrt(new_vs_old_squared), math.sqrt(all_vs_old_squared), math.sqrt(sampling_squared))


def estimate_sampling_variance(blocks: Sequence[Moments]) -> float:
    """The C of sets of such photos, in squared distance times photos, by leaving out one block at a time.

    Blocks count by their photos. Of fewer than two of them nothing is known of chance, and C is 0.
    """
    blocks = [block for block in blocks if block.count]
    if len(blocks) < 2:
        return 0.0
    merged = merge_in_order(blocks)
    squared_distance_to, total = wasserstein2_squared_from(merged.gaussian()), 0.0
    for index, block in enumerate(blocks):
        others = merge_in_order(blocks[:index] + blocks[index + 1 :])
        squared_distance = squared_distance_to(others.gaussian())
        total += block.images * squared_distance / (1 / others.images - 1 / merged.images)
    return total / merged.images
