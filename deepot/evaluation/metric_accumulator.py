"""Metrics of the variants of photos, accumulated photo by photo, and their estimates."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from deepot.evaluation.bootstrap import (
    MAX_BOOTSTRAP_BLOCKS,
    BootstrapEstimate,
    bootstrap_distance,
    bootstrap_mean,
    correct_bias,
    resample_counts,
)
from deepot.evaluation.image_metrics import flat_area_repetition, frechet_distance, psnr, ssim
from deepot.evaluation.metric_fn import MetricFn
from deepot.evaluation.niqe import N_FEATURES, compute_niqe_moments, niqe_distance
from deepot.evaluation.patch_histograms import PatchHistograms, resampled_distances
from deepot.evaluation.power_spectrum import log_spectral_distance
from deepot.evaluation.sweep import CLEAN, RESTORED, SweepPoint
from deepot.evaluation.variants import PhotoVariants
from deepot.inference import Preserve
from deepot.transport import Moments, compute_patch_moments, merge_in_order

MAX_PSNR = 100.0
"""PSNR in dB of an image that equals the clean one: with an infinite value the mean would be infinite."""
_Statistics = TypeVar("_Statistics", Moments, PatchHistograms)


@dataclass
class MetricAccumulator:
    """What was measured of one point of a sweep.

    Attributes:
        per_photo: The values of each metric by its name, one for each photo; NaN where a photo has none.
        block_moments: The moments of each set of vectors by its name ("map 1" …, "latents"), one for each block of
            photos; photo i belongs to block i modulo `MAX_BOOTSTRAP_BLOCKS`.
        block_histograms: The histograms of projected patches of the same blocks.
        sharp_patches: The moments of the NIQE features of the sharp patches of all photos.
    """

    per_photo: dict[str, list[float]] = field(default_factory=dict)
    block_moments: dict[str, list[Moments]] = field(default_factory=dict)
    block_histograms: list[PatchHistograms] = field(default_factory=list)
    sharp_patches: Moments = field(default_factory=lambda: Moments.empty(N_FEATURES))

    @torch.inference_mode()
    def add(
        self,
        variants: PhotoVariants,
        point: SweepPoint,
        patch_size: int,
        features: MetricFn | None,
        metrics: Sequence[MetricFn],
        preserve: Collection[Preserve] = (),
        natural: Moments | None = None,
    ) -> None:
        """Measure the variant of the next photo at a point.

        Args:
            variants: The variants of the photo.
            point: The point.
            patch_size: Side of the latent patches.
            features: The feature network, if any.
            metrics: Further metrics.
            preserve: As for `Enhancer`.
            natural: The `sharp_patches` of all clean photos; without them there is no NIQE.
        """
        image, clean = variants.render(point, preserve), variants.render(SweepPoint(CLEAN))
        values = {"psnr": min(psnr(image, clean), MAX_PSNR), "ssim": ssim(image, clean)}
        values["lsd"] = log_spectral_distance(image, clean)
        patches, sharp_patches = compute_niqe_moments(image)
        values["niqe"] = math.nan if natural is None else niqe_distance(patches, natural)
        repetition = flat_area_repetition(image, variants.render(SweepPoint(RESTORED)), int(variants.factor))
        values["repetition"] = sum(repetition) / len(repetition) if repetition else math.nan
        values |= {metric.name: float(metric(image, clean)) for metric in metrics}
        photo_index = len(self.per_photo.get("psnr", ()))
        for name, value in values.items():
            self.per_photo.setdefault(name, []).append(value)
        self.sharp_patches = self.sharp_patches.merge(sharp_patches)
        _add_to_block(self.block_histograms, photo_index, PatchHistograms.from_image(image))
        moments_by_set = {"latents": compute_patch_moments(variants.latents_of(point), patch_size)}
        for depth, maps in enumerate(features(image) if features else (), 1):
            moments_by_set[f"map {depth}"] = compute_patch_moments(maps.float(), 1)
        for name, moments in moments_by_set.items():
            _add_to_block(self.block_moments.setdefault(name, []), photo_index, moments)

    def frechet_distance_to(self, name: str, clean: "MetricAccumulator") -> float:
        """Return the Fréchet distance of a set to that of the clean photos, W2² / tr Σ with Σ of the clean ones."""
        return frechet_distance(merge_in_order(self.block_moments[name]), merge_in_order(clean.block_moments[name]))


def _add_to_block(blocks: list[_Statistics], photo_index: int, found: _Statistics) -> None:
    """Add the statistics of a photo to its block, which is the next new one for the first photos."""
    if photo_index < MAX_BOOTSTRAP_BLOCKS:
        blocks.append(found)
    else:
        block = photo_index % MAX_BOOTSTRAP_BLOCKS
        blocks[block] = blocks[block].merge(found)


def estimate_metrics(
    measured: MetricAccumulator, clean: MetricAccumulator, restored: MetricAccumulator, replicates: int
) -> Iterator[tuple[str, BootstrapEstimate]]:
    """Yield every metric of a point with its bootstrap interval.

    Args:
        measured: What was measured of the point.
        clean: The same of the clean photos.
        restored: The same of the restored photos x*.
        replicates: Number of bootstrap replicates.

    Yields:
        Names and estimates. Means over the photos that have a value: "psnr" (dB), "ssim", "lsd"
        (`log_spectral_distance`, dB), "niqe", "repetition" (`flat_area_repetition`) and further metrics; NaN if no
        photo has one. Distances to the clean photos: "swd level 1" … (`sliced_wasserstein`), "swd", their mean,
        and the Fréchet distances of "map 1" … and "latents" (`frechet_distance`). "reduction of swd", "reduction of
        map 1" …: their relative reduction, 1 − distance / distance of x*.
    """
    n_photos = len(measured.per_photo["psnr"])
    counts = resample_counts(n_photos, replicates if n_photos > 1 else 0)
    for name, values in measured.per_photo.items():
        finite = [value for value in values if math.isfinite(value)]
        value = sum(finite) / len(finite) if finite else math.nan
        yield name, BootstrapEstimate.from_replicates(value, bootstrap_mean(values, counts))
    yield from _estimate_sliced_wasserstein(measured, clean, restored, counts)
    for name, blocks in measured.block_moments.items():
        value, restored_value = measured.frechet_distance_to(name, clean), restored.frechet_distance_to(name, clean)
        replicates_measured, replicates_restored = (
            bootstrap_distance(s, clean.block_moments[name], counts) for s in (blocks, restored.block_moments[name])
        )
        yield from _estimate_distance(name, value, replicates_measured, restored_value, replicates_restored)


def _estimate_sliced_wasserstein(
    measured: MetricAccumulator, clean: MetricAccumulator, restored: MetricAccumulator, counts: NDArray[np.int64]
) -> Iterator[tuple[str, BootstrapEstimate]]:
    """Yield the sliced Wasserstein distances; `counts` (replicates, blocks) are those of `resample_counts`."""
    weights = np.concatenate([np.ones((1, len(clean.block_histograms)), dtype=np.int64), counts])
    values, restored_values = (
        resampled_distances(each.block_histograms, clean.block_histograms, weights) for each in (measured, restored)
    )  # the first row: all photos
    means, restored_means = np.nanmean(values, 1), np.nanmean(restored_values, 1)  # all photos have the first level
    yield from _estimate_distance("swd", float(means[0]), means[1:], float(restored_means[0]), restored_means[1:])
    for level in np.flatnonzero(np.isfinite(values[0])):
        value, replicates = float(values[0, level]), values[1:, level]
        yield f"swd level {level + 1}", _distance_from_replicates(value, replicates)


def _estimate_distance(
    name: str,
    value: float,
    replicates: NDArray[np.float64],
    restored_value: float,
    restored_replicates: NDArray[np.float64],
) -> Iterator[tuple[str, BootstrapEstimate]]:
    """Yield a distance to the clean photos and, if that of x* is positive, its relative reduction."""
    yield name, _distance_from_replicates(value, replicates)
    if restored_value > 0:
        reduction = 1 - value / restored_value
        restored_replicates = np.where(restored_replicates > 0, restored_replicates, np.nan)
        reductions = correct_bias(1 - replicates / restored_replicates, reduction)
        yield f"reduction of {name}", BootstrapEstimate.from_replicates(reduction, reductions)


def _distance_from_replicates(value: float, replicates: NDArray[np.float64]) -> BootstrapEstimate:
    """Return a distance with the interval of its replicates, without their bias."""
    return BootstrapEstimate.from_replicates(value, np.maximum(correct_bias(replicates, value), 0))
