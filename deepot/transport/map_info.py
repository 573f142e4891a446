"""The record of what a map was fitted from and how, and its summary in words."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from deepot.transport.calibration_kind import CalibrationKind

_TEXTS = ("autoencoder", "autoencoder_sha256", "kind", "calibration")
_COUNTS = ("patch_size", "source_images", "source_patches", "reference_images", "reference_patches")
_OPTIONAL = ("effective_images", "standard_error")


@dataclass(frozen=True)
class MapInfo:
    """What a map was fitted from and how.

    Attributes:
        autoencoder: Name of the autoencoder, as the job gave it.
        autoencoder_sha256: Fingerprint of its configuration and weights; another autoencoder must not use the map.
        patch_size: Side p of the latent patches.
        kind: The kind of map, as `load_map_kind` reads it: "gaussian", "mixture:components=3".
        calibration: A value of `CalibrationKind`: "paired", "self" or "unpaired".
        shrinkage_se: By how many standard errors the map is shrunk; 0 for the published map.
        shrinkage_factor: How far the map goes from the identity, 0, to the published map, 1.
        source_images: Number of restored images.
        source_patches: Number of latent patches of the restored images.
        reference_images: Number of natural images.
        reference_patches: Number of latent patches of the natural images.
        wasserstein2: W2 distance between the two sets, each taken as one Gaussian, in latent units.
        effective_images: `MapUncertainty.effective_images`; None if a set was a single block.
        standard_error: `MapUncertainty.standard_error`, relative to the length of the published map; None likewise.
    """

    autoencoder: str
    autoencoder_sha256: str
    patch_size: int
    kind: str
    calibration: str
    shrinkage_se: float
    shrinkage_factor: float
    source_images: int
    source_patches: int
    reference_images: int
    reference_patches: int
    wasserstein2: float
    effective_images: float | None
    standard_error: float | None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "MapInfo":
        """Return the record with these fields, as a map file holds them.

        Raises:
            TypeError: A field is unknown or missing.
            ValueError: A field has a value of another type, or out of range.
        """
        info = cls(**fields)
        for name, value in asdict(info).items():
            if not _is_valid(name, value):
                raise ValueError(f"{name} is {value!r:.50}")
        return info

    @property
    def calibration_summary(self) -> str:
        """What the map was fitted from, as the end of a sentence that begins with "fitted from"."""
        if self.calibration == CalibrationKind.SELF:
            return f"{self.source_images} restored photos, and the same photos degraded and restored once more"
        natural = f"{self.reference_images} natural photos of other scenes"
        if self.calibration == CalibrationKind.PAIRED:
            natural = "the natural originals of the same photos"
        return f"{self.source_images} restored photos and {natural}"

    @property
    def uncertainty_summary(self) -> str:
        """The uncertainty of the map and how far it was shrunk, as one line of text."""
        if self.effective_images is None or self.standard_error is None:
            return "unknown: a standard error needs at least 2 images in each set"
        basis = f"{self.effective_images:.1f} effective images"
        if self.shrinkage_factor == 0:
            return (
                f"none: the two sets differ by no more than chance ({basis}, shrinkage_se {self.shrinkage_se:g}); "
                "the map is the identity"
            )
        shrinkage = (
            "not shrunk"
            if self.shrinkage_se == 0
            else f"shrunk to {self.shrinkage_factor:.0%} (shrinkage_se {self.shrinkage_se:g})"
        )
        return f"standard error {self.standard_error:.0%} of the map, from {basis}; {shrinkage}"


def _is_valid(name: str, value: object) -> bool:
    """Whether a field of the record can have a value."""
    if name in _TEXTS:
        return isinstance(value, str) and (name != "calibration" or value in list(CalibrationKind))
    if name in _COUNTS:
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return is_count and (name != "patch_size" or value % 2 == 1)  # type: ignore[operator]  # an int by then
    if value is None:
        return name in _OPTIONAL
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
