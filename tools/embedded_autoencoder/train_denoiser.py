"""Train a small denoiser for squared error: it restores noisy crops of the dataset as smoothly as restoration models.

    python tools/embedded_autoencoder/train_denoiser.py --photos PHOTOS/natural --minutes 15 --out denoiser.safetensors

Convolutions at half resolution get the noise level as an input, as in FFDNet (Zhang, Zuo, Zhang 2018, arXiv
1710.04026), and are trained on noise that is rounded and clipped to 8 bits. An interrupted run resumes with --resume
from the checkpoint beside the output.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from tools.embedded_autoencoder.common import (
    Training,
    TrainingLength,
    add_training_options,
    make_optimizers,
    resolve_device,
    write_report,
)
from tools.embedded_autoencoder.photos import TrainingPhotos

WIDTH, DEPTH = 64, 8
MIN_SIGMA, MAX_SIGMA = 10.0, 75.0  # standard deviation of the noise, on the 0–255 scale


@dataclass(frozen=True)
class Options:
    """Options of one run; `steps` takes precedence over `minutes`."""

    photos: tuple[Path, ...]
    out: Path
    minutes: float = 15.0
    steps: int | None = None
    learning_rate: float = 3e-3
    crop: int = 96
    batch: int = 8
    seed: int = 0
    threads: int = 1
    device: str = "auto"
    resume: bool = False


class Denoiser(nn.Module):
    """Noisy images (B, 3, H, W) in [0, 1], H and W even, and σ of each, (B,), on that scale → denoised images."""

    def __init__(self) -> None:
        super().__init__()
        widths = [13, *[WIDTH] * (DEPTH - 1), 12]
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))

    def forward(self, images: Tensor, sigma: Tensor) -> Tensor:
        """Remove the noise."""
        folded = functional.pixel_unshuffle(images, 2)
        hidden = torch.cat([folded, sigma.view(-1, 1, 1, 1).expand_as(folded[:, :1])], 1)
        for layer in self.layers[:-1]:
            hidden = functional.relu(layer(hidden))
        noise: Tensor = functional.pixel_shuffle(self.layers[-1](hidden), 2)
        return images - noise


class DenoiserModel(nn.Module):
    """A trained denoiser as a restorer model for one noise level.

    Args:
        weights: the file that `train` wrote.
        sigma: standard deviation of the noise, on the 0–255 scale.
    """

    scale = 1

    def __init__(self, weights: Path, sigma: float) -> None:
        super().__init__()
        self.denoiser = Denoiser()
        self.denoiser.load_state_dict(load_file(weights))
        self.register_buffer("sigma", torch.tensor([sigma / 255]))

    def forward(self, images: Tensor) -> Tensor:
        """Denoise images (1, 3, H, W) in [0, 1] of any size."""
        height, width = images.shape[-2:]
        even = functional.pad(images, (0, width % 2, 0, height % 2), mode="replicate")
        denoised: Tensor = self.denoiser(even, self.sigma)
        return denoised[..., :height, :width]


class DenoiserTraining(Training):
    """The training of a denoiser."""

    def __init__(self, options: Options, photos: TrainingPhotos) -> None:
        torch.manual_seed(options.seed)
        self.options, self.photos = options, photos
        model = Denoiser().to(resolve_device(options.device))
        optimizers = make_optimizers(model, options.learning_rate)
        length = TrainingLength(options.minutes, options.steps)
        super().__init__(model, optimizers, length, checkpoint_path(options.out), options.seed)

    def loss(self) -> Tensor:
        """Return the mean squared error over σ, so that no noise level outweighs the others."""
        photos = (self.photos.sample(self.options.batch, self.generator) + 1) / 2
        uniform = torch.rand(len(photos), generator=self.generator)
        sigma = torch.lerp(torch.tensor(MIN_SIGMA), torch.tensor(MAX_SIGMA), uniform) / 255
        noise = torch.randn(photos.shape, generator=self.generator) * sigma.view(-1, 1, 1, 1)
        noisy = ((photos + noise) * 255).round().clamp(0, 255) / 255
        photos, noisy, sigma = (tensor.to(self.device) for tensor in (photos, noisy, sigma))
        error: Tensor = (self.model(noisy, sigma) - photos).square().mean((1, 2, 3)) / sigma
        return error.mean()


def checkpoint_path(out: Path) -> Path:
    """Return the checkpoint beside the weights."""
    return out.with_suffix(".checkpoint.pt")


def train(options: Options) -> None:
    """Train to the end; write the weights, and a report beside them."""
    torch.set_num_threads(options.threads)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    photos = TrainingPhotos(options.photos, options.crop)
    training = DenoiserTraining(options, photos)
    loss = training.run(options.resume)
    counts = {"number": len(photos.images), "sha256": photos.sha256}
    write_report(options.out.with_suffix(".json"), training.report(options, photos=counts, final_loss=loss))
    partial = options.out.with_name(options.out.name + ".partial")
    save_file(training.average, partial)
    partial.replace(options.out)


def main(arguments: Sequence[str]) -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of photos")
    parser.add_argument("--out", type=Path, required=True, help="file of the weights")
    parser.add_argument("--crop", type=int, default=Options.crop, help="side of a crop in pixels, even (default: 96)")
    add_training_options(
        parser,
        minutes=Options.minutes,
        learning_rate=Options.learning_rate,
        batch=Options.batch,
        seed=Options.seed,
    )
    options = Options(**vars(parser.parse_args(arguments)))
    if options.crop % 2:
        parser.error(f"--crop {options.crop} is odd: the denoiser works at half resolution, so give an even number")
    train(options)


if __name__ == "__main__":
    main(sys.argv[1:])
