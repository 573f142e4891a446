"""The error of outputs as a function of α, and the α that keeps a goal."""

import math
import re
from dataclasses import dataclass

from deepot.arguments import describe_value, is_number_within
from deepot.errors import ArgumentError

MIN_ALPHA, MAX_ALPHA = -4, 4
"""The range of α that enhancers and jobs take."""
MIN_STRENGTH, MAX_STRENGTH = 1 - MAX_ALPHA, 1 - MIN_ALPHA
"""The range of the strength 1 − α."""
MIN_ERROR = "min-error"
"""The goal of the least error."""
_MAX_LOSS = re.compile(r"loss<=(\d+(?:\.\d+)?)dB")
PER_PHOTO = "per-photo"
"""The goal of a limit for each photo."""
_PER_PHOTO = re.compile(PER_PHOTO + r"(?::loss<=(\d+(?:\.\d+)?)dB)?")
_DEFAULT_PHOTO_LOSS_DB = 0.5
_FORMS = (
    f"a number from {MIN_ALPHA} to {MAX_ALPHA}, {MIN_ERROR}, a limit such as loss<=0.3dB, or one for each photo such "
    f"as {PER_PHOTO}:loss<=0.3dB"
)


@dataclass(frozen=True)
class CompanionFit:
    """A companion c of restored photos x*, another version of them with less error: for α > 1 the two are mixed.

    The output is x* + (α − 1) · weight · (c − x*); the weight is shrunk from gain / energy, that of least error.

    Attributes:
        weight: The share of the companion at α = 2, in [0, 1].
        gain: Mean product of c − x* with the error x − x*, over calibration pairs, per sample in [0, 1].
        energy: Mean square of c − x*, likewise.
    """

    weight: float
    gain: float
    energy: float


@dataclass(frozen=True)
class ErrorCurve:
    """The mean squared error of outputs over calibration pairs, per sample in [0, 1].

    That of x* + (1 − α) d is error − 2 (1 − α) · gain + (1 − α)² · energy, with the error ‖x − x*‖², the gain
    ⟨d, x − x*⟩ and the energy ‖d‖² of the change d. For α > 1 with a companion c it is that of
    x* + (α − 1) · weight · (c − x*). Clipping to [0, 1] is left out.

    Attributes:
        error: Mean squared error of x*.
        gain: Mean product of the change with the error.
        energy: Mean square of the change.
        companion: The companion; None without one, then α > 1 extrapolates the change.

    Example:
        >>> from deepot.transport import CompanionFit, ErrorCurve
        >>> curve = ErrorCurve(error=0.01, gain=0.001, energy=0.004)
        >>> curve.min_error_alpha, round(curve.loss_db(0.75), 3), round(curve.loss_db(0.0), 3)
        (0.75, -0.11, 0.792)
        >>> round(curve.alpha_within(0.1), 3)
        0.403
        >>> ErrorCurve(0.01, 0.001, 0.004, CompanionFit(weight=0.5, gain=0.005, energy=0.01)).min_error_alpha
        2.0
    """

    error: float
    gain: float
    energy: float
    companion: CompanionFit | None = None

    def mse(self, alpha: float) -> float:
        """Return the mean squared error at an α."""
        strength, gain, energy = 1 - alpha, self.gain, self.energy
        if alpha > 1 and self.companion is not None:
            strength, gain, energy = (alpha - 1) * self.companion.weight, self.companion.gain, self.companion.energy
        return max(0.0, self.error - 2 * strength * gain + strength**2 * energy)

    def loss_db(self, alpha: float) -> float:
        """Return by how many dB the PSNR at an α is lower than that of x*; negative if it is higher."""
        if self.mse(alpha) == self.error:
            return 0.0
        if not self.error:
            return math.inf
        return 10 * math.log10(max(self.mse(alpha) / self.error, 1e-30))

    @property
    def min_error_alpha(self) -> float:
        """The α of the least error: in [0, 1], or in [0, 2] with a companion."""
        changed = 1 - min(1.0, max(0.0, self.gain / self.energy)) if self.energy else 1.0
        companion = self.companion
        if companion is None or not companion.weight * companion.energy:
            return changed
        mixed = 1 + min(1.0, max(0.0, companion.gain / (companion.weight * companion.energy)))
        return mixed if self.mse(mixed) < self.mse(changed) else changed

    def strength_within(self, max_loss_db: float) -> float:
        """Return the largest strength 1 − α ≥ 0 whose loss is at most `max_loss_db` ≥ 0; infinite without a change."""
        if not self.energy:
            return math.inf
        slack = (10 ** (max_loss_db / 10) - 1) * self.error
        return max(0.0, (self.gain + math.sqrt(self.gain**2 + self.energy * slack)) / self.energy)

    def alpha_within(self, max_loss_db: float) -> float:
        """Return the smallest α in [0, 1], the strongest change, whose loss is at most `max_loss_db` ≥ 0."""
        return 1 - min(1.0, self.strength_within(max_loss_db))

    def resolve(self, alpha: float | str) -> float:
        """Return α as a number: as it is, or the one that keeps a goal (`check_alpha`).

        Raises:
            ArgumentError: It is neither a number of the range nor a goal.
        """
        check_alpha(alpha)
        if not isinstance(alpha, str):
            return float(alpha)
        limit = _MAX_LOSS.fullmatch(alpha)
        if limit is None and alpha != MIN_ERROR:
            raise ArgumentError(f"alpha is '{alpha}', which the mean error of all photos does not decide")
        return round(self.min_error_alpha if limit is None else self.alpha_within(float(limit[1])), 6)


