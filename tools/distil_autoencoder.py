"""Distil the latent space of a teacher into a small local autoencoder: the recipe behind `deepot/embedded`.

    python tools/distil_autoencoder.py encoder --lesson LESSON --minutes 40 --out WORK
    python tools/distil_autoencoder.py decoder --lesson LESSON --minutes 80 --out WORK
    python tools/distil_autoencoder.py join --out WORK
    python tools/lesson.py --again LESSON --student WORK/autoencoder --out LESSON2
    python tools/distil_autoencoder.py decoder --lesson LESSON2 --minutes 20 --start WORK --out WORK2

`tools/lesson.py` makes the lesson. The encoder learns the teacher's normalised latents from pixels; the decoder learns,
from those latents, images between the photo and what the teacher decodes, and from latents of restored photos that were
moved towards natural ones just what the teacher decodes: so moving latents does to its images what it does to the
teacher's. The two need nothing of each other and may run side by side. Each writes a checkpoint every few minutes, and
goes on from it with --resume. `join` puts both into one diffusers folder, float16.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderDC
from lesson import Chunk
from muon import Muon
from torch import Tensor, nn
from train_autoencoder import absolute_loss

from deepot.metrics import psnr

WIDTHS = (64, 64, 128, 128)  # at factor 1 (where there are no layers), 2, 4, 8
LAYERS = {"encoder": (0, 2, 2, 2), "decoder": (0, 2, 3, 3)}
WARM_UP_STEPS, FALLING = 50, 0.6  # the learning rate falls linearly over the last part of the time
CHECKPOINT_SECONDS, REPORT_STEPS = 240, 100
HELD_OUT_CROPS = 56


@dataclass(frozen=True)
class Options:
    """What one run is asked to do; `steps` wins over `minutes` where both are given."""

    part: str
    out: Path
    lesson: Path
    minutes: float = 60.0
    steps: int | None = None
    channels: int = 32
    truth: float = 0.5
    learning_rate: float = 3e-3
    batch: int = 4
    seed: int = 1
    threads: int = 1
    device: str = "auto"
    start: Path | None = None
    resume: bool = False

    @property
    def checkpoint(self) -> Path:
        """The state of this part's training."""
        return self.out / f"{self.part}.checkpoint.pt"


