"""Evaluation: versions of photos whose clean originals are known, and how far each version is from them."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepot.codec import Codec, default_device
from deepot.details import details
from deepot.enhance import Keep, Mode, luma
from deepot.metrics import frechet_distance, psnr, ssim
from deepot.moments import Moments, merge_in_order
from deepot.passes import check_finite, decoder, encode
from deepot.patch_moments import patch_moments
from deepot.pixels import Pixels
from deepot.spec import call_factory, fingerprint
from deepot.tiling import Span, TilePlan

CLEAN, RESTORED = "clean", "restored"
ROUND_TRIP, CLEAN_ROUND_TRIP = "round trip of restored", "round trip of clean"
MOST_BLOCKS = 64
_JITTER = 1e-12  # relative; so that features without variance have a Cholesky factor

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
        return self._function(*(image.to(self._device) for image in images))


@dataclass(frozen=True)
class Point:
    """One version of all photos: a mode of transport at an α, or one of the controls, which have none.

    Controls are the clean photo, x* ("restored", which is every mode's α = 1), and what the autoencoder alone makes of
    either: whatever "plain" gains at no transport at all is gained by the round trip, not by the map.
    """

    name: str
    alpha: float | None = None

    def __str__(self) -> str:
        return self.name if self.alpha is None else f"{self.name} α={self.alpha:g}"


def sweep(modes: Sequence[Mode], alphas: Sequence[float]) -> list[Point]:
    """The controls, then every mode at every α but 1, which is the control "restored"."""
    controls = [Point(name) for name in (RESTORED, ROUND_TRIP, CLEAN_ROUND_TRIP)]
    steps = sorted(set(alphas) - {1.0})
    return controls + [Point(mode.value, alpha) for mode in dict.fromkeys(modes) for alpha in steps]


@dataclass(frozen=True)
class Versions:
    """All that the versions of one photo are made of.

    Attributes:
        clean: x, (H, W, 3), uint8.
        restored: x*, (H, W, 3), uint8.
        clean_round_trip: D(E(x)), (1, 3, H, W), float32.
        round_trip: D(z) with z = E(x*).
        moved: D(z′), z′ the transported z.
        details: of D(z′) − D(z).
        clean_latents: E(x), (1, c, h, w), float32.
        latents: z.
        moved_latents: z′.
    """

    clean: Tensor
    restored: Tensor
    clean_round_trip: Tensor
    round_trip: Tensor
    moved: Tensor
    details: Tensor
    clean_latents: Tensor
    latents: Tensor
    moved_latents: Tensor

    def image(self, point: Point, keep: Collection[Keep] = ()) -> Tensor:
        """The version as the program writes it, rounded to 8 bits: (1, 3, H, W), [0, 1]; `keep` as for `Enhancer`."""
        if point.name == CLEAN:
            return Pixels(self.clean.numpy()).rgb()
        pixels = Pixels(self.restored.numpy().copy())
        if point.name == RESTORED:
            return pixels.rgb()
        share = 1.0 if point.alpha is None else 1 - point.alpha
        if point.name == Mode.DETAIL.value:
            change = self.details
        elif point.name == Mode.RESIDUAL.value:
            change = self.moved - self.round_trip
        else:
            wanted = {CLEAN_ROUND_TRIP: self.clean_round_trip, ROUND_TRIP: self.round_trip}
            change = wanted.get(point.name, self.moved) - pixels.rgb()
        kept = Keep.COLOUR in keep and point.alpha is not None
        pixels.add(0, share * (luma(change) if kept else change))
        return pixels.rgb()

    def latents_of(self, point: Point) -> Tensor:
        """The latents that the version was decoded from: z + (1 − α)(z′ − z) for all modes."""
        if point.alpha is not None:
            return torch.lerp(self.moved_latents, self.latents, point.alpha)
        return self.clean_latents if point.name in (CLEAN, CLEAN_ROUND_TRIP) else self.latents


@torch.inference_mode()
def versions(
    codec: Codec, transport: Callable[[Tensor], Tensor], clean: Pixels, restored: Pixels, plan: TilePlan
) -> Versions:
    """Encode, transport and decode a photo, both sides of it 8-bit RGB of one size.

    Raises:
        CodecError: the autoencoder gave values that are not finite.
    """

    def stitched(compute: Callable[..., Sequence[Tensor]], *latents: Tensor) -> list[Tensor]:
        """What is computed of tiles of latents, image by image."""

        def tile(row: Span, column: Span) -> Tensor:
            window = (..., slice(row.start, row.stop), slice(column.start, column.stop))
            return torch.cat(list(compute(*(z[window] for z in latents))), dim=1)

        blocks = list(plan.stitch(tile, codec.factor))
        size = plan.height * codec.factor, plan.width * codec.factor
        joined = blocks[0].values.new_empty(1, blocks[0].values.shape[1], *size)
        for block in blocks:
            joined[:, :, *block.place] = block.values
        check_finite(codec, joined)
        cropped = joined[:, :, : clean.height, : clean.width].float().cpu()
        return [image.contiguous() for image in torch.split(cropped, 3, dim=1)]

    z, z_clean = encode(codec, restored, plan), encode(codec, clean, plan)
    moved = transport(z)
    of_clean, of_restored, of_moved = (decoder(codec, latents, plan) for latents in (z_clean, z, moved))

    def decode(latents: Tensor) -> list[Tensor]:
        return [of_clean(latents)]

    def move(latents: Tensor, moved: Tensor) -> list[Tensor]:
        before, after = of_restored(latents), of_moved(moved)
        return [before, after, details(after - before, codec.factor)]

    samples = [torch.from_numpy(pixels.samples) for pixels in (clean, restored)]
    images = stitched(decode, z_clean) + stitched(move, z, moved)
    return Versions(*samples, *images, *(latents.cpu().contiguous() for latents in (z_clean, z, moved)))


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


def draws(photos: int, replicates: int) -> NDArray[np.int64]:
    """How often each block of photos is drawn in each bootstrap replicate, (replicates, blocks); always the same draws.

    Efron & Tibshirani, An Introduction to the Bootstrap, 1993: photos are drawn with replacement, the clean one and
    its versions together, and the same ones for every point, so that points can be compared replicate by replicate.
    """
    blocks = min(photos, MOST_BLOCKS)
    return np.random.default_rng(0).multinomial(blocks, [1 / blocks] * blocks, size=replicates)


def bootstrap_mean(values: Sequence[float], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of per-photo numbers in every replicate."""
    blocks = counts.shape[1]
    totals = np.array([sum(values[block::blocks]) for block in range(blocks)])
    sizes = np.array([len(values[block::blocks]) for block in range(blocks)])
    return np.asarray(counts @ totals / (counts @ sizes), dtype=np.float64)


def bootstrap_distance(
    mine: Sequence[Moments], clean: Sequence[Moments], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The Fréchet distance of `Scores.distance` in every replicate; NaN where too little was drawn for a covariance."""
    sides = [_Stack(mine), _Stack(clean)]
    return np.array([_distance(*(side.weighted(row) for side in sides)) for row in counts])


def recentred(replicates: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    """Replicates of a distance without the bias that drawing again adds.

    A distance of few images is too large, and that of images drawn from these is too large once more, by about as much:
    the replicates' spread is kept and their mean is brought to the value.
    """
    return replicates - np.nanmean(replicates) + value if np.isfinite(replicates).any() else replicates


class _Stack:
    """Moments of blocks, to be added up with weights."""

    def __init__(self, blocks: Sequence[Moments]) -> None:
        self.counts = torch.tensor([block.count for block in blocks], dtype=torch.float64)
        self.means = torch.stack([block.mean for block in blocks])
        self.scatters = torch.stack([block.scatter for block in blocks])

    def weighted(self, weights: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Mean and covariance of the union in which every block is as often as its weight says."""
        times = torch.from_numpy(weights).double()
        shares = times * self.counts
        mean = shares @ self.means / shares.sum().clamp(min=1)
        off = self.means - mean
        scatter = torch.einsum("b,bij->ij", times, self.scatters) + (shares[:, None] * off).mT @ off
        return mean, scatter / (shares.sum() - 1).clamp(min=1)


def _distance(mine: tuple[Tensor, Tensor], clean: tuple[Tensor, Tensor]) -> float:
    """`frechet_distance`, by a Cholesky factor instead of a root, which is several times faster."""
    total = clean[1].trace()
    if not total > 0:
        return math.nan
    factor = torch.linalg.cholesky(clean[1] + _JITTER * total * torch.eye(len(clean[0]), dtype=torch.float64))
    cross = torch.linalg.eigvalsh(factor.mT @ mine[1] @ factor).clamp(min=0).sqrt().sum()
    squared = (mine[0] - clean[0]).square().sum() + mine[1].trace() + total - 2 * cross
    return max(0.0, float(squared / total))


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % bootstrap interval over photos (percentiles); NaN bounds where there are no replicates."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, replicates: NDArray[np.float64]) -> "Estimate":
        """With the 2.5th and 97.5th percentile of the replicates."""
        kept = replicates[np.isfinite(replicates)]
        if len(kept) == 0:
            return cls(value, math.nan, math.nan)
        low, high = np.percentile(kept, [2.5, 97.5])
        return cls(value, float(low), float(high))


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
