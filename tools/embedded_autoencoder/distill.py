"""Distil the latent space of a teacher into a small local autoencoder.

    python tools/embedded_autoencoder/distill.py encoder --dataset DATASET --minutes 40 --out WORK
    python tools/embedded_autoencoder/distill.py decoder --dataset DATASET --minutes 40 --out WORK
    python tools/embedded_autoencoder/distill.py join --out WORK
    python tools/embedded_autoencoder/distill.py both --dataset DATASET --minutes 60 --start WORK/autoencoder --out WORK

`make_dataset.py` makes the dataset. The encoder learns the teacher's normalised latents from pixels. From those latents
the decoder learns images between the photo and the teacher's decoding, and from transported latents of restored photos
the teacher's decoding alone, so that transport changes its images as it changes the teacher's. The two are independent
and may run side by side; `join` combines them in WORK/autoencoder, a diffusers folder in float16. `both` trains them
together from there, the decoder on its own encoder's latents, and replaces that folder at the end. Each writes a
checkpoint every few minutes and resumes from it with --resume.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepot.evaluation import psnr
from tools.embedded_autoencoder.common import (
    Training,
    TrainingLength,
    absolute_loss,
    add_training_options,
    is_bfloat16_fast,
    make_optimizers,
    resolve_device,
    to_signed,
    write_report,
)
from tools.embedded_autoencoder.dataset import Chunk, load_held_out, load_training_chunks
from tools.embedded_autoencoder.network import load_network, make_student

MODULES = ("encoder", "decoder")
LATENT_WEIGHT = 0.5  # of the squared error of latents when both modules learn together
EVALUATED_CROPS = 56
_EVALUATION_BATCH = 4


@dataclass(frozen=True)
class Options:
    """Options of one run; `steps` takes precedence over `minutes`."""

    module: str
    out: Path
    dataset: Path
    minutes: float = 60.0
    steps: int | None = None
    channels: int = 32
    photo_weight: float = 0.7
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
    """Crops of a dataset, (n, 3, h, w) in [-1, 1], and latents, (n, c, h/8, w/8).

    Attributes:
        inputs: photos and restored photos.
        latents: the teacher's of them.
        shift: what transports these latents; zero for photos.
        targets: what is to be decoded from the shifted latents.
    """

    inputs: Tensor
    latents: Tensor
    shift: Tensor
    targets: Tensor


class DistillationDataset:
    """The training chunks of a dataset in memory, and random batches of them.

    Args:
        folder: of the dataset.
        photo_weight: of the photo in a photo's target; the rest is the teacher's image of it.
    """

    def __init__(self, folder: Path, photo_weight: float) -> None:
        self.chunks = load_training_chunks(folder)
        self._photo_weight = photo_weight

    def sample(self, size: int, generator: torch.Generator, device: torch.device) -> Batch:
        """Return crops of one chunk."""
        chunk = self.chunks[int(torch.randint(len(self.chunks), (1,), generator=generator))]
        n_photos = len(chunk.crops)
        drawn = torch.randint(n_photos + len(chunk.restored), (size,), generator=generator).tolist()
        rows = [self._photo(chunk, i) if i < n_photos else self._restored(chunk, i - n_photos) for i in drawn]
        inputs, latents, shift, targets = (torch.stack(column).to(device) for column in zip(*rows, strict=True))
        return Batch(inputs.contiguous(memory_format=torch.channels_last), latents, shift, targets)

    def _photo(self, chunk: Chunk, index: int) -> tuple[Tensor, ...]:
        crop, latents = chunk.crops[index], chunk.latents[index].float()
        target = torch.lerp(chunk.images[index].float(), crop.float(), self._photo_weight)
        return to_signed(crop), latents, torch.zeros_like(latents), to_signed(target)

    def _restored(self, chunk: Chunk, index: int) -> tuple[Tensor, ...]:
        latents = chunk.restored_latents[index].float()
        shift = chunk.transported_latents[index].float() - latents
        return to_signed(chunk.restored[index]), latents, shift, to_signed(chunk.transported_images[index])


class Distillation(Training):
    """The training of the encoder, the decoder, or both."""

    def __init__(self, options: Options) -> None:
        device = resolve_device(options.device)
        torch.manual_seed(options.seed)
        self.options, self.dataset = options, DistillationDataset(options.dataset, options.photo_weight)
        self.autoencoder: Any = load_network(options.start) if options.start else make_student(options.channels)
        self.autoencoder.to(device)
        model: nn.Module = self.autoencoder if options.module == "both" else getattr(self.autoencoder, options.module)
        length = TrainingLength(options.minutes, options.steps)
        optimizers = make_optimizers(model, options.learning_rate)
        super().__init__(model, optimizers, length, checkpoint_path(options.out, options.module), options.seed)

    def loss(self) -> Tensor:
        """Return the squared error of latents plus the absolute error of images, of what is trained."""
        batch = self.dataset.sample(self.options.batch, self.generator, self.device)
        latents, terms = batch.latents, []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_bfloat16_fast(self.device)):
            if self.options.module != "decoder":
                latents = self.autoencoder.encoder(batch.inputs)
                weight = LATENT_WEIGHT if self.options.module == "both" else 1.0
                terms.append(weight * (latents.float() - batch.latents).square().mean())
            if self.options.module != "encoder":
                noise = self.options.noise * torch.randn(latents.shape, generator=self.generator).to(latents)
                images = self.autoencoder.decoder(latents + batch.shift + noise).float()
                terms.append(absolute_loss(images, batch.targets))
        return torch.stack(terms).sum()


def checkpoint_path(folder: Path, module: str) -> Path:
    """Return the file of a module's training state."""
    return folder / f"{module}.checkpoint.pt"


