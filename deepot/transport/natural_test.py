"""The test of a single photo: whether it looks like the natural ones already, so that it needs nothing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepot.errors import MomentsError
from deepot.transport.gaussian import Gaussian
from deepot.transport.merging import merge_all_but_one, merge_in_order
from deepot.transport.moments import Moments
from deepot.transport.validity import check_psd, check_tensors

MAX_MISS_RATE = 0.1
"""The chance that a photo like the restored ones passes the test is at most this."""
MIN_TEST_PHOTOS = math.ceil(1 / MAX_MISS_RATE) - 1
"""The fewest photos of a side that a test is fitted to: with fewer, no threshold keeps the rate of misses."""
_MAX_LOST_RATE = 0.05  # of natural photos, by the second threshold
_MARGIN = 1e-9  # so that the natural photo of the second threshold passes
_SIDES = ("restored", "natural")
_RIDGE = 1e-3  # of the mean variance, added to all variances


@dataclass(frozen=True)
class NaturalTest:
    """The likelihood ratio of a photo's latent patches under Gaussians of natural and of restored ones.

    Both Gaussians N(μ, s²Σ) scale their covariance by a factor s² of the photo's own, the one of most likelihood, so
    that neither contrast nor the amount of texture in a scene decides. Of n patches of dimension d with a mean squared
    Mahalanobis distance q² from a Gaussian the log-likelihood is then −½ n (d log(q²/d) + log det Σ), but for a
    constant; the score is the difference of the two over n d.

    A photo looks natural if its score is above a threshold, the larger one of two conformal ones (Vovk, Gammerman and
    Shafer 2005). Each calibration photo is scored by a test that was fitted without it. At most ⌊0.1 (n + 1)⌋ − 1 of
    the scores of n restored photos are above the threshold, so that a photo of the same kind passes with a chance of
    about 10 % at most. And of the scores of m natural photos none is below it, or ⌊0.05 (m + 1)⌋ − 1 with 39 photos
    and more, so that photos with less of the same degradation, whose scores lie between both, rarely pass.

    Attributes:
        restored: The Gaussian of photos as they are before transport, or before they are restored.
        natural: The Gaussian of natural photos.
        threshold: The score above which a photo looks natural.
        restored_photos: The number n of photos that the threshold is from.
        natural_photos: The number of natural photos.
        natural_share: The share of these that a test without them takes for natural.

    Example:
        >>> import deepot, torch
        >>> draw = torch.Generator().manual_seed(0)
        >>> natural = [deepot.Moments.from_patches(torch.randn(400, 2, generator=draw)) for _ in range(12)]
        >>> smooth = torch.tensor([1.0, 0.2])  # the second feature has lost most of its variance
        >>> restored = [deepot.Moments.from_patches(torch.randn(400, 2, generator=draw) * smooth) for _ in range(12)]
        >>> test = deepot.fit_natural_test(restored, natural, paired=True)
        >>> test.natural_share, test.passes(natural[0]), test.passes(restored[0])
        (1.0, True, False)
    """

    restored: Gaussian
    natural: Gaussian
    threshold: float
    restored_photos: int
    natural_photos: int
    natural_share: float

    def score(self, photo: Moments) -> float:
        """Return the score of a photo, from the moments of its latent patches; NaN if it has none."""
        return self._sides.score(photo)

    @cached_property
    def _sides(self) -> "_Sides":
        """Both Gaussians, ready to be compared with photos: a worker compares all of its photos with them."""
        return _Sides.of(self.restored, self.natural)

    def passes(self, photo: Moments) -> bool:
        """Whether a photo looks natural."""
        return self.score(photo) > self.threshold

    @property
    def summary(self) -> str:
        """What the test does with the photos of its calibration, as one line of text."""
        return (
            f"{self.natural_share:.0%} of {self.natural_photos} natural photos pass, and about "
            f"{MAX_MISS_RATE:.0%} at most of photos like the {self.restored_photos} others"
        )

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        sides = {"restored": self.restored, "natural": self.natural}
        return {f"{side}_{name}": tensor for side, each in sides.items() for name, tensor in each._asdict().items()}

    @property
    def record(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if not isinstance(value, Gaussian)}

    @classmethod
    def from_record(cls, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> "NaturalTest":
        """Return the test with these `tensors` and this `record`.

        Raises:
            KeyError, TypeError: A field is missing or unknown.
            ValueError: The numbers cannot have been fitted.
        """
        d = tensors["natural_mean"].numel()
        shapes = {"mean": (d,), "covariance": (d, d)}
        check_tensors(tensors, {f"{side}_{key}": shape for side in _SIDES for key, shape in shapes.items()})
        restored, natural = (Gaussian(tensors[f"{side}_mean"], tensors[f"{side}_covariance"]) for side in _SIDES)
        for side in (restored, natural):
            check_psd("covariance", side.covariance)
        test = cls(restored, natural, **record)
        counts, numbers = (test.restored_photos, test.natural_photos), (test.threshold, test.natural_share)
        if any(type(count) is not int or count < MIN_TEST_PHOTOS for count in counts):
            raise ValueError(f"its test of natural photos is from {counts} photos")
        if any(type(number) is not float for number in numbers) or not 0 <= test.threshold < math.inf:
            raise ValueError("its test of natural photos has no threshold")
        return test


class _Side(NamedTuple):
    """A Gaussian that is ready to be compared with photos: its mean, its precision Σ⁻¹, and log det Σ."""

    mean: Tensor
    precision: Tensor
    log_determinant: float

    @classmethod
    def of(cls, gaussian: Gaussian) -> "_Side":
        d = len(gaussian.mean)
        ridge = _RIDGE * gaussian.covariance.trace().clamp(min=torch.finfo(torch.float64).tiny) / d
        factor = torch.linalg.cholesky(gaussian.covariance + ridge * torch.eye(d, dtype=torch.float64))
        return cls(gaussian.mean, torch.cholesky_inverse(factor), 2 * float(factor.diagonal().log().sum()))

    def scaled_nll(self, photo: Moments) -> float:
        """Return ½ (log(q²/d) + log det Σ / d) of a photo; NaN if it has no vectors."""
        if not photo.count:
            return math.nan
        d, difference = len(self.mean), photo.mean - self.mean
        squares = (self.precision * photo.scatter).sum() / photo.count + difference @ self.precision @ difference
        return 0.5 * (math.log(max(float(squares) / d, 1e-300)) + self.log_determinant / d)


class _Sides(NamedTuple):
    restored: _Side
    natural: _Side

    @classmethod
    def of(cls, restored: Gaussian, natural: Gaussian) -> "_Sides":
        return cls(_Side.of(restored), _Side.of(natural))

    def score(self, photo: Moments) -> float:
        return self.restored.scaled_nll(photo) - self.natural.scaled_nll(photo)


def fit_natural_test(restored: Sequence[Moments], natural: Sequence[Moments], *, paired: bool) -> NaturalTest | None:
    """Fit the test; None with fewer than 9 photos of a side, as no threshold then keeps the rate of misses.

    Args:
        restored: The moments of the latent patches of each photo that needs transport.
        natural: Those of each natural photo.
        paired: Whether photo i of both shows the same scene: both are then left out to score one of them.

    Raises:
        MomentsError: The dimensions differ, or paired photos differ in number.

    Example:
        >>> import deepot
        >>> deepot.fit_natural_test([], [], paired=False) is None
        True
    """
    if paired and len(restored) != len(natural):
        raise MomentsError(f"there are {len(restored)} restored and {len(natural)} natural photos, which are no pairs")
    if min(len(restored), len(natural)) < MIN_TEST_PHOTOS:
        return None
    gaussians = merge_in_order(restored).gaussian(), merge_in_order(natural).gaussian()
    everything = _Sides.of(*gaussians)
    restored_sides, natural_sides = (
        [_Side.of(each.gaussian()) for each in merge_all_but_one(photos)] for photos in (restored, natural)
    )
    natural_beside = natural_sides if paired else [everything.natural] * len(restored)
    restored_beside = restored_sides if paired else [everything.restored] * len(natural)
    scores = [
        _Sides(*sides).score(photo) for *sides, photo in zip(restored_sides, natural_beside, restored, strict=True)
    ]
    natural_scores = [
        _Sides(*sides).score(photo) for *sides, photo in zip(restored_beside, natural_sides, natural, strict=True)
    ]
    n_above = math.floor(MAX_MISS_RATE * (len(scores) + 1) + 1e-9) - 1
    n_below = max(0, math.floor(_MAX_LOST_RATE * (len(natural_scores) + 1) + 1e-9) - 1)
    threshold = max(0.0, sorted(scores, reverse=True)[n_above], sorted(natural_scores)[n_below] - _MARGIN)
    share = sum(score > threshold for score in natural_scores) / len(natural_scores)
    return NaturalTest(*gaussians, threshold, len(restored), len(natural), share)
