"""Sets of test photos: reading and cropping them, and the scores of one version of all of them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from deepot.evaluation import frechet_distance, psnr, ssim
from deepot.inference import Composition, Preserve, TransportMode
from deepot.photo import Pixels
from deepot.transport import Moments, extract_patches, merge_in_order


def read_photo(path: str | Path) -> Pixels:
    """Return the samples of a photo file."""
    with Image.open(path) as image:
        return Pixels.from_image(image)


def center_crop(photo: Pixels, side: int) -> Pixels:
    """Return the centre square of `side` pixels, or with 0 the photo cropped to multiples of 4."""
    height, width = (min(length, side) if side else length // 4 * 4 for length in (photo.height, photo.width))
    top, left = (photo.height - height) // 2, (photo.width - width) // 2
    return Pixels(photo.samples[top : top + height, left : left + width].copy())


def select_half(paths: Sequence[Path], half: str) -> Sequence[Path]:
    """Return all paths, or every other one: the 1st, 3rd, … for tuning, the 2nd, 4th, … for reporting."""
    return {"all": paths, "tuning": paths[::2], "report": paths[1::2]}[half]


def add_difference(
    photo: Pixels, difference: Tensor, mode: TransportMode, factor: int, *, luma: bool = False
) -> Pixels:
    """Return a restored photo with D(z′) − D(z) (1, 3, H, W) added as at α = 0, without a tone curve."""
    composition = Composition(mode, factor, preserve=(Preserve.CHROMA,) if luma else ())
    filtered = composition.filter_difference(difference)[:, :, : photo.height, : photo.width].cpu()
    enhanced = Pixels(photo.samples.copy())
    enhanced.add_rgb_delta(0, composition.change(filtered, photo.to_rgb(), photo.to_rgb(), 1.0))
    return enhanced


class PhotoSetScores:
    """PSNR, SSIM and feature statistics of one version of a set of photos.

    Attributes:
        psnr: dB to the clean photo, one a photo.
        ssim: likewise.
        photo_moments: of each feature map, those of each photo.
    """

    def __init__(self, features: torch.nn.Module) -> None:
        self.features = features
        self.psnr: list[float] = []
        self.ssim: list[float] = []
        self.photo_moments: list[list[Moments]] = []

    @torch.inference_mode()
    def add(self, image: Tensor, clean: Tensor) -> None:
        """Add a photo and its clean original, both (1, 3, H, W) in [0, 1]."""
        self.psnr.append(psnr(image, clean))
        self.ssim.append(ssim(image, clean))
        found = [Moments.from_patches(extract_patches(features, 1)) for features in self.features(image)]
        self.photo_moments = self.photo_moments or [[] for _ in found]
        for blocks, moments in zip(self.photo_moments, found, strict=True):
            blocks.append(moments)

    @property
    def moments(self) -> list[Moments]:
        """Of each feature map, over all positions of all photos."""
        return [merge_in_order(blocks) for blocks in self.photo_moments]

    def frechet_distances(self, clean: "PhotoSetScores") -> list[float]:
        """Return the Fréchet distance of each feature map to that of the clean photos."""
        return [frechet_distance(mine, theirs) for mine, theirs in zip(self.moments, clean.moments, strict=True)]
