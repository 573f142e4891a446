from .binned_moments import BinnedMoments, compute_binned_patch_moments
from .calibration_kind import CalibrationKind
from .change_by_photo import ChangeByPhoto
from .change_model import BandGains, ChangeModel, fit_change
from .change_sums import ChangeSums
from .dct import dct_basis, to_frequencies
from .drift import estimate_sampling_variance, measure_drift_distance
from .energy_gains import fit_energy_gains
from .energy_sums import EnergySums
from .error_curve import (
    MAX_ALPHA,
    MAX_STRENGTH,
    MIN_ALPHA,
    MIN_STRENGTH,
    CompanionFit,
    ErrorCurve,
    alpha_from_strength,
    check_alpha,
    parse_photo_limit,
)
from .exact_operator import ExactPatchTransport, make_exact_operator
from .gaussian import Gaussian, affine_transport, transport_matrix, wasserstein2_squared
from .map_fit import fit_map
from .map_info import MapInfo
from .map_kinds import MAP_KINDS, LatentOperator, MapKind, PatchStatistics, load_map_kind
from .merging import MergeableT, merge_in_order
from .mixture_operator import MixtureTransport
from .moments import Moments, read_autoencoder_sha256
from .moments_by_photo import MomentsByPhoto
from .natural_test import MIN_TEST_PHOTOS, NaturalTest, fit_natural_test
from .patch_moments import compute_patch_moments
from .patch_nll import PatchNll
from .patch_operator import PatchTransport, count_overlaps, detail_energy, extract_patches
from .photo_curves import PhotoCurves, StrengthRule, fit_photo_curves
from .tone import ToneCurve, ToneSums, fit_tone
from .transport_map import TransportMap
from .uncertainty import estimate_uncertainty

__all__ = [
    "MAP_KINDS",
    "MAX_ALPHA",
    "MAX_STRENGTH",
    "MIN_ALPHA",
    "MIN_STRENGTH",
    "MIN_TEST_PHOTOS",
    "BandGains",
    "BinnedMoments",
    "CalibrationKind",
    "ChangeByPhoto",
    "ChangeModel",
    "ChangeSums",
    "CompanionFit",
    "EnergySums",
    "ErrorCurve",
    "ExactPatchTransport",
    "Gaussian",
    "LatentOperator",
    "MapInfo",
    "MapKind",
    "MergeableT",
    "MixtureTransport",
    "Moments",
    "MomentsByPhoto",
    "NaturalTest",
    "PatchNll",
    "PatchStatistics",
    "PatchTransport",
    "PhotoCurves",
    "StrengthRule",
    "ToneCurve",
    "ToneSums",
    "TransportMap",
    "affine_transport",
    "alpha_from_strength",
    "check_alpha",
    "compute_binned_patch_moments",
    "compute_patch_moments",
    "count_overlaps",
    "dct_basis",
    "detail_energy",
    "estimate_sampling_variance",
    "estimate_uncertainty",
    "extract_patches",
    "fit_change",
    "fit_energy_gains",
    "fit_map",
    "fit_natural_test",
    "fit_photo_curves",
    "fit_tone",
    "load_map_kind",
    "make_exact_operator",
    "measure_drift_distance",
    "merge_in_order",
    "parse_photo_limit",
    "read_autoencoder_sha256",
    "to_frequencies",
    "transport_matrix",
    "wasserstein2_squared",
]
