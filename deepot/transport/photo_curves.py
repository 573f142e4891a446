"""The strength that a single photo allows: the error curves of calibration pairs, and a conformal rule from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.errors import MapError
from deepot.transport.change_by_photo import ChangeByPhoto
from deepot.transport.change_model import CURVE_MODES, fit_change, fit_curves
from deepot.transport.error_curve import ErrorCurve
from deepot.transport.validity import check_tensors

MAX_EXCESS_RATE = 0.05
"""The chance that a photo loses more than its limit is at most this."""
MIN_PAIRS = math.ceil(1 / MAX_EXCESS_RATE) - 1
"""The fewest pairs that a rule is fitted to: with fewer, no strength but 0 keeps that chance."""
_RIDGE = 3.0  # of standardised scores, in photos
_STRENGTHS = 1e-3, 10.0  # limits of a photo's strength before its logarithm is taken


@dataclass(frozen=True)
class StrengthRule:
    """The strength 1 − α of a photo as a function of its scores.

    Attributes:
        centre: Mean of each score over the calibration pairs, (k,).
        scale: Standard deviation of each, (k,).
        lowest: The lowest value of each, (k,): scores beyond those of the pairs are taken for the nearest of them.
        highest: The highest value of each, (k,).
        weights: Weights of the standardised scores, (k,).
        intercept: The logarithm of the strength at mean scores.
        uniform: The strength that keeps the promise for all photos alike, whatever their scores.
    """

    centre: Tensor
    scale: Tensor
    lowest: Tensor
    highest: Tensor
    weights: Tensor
    intercept: float
    uniform: float

    def alpha(self, scores: Tensor) -> float:
        """Return the α in [0, 1] of a photo with these scores (k,), to six digits."""
        return round(1 - min(1.0, math.exp(self._log_strength(scores))), 6)

    def _log_strength(self, scores: Tensor) -> float:
        standardised = (scores.clamp(self.lowest, self.highest) - self.centre) / self.scale
        return min(0.0, self.intercept + float(standardised @ self.weights))


@dataclass(frozen=True)
class PhotoCurves:
    """The error curve of each calibration pair in each mode, and the scores of its restored photo.

    Attributes:
        curves: (n, 4, 3), float64: the error, gain and energy of each photo's `ErrorCurve` in each of `CURVE_MODES`.
        scores: (n, k), float64.

    Example:
        >>> import deepot, torch
        >>> from deepot.transport import PhotoCurves
        >>> error, energy = torch.ones(40), torch.linspace(0.1, 4, 40)  # photos differ in how much they are changed
        >>> curves = torch.stack([error, 0 * error, energy], 1)[:, None].expand(40, 4, 3).double()
        >>> rule = PhotoCurves(curves, energy.log()[:, None].double()).fit_rule("detail", max_loss_db=0.5)
        >>> [rule.alpha(torch.tensor([math.log(energy)]).double()) for energy in (0.1, 1, 4)]
        [0.029437, 0.667411, 0.825466]
    """

    curves: Tensor
    scores: Tensor

    def fit_rule(self, mode: str, max_loss_db: float) -> StrengthRule:
        """Fit the strength at which a photo loses at most so much PSNR, with a chance of about 95 %.

        The strongest change that each pair allows follows from its error curve. Its logarithm is predicted from the
        scores by ridge regression. Then all predictions are lowered by the same factor, so that of the n pairs, each
        predicted without itself, at most ⌊0.05 (n + 1)⌋ − 1 lose more: conformal prediction with the jackknife (Barber,
        Candès, Ramdas and Tibshirani, Annals of Statistics 2021). This controls the risk of a new photo in the sense of
        Angelopoulos et al. (Conformal Risk Control, 2022), as a photo that loses too much at one strength does so at
        any higher one.

        Args:
            mode: The output mode.
            max_loss_db: How many dB lower the PSNR of a result may be than that of its restored photo, from 0 on.

        Raises:
            MapError: There are fewer than 19 pairs.
        """
        n = len(self.curves)
        if n < MIN_PAIRS:
            raise MapError(
                f"a limit for single photos needs at least {MIN_PAIRS} calibration pairs, but the map was measured on "
                f"{n}: give more pairs, or a limit for their mean such as loss<={max_loss_db:g}dB"
            )
        logs = self._log_strengths(mode, max_loss_db)
        residuals = [
            float(logs[index]) - _Ridge.fit(_without(self.scores, index), _without(logs, index)).predict(scores)
            for index, scores in enumerate(self.scores)
        ]
        n_below = math.floor(MAX_EXCESS_RATE * (n + 1) + 1e-9) - 1
        ridge, lowest, highest = _Ridge.fit(self.scores, logs), self.scores.amin(0), self.scores.amax(0)
        uniform = min(1.0, float(logs.sort().values[n_below].exp()))
        lowered = ridge.intercept + min(0.0, sorted(residuals)[n_below])
        return StrengthRule(ridge.centre, ridge.scale, lowest, highest, ridge.weights, lowered, uniform)

    def _log_strengths(self, mode: str, max_loss_db: float) -> Tensor:
        """Return the logarithm of the strongest change that each pair allows, (n,)."""
        curves = (ErrorCurve(*terms) for terms in self.curves[:, CURVE_MODES.index(mode)].tolist())
        strengths = [curve.strength_within(max_loss_db) for curve in curves]
        return torch.tensor(strengths, dtype=torch.float64).clamp(*_STRENGTHS).log()

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return dict(vars(self))

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "PhotoCurves":
        """Return the curves with these `tensors`.

        Raises:
            KeyError: One is missing.
            ValueError: They cannot be those of photos.
        """
        n, k = len(tensors["curves"]), tensors["scores"].shape[-1]
        check_tensors(tensors, {"curves": (n, len(CURVE_MODES), 3), "scores": (n, k)})
        if (tensors["curves"][..., [0, 2]] < 0).any():
            raise ValueError("its error curves of photos cannot have been fitted")
        return cls(**tensors)


@dataclass(frozen=True)
class _Ridge:
    """A linear regression on standardised columns, with weights that are shrunk a little."""

    centre: Tensor
    scale: Tensor
    weights: Tensor
    intercept: float

    @classmethod
    def fit(cls, columns: Tensor, values: Tensor) -> "_Ridge":
        centre, scale = columns.mean(0), columns.std(0, correction=0)
        scale = torch.where(scale > 0, scale, 1.0)
        standardised = (columns - centre) / scale
        gram = standardised.mT @ standardised + _RIDGE * torch.eye(columns.shape[1], dtype=torch.float64)
        weights = torch.linalg.solve(gram, standardised.mT @ (values - values.mean()))
        return cls(centre, scale, weights, float(values.mean()))

    def predict(self, row: Tensor) -> float:
        return self.intercept + float((row - self.centre) / self.scale @ self.weights)


def _without(rows: Tensor, index: int) -> Tensor:
    return torch.cat([rows[:index], rows[index + 1 :]])


def fit_photo_curves(halves: Sequence[Sequence[ChangeByPhoto]]) -> PhotoCurves | None:
    """Return the error curves of single photos, each with gains from the other half; None if a half has no photos.

    Args:
        halves: What was measured of the photos of two halves, in blocks: with a map that was fitted to the other half,
            as maps and gains suit the photos that they were fitted to better than others.
    """
    found = []
    for photos, others in (halves, reversed(halves)):
        change, sums = fit_change([block.total for block in others]), [each for block in photos for each in block.sums]
        if change is None or not sums:
            return None
        found += [
            [[curve.error, curve.gain, curve.energy] for curve in fit_curves(each, change.gains).values()]
            for each in sums
        ]
    scores = torch.cat([block.scores for photos in halves for block in photos])
    return PhotoCurves(torch.tensor(found, dtype=torch.float64), scores)
