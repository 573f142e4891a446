"""Components: a map between mixtures of Gaussians in place of one between two Gaussians."""

from dataclasses import replace

from deepot.transport.binned_moments import BinnedMoments
from deepot.transport.gaussian import affine_transport
from deepot.transport.transport_map import CalibrationKind, TransportMap


def check_mixture_components(components: int, patch_size: int, calibration: CalibrationKind) -> None:
    """See that so many Gaussians can be fitted.

    Raises:
        ValueError: they cannot; the message names the way out.
    """
    if components < 1:
        raise ValueError(f"the number of mixture components is {components}, it must be 1 or more")
    if components > 1 and patch_size == 1:
        raise ValueError(
            "mixture components separate patches by their detail, and patches of size 1 have none: use patch_size 3"
        )
    if components > 1 and not calibration.has_same_scenes:
        raise ValueError(
            f"there are {components} mixture components, but the two sets show different scenes: one may show more texture than the "
            "other, and then classes do not match; calibrate with calibration.degradation, "
            "or leave transport.mixture_components at 1"
        )


def fit_mixture_map(
    single_map: TransportMap, source: BinnedMoments, reference: BinnedMoments, components: int
) -> TransportMap:
    """Fit the map between mixtures of Gaussians in place of a single map of the same sets.

    Each side's patches make `components` classes of equally many, by rising detail. Class k goes to class k by the
    closed form of its own (a coupling of the mixtures in the sense of Delon & Desolneux 2020, who look for the one of
    least cost), and the share of the way that the single map goes.

    Args:
        single_map: the map that `fit_map` gives.
        source: levels of the restored images' patches.
        reference: levels of the natural images' patches.
        components: number of classes.

    Raises:
        MomentsError: too few patches on a side.
        ValueError: sets of other scenes, or patches of 1, which have no detail.
    """
    check_mixture_components(components, single_map.info.patch_size, CalibrationKind(single_map.info.calibration))
    sides = source.quantile_classes(components), reference.quantile_classes(components)
    pairs = zip(*(side.gaussians for side in sides), strict=True)
    return replace(
        single_map,
        components=tuple(affine_transport(a, b, single_map.info.shrinkage_factor) for a, b in pairs),
        bounds=sides[0].bounds,
        info=replace(single_map.info, mixture_components=components),
    )
