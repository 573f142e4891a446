"""Metrics of the variants of photos, accumulated photo by photo, and their estimates."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from deepot.evaluation.bootstrap import (
    MAX_BOOTSTRAP_BLOCKS,
    BootstrapEstimate,
    bootstrap_distance,
    bootstrap_mean,
    correct_bias,
    resample_counts,
)
from deepot.evaluation.image_metrics import frechet_distance, psnr, ssim
from deepot.evaluation.metric_fn import MetricFn
from deepot.evaluation.sweep import CLEAN, SweepPoint
from deepot.evaluation.variants import PhotoVariants
from deepot.inference import Preserve
from deepot.transport import Moments, compute_patch_moments, merge_in_order

MAX_PSNR = 100.0
"""PSNR in dB of an image that equals the clean one: with an infinite value the mean would be infinite."""


@dataclass
class MetricAccumulator:
    """What was measured of one point of a sweep.

    Attributes:
        per_photo: The values of each metric by its name, one for each photo.
        block_moments: The moments of each set of vectors by its name ("map 1" …, "latents"), one for each block of
            photos; photo i belongs to block i modulo `MAX_BOOTSTRAP_BLOCKS`.
    """

    per_photo: dict[str, list[float]] = field(default_factory=dict)
    block_moments: dict[str, list[Moments]] = field(default_factory=dict)

    @torch.inference_mode()
    def add(
        self,
        variants: PhotoVariants,
        point: SweepPoint,
        patch_size: int,
        features: MetricFn | None,
        metrics: Sequence[MetricFn],
        preserve: Collection[Preserve] = (),
    ) -> None:
        """Measure the variant of the next photo at a point.

        Args:
            variants: The variants of the photo.
            point: The point.
            patch_size: Side of the latent patches.
            features: The feature network, if any.
            metrics: Further metrics.
            preserve: As for `Enhancer`.
        """
        image, clean = variants.render(point, preserve), variants.render(SweepPoint(CLEAN))
        values = {"psnr": min(psnr(image, clean), MAX_PSNR), "ssim": ssim(image, clean)}
        values |= {metric.name: float(metric(image, clean)) for metric in metrics}
        photo_index = len(self.per_photo.get("psnr", ()))
        for name, value in values.items():
            self.per_photo.setdefault(name, []).append(value)
        moments_by_set = {"latents": compute_patch_moments(variants.latents_of(point), patch_size)}
        for depth, maps in enumerate(features(image) if features else (), 1):
            moments_by_set[f"map {depth}"] = compute_patch_moments(maps.float(), 1)
        for name, moments in moments_by_set.items():
            blocks = self.block_moments.setdefault(name, [])
            if photo_index < MAX_BOOTSTRAP_BLOCKS:
                blocks.append(moments)
            else:
                blocks[photo_index % MAX_BOOTSTRAP_BLOCKS] = blocks[photo_index % MAX_BOOTSTRAP_BLOCKS].merge(moments)

    def frechet_distance_to(self, name: str, clean: "MetricAccumulator") -> float:
        """Return the Fréchet distance of a set to that of the clean photos, W2² / tr Σ with Σ of the clean ones."""
        return frechet_distance(merge_in_order(self.block_moments[name]), merge_in_order(clean.block_moments[name]))


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
        Names and estimates. "psnr" (dB), "ssim" and further metrics: means over photos. "map 1" … and "latents":
        Fréchet distances to the clean photos (`frechet_distance`). "reduction of map 1" …: their relative reduction,
        1 − distance / distance of x*.
    """
    n_photos = len(measured.per_photo["psnr"])
    counts = resample_counts(n_photos, replicates if n_photos > 1 else 0)
    for name, values in measured.per_photo.items():
        yield name, BootstrapEstimate.from_replicates(sum(values) / len(values), bootstrap_mean(values, counts))
    for name, blocks in measured.block_moments.items():
        value, restored_value = measured.frechet_distance_to(name, clean), restored.frechet_distance_to(name, clean)
        replicates_measured, replicates_restored = (
            bootstrap_distance(s, clean.block_moments[name], counts) for s in (blocks, restored.block_moments[name])
        )
        yield name, BootstrapEstimate.from_replicates(value, np.maximum(correct_bias(replicates_measured, value), 0))
        if restored_value > 0:
            reduction = 1 - value / restored_value
            replicates_restored = np.where(replicates_restored > 0, replicates_restored, np.nan)
            yield (
                f"reduction of {name}",
                BootstrapEstimate.from_replicates(
                    reduction, correct_bias(1 - replicates_measured / replicates_restored, reduction)
                ),
            )
