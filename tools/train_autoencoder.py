"""Train a small factor-8 autoencoder on photos: the recipe behind the weights in `deepot/embedded`.

    python tools/train_autoencoder.py --photos PHOTOS/natural --minutes 80 --out photo_dc_f8c16

diffusers' AutoencoderDC with ResBlocks only: its space-to-depth shortcuts make it learn several times faster than
AutoencoderTiny of the same size, and all its operations are local. The loss is the absolute error of the pixels and of
their gradients, decoded from latents with a little noise; squared errors join in as training goes on. The weights kept
are a running average. A checkpoint beside the output folder makes an interrupted run go on with --resume.
"""

import argparse
import dataclasses
import hashlib
import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderDC
from PIL import Image
from torch import Tensor

LAYERS = (1, 1, 2, 2)
LATENT_NOISE = 0.1
GRADIENT_WEIGHT = 0.5
SPREAD_WEIGHT = 1e-3
LONGEST_SIDE = 1800
SMALLEST_SCALE = 0.5
WARM_UP_STEPS = 200
CHECKPOINT_SECONDS = 120
REPORT_STEPS = 50


@dataclasses.dataclass(frozen=True)
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


class Trainer:
    """The state of a run: the weights, their running average, the optimizer, the generator, steps and seconds."""

    def __init__(self, options: Options, photos: Photos) -> None:
        self.options, self.photos = options, photos
        self.device = torch.device(_device(options.device))
        torch.manual_seed(options.seed)
        self.generator = torch.Generator().manual_seed(options.seed)
        self.model = _autoencoder(options).to(self.device, memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        self.average: dict[str, Tensor] = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.step, self.seconds = 0, 0.0

    @property
    def done(self) -> float:
        """The part of the run that lies behind, in steps if their number is set and in time otherwise."""
        if self.options.steps is not None:
            return self.step / self.options.steps
        return self.seconds / (60 * self.options.minutes)

    def advance(self) -> tuple[float, float]:
        """Take one step; returns its loss and its mean squared error on [0, 1]."""
        started = time.monotonic()
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * _schedule(self.step, self.done)
        target = self.photos.batch(self.options.batch, self.generator).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            latents = self.model.encode(target).latent
            noise = torch.randn(latents.shape, generator=self.generator).to(latents)
            output = self.model.decode(latents + LATENT_NOISE * noise).sample
        squared = (output.float() - target).square().mean()
        loss = absolute_loss(output.float(), target) + SPREAD_WEIGHT * spread(latents.float())
        loss = loss + self.options.squares * min(1.0, self.done) * squared
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(0.999, self.step / (self.step + 50))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        self.seconds += time.monotonic() - started
        return loss.item(), squared.item() / 4

    def save(self, path: Path) -> None:
        """Write the whole state to `path`, which is replaced only once the new file is complete."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Take up the state that `save` wrote."""
        if not path.is_file():
            raise SystemExit(f"nothing to resume: there is no {path}")
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.generator.set_state(state["generator"])
        self.step, self.seconds = state["step"], state["seconds"]

    def export(self, folder: Path, loss: float | None) -> None:
        """Write the averaged weights as a diffusers folder in float16, and `training.json` last.

        Args:
            folder: where to.
            loss: the mean of the last steps' losses; None if no step was left to take.
        """
        self.model.load_state_dict(self.average)
        self.model.half().save_pretrained(folder)
        record = {
            "options": dataclasses.asdict(self.options),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "diffusers": diffusers.__version__,
            },
            "photos": {"number": len(self.photos.images), "sha256": self.photos.fingerprint},
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "final_loss": loss,
        }
        (folder / "training.json").write_text(json.dumps(record, indent=2, default=str) + "\n")


def absolute_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of two (B, 3, h, w) batches, and of their differences between neighbours."""
    sharp = sum(
        ((output.diff(dim=axis) - target.diff(dim=axis)).abs().mean() for axis in (-2, -1)), start=output.new_zeros(())
    )
    return (output - target).abs().mean() + GRADIENT_WEIGHT * sharp


def spread(latents: Tensor) -> Tensor:
    """How far the channels of (B, c, h, w) latents are from mean 0 and variance 1."""
    mean, variance = latents.mean((0, 2, 3)), latents.var((0, 2, 3))
    return (mean.square() + (variance - 1).square()).mean()


def train(options: Options) -> None:
    """Run the training that `options` describe, to its end."""
    trainer = Trainer(options, Photos(options.photos, options.crop))
    if options.resume:
        trainer.load(options.checkpoint)
    print(f"{len(trainer.photos.images)} photos, {trainer.device}, from step {trainer.step}", flush=True)
    recent: list[tuple[float, float]] = []
    saved = time.monotonic()
    for measured in _steps(trainer):
        recent = [*recent[-REPORT_STEPS + 1 :], measured]
        if trainer.step % REPORT_STEPS == 0 or trainer.done >= 1:
            loss, squared = np.mean(recent, axis=0).tolist()
            print(
                f"step {trainer.step:6d}  {trainer.seconds:6.0f} s  {trainer.done:6.1%}"
                f"  loss {loss:.4f}  {-10 * math.log10(squared):.2f} dB",
                flush=True,
            )
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            trainer.save(options.checkpoint)
            saved = time.monotonic()
    trainer.save(options.checkpoint)
    trainer.export(options.out, float(np.mean(recent, axis=0)[0]) if recent else None)


def _steps(trainer: Trainer) -> Iterator[tuple[float, float]]:
    while trainer.done < 1:
        yield trainer.advance()


def _schedule(step: int, done: float) -> float:
    """The learning rate's factor: a linear start, then half a cosine down to a thousandth."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * max(1e-3, (1 + math.cos(math.pi * done)) / 2)


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _autoencoder(options: Options) -> Any:  # noqa: ANN401 - diffusers has no types
    """The model in float32: one with the weights in `options.start`, or a new one."""
    if options.start is not None:
        start = AutoencoderDC.from_pretrained(options.start, torch_dtype=torch.float32, low_cpu_mem_usage=False)
        model = AutoencoderDC.from_config(AutoencoderDC.load_config(options.start))  # keeps no path of this machine
        model.load_state_dict(start.state_dict())
        return model
    none = ((),) * len(options.widths)
    return AutoencoderDC(
        latent_channels=options.channels,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=options.widths,
        decoder_block_out_channels=options.widths,
        encoder_layers_per_block=LAYERS,
        decoder_layers_per_block=LAYERS,
        encoder_qkv_multiscales=none,
        decoder_qkv_multiscales=none,
        downsample_block_type="pixel_unshuffle",
        upsample_block_type="pixel_shuffle",
        scaling_factor=1.0,
    )


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
