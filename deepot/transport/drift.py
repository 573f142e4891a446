"""How far a set of images has drifted by the images that were added to it, and how far it would have by chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepot.transport.gaussian import wasserstein2_squared_from
from deepot.transport.merging import merge_all_but_one, merge_in_order
from deepot.transport.moments import Moments


@dataclass(frozen=True)
class DriftDistance:
    """W2 distances between Gaussians of latent patches, in latent units.

    Attributes:
        new_vs_old: Distance of the added images from the earlier ones; for few images it is large by chance alone.
        all_vs_old: Distance of all images from the earlier ones.
        sampling_rms: Root mean square of `all_vs_old` if the added images are of the same kind.
    """

    new_vs_old: float
    all_vs_old: float
    sampling_rms: float

    @property
    def excess(self) -> float:
        """What `all_vs_old` has beyond chance: √max(0, all_vs_old² − sampling_rms²)."""
        return math.sqrt(max(0.0, self.all_vs_old**2 - self.sampling_rms**2))


def measure_drift_distance(before: Moments, added: Moments, sampling_variance: float) -> DriftDistance:
    """Measure how far a set has drifted.

    The squared distance of two Gaussians that are close to each other is quadratic in the differences of their moments,
    so between n images and the same n with m more of their kind it is C (1/n − 1/(n + m)) on average.

    Args:
        before: Moments of the set.
        added: Moments of the images that were added.
        sampling_variance: C of the set (`estimate_sampling_variance`).

    Raises:
        MomentsError: There are fewer than two patches before or added.
    """
    squared_distance_to, union = wasserstein2_squared_from(before.gaussian()), before.merge(added)
    new_vs_old_squared, all_vs_old_squared = (squared_distance_to(each.gaussian()) for each in (added, union))
    sampling_squared = sampling_variance * (1 / before.images - 1 / union.images)
    return DriftDistance(math.sqrt(new_vs_old_squared), math.sqrt(all_vs_old_squared), math.sqrt(sampling_squared))


def estimate_sampling_variance(blocks: Sequence[Moments]) -> float:
    """Estimate the C of a set, a squared distance times a number of images, by leaving out one block at a time.

    Blocks are weighted by their images. With fewer than two non-empty blocks there is nothing to estimate it from, and
    the estimate is 0.
    """
    blocks = [block for block in blocks if block.count]
    if len(blocks) < 2:
        return 0.0
    merged = merge_in_order(blocks)
    squared_distance_to, total = wasserstein2_squared_from(merged.gaussian()), 0.0
    for block, others in zip(blocks, merge_all_but_one(blocks), strict=True):
        squared_distance = squared_distance_to(others.gaussian())
        total += block.images * squared_distance / (1 / others.images - 1 / merged.images)
    return total / merged.images
