from .bootstrap import BootstrapEstimate
from .image_metrics import flat_area_repetition, frechet_distance, psnr, ssim
from .metric_accumulator import MetricAccumulator, estimate_metrics
from .metric_fn import MetricFn
from .niqe import compute_niqe_moments, niqe_distance
from .patch_histograms import PatchHistograms, pool_counts, projection_quantiles, sliced_wasserstein
from .power_spectrum import log_spectral_distance
from .sweep import (
    CLEAN,
    CLEAN_RECONSTRUCTION,
    RESTORED,
    RESTORED_RECONSTRUCTION,
    SweepPoint,
    sweep_points,
)
from .variants import PhotoVariants, compute_variants

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
