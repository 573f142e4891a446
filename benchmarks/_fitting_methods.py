"""Methods of fitting a map on the photos of a draw, and the cache of the photos' moments."""

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks._photo_sets import center_crop, read_photo
from deepot.autoencoder import LoadedAutoencoder
from deepot.inference import degrade_photo, photo_moments
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.transport import Gaussian, Moments, affine_transport, estimate_uncertainty, merge_in_order, transport_matrix

DRAWS_FILE = Path(__file__).with_name("few_photos_draws.json")
PhotoMoments = Sequence[Moments]
"""Moments of photos, one each."""
Affine = tuple[Tensor, Tensor]
"""A map of patches x → A x + b."""
_PRIOR_PHOTOS = 100  # the weight of the prior in `pooled`, in photos


@dataclass(frozen=True)
class Draw:
    """Moments of the photos of a draw.

    Attributes:
        natural: of the photos.
        restored: of the same photos, degraded and restored.
        restored_twice: of these, degraded and restored once more.
        others: of other photos, degraded and restored.
        patch_size: p.
    """

    natural: PhotoMoments
    restored: PhotoMoments
    restored_twice: PhotoMoments
    others: PhotoMoments
    patch_size: int


def read_draws(limit: int) -> list[dict[str, list[str]]]:
    """Return the names of the photos of the first `limit` draws."""
    draws: list[dict[str, list[str]]] = json.loads(DRAWS_FILE.read_text())["draws"][:limit]
    return draws


def merge_gaussians(source: PhotoMoments, reference: PhotoMoments) -> tuple[Gaussian, Gaussian]:
    """Return the Gaussians of both sides."""
    return merge_in_order(source).gaussian(), merge_in_order(reference).gaussian()


def published(source: Gaussian, reference: Gaussian) -> Affine:
    """Return the map without regularisation."""
    matrix = transport_matrix(source.covariance, reference.covariance)
    return matrix, reference.mean - matrix @ source.mean


def mean_preserving(source: Gaussian, reference: Gaussian) -> Affine:
    """Return the map without its mean shift."""
    matrix, _ = published(source, reference)
    return matrix, source.mean - matrix @ source.mean


def shrunk(source: Gaussian, reference: Gaussian, share: float) -> Affine:
    """Return the map shrunk towards the identity: 1 is the map, 0 the identity."""
    matrix, bias = published(source, reference)
    return torch.lerp(torch.eye(len(bias), dtype=matrix.dtype), matrix, share), share * bias


def leading_preserving(source: Gaussian, reference: Gaussian, number: int) -> Affine:
    """Return the map in all but the leading directions of the mean covariance, which it leaves as they are."""
    _, basis = torch.linalg.eigh((source.covariance + reference.covariance) / 2)
    rest, leading = basis[:, :-number], basis[:, -number:]
    within = transport_matrix(rest.mT @ source.covariance @ rest, rest.mT @ reference.covariance @ rest)
    matrix = rest @ within @ rest.mT + leading @ leading.mT
    target = source.mean + rest @ (rest.mT @ (reference.mean - source.mean))
    return matrix, target - matrix @ source.mean


def shrunk_by_standard_errors(draw: Draw, shrinkage_se: float) -> Affine:
    """Return the unpaired map shrunk as deepot shrinks it, by this many standard errors."""
    shrinkage = estimate_uncertainty(draw.others, draw.natural, draw.patch_size).shrinkage(shrinkage_se)
    affine = affine_transport(*merge_gaussians(draw.others, draw.natural), shrinkage)
    return affine.matrix, affine.bias()


def pooled(draw: Draw) -> Affine:
    """Return the unpaired map between Gaussians that are moved towards their average, by 100 / (100 + n)."""
    source, reference = merge_gaussians(draw.others, draw.natural)
    weight = _PRIOR_PHOTOS / (_PRIOR_PHOTOS + len(draw.natural))
    average = Gaussian((source.mean + reference.mean) / 2, (source.covariance + reference.covariance) / 2)
    moved = (
        Gaussian(*(torch.lerp(mine, ours, weight) for mine, ours in zip(side, average, strict=True)))
        for side in (source, reference)
    )
    return published(*moved)


def _unpaired(draw: Draw) -> tuple[Gaussian, Gaussian]:
    return merge_gaussians(draw.others, draw.natural)


METHODS: dict[str, Callable[[Draw], Affine]] = {
    "paired": lambda draw: published(*merge_gaussians(draw.restored, draw.natural)),
    "self": lambda draw: published(*merge_gaussians(draw.restored_twice, draw.restored)),
    "unpaired: published": lambda draw: published(*_unpaired(draw)),
    "unpaired: pooled": pooled,
    "unpaired: mean preserved": lambda draw: mean_preserving(*_unpaired(draw)),
    "unpaired: a quarter": lambda draw: shrunk(*_unpaired(draw), 0.25),
    "unpaired: 32 leading directions preserved": lambda draw: leading_preserving(*_unpaired(draw), 32),
    "unpaired: half": lambda draw: shrunk(*_unpaired(draw), 0.5),
    "unpaired: shrinkage_se 0.5": lambda draw: shrunk_by_standard_errors(draw, 0.5),
    "unpaired: shrinkage_se 1": lambda draw: shrunk_by_standard_errors(draw, 1.0),
    "unpaired: shrinkage_se 1.5": lambda draw: shrunk_by_standard_errors(draw, 1.5),
}


class MomentsCache:
    """Moments of calibration photos, kept in a folder."""

    def __init__(self, autoencoder: LoadedAutoencoder, options: argparse.Namespace) -> None:
        self._autoencoder, self._patch_size = autoencoder, options.patch_size
        self._degrade = load_degradation(options.degradation)
        self._restore = load_restorer(options.restorer, allow_code=options.allow_code)
        natural = str(options.natural.absolute())
        key = [autoencoder.sha256, str(autoencoder.dtype), options.degradation, self._restore.sha256, natural]
        self._folder = options.cache / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, path: Path, rounds: int) -> Moments:
        """Return the moments of a photo after this many rounds of degradation and restoration."""
        cached = self._folder / f"{path.stem}-{rounds}-{self._patch_size}.safetensors"
        if not cached.exists():
            photo, rng = center_crop(read_photo(path), 0), rng_for(path.name.encode())
            for _ in range(rounds):
                photo = self._restore(degrade_photo(photo, self._degrade, rng))
            cached.write_bytes(photo_moments(self._autoencoder, photo, self._patch_size).to_bytes())
        return Moments.from_bytes(cached.read_bytes())

    def read_draw(self, folder: Path, names: dict[str, list[str]]) -> Draw:
        """Return the moments of a draw."""
        same, others = ([folder / name for name in names[side]] for side in ("photos", "others"))
        natural, restored, restored_twice = ([self.read(path, rounds) for path in same] for rounds in range(3))
        return Draw(natural, restored, restored_twice, [self.read(path, 1) for path in others], self._patch_size)
