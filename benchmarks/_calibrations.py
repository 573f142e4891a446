"""Maps that are fitted from lists of photos, as `deepot fit` fits them from collections."""

from collections.abc import Sequence
from dataclasses import replace

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference import measure_change, photo_statistics, tone_sums
from deepot.photo import Pixels
from deepot.transport import CalibrationKind, TransportMap, fit_change, fit_map, fit_tone, load_map_kind


def fit_photos(
    autoencoder: LoadedAutoencoder,
    restored: Sequence[Pixels],
    natural: Sequence[Pixels],
    calibration: CalibrationKind,
    patch_size: int,
    *,
    tone: bool = True,
    shrinkage_se: float | None = None,
    companions: Sequence[Pixels | None] | None = None,
) -> TransportMap:
    """Fit a map; from pairs with the tone curve they allow (if `tone`), the gains of its bands and its error curves.

    Companions are those of the restored photos, of their sizes.
    """
    pairs = list(zip(restored, natural, strict=True)) if calibration.has_clean_originals else []
    curve = fit_tone([tone_sums(*pair) for pair in pairs]) if tone and pairs else None
    kind = load_map_kind("gaussian")
    source, reference = (
        [photo_statistics(autoencoder, photo, kind, patch_size, tone=each).moments() for photo in photos]
        for photos, each in ((restored, curve), (natural, None))
    )
    fitted = fit_map(
        source,
        reference,
        autoencoder=autoencoder.name,
        autoencoder_sha256=autoencoder.sha256,
        patch_size=patch_size,
        calibration=calibration,
        shrinkage_se=shrinkage_se,
        tone=curve,
    )
    operator = fitted.operator_on(autoencoder.device)
    sums = [
        measure_change(autoencoder, operator, before, clean, curve, companion)
        for (before, clean), companion in zip(pairs, companions or [None] * len(pairs), strict=True)
    ]
    return replace(fitted, change=fit_change(sums))
