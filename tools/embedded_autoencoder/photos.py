"""Train a small factor-8 autoencoder on photos, without a teacher.

    python tools/train_autoencoder.py --photos PHOTOS/natural --minutes 80 --out photo_dc_f8c16

diffusers' AutoencoderDC with ResBlocks only: its space-to-depth shortcuts make it learn several times faster than
AutoencoderTiny of the same size, and all its operations are local. The loss is the absolute error of the pixels and of
their gradients, decoded from latents with a little noise; squared errors join in as training goes on. The weights kept
are a running average. A checkpoint beside the output folder makes an interrupted run go on with --resume.

Its round trip is good, but transport restores less texture in its latents than in those that `distil_autoencoder.py`
learns from a teacher: the model card in `deepot/embedded` has both.
"""

import argparse
import hashlib
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from training import Length, Training, absolute_loss, chosen_device, load_network, network, write_json

LAYERS = (1, 1, 2, 2)
LATENT_NOISE = 0.1
SPREAD_WEIGHT = 1e-3
LONGEST_SIDE = 1800
SMALLEST_SCALE = 0.5


@dataclass(frozen=True)
class Options:
    """What one run is asked to do; `steps` wins over `minutes` where both are given."""

    photos: tuple[Path, ...]
    out: Path
    start: Path | None = None
    minutes: float = 80.0
    steps: int | None = None
    learning_rate: float = 1e-3
    squares: float = 5.0
    crop: int = 128
    batch: int = 8
    widths: tuple[int, ...] = (32, 64, 128, 128)
    channels: int = 16
    seed: int = 0
    device: str = "auto"
    resume: bool = False

    @property
    def checkpoint(self) -> Path:
        """The file beside the output folder that an interrupted run goes on from."""
        return self.out.with_name(self.out.name + ".checkpoint.pt")


class Photos:
    """The training photos in memory, and random crops of them."""

    def __init__(self, folders: Sequence[Path], crop: int) -> None:
        self.crop = crop
        self.images: list[Image.Image] = []
        digest = hashlib.sha256()
        for path in sorted(file for folder in folders for file in folder.rglob("*") if file.is_file()):
            with Image.open(path) as file:
                image = file.convert("RGB")
            image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
            if min(image.size) >= crop:
                self.images.append(image)
                digest.update(path.read_bytes())
        if not self.images:
            raise SystemExit(f"no photo of at least {crop} pixels a side in {', '.join(map(str, folders))}")
        self.fingerprint = digest.hexdigest()
        self.weights = torch.tensor([math.sqrt(image.width * image.height) for image in self.images])

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """(size, 3, crop, crop) in [-1, 1]; larger photos are drawn more often."""
        drawn = torch.multinomial(self.weights, size, replacement=True, generator=generator).tolist()
        crops = np.stack([self._crop(self.images[index], generator) for index in drawn])
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
        return pixels.contiguous(memory_format=torch.channels_last)

    def _crop(self, image: Image.Image, generator: torch.Generator) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """One crop, half of the time of the photo scaled down, flipped or not in either direction."""
        shrink, scale, down, right, mirror, turn = torch.rand(6, generator=generator).tolist()
        side = self.crop
        if shrink < 0.5:
            side = min(round(self.crop / (1 - (1 - SMALLEST_SCALE) * scale)), *image.size)
        left, top = int(right * (image.width - side + 1)), int(down * (image.height - side + 1))
        box = (left, top, left + side, top + side)
        pixels = np.asarray(image.resize((self.crop, self.crop), Image.Resampling.LANCZOS, box=box))
        if mirror < 0.5:
            pixels = pixels[:, ::-1]
        return pixels[::-1] if turn < 0.25 else pixels


class Plain(Training):
    """The training of an autoencoder that has no teacher."""

    def __init__(self, options: Options, photos: Photos) -> None:
        torch.manual_seed(options.seed)
        self.options, self.photos = options, photos
        start, widths = options.start, options.widths
        model = load_network(start) if start else network(options.channels, widths, LAYERS, LAYERS)
        self.autoencoder: Any = model.to(chosen_device(options.device), memory_format=torch.channels_last).train()
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        length = Length(options.minutes, options.steps)
        super().__init__(model, [optimizer], length, options.checkpoint, options.seed, decay=0.999)

    def loss(self) -> Tensor:
        """Absolute errors, squared errors that join in, and how far the latents are from mean 0 and variance 1."""
        target = self.photos.batch(self.options.batch, self.generator).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            latents = self.autoencoder.encode(target).latent
            noise = torch.randn(latents.shape, generator=self.generator).to(latents)
            output: Tensor = self.autoencoder.decode(latents + LATENT_NOISE * noise).sample.float()
        loss: Tensor = absolute_loss(output, target) + SPREAD_WEIGHT * spread(latents.float())
        return loss + self.options.squares * min(1.0, self.done) * (output - target).square().mean()


def spread(latents: Tensor) -> Tensor:
    """How far the channels of (B, c, h, w) latents are from mean 0 and variance 1."""
    mean, variance = latents.mean((0, 2, 3)), latents.var((0, 2, 3))
    return (mean.square() + (variance - 1).square()).mean()


def train(options: Options) -> None:
    """Train to the end of the time; writes a diffusers folder in float16, and `training.json` in it last."""
    photos = Photos(options.photos, options.crop)
    training = Plain(options, photos)
    print(f"{len(photos.images)} photos, {training.device}", flush=True)
    loss = training.run(options.resume)
    training.model.load_state_dict(training.average)
    training.autoencoder.half().save_pretrained(options.out)
    about = {"number": len(photos.images), "sha256": photos.fingerprint}
    write_json(options.out / "training.json", training.record(options, photos=about, final_loss=loss))


def parse(arguments: Sequence[str]) -> Options:
    """The options in a command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--photos", type=Path, nargs="+", required=True, help="folders of photos")
    add("--out", type=Path, required=True, help="the diffusers folder to write")
    add("--start", type=Path, help="a diffusers folder whose weights to begin from")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=Options.minutes, help="how long to train (default: 80)")
    length.add_argument("--steps", type=int, help="how many steps to take instead")
    add("--learning-rate", type=float, default=Options.learning_rate, help="at its highest (default: 0.001)")
    add("--squares", type=float, default=Options.squares, help="weight of squared errors at the end (default: 5)")
    add("--crop", type=int, default=Options.crop, help="side of a crop in pixels (default: 128)")
    add("--batch", type=int, default=Options.batch, help="crops in a step (default: 8)")
    add("--widths", type=int, nargs=len(LAYERS), default=Options.widths, help="channels at factor 1, 2, 4 and 8")
    add("--channels", type=int, default=Options.channels, help="latent channels (default: 16)")
    add("--seed", type=int, default=Options.seed)
    add("--device", default=Options.device, help="auto, cpu or cuda")
    add("--resume", action="store_true", help="go on from the checkpoint beside --out")
    values: dict[str, Any] = vars(parser.parse_args(arguments))
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return Options(**settings)


if __name__ == "__main__":
    train(parse(sys.argv[1:]))