class Lesson:
    """The chunks of a lesson in memory, and random batches of them."""

    def __init__(self, options: Options) -> None:
        paths = sorted(options.lesson.glob("chunk-*.pt"))
        if not paths:
            raise SystemExit(f"no chunk-*.pt in {options.lesson}: make a lesson with tools/lesson.py")
        self.chunks = [Chunk.load(path) for path in paths]
        self._part, self._truth, self._size = options.part, options.truth, options.batch

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs and targets: images in [-1, 1] and latents for the encoder, latents and images for the decoder."""
        chunk = self.chunks[int(torch.randint(len(self.chunks), (1,), generator=generator))]
        natural = len(chunk.crops)
        drawn = torch.randint(natural + len(chunk.restored), (self._size,), generator=generator).tolist()
        pairs = [self._pair(chunk, index, index - natural) for index in drawn]
        inputs, targets = (torch.stack(side) for side in zip(*pairs, strict=True))
        return inputs.contiguous(memory_format=torch.channels_last), targets

    def _pair(self, chunk: Chunk, index: int, restored: int) -> tuple[Tensor, Tensor]:
        if self._part == "encoder":
            if restored < 0:
                return pixels(chunk.crops[index]), chunk.latents[index].float()
            return pixels(chunk.restored[restored]), chunk.restored_latents[restored].float()
        if restored < 0:
            image = torch.lerp(chunk.images[index].float(), chunk.crops[index].float(), self._truth)
            return chunk.latents[index].float(), pixels(image)
        return chunk.moved_latents[restored].float(), pixels(chunk.moved_images[restored])


class Trainer:
    """The state of a run: the weights, their running average, the optimizers, steps and seconds."""

    def __init__(self, options: Options) -> None:
        self.options, self.lesson = options, Lesson(options)
        self.device = torch.device(
            ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
        )
        torch.manual_seed(options.seed)
        self.generator = torch.Generator().manual_seed(options.seed)
        self.model: nn.Module = getattr(autoencoder(options.channels), options.part).to(self.device)
        if options.start is not None:
            state = torch.load(options.start / options.checkpoint.name, weights_only=True)
            self.model.load_state_dict(state["average"])
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        kernels = [value for value in self.model.parameters() if value.ndim == 4]
        self.vectors = [value for value in self.model.parameters() if value.ndim != 4]
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(kernels, options.learning_rate),
            torch.optim.AdamW(self.vectors, options.learning_rate, betas=(0.9, 0.99)),
        ]
        self.step, self.seconds = 0, 0.0

    @property
    def done(self) -> float:
        """The part of the run that lies behind, in steps if their number is set and in time otherwise."""
        if self.options.steps is not None:
            return self.step / self.options.steps
        return self.seconds / (60 * self.options.minutes)

    def advance(self) -> float:
        """Take one step; returns its loss."""
        started = time.monotonic()
        rate = min(1.0, (self.step + 1) / WARM_UP_STEPS) * max(0.01, min(1.0, (1 - self.done) / FALLING))
        for optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] = self.options.learning_rate * rate
            optimizer.zero_grad(set_to_none=True)
        inputs, targets = (tensor.to(self.device) for tensor in self.lesson.batch(self.generator))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast_in_bfloat16(self.device)):
            output: Tensor = self.model(inputs)
        encoding = self.options.part == "encoder"
        loss = (output - targets).square().mean() if encoding else absolute_loss(output.float(), targets)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.vectors, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        decay = min(0.995, self.step / (self.step + 20))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        self.seconds += time.monotonic() - started
        return loss.item()

    def save(self) -> None:
        """Write the checkpoint; it is replaced only once the new one is complete."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
            "options": json.dumps(asdict(self.options), default=str),
        }
        self.options.out.mkdir(parents=True, exist_ok=True)
        partial = self.options.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.options.checkpoint)

    def load(self) -> None:
        """Take up the state that `save` wrote."""
        if not self.options.checkpoint.is_file():
            raise SystemExit(f"nothing to resume: there is no {self.options.checkpoint}")
        state = torch.load(self.options.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]
        self.generator.set_state(state["generator"].cpu())
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)


def autoencoder(channels: int) -> Any:  # noqa: ANN401 - diffusers has no types
    """The student with random weights: ResBlocks only, nothing at full resolution but the shuffling of pixels."""
    none = ((),) * len(WIDTHS)
    return AutoencoderDC(
        latent_channels=channels,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=WIDTHS,
        decoder_block_out_channels=WIDTHS,
        encoder_layers_per_block=LAYERS["encoder"],
        decoder_layers_per_block=LAYERS["decoder"],
        encoder_qkv_multiscales=none,
        decoder_qkv_multiscales=none,
        downsample_block_type="pixel_unshuffle",
        upsample_block_type="pixel_shuffle",
        scaling_factor=1.0,
    )


def pixels(image: Tensor) -> Tensor:
    """Samples of 0 to 255 → [-1, 1]."""
    return image.float() / 127.5 - 1


def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    return device.type == "cuda" or torch.cpu._is_amx_tile_supported()


