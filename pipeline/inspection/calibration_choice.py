"""The calibration and the restorers that suit photos with a degradation."""

from dataclasses import dataclass
from importlib.util import find_spec

from deepot.forensics import MAX_DEGRADED_QUALITY, DegradationKind
from pipeline.inspection.inspection import DegradationClass

_MAX_SPEC_QUALITY = 95
_WHOLE_SIGMA = 10  # from here on, σ of noise is given as a whole number
_GUESSED_SIGMA = 10  # too strong a guess does harm, too weak a one only helps less
_NLM, _MEDIAN = "nlm:sigma={sigma:g}", "median:size=3"
_IDENTITY = "identity"
_OPENCV = "cv2"


@dataclass(frozen=True)
class CalibrationChoice:
    """What a job file gets for a class of photos.

    Attributes:
        degradation: `calibration.degradation`.
        restorer: `restorer`, which is applied to the input.
        calibration_restorer: `calibration.restorer`; None if it is the same.
        checks: what a person should check, a sentence or two for each key: degradation and restorer.
    """

    degradation: str
    restorer: str
    calibration_restorer: str | None
    checks: tuple[str, str]


def choose_calibration(found: DegradationClass) -> CalibrationChoice:
    """Return the calibration for a class of photos; a guess if the class has no degradation that is known."""
    strength = found.strength
    if strength is None or found.kind in (DegradationKind.NONE, DegradationKind.UNKNOWN):
        return _guess(found.kind)
    if found.kind in (DegradationKind.NOISE, DegradationKind.CORRELATED_NOISE):
        return _choose_for_noise(found, strength)
    if found.kind is DegradationKind.JPEG:
        return CalibrationChoice(
            f"jpeg:quality={min(_MAX_SPEC_QUALITY, round(strength))}",
            _IDENTITY,
            None,
            (
                "the quality is the median; a job for each quality fits better if they differ much.",
                "identity takes the photos as they are. If a network should repair them first, name it here "
                "(spandrel:FILE); if one has repaired them already, name it as calibration.restorer.",
            ),
        )
    if found.kind is DegradationKind.BLUR:
        return CalibrationChoice(
            f"blur:sigma={round(strength, 1):g}",
            _IDENTITY,
            None,
            (
                "a blur may also be what a denoiser or another restorer has left; then name what was there before it.",
                "identity takes the photos as they are. If they are to be sharpened first, name the restorer here; if "
                "they have been sharpened already, name it as calibration.restorer.",
            ),
        )
    return CalibrationChoice(
        f"downscale:factor={round(strength)}",
        _IDENTITY,
        f"resize:factor={round(strength)}",
        (
            "the photos have been enlarged by this factor.",
            "identity takes the photos as they are: enlarged already, here supposed bicubically. If a network has "
            "enlarged them, name it as calibration.restorer.",
        ),
    )


def _choose_for_noise(found: DegradationClass, sigma: float) -> CalibrationChoice:
    rounded = round(sigma) if sigma >= _WHOLE_SIGMA else round(sigma, 1)
    degradation = f"noise:sigma={rounded:g}"
    quality = found.jpeg_quality
    if quality is not None and quality <= MAX_DEGRADED_QUALITY:
        degradation += f"+jpeg:quality={round(quality)}"
    check = "the standard deviation is the median, on the 0–255 scale; fine texture everywhere may look like noise."
    if found.kind is DegradationKind.CORRELATED_NOISE:
        check = (
            "the noise of neighbouring pixels is correlated, as film grain is and what a camera has smoothed; "
            "noise:sigma adds white noise, the nearest that there is."
        )
    return CalibrationChoice(
        degradation,
        _choose_denoiser(rounded),
        None,
        (
            check,
            "the photos are noisy, so they are denoised first. If you have a better denoiser, name it here. If these "
            "are results of a denoiser, write identity here and name it as calibration.restorer.",
        ),
    )


def _guess(kind: DegradationKind) -> CalibrationChoice:
    reason = (
        "most of the photos show neither noise, JPEG blocks, blur nor enlargement"
        if kind is DegradationKind.NONE
        else "most of the photos are too small or too uniform to show a degradation"
    )
    return CalibrationChoice(
        f"noise:sigma={_GUESSED_SIGMA}",
        _IDENTITY,
        _choose_denoiser(_GUESSED_SIGMA),
        (
            f"this is a guess, because {reason}. Write what had happened to them before they were restored, such as "
            "noise:sigma=25, jpeg:quality=30, blur:sigma=2 or downscale:factor=2.",
            "identity means that these photos are restored already, and calibration.restorer is the program that did "
            "it: name yours. Photos that are neither degraded nor restored need no job.",
        ),
    )


def _choose_denoiser(sigma: float) -> str:
    return _NLM.format(sigma=sigma) if find_spec(_OPENCV) is not None else _MEDIAN
