"""Evaluation: how far the versions of photos are from their clean originals, and from each other."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepot.autoencoder import default_device
from deepot.evaluation.bootstrap import (
    MAX_BOOTSTRAP_BLOCKS,
    BootstrapEstimate,
    bootstrap_distance,
    bootstrap_mean,
    correct_bias,
    resample_counts,
)
from deepot.evaluation.image_metrics import frechet_distance, psnr, ssim
from deepot.evaluation.variants import CLEAN, PhotoVariants, SweepPoint
from deepot.inference import Preserve
from deepot.spec import call_factory, fingerprint
from deepot.transport import Moments, compute_patch_moments, merge_in_order

MAX_PSNR = 100.0
"""What an image that equals the clean one counts as, in dB: one infinity would be the mean of all."""


class MetricFn:
    """A feature network, or a metric of pairs, out of a `module:factory`.

    Features: images (B, 3, H, W) in [0, 1] → a list of maps (B, C, h, w), one a depth. Metrics: (image, clean), both
    (1, 3, H, W) in [0, 1] → a number. A torch module is put into evaluation mode and on the best device.

    Attributes:
        name: the spec.
        sha256: fingerprint of the spec and of the module's weights.
    """

    def __init__(self, spec: str) -> None:
        """Call the factory.

        Raises:
            SpecError: there is no such factory.
        """
        function = call_factory(spec)
        self.name, self.sha256, self._device = spec, fingerprint(spec, function), torch.device("cpu")
        if isinstance(function, nn.Module):
            self._device = default_device()
            function = function.eval().requires_grad_(False).to(self._device)
        self._function: Callable[..., Any] = function

    @torch.inference_mode()
    def __call__(self, *images: Tensor) -> Any:  # noqa: ANN401 - what it gives depends on what it is
        """Maps of an image, or the number of a pair."""
        return self._function(*(image.contiguous().to(self._device) for image in images))


@dataclass
class MetricAccumulator:
    """What was measured of one point.

    Attributes:
        per_photo: metric name → a number for each photo.
        block_moments: name of a set of vectors ("map 1" …, "latents") → its moments for each block of photos; the number
            of a photo, modulo `MOST_BLOCKS`, is its block.
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
        """Take in one version of the next photo; `preserve` as for `Enhancer`."""
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
        """Fréchet distance of a set to the clean photos', over the variance of theirs: W2² / tr Σ."""
        return frechet_distance(merge_in_order(self.block_moments[name]), merge_in_order(clean.block_moments[name]))


def estimate_metrics(
    measured: MetricAccumulator, clean: MetricAccumulator, restored: MetricAccumulator, replicates: int
) -> Iterator[tuple[str, BootstrapEstimate]]:
    """Everything told of a point, by name.

    Args:
        measured: of the point.
        clean: of the clean photos.
        restored: of x*, for the falls.
        replicates: of the bootstrap.

    Yields:
        "psnr" (dB), "ssim", further metrics: means over photos. "map 1" …, "latents": Fréchet distances; for the
        latents that is their W2² over the variance of the clean ones. "reduction of map 1" …: 1 − distance / distance of x*.
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
