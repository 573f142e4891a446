"""Train a small denoiser for squared error: what mends noisy crops of a lesson, as smooth as restoration models do.

    python tools/train_denoiser.py --photos PHOTOS/natural --minutes 15 --out denoiser.safetensors

Convolutions at half resolution that are told the strength of the noise, as in FFDNet (Zhang, Zuo, Zhang 2018, arXiv
1710.04026), trained on noise that is rounded and clipped to 8 bits. A checkpoint beside the output makes an interrupted
run go on with --resume.
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
from train_autoencoder import Photos
from training import Length, Training, chosen_device, distilling, write_json

WIDTH, DEPTH = 64, 8
WEAKEST, STRONGEST = 10.0, 75.0  # standard deviations of the noise, on the 0–255 scale


@dataclass(frozen=True)
class Options:
    """What one run is asked to do; `steps` wins over `minutes` where both are given."""

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
    """Noisy images (B, 3, H, W) in [0, 1], H and W even, and σ of each, (B,), on that scale → images without noise."""

    def __init__(self) -> None:
        super().__init__()
        widths = [13, *[WIDTH] * (DEPTH - 1), 12]
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))

    def forward(self, images: Tensor, sigma: Tensor) -> Tensor:
        """Take the noise away."""
        folded = functional.pixel_unshuffle(images, 2)
        seen = torch.cat([folded, sigma.view(-1, 1, 1, 1).expand_as(folded[:, :1])], 1)
        for layer in self.layers[:-1]:
            seen = functional.relu(layer(seen))
        noise: Tensor = functional.pixel_shuffle(self.layers[-1](seen), 2)
        return images - noise


class Mend(nn.Module):
    """A trained denoiser, as a restorer for noise of one strength.

    Args:
        weights: what `train` wrote.
        sigma: standard deviation of the noise, on the 0–255 scale.
    """

    scale = 1

    def __init__(self, weights: Path, sigma: float) -> None:
        super().__init__()
        self.denoiser = Denoiser()
        self.denoiser.load_state_dict(load_file(weights))
        self.register_buffer("sigma", torch.tensor([sigma / 255]))

    def forward(self, images: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1], of any size → the same."""
        height, width = images.shape[-2:]
        even = functional.pad(images, (0, width % 2, 0, height % 2), mode="replicate")
        clean: Tensor = self.denoiser(even, self.sigma)
        return clean[..., :height, :width]


class Denoising(Training):
    """The training of a denoiser."""

    def __init__(self, options: Options, photos: Photos) -> None:
        torch.manual_seed(options.seed)
        self.options, self.photos = options, photos
        model = Denoiser().to(chosen_device(options.device))
        optimizers = distilling(model, options.learning_rate)
        length = Length(options.minutes, options.steps)
        super().__init__(model, optimizers, length, options.out.with_suffix(".checkpoint.pt"), options.seed)

    def loss(self) -> Tensor:
        """Mean squared error over σ, so that no strength of noise outweighs the others."""
        photos = (self.photos.batch(self.options.batch, self.generator) + 1) / 2
        drawn = torch.rand(len(photos), generator=self.generator)
        sigma = torch.lerp(torch.tensor(WEAKEST), torch.tensor(STRONGEST), drawn) / 255
        noise = torch.randn(photos.shape, generator=self.generator) * sigma.view(-1, 1, 1, 1)
        noisy = ((photos + noise) * 255).round().clamp(0, 255) / 255
        photos, noisy, sigma = (part.to(self.device) for part in (photos, noisy, sigma))
        error: Tensor = (self.model(noisy, sigma) - photos).square().mean((1, 2, 3)) / sigma
        return error.mean()


def train(options: Options) -> None:
    """Train to the end of the time; writes the weights, and a record of the run beside them."""
    torch.set_num_threads(options.threads)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    photos = Photos(options.photos, options.crop)
    training = Denoising(options, photos)
    loss = training.run(options.resume)
    about = {"number": len(photos.images), "sha256": photos.fingerprint}
    write_json(options.out.with_suffix(".json"), training.record(options, photos=about, final_loss=loss))
    partial = options.out.with_name(options.out.name + ".partial")
    save_file(training.average, partial)
    partial.replace(options.out)


def main(arguments: Sequence[str]) -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--photos", type=Path, nargs="+", required=True, help="folders of photos")
    add("--out", type=Path, required=True, help="the weights' file")
    add("--minutes", type=float, default=Options.minutes, help="how long to train (default: 15)")
    add("--steps", type=int, help="how many steps to take instead")
    add("--learning-rate", type=float, default=Options.learning_rate, help="at its highest (default: 0.003)")
    add("--crop", type=int, default=Options.crop, help="side of a crop in pixels, even (default: 96)")
    add("--batch", type=int, default=Options.batch, help="crops in a step (default: 8)")
    add("--seed", type=int, default=Options.seed)
    add("--threads", type=int, default=Options.threads)
    add("--device", default=Options.device, help="auto, cpu or cuda")
    add("--resume", action="store_true", help="go on from the checkpoint beside --out")
    options = Options(**vars(parser.parse_args(arguments)))
    if options.crop % 2:
        parser.error(f"--crop {options.crop} is odd: the denoiser works at half resolution")
    train(options)


if __name__ == "__main__":
    main(sys.argv[1:])
