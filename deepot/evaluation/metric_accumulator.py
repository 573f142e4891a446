"""Evaluation: how far the versions of photos are from their clean originals, and from each other."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepot.autoencoder.autoencoder import default_device
from deepot.evaluation.bootstrap import MOST_BLOCKS, Estimate, bootstrap_distance, bootstrap_mean, draws, recentred
from deepot.evaluation.image_metrics import frechet_distance, psnr, ssim
from deepot.evaluation.variants import CLEAN, Point, Versions
from deepot.inference.modes import Keep
from deepot.spec import call_factory, fingerprint
from deepot.transport.moments import Moments, merge_in_order
from deepot.transport.patch_moments import patch_moments

MOST_PSNR = 100.0
"""What an image that equals the clean one counts as, in dB: one infinity would be the mean of all."""


class Judge:
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
        made = call_factory(spec)
        self.name, self.sha256, self._device = spec, fingerprint(spec, made), torch.device("cpu")
        if isinstance(made, nn.Module):
            self._device = default_device()
            made = made.eval().requires_grad_(False).to(self._device)
        self._function: Callable[..., Any] = made

    @torch.inference_mode()
    def __call__(self, *images: Tensor) -> Any:  # noqa: ANN401 - what it gives depends on what it is
        """Maps of an image, or the number of a pair."""
        return self._function(*(image.contiguous().to(self._device) for image in images))


@dataclass
class Scores:
    """What was measured of one point.

    Attributes:
        photos: metric name → a number for each photo.
        sets: name of a set of vectors ("map 1" …, "latents") → its moments for each block of photos; the number
            of a photo, modulo `MOST_BLOCKS`, is its block.
    """

    photos: dict[str, list[float]] = field(default_factory=dict)
    sets: dict[str, list[Moments]] = field(default_factory=dict)

    @torch.inference_mode()
    def add(
        self,
        versions: Versions,
        point: Point,
        patch_size: int,
        features: Judge | None,
        metrics: Sequence[Judge],
        keep: Collection[Keep] = (),
    ) -> None:
        """Take in one version of the next photo; `keep` as for `Enhancer`."""
        image, clean = versions.image(point, keep), versions.image(Point(CLEAN))
        values = {"psnr": min(psnr(image, clean), MOST_PSNR), "ssim": ssim(image, clean)}
        values |= {metric.name: float(metric(image, clean)) for metric in metrics}
        number = len(self.photos.get("psnr", ()))
        for name, value in values.items():
            self.photos.setdefault(name, []).append(value)
        found = {"latents": patch_moments(versions.latents_of(point), patch_size)}
        for depth, maps in enumerate(features(image) if features else (), 1):
            found[f"map {depth}"] = patch_moments(maps.float(), 1)
        for name, moments in found.items():
            blocks = self.sets.setdefault(name, [])
            if number < MOST_BLOCKS:
                blocks.append(moments)
            else:
                blocks[number % MOST_BLOCKS] = blocks[number % MOST_BLOCKS].merge(moments)

    def distance(self, name: str, clean: "Scores") -> float:
        """Fréchet distance of a set to the clean photos', over the variance of theirs: W2² / tr Σ."""
        return frechet_distance(merge_in_order(self.sets[name]), merge_in_order(clean.sets[name]))


def estimates(scores: Scores, clean: Scores, before: Scores, replicates: int) -> Iterator[tuple[str, Estimate]]:
    """Everything told of a point, by name.

    Args:
        scores: of the point.
        clean: of the clean photos.
        before: of x*, for the falls.
        replicates: of the bootstrap.

    Yields:
        "psnr" (dB), "ssim", further metrics: means over photos. "map 1" …, "latents": Fréchet distances; for the
        latents that is their W2² over the variance of the clean ones. "fall of map 1" …: 1 − distance / distance of x*.
    """
    photos = len(scores.photos["psnr"])
    counts = draws(photos, replicates if photos > 1 else 0)
    for name, values in scores.photos.items():
        yield name, Estimate.of(sum(values) / len(values), bootstrap_mean(values, counts))
    for name, blocks in scores.sets.items():
        value, old = scores.distance(name, clean), before.distance(name, clean)
        again, again_old = (bootstrap_distance(s, clean.sets[name], counts) for s in (blocks, before.sets[name]))
        yield name, Estimate.of(value, np.maximum(recentred(again, value), 0))
        if old > 0:
            fall = 1 - value / old
            again_old = np.where(again_old > 0, again_old, np.nan)
            yield f"fall of {name}", Estimate.of(fall, recentred(1 - again / again_old, fall))
