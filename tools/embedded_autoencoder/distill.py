"""Distil the latent space of a teacher into a small local autoencoder: the recipe behind `deepot/embedded`.

    python tools/distil_autoencoder.py encoder --lesson LESSON --minutes 40 --out WORK
    python tools/distil_autoencoder.py decoder --lesson LESSON --minutes 40 --out WORK
    python tools/distil_autoencoder.py join --out WORK
    python tools/distil_autoencoder.py both --lesson LESSON --minutes 60 --start WORK/autoencoder --out WORK

`tools/lesson.py` makes the lesson. The encoder learns the teacher's normalised latents from pixels; the decoder learns,
from those latents, images between the photo and what the teacher decodes, and from latents of restored photos that were
moved towards natural ones just what the teacher decodes: so moving latents does to its images what it does to the
teacher's. The two need nothing of each other and may run side by side; `join_uri` puts them into WORK/autoencoder, a
diffusers folder in float16. `both` trains them together from there, the decoder on its own encoder's latents, and
replaces that folder when it ends. Each writes a checkpoint every few minutes, and goes on from it with --resume.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lesson import Chunk, load_chunks
from torch import Tensor, nn
from training import Length, Training, absolute_loss, chosen_device, distilling, load_network, network, write_json

from deepot.evaluation import psnr

WIDTHS = (64, 64, 128, 128)  # at factor 1 (where there are no layers), 2, 4, 8
LAYERS = {"encoder": (0, 2, 2, 2), "decoder": (0, 2, 3, 3)}
LATENT_WEIGHT = 0.5  # of the squared error of latents when both parts learn together
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
    truth: float = 0.7
    noise: float = 0.0
    learning_rate: float = 3e-3
    batch: int = 4
    seed: int = 1
    threads: int = 1
    device: str = "auto"
    start: Path | None = None
    resume: bool = False


@dataclass(frozen=True)
class Batch:
    """Crops of a lesson, (n, 3, h, w) in [-1, 1], and latents, (n, c, h/8, w/8).

    Attributes:
        inputs: photos, and restored photos.
        latents: the teacher's of them.
        shift: what moves these latents; zero for photos.
        targets: what is to be decoded from the moved latents.
    """

    inputs: Tensor
    latents: Tensor
    shift: Tensor
    targets: Tensor


class Lesson:
    """The chunks of a lesson in memory, and random batches of them.

    Args:
        folder: of the chunks.
        truth: share of the photo in a photo's target; the rest is the teacher's image of it.
    """

    def __init__(self, folder: Path, truth: float) -> None:
        self.chunks = load_chunks(folder)
        self._truth = truth

    def batch(self, size: int, generator: torch.Generator, device: torch.device) -> Batch:
        """Crops of one chunk."""
        chunk = self.chunks[int(torch.randint(len(self.chunks), (1,), generator=generator))]
        natural = len(chunk.crops)
        drawn = torch.randint(natural + len(chunk.restored), (size,), generator=generator).tolist()
        rows = [self._natural(chunk, i) if i < natural else self._moved(chunk, i - natural) for i in drawn]
        inputs, latents, shift, targets = (torch.stack(column).to(device) for column in zip(*rows, strict=True))
        return Batch(inputs.contiguous(memory_format=torch.channels_last), latents, shift, targets)

    def _natural(self, chunk: Chunk, index: int) -> tuple[Tensor, ...]:
        crop, latents = chunk.crops[index], chunk.latents[index].float()
        target = torch.lerp(chunk.images[index].float(), crop.float(), self._truth)
        return pixels(crop), latents, torch.zeros_like(latents), pixels(target)

    def _moved(self, chunk: Chunk, index: int) -> tuple[Tensor, ...]:
        latents = chunk.restored_latents[index].float()
        shift = chunk.moved_latents[index].float() - latents
        return pixels(chunk.restored[index]), latents, shift, pixels(chunk.moved_images[index])


class Distillation(Training):
    """The training of a part, or of both."""

    def __init__(self, options: Options) -> None:
        device = chosen_device(options.device)
        torch.manual_seed(options.seed)
        self.options, self.lesson = options, Lesson(options.lesson, options.truth)
        self.autoencoder: Any = load_network(options.start) if options.start else student(options.channels)
        self.autoencoder.to(device)
        model: nn.Module = self.autoencoder if options.part == "both" else getattr(self.autoencoder, options.part)
        length = Length(options.minutes, options.steps)
        optimizers = distilling(model, options.learning_rate)
        super().__init__(model, optimizers, length, checkpoint(options.out, options.part), options.seed)

    def loss(self) -> Tensor:
        """Squared error of latents, absolute error of images, of what is trained."""
        batch = self.lesson.batch(self.options.batch, self.generator, self.device)
        latents, terms = batch.latents, []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast_in_bfloat16(self.device)):
            if self.options.part != "decoder":
                latents = self.autoencoder.encoder(batch.inputs)
                weight = LATENT_WEIGHT if self.options.part == "both" else 1.0
                terms.append(weight * (latents.float() - batch.latents).square().mean())
            if self.options.part != "encoder":
                noise = self.options.noise * torch.randn(latents.shape, generator=self.generator).to(latents)
                images = self.autoencoder.decoder(latents + batch.shift + noise).float()
                terms.append(absolute_loss(images, batch.targets))
        return torch.stack(terms).sum()


def student(channels: int) -> Any:  # noqa: ANN401 - diffusers has no types
    """The student with random weights."""
    return network(channels, WIDTHS, LAYERS["encoder"], LAYERS["decoder"])


def pixels(image: Tensor) -> Tensor:
    """Samples of 0 to 255 → [-1, 1]."""
    return image.float() / 127.5 - 1


def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    return device.type == "cuda" or torch.cpu._is_amx_tile_supported()


def checkpoint(folder: Path, part: str) -> Path:
    """Where the state of a part's training lies."""
    return folder / f"{part}.checkpoint.pt"


