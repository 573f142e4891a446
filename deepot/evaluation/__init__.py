"""Image metrics, variants of photos and the bootstrap."""

from deepot.evaluation.bootstrap import BootstrapEstimate
from deepot.evaluation.image_metrics import flat_area_repetition, frechet_distance, psnr, ssim
from deepot.evaluation.metric_accumulator import MetricAccumulator, estimate_metrics
from deepot.evaluation.metric_fn import MetricFn
from deepot.evaluation.niqe import compute_niqe_moments, niqe_distance
from deepot.evaluation.patch_histograms import PatchHistograms, pool_counts, projection_quantiles, sliced_wasserstein
from deepot.evaluation.power_spectrum import log_spectral_distance
from deepot.evaluation.sweep import (
    CLEAN,
    CLEAN_RECONSTRUCTION,
    RESTORED,
    RESTORED_RECONSTRUCTION,
    SweepPoint,
    sweep_points,
)
from deepot.evaluation.variants import PhotoVariants, compute_variants

__all__ = [
    "CLEAN",
    "CLEAN_RECONSTRUCTION",
    "RESTORED",
    "RESTORED_RECONSTRUCTION",
    "BootstrapEstimate",
    "MetricAccumulator",
    "MetricFn",
    "PatchHistograms",
    "PhotoVariants",
    "SweepPoint",
    "compute_niqe_moments",
    "compute_variants",
    "estimate_metrics",
    "flat_area_repetition",
    "frechet_distance",
    "log_spectral_distance",
    "niqe_distance",
    "pool_counts",
    "projection_quantiles",
    "psnr",
    "sliced_wasserstein",
    "ssim",
    "sweep_points",
]
