"""Gaussians, moments, transport maps, their operators and their uncertainty."""

from deepot.transport.binned_moments import BinnedMoments, compute_binned_patch_moments
from deepot.transport.drift import estimate_sampling_variance, measure_drift_distance
from deepot.transport.gaussian import Gaussian, affine_transport, transport_matrix, wasserstein2_squared
from deepot.transport.mixture_fit import check_mixture_components, fit_mixture_map
from deepot.transport.mixture_operator import MixtureTransport
from deepot.transport.moments import MergeableT, Moments, merge_in_order, read_autoencoder_sha256
from deepot.transport.patch_moments import compute_patch_moments
from deepot.transport.patch_nll import PatchNll
from deepot.transport.patch_operator import PatchTransport, count_overlaps, detail_energy, extract_patches
from deepot.transport.transport_map import CalibrationKind, TransportMap, fit_map
from deepot.transport.uncertainty import dct_basis, estimate_uncertainty, to_frequencies

__all__ = [
    "BinnedMoments",
    "CalibrationKind",
    "Gaussian",
    "MergeableT",
    "MixtureTransport",
    "Moments",
    "PatchNll",
    "PatchTransport",
    "TransportMap",
    "affine_transport",
    "check_mixture_components",
    "compute_binned_patch_moments",
    "compute_patch_moments",
    "count_overlaps",
    "dct_basis",
    "detail_energy",
    "estimate_sampling_variance",
    "estimate_uncertainty",
    "extract_patches",
    "fit_map",
    "fit_mixture_map",
    "measure_drift_distance",
    "merge_in_order",
    "read_autoencoder_sha256",
    "to_frequencies",
    "transport_matrix",
    "wasserstein2_squared",
]