def parse_photo_limit(alpha: float | str) -> float | None:
    """Return the limit of each photo's loss in dB that a goal `per-photo` sets; None for anything else.

    Example:
        >>> from deepot.transport import parse_photo_limit
        >>> [parse_photo_limit(alpha) for alpha in ("per-photo:loss<=0.3dB", "per-photo", "loss<=0.3dB", 0.5)]
        [0.3, 0.5, None, None]
    """
    found = _PER_PHOTO.fullmatch(alpha) if isinstance(alpha, str) else None
    return None if found is None else float(found[1] or _DEFAULT_PHOTO_LOSS_DB)


def check_alpha(alpha: float | str) -> None:
    """Check that α is a number from `MIN_ALPHA` to `MAX_ALPHA` or a goal.

    Goals are `min-error`, `loss<=` a number of dB for the mean of all photos, and `per-photo` or `per-photo:loss<=` a
    number of dB for each of them.

    Raises:
        ArgumentError: It is neither.

    Example:
        >>> from deepot.transport import check_alpha
        >>> for alpha in (0.5, "min-error", "loss<=0.3dB", "per-photo:loss<=0.5dB"):
        ...     check_alpha(alpha)
    """
    is_goal = isinstance(alpha, str) and (
        alpha == MIN_ERROR or _MAX_LOSS.fullmatch(alpha) is not None or parse_photo_limit(alpha) is not None
    )
    if not is_goal and not is_number_within(alpha, MIN_ALPHA, MAX_ALPHA):
        raise ArgumentError(f"alpha is {describe_value(alpha)}: give {_FORMS}")


def alpha_from_strength(strength: float) -> float:
    """Return α = 1 − strength.

    Raises:
        ArgumentError: The strength is no number from `MIN_STRENGTH` to `MAX_STRENGTH`.

    Example:
        >>> from deepot.transport import alpha_from_strength
        >>> alpha_from_strength(0.25)
        0.75
    """
    if not is_number_within(strength, MIN_STRENGTH, MAX_STRENGTH):
        raise ArgumentError(
            f"strength is {describe_value(strength)}: give a number from {MIN_STRENGTH} to {MAX_STRENGTH} "
            "(0 is the restored image, 1 the full transport)"
        )
    return 1 - strength