@torch.inference_mode()
def evaluate(autoencoder: Any, module: str, dataset: Path) -> dict[str, float]:  # noqa: ANN401 - diffusers has no types
    """Evaluate an autoencoder, on the CPU, on the held-out chunk.

    Returns:
        For the encoder, mean squared errors of normalised latents: of photos (`photo_latents`) and of restored ones
        (`restored_latents`). For the decoder, PSNR to the photo (`photo`) and to the teacher's image of it (`teacher`),
        and of the images of transported latents to the teacher's (`transported`). The decoder decodes the teacher's
        latents if it was trained alone, and its own encoder's otherwise.
    """
    chunk = load_held_out(dataset)
    photos = slice(EVALUATED_CROPS)
    restored = slice(min(EVALUATED_CROPS, len(chunk.restored)))
    latents, restored_latents = chunk.latents[photos].float(), chunk.restored_latents[restored].float()
    shift = chunk.transported_latents[restored].float() - restored_latents
    results = {}
    if module != "decoder":
        own, own_restored = (
            run_in_batches(autoencoder.encoder, to_signed(images))
            for images in (chunk.crops[photos], chunk.restored[restored])
        )
        results["photo_latents"] = float((own - latents).square().mean())
        results["restored_latents"] = float((own_restored - restored_latents).square().mean())
        latents, restored_latents = own, own_restored
    if module != "encoder":
        images, transported_images = (
            (run_in_batches(autoencoder.decoder, z) / 2 + 0.5).clamp(0, 1) for z in (latents, restored_latents + shift)
        )
        results["photo"] = psnr(images, chunk.crops[photos].float() / 255)
        results["teacher"] = psnr(images, chunk.images[photos].float() / 255)
        results["transported"] = psnr(transported_images, chunk.transported_images[restored].float() / 255)
    return results


def run_in_batches(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the model's output, computed in small batches to save memory."""

    def outputs() -> Iterator[Tensor]:
        for batch in torch.split(inputs, _EVALUATION_BATCH):
            yield model(batch)

    return torch.cat(list(outputs()))


def train(options: Options) -> None:
    """Train to the end; the report is `<module>.json`."""
    torch.set_num_threads(options.threads)
    training = Distillation(options)
    loss = training.run(options.resume)
    training.model.load_state_dict(training.average)
    evaluation = evaluate(training.autoencoder.cpu(), options.module, options.dataset)
    if options.module == "both":
        training.autoencoder.half().save_pretrained(options.out / "autoencoder")
    report = training.report(options, final_loss=loss, held_out=evaluation)
    write_report(options.out / f"{options.module}.json", report)
    print(evaluation)


def join(folder: Path) -> None:
    """Write the averaged weights of both modules to `folder`/autoencoder."""
    averages = {
        module: torch.load(checkpoint_path(folder, module), map_location="cpu", weights_only=True)["average"]
        for module in MODULES
    }
    model = make_student(averages["encoder"]["conv_out.weight"].shape[0])
    for module, weights in averages.items():
        getattr(model, module).load_state_dict(weights)
    model.half().save_pretrained(folder / "autoencoder")


def main(arguments: Sequence[str]) -> None:
    """Train one module or both, or join the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="module", required=True)
    for name in (*MODULES, "both"):
        command = commands.add_parser(name)
        add = command.add_argument
        add("--dataset", type=Path, required=True, help="the folder that make_dataset.py wrote")
        add("--out", type=Path, required=True, help="folder of checkpoints and reports")
        add("--channels", type=int, default=Options.channels, help="latent channels of the dataset (default: 32)")
        add(
            "--photo-weight", type=float, default=Options.photo_weight, help="of the photo in its target (default: 0.7)"
        )
        add(
            "--noise",
            type=float,
            default=Options.noise,
            help="standard deviation on the decoder's latents (default: 0)",
        )
        add("--start", type=Path, help="a diffusers folder with the initial weights")
        add_training_options(
            command,
            minutes=Options.minutes,
            learning_rate=Options.learning_rate,
            batch=Options.batch,
            seed=Options.seed,
        )
    commands.add_parser("join").add_argument("--out", type=Path, required=True, help="folder of both checkpoints")
    values = vars(parser.parse_args(arguments))
    if values["module"] == "join":
        join(values["out"])
    else:
        train(Options(**values))


if __name__ == "__main__":
    main(sys.argv[1:])
