"""The fit of a transport map from the statistics of restored and of natural images."""

import math
from collections.abc import Sequence
from typing import Any

from deepot.arguments import parse_choice
from deepot.errors import MomentsError
from deepot.transport.calibration_kind import CalibrationKind
from deepot.transport.gaussian import wasserstein2_squared
from deepot.transport.map_info import MapInfo
from deepot.transport.map_kinds import load_map_kind
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import Moments
from deepot.transport.shrinkage import Shrinkage
from deepot.transport.tone import ToneCurve
from deepot.transport.transport_map import TransportMap
from deepot.transport.uncertainty import MapUncertainty, drop_empty_blocks, estimate_uncertainty
from deepot.transport.validity import has_variation


def fit_map(
    source: Sequence[Moments],
    reference: Sequence[Moments],
    *,
    autoencoder: str,
    autoencoder_sha256: str,
    patch_size: int,
    calibration: CalibrationKind | str,
    shrinkage_se: float | None = None,
    kind: str = "gaussian",
    statistics: tuple[Any, Any] | None = None,
    tone: ToneCurve | None = None,
) -> TransportMap:
    """Fit the transport map from restored to natural latent patches.

    Unshrunk it is the closed form T of its kind (Adrai et al. 2023, eq. 3). Otherwise the difference of the means and
    each frequency of a patch are shrunk by their own standard errors (`MapUncertainty.shrinkage`): few images show how
    fine structure differs long before they show how coarse structure does.

    Args:
        source: Moments of the restored images' patches, in blocks of one or several images; if the calibration is
            paired, block i of both sets shows the same scenes.
        reference: Moments of the natural images' patches, computed with the same autoencoder and patch size.
        autoencoder: Name of the autoencoder.
        autoencoder_sha256: Its fingerprint.
        patch_size: Side p of the latent patches.
        calibration: Which sets these are: "paired", "self" or "unpaired".
        shrinkage_se: By how many standard errors the map is shrunk; the calibration's default if None.
        kind: The kind of map (`load_map_kind`).
        statistics: What the kind is fitted from, of the restored and of the natural images; None if the moments are
            all that it needs.
        tone: The tone curve that was applied to the restored images before they were encoded; None if none was.

    Raises:
        ArgumentError: There is no such calibration.
        MomentsError: There are fewer than two patches in a set, the natural ones are all equal, the dimensions do not
            fit, there are fewer than two blocks although the map is to be shrunk, or paired sets have different numbers
            of blocks.
        SpecError: There is no such kind of map.
        ValueError: `shrinkage_se` is negative or not finite, or the kind of map refuses the settings or lacks its
            statistics.

    Example:
        >>> import deepot, torch
        >>> natural = deepot.Moments.from_patches(torch.randn(500, 4, generator=torch.Generator().manual_seed(0)))
        >>> restored = deepot.Moments(500, 1, natural.mean, natural.scatter / 4)  # half the standard deviation
        >>> fitted = deepot.fit_map([restored], [natural], autoencoder="toy", autoencoder_sha256="0", patch_size=1,
        ...                         calibration=deepot.CalibrationKind.PAIRED)
        >>> torch.allclose(fitted.parameters["matrix"], 2 * torch.eye(4).double())
        True
    """
    calibration = parse_choice(CalibrationKind, calibration, "calibration")
    shrinkage_se = calibration.default_shrinkage_se if shrinkage_se is None else shrinkage_se
    if not 0 <= shrinkage_se < math.inf:
        raise ValueError(f"shrinkage_se is {shrinkage_se}, it must be a finite number from 0 on")
    map_kind = load_map_kind(kind)
    map_kind.check_settings(patch_size, calibration)
    source, reference = drop_empty_blocks(source, reference, paired=calibration.has_same_scenes)
    moments = merge_in_order(source), merge_in_order(reference)
    _check_sides(*moments, patch_size)
    source_gaussian, reference_gaussian = (side.gaussian() for side in moments)
    uncertainty: MapUncertainty | None = None
    if shrinkage_se or min(len(source), len(reference)) > 1:
        uncertainty = estimate_uncertainty(source, reference, patch_size, paired=calibration.has_same_scenes)
    if statistics is None and map_kind.statistics is not Moments:
        raise ValueError(
            f"a map of kind '{kind}' is fitted from {map_kind.statistics.__name__}: pass them as statistics"
        )
    shrinkage = uncertainty.shrinkage(shrinkage_se) if uncertainty else Shrinkage.uniform(1.0, patch_size)
    info = MapInfo(
        autoencoder,
        autoencoder_sha256,
        patch_size,
        map_kind.name,
        calibration.value,
        shrinkage_se,
        shrinkage.overall,
        moments[0].images,
        moments[0].count,
        moments[1].images,
        moments[1].count,
        math.sqrt(wasserstein2_squared(source_gaussian, reference_gaussian)),
        uncertainty.effective_images if uncertainty else None,
        uncertainty.standard_error if uncertainty else None,
    )
    source_statistics, reference_statistics = statistics or moments
    if any(each.moments().dimension != moments[0].dimension for each in (source_statistics, reference_statistics)):
        raise MomentsError("the statistics of the map have another dimension than the moments: compute both again")
    parameters = map_kind.fit(source_statistics, reference_statistics, shrinkage)
    return TransportMap(parameters, reference_gaussian, info, tone)


def _check_sides(source: Moments, reference: Moments, patch_size: int) -> None:
    """Check that both sets have patches of this size, and that natural patches vary.

    Raises:
        MomentsError: They do not.
    """
    if source.dimension != reference.dimension or source.dimension % patch_size**2:
        raise MomentsError(
            f"moments of dimension {source.dimension} and {reference.dimension} are not those of patches of size "
            f"{patch_size} of one autoencoder: compute both again"
        )
    natural = reference.gaussian()
    if not has_variation(natural.mean, natural.covariance):
        raise MomentsError(
            f"the {reference.count:,} latent patches of the natural photos are all equal, so there is no detail to "
            "learn from them: calibrate with photos that show something"
        )
