"""The points of a sweep: output modes at several α, and the controls they are compared with."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepot.inference import TransportMode

CLEAN, RESTORED = "clean", "restored"
RESTORED_RECONSTRUCTION, CLEAN_RECONSTRUCTION = "round trip of restored", "round trip of clean"


@dataclass(frozen=True)
class SweepPoint:
    """One variant of all photos: an output mode at some α, or one of the controls, which have no α.

    Controls are the clean photo, the restored photo x* ("restored", which is α = 1 in every mode) and the autoencoder's
    reconstructions of both: what "plain" gains with no transport at all is due to the autoencoder, not to the map.
    """

    name: str
    alpha: float | None = None

    def __str__(self) -> str:
        return self.name if self.alpha is None else f"{self.name} α={self.alpha:g}"


def sweep_points(modes: Sequence[TransportMode], alphas: Sequence[float]) -> list[SweepPoint]:
    """Return the controls, then every mode at every α except 1, which is the control "restored"."""
    controls = [SweepPoint(name) for name in (RESTORED, RESTORED_RECONSTRUCTION, CLEAN_RECONSTRUCTION)]
    steps = sorted(set(alphas) - {1.0})
    return controls + [SweepPoint(mode.value, alpha) for mode in dict.fromkeys(modes) for alpha in steps]
