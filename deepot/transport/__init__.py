"""Gaussians, moments, transport maps, their operators and their uncertainty."""

from deepot.transport.binned_moments import BinnedMoments, compute_binned_patch_moments
from deepot.transport.calibration_kind import CalibrationKind
from deepot.transport.change_model import BandGains, ChangeModel, fit_change
from deepot.transport.change_sums import ChangeSums
from deepot.transport.dct import dct_basis, to_frequencies
from deepot.transport.drift import estimate_sampling_variance, measure_drift_distance
from deepot.transport.energy_gains import fit_energy_gains
from deepot.transport.energy_sums import EnergySums
from deepot.transport.error_curve import CompanionFit, ErrorCurve, check_alpha
from deepot.transport.gaussian import Gaussian, affine_transport, transport_matrix, wasserstein2_squared
from deepot.transport.map_fit import fit_map
from deepot.transport.map_info import MapInfo
from deepot.transport.map_kinds import MAP_KINDS, LatentOperator, MapKind, PatchStatistics, load_map_kind
from deepot.transport.merging import MergeableT, merge_in_order
from deepot.transport.mixture_operator import MixtureTransport
from deepot.transport.moments import Moments, read_autoencoder_sha256
from deepot.transport.patch_moments import compute_patch_moments
from deepot.transport.patch_nll import PatchNll
from deepot.transport.patch_operator import PatchTransport, count_overlaps, detail_energy, extract_patches
from deepot.transport.tone import ToneCurve, ToneSums, fit_tone
from deepot.transport.transport_map import TransportMap
from deepot.transport.uncertainty import estimate_uncertainty

__all__ = [
    "MAP_KINDS",
    "BandGains",
    "BinnedMoments",
    "CalibrationKind",
    "ChangeModel",
    "ChangeSums",
    "CompanionFit",
    "EnergySums",
    "ErrorCurve",
    "Gaussian",
    "LatentOperator",
    "MapInfo",
    "MapKind",
    "MergeableT",
    "MixtureTransport",
    "Moments",
    "PatchNll",
    "PatchStatistics",
    "PatchTransport",
    "ToneCurve",
    "ToneSums",
    "TransportMap",
    "affine_transport",
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
    "fit_tone",
    "load_map_kind",
    "measure_drift_distance",
    "merge_in_order",
    "read_autoencoder_sha256",
    "to_frequencies",
    "transport_matrix",
    "wasserstein2_squared",
]