@torch.inference_mode()
def held_out(part: str, weights: dict[str, Tensor], options: Options) -> dict[str, float]:
    """What the averaged weights do on the held-out chunk.

    Returns:
        Encoder: mean squared errors of normalised latents, of photos and of restored ones. Decoder: PSNR to the photo
        and to the teacher's image of it, and of moved latents' images to the teacher's.
    """
    chunk = Chunk.load(options.lesson / "held-out.pt")
    model = getattr(autoencoder(options.channels), part)
    model.load_state_dict({name: value.cpu() for name, value in weights.items()})

    def run(inputs: Tensor) -> Tensor:
        return torch.cat([model(part) for part in torch.split(inputs[:HELD_OUT_CROPS], options.batch)])

    if part == "encoder":
        sides = {"natural": (chunk.crops, chunk.latents), "restored": (chunk.restored, chunk.restored_latents)}
        return {
            name: float((run(pixels(images)) - latents[:HELD_OUT_CROPS].float()).square().mean())
            for name, (images, latents) in sides.items()
        }
    image, moved = ((run(latents.float()) / 2 + 0.5).clamp(0, 1) for latents in (chunk.latents, chunk.moved_latents))
    photo, teacher, wanted = (
        images[:HELD_OUT_CROPS].float() / 255 for images in (chunk.crops, chunk.images, chunk.moved_images)
    )
    return {"photo": psnr(image, photo), "teacher": psnr(image, teacher), "moved": psnr(moved, wanted)}


def train(options: Options) -> None:
    """Train one part to the end of its time; the record of it is `<part>.json`."""
    torch.set_num_threads(options.threads)
    trainer = Trainer(options)
    if options.resume:
        trainer.load()
    saved, losses = time.monotonic(), [0.0] * REPORT_STEPS
    while trainer.done < 1:
        losses[trainer.step % REPORT_STEPS] = trainer.advance()
        if trainer.step % REPORT_STEPS == 0:
            mean = sum(losses) / REPORT_STEPS
            print(f"step {trainer.step:6d}  {trainer.seconds:6.0f} s  {trainer.done:6.1%}  loss {mean:.4f}", flush=True)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            trainer.save()
            saved = time.monotonic()
    trainer.save()
    found = held_out(options.part, trainer.average, options)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__}
    record = {
        "options": asdict(options),
        "versions": versions,
        "steps": trainer.step,
        "seconds": round(trainer.seconds, 1),
        "held_out": found,
    }
    text = json.dumps(record, indent=2, default=str)
    (options.out / f"{options.part}.json").write_text(text + "\n")
    print(text)


def join(folder: Path) -> None:
    """Put the averaged weights of both parts into `folder`/autoencoder."""
    parts = {part: torch.load(folder / f"{part}.checkpoint.pt", weights_only=True)["average"] for part in LAYERS}
    model = autoencoder(parts["encoder"]["conv_out.weight"].shape[0])
    for part, weights in parts.items():
        getattr(model, part).load_state_dict(weights)
    model.half().save_pretrained(folder / "autoencoder")


def main(arguments: Sequence[str]) -> None:
    """Train a part, or join the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="part", required=True)
    for name in ("encoder", "decoder"):
        add = commands.add_parser(name).add_argument
        add("--lesson", type=Path, required=True, help="the folder that tools/lesson.py made")
        add("--out", type=Path, required=True, help="folder of checkpoints and records")
        add("--minutes", type=float, default=Options.minutes, help="how long to train (default: 60)")
        add("--steps", type=int, help="how many steps to take instead")
        add("--channels", type=int, default=Options.channels, help="latent channels of the lesson (default: 32)")
        add("--truth", type=float, default=Options.truth, help="decoder: share of the photo in its target (0.5)")
        add("--learning-rate", type=float, default=Options.learning_rate, help="at its highest (default: 0.003)")
        add("--batch", type=int, default=Options.batch, help="crops in a step (default: 4)")
        add("--seed", type=int, default=Options.seed)
        add("--threads", type=int, default=Options.threads)
        add("--device", default=Options.device, help="auto, cpu or cuda")
        add("--start", type=Path, help="folder whose checkpoint of this part to begin from")
        add("--resume", action="store_true", help="go on from the checkpoint in --out")
    commands.add_parser("join").add_argument("--out", type=Path, required=True, help="folder of both checkpoints")
    values = vars(parser.parse_args(arguments))
    if values["part"] == "join":
        join(values["out"])
    else:
        train(Options(**values))


if __name__ == "__main__":
    main(sys.argv[1:])