@torch.inference_mode()
def held_out(autoencoder: Any, part: str, lesson: Path) -> dict[str, float]:  # noqa: ANN401 - diffusers has no types
    """What an autoencoder, on the CPU, does on the held-out chunk.

    Returns:
        Of the encoder, mean squared errors of normalised latents: of photos ("natural") and of restored ones. Of the
        decoder, PSNR to the photo and to the teacher's image of it, and of moved latents' images to the teacher's.
        The decoder decodes the teacher's latents if it was trained alone, and its own encoder's otherwise.
    """
    chunk = Chunk.load(lesson / "held-out.pt")
    natural, moved = slice(HELD_OUT_CROPS), slice(min(HELD_OUT_CROPS, len(chunk.restored)))
    latents, restored = chunk.latents[natural].float(), chunk.restored_latents[moved].float()
    shift = chunk.moved_latents[moved].float() - restored
    found = {}
    if part != "decoder":
        mine, mine_restored = (
            torch.cat(list(by_fours(autoencoder.encoder, pixels(images))))
            for images in (chunk.crops[natural], chunk.restored[moved])
        )
        found["natural"] = float((mine - latents).square().mean())
        found["restored"] = float((mine_restored - restored).square().mean())
        latents, restored = mine, mine_restored
    if part != "encoder":
        image, moved_image = (
            (torch.cat(list(by_fours(autoencoder.decoder, z))) / 2 + 0.5).clamp(0, 1)
            for z in (latents, restored + shift)
        )
        found["photo"] = psnr(image, chunk.crops[natural].float() / 255)
        found["teacher"] = psnr(image, chunk.images[natural].float() / 255)
        found["moved"] = psnr(moved_image, chunk.moved_images[moved].float() / 255)
    return found


def by_fours(model: nn.Module, batch: Tensor) -> Iterator[Tensor]:
    """The model's output, four at a time, so that memory stays small."""
    for part in torch.split(batch, 4):
        yield model(part)


def train(options: Options) -> None:
    """Train to the end of the time; the record of it is `<part>.json`."""
    torch.set_num_threads(options.threads)
    training = Distillation(options)
    loss = training.run(options.resume)
    training.model.load_state_dict(training.average)
    found = held_out(training.autoencoder.cpu(), options.part, options.lesson)
    if options.part == "both":
        training.autoencoder.half().save_pretrained(options.out / "autoencoder")
    record = training.record(options, final_loss=loss, held_out=found)
    write_json(options.out / f"{options.part}.json", record)
    print(found)


def join(folder: Path) -> None:
    """Put the averaged weights of both parts into `folder`/autoencoder."""
    parts = {
        part: torch.load(checkpoint(folder, part), map_location="cpu", weights_only=True)["average"] for part in LAYERS
    }
    model = student(parts["encoder"]["conv_out.weight"].shape[0])
    for part, weights in parts.items():
        getattr(model, part).load_state_dict(weights)
    model.half().save_pretrained(folder / "autoencoder")


def main(arguments: Sequence[str]) -> None:
    """Train a part or both, or join the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="part", required=True)
    for name in ("encoder", "decoder", "both"):
        add = commands.add_parser(name).add_argument
        add("--lesson", type=Path, required=True, help="the folder that tools/lesson.py made")
        add("--out", type=Path, required=True, help="folder of checkpoints and records")
        add("--minutes", type=float, default=Options.minutes, help="how long to train (default: 60)")
        add("--steps", type=int, help="how many steps to take instead")
        add("--channels", type=int, default=Options.channels, help="latent channels of the lesson (default: 32)")
        add("--truth", type=float, default=Options.truth, help="share of the photo in a photo's target (default: 0.7)")
        add("--noise", type=float, default=Options.noise, help="deviation of noise on the decoder's latents (0)")
        add("--learning-rate", type=float, default=Options.learning_rate, help="at its highest (default: 0.003)")
        add("--batch", type=int, default=Options.batch, help="crops in a step (default: 4)")
        add("--seed", type=int, default=Options.seed)
        add("--threads", type=int, default=Options.threads)
        add("--device", default=Options.device, help="auto, cpu or cuda")
        add("--start", type=Path, help="a diffusers folder whose weights to begin from")
        add("--resume", action="store_true", help="go on from the checkpoint in --out")
    commands.add_parser("join").add_argument("--out", type=Path, required=True, help="folder of both checkpoints")
    values = vars(parser.parse_args(arguments))
    if values["part"] == "join":
        join(values["out"])
    else:
        train(Options(**values))


if __name__ == "__main__":
    main(sys.argv[1:])
