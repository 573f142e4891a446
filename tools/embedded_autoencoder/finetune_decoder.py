"""Fine-tune a decoder through the transport, against a discriminator: the last training of the recipe.

    python tools/embedded_autoencoder/finetune_decoder.py --dataset STUDENT-DATASET --start AUTOENCODER --minutes 60 \
        --out WORK

The dataset is one in the latents of AUTOENCODER (`make_dataset.py --from-dataset`), whose encoder stays as it is. From
transported latents the decoder learns the teacher's images, by absolute error, and to make x* + H(D(z′) − D(z*)) look
like a photo, from the discriminator; H are the filters of detail mode, `detail` and `remove_repetition`. From other
latents it learns photos and restored photos, by absolute error. The autoencoder with the averaged decoder is
WORK/autoencoder; a checkpoint is written every few minutes, and --resume resumes from it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from deepot.autoencoder import fake_quantize
from deepot.inference.cell_filters import detail, remove_repetition
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
from tools.embedded_autoencoder.dataset import load_training_chunks
from tools.embedded_autoencoder.discriminator import Discriminator
from tools.embedded_autoencoder.distill import evaluate
from tools.embedded_autoencoder.network import load_network

HISTORY_WEIGHTS = torch.tensor([3.0, 1.0, 2.0, 1.0, 3.0, 1.0, 1.0])  # of dataset.HISTORIES in sampling
NORMALIZATION_PHOTOS = 16  # on which the discriminator's maps are normalised
PLAIN_PHOTOS = 1  # photos, and restored photos, whose latents are not transported, in each batch
PLAIN_WEIGHT = 2.0  # of their loss, which keeps the round trip
REPORT_NAME = "finetune"


@dataclass(frozen=True)
class Options:
    """Options of one run; `steps` takes precedence over `minutes`."""

    out: Path
    dataset: Path
    start: Path
    minutes: float = 60.0
    steps: int | None = None
    adversarial_weight: float = 4.0
    photo_weight: float = 1.0
    learning_rate: float = 1e-3
    discriminator_learning_rate: float = 1e-3
    batch: int = 4
    seed: int = 1
    threads: int = 1
    device: str = "auto"
    bits: int | None = None
    resume: bool = False


@dataclass(frozen=True)
class Batch:
    """Crops (n, 3, h, w) in [-1, 1] of a chunk, and latents (n, c, h/8, w/8).

    Attributes:
        photos: x.
        restored: x*.
        latents: z*.
        transported: z′ = T(z*).
        teacher_images: the teacher's images of transported latents.
        plain_latents: latents of other photos and of other restored photos.
        plain_targets: what is to be decoded from these.
    """

    photos: Tensor
    restored: Tensor
    latents: Tensor
    transported: Tensor
    teacher_images: Tensor
    plain_latents: Tensor
    plain_targets: Tensor


class DecoderFinetuning(Training):
    """The training of a decoder and of its discriminator."""

    def __init__(self, options: Options) -> None:
        device = resolve_device(options.device)
        torch.manual_seed(options.seed)
        self.options = options
        self.chunks = load_training_chunks(options.dataset)
        self.autoencoder: Any = load_network(options.start).to(device)
        photos = to_signed(self.chunks[0].crops[:NORMALIZATION_PHOTOS]).to(device)
        self.discriminator = Discriminator(self.autoencoder.encoder, photos)
        self._discriminator_optimizer = torch.optim.Adam(
            self.discriminator.heads.parameters(), options.discriminator_learning_rate, betas=(0.5, 0.99)
        )
        model = self.autoencoder.decoder
        length = TrainingLength(options.minutes, options.steps)
        optimizers = make_optimizers(model, options.learning_rate)
        checkpoint = options.out / f"{REPORT_NAME}.checkpoint.pt"
        super().__init__(model, optimizers, length, checkpoint, options.seed)

    def sample(self) -> Batch:
        """Return a batch of one chunk."""
        chunk = self.chunks[int(torch.randint(len(self.chunks), (1,), generator=self.generator))]
        n_restored = len(chunk.restored)
        weights = HISTORY_WEIGHTS.repeat(-(-n_restored // len(HISTORY_WEIGHTS)))[:n_restored]
        rows = torch.multinomial(weights, self.options.batch, generator=self.generator)
        plain, plain_restored = (
            torch.randint(number, (PLAIN_PHOTOS,), generator=self.generator)
            for number in (len(chunk.crops), n_restored)
        )
        target = torch.lerp(chunk.images[plain].float(), chunk.crops[plain].float(), self.options.photo_weight)
        tensors = (
            to_signed(chunk.crops[rows]),
            to_signed(chunk.restored[rows]),
            chunk.restored_latents[rows].float(),
            chunk.transported_latents[rows].float(),
            to_signed(chunk.transported_images[rows]),
            torch.cat([chunk.latents[plain], chunk.restored_latents[plain_restored]]).float(),
            torch.cat([to_signed(target), to_signed(chunk.restored[plain_restored])]),
        )
        return Batch(*(tensor.to(self.device) for tensor in tensors))

    def loss(self) -> Tensor:
        """Return the absolute errors; the discriminator's gradient is `adversarial_weight` times as strong as theirs.

        The value is that of the absolute errors alone: the discriminator acts on the gradient only.
        """
        batch = self.sample()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_bfloat16_fast(self.device)):
            with torch.no_grad():
                decoded = self._decode(batch.latents)
            images = self._decode(torch.cat([batch.transported, batch.plain_latents]))
            transported, plain = torch.split(images, [len(batch.transported), len(batch.plain_latents)])
            leaf = transported.detach().requires_grad_()
            error = absolute_loss(leaf, batch.teacher_images)
            (gradient,) = torch.autograd.grad(error, leaf)
            factor = leaf.shape[-1] // batch.transported.shape[-1]
            enhanced = batch.restored + remove_repetition(detail(leaf - decoded, factor), factor)
            enhanced_gradient, maps = self.discriminator.generator_gradient(enhanced)
            (adversarial,) = torch.autograd.grad(enhanced, leaf, enhanced_gradient)
            self._train_discriminator(maps, batch.photos)
        scale = self.options.adversarial_weight * gradient.norm() / adversarial.norm().clamp(min=1e-12)
        surrogate = (transported * (gradient + scale * adversarial)).sum()  # its gradient is the combined one
        plain_error = PLAIN_WEIGHT * absolute_loss(plain, batch.plain_targets)
        total: Tensor = error.detach() + surrogate - surrogate.detach() + plain_error
        return total

    def _decode(self, latents: Tensor) -> Tensor:
        """Return images in [-1, 1], decoded with quantised weights if `bits` is set."""
        weights = self.quantized(dict(self.model.named_parameters()))
        images: Tensor = functional_call(self.model, weights, (latents,))
        return images.float()

    def quantized(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the decoder's weights, rounded to `bits` if that is set."""
        bits = self.options.bits
        return {name: w if bits is None or w.ndim < 2 else fake_quantize(w, bits) for name, w in weights.items()}

    def _train_discriminator(self, maps: Sequence[Tensor], photos: Tensor) -> None:
        """Take one step of the discriminator."""
        loss = self.discriminator.loss(maps, photos)
        self._discriminator_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._discriminator_optimizer.step()
        if self.step % 50 == 0:
            print(f"discriminator {loss.item():.3f}", flush=True)

    def state(self) -> dict[str, Any]:
        """Return the state, the discriminator's included."""
        return super().state() | {
            "discriminator": self.discriminator.heads.state_dict(),
            "discriminator_optimizer": self._discriminator_optimizer.state_dict(),
        }

    def load(self) -> dict[str, Any]:
        """Restore the state, the discriminator's included."""
        state = super().load()
        self.discriminator.heads.load_state_dict(state["discriminator"])
        self._discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        return state


def train(options: Options) -> None:
    """Train to the end; the report is `finetune.json`."""
    torch.set_num_threads(options.threads)
    training = DecoderFinetuning(options)
    loss = training.run(options.resume)
    training.model.load_state_dict(training.quantized(training.average))
    evaluation = evaluate(training.autoencoder.cpu(), "decoder", options.dataset)
    training.autoencoder.half().save_pretrained(options.out / "autoencoder")
    report = training.report(options, final_loss=loss, held_out=evaluation)
    write_report(options.out / f"{REPORT_NAME}.json", report)
    print(evaluation)


def main(arguments: Sequence[str]) -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="a dataset in the latents of --start")
    add("--start", type=Path, required=True, help="a diffusers folder")
    add("--out", type=Path, required=True, help="folder of checkpoints and reports")
    add(
        "--adversarial-weight",
        type=float,
        default=Options.adversarial_weight,
        help="of the discriminator's gradient, relative to that of the absolute error (default: 4)",
    )
    add("--photo-weight", type=float, default=Options.photo_weight, help="of the photo in its target (default: 1)")
    add(
        "--discriminator-learning-rate",
        type=float,
        default=Options.discriminator_learning_rate,
        help="default: 0.001",
    )
    add("--bits", type=int, choices=range(2, 9), help="train with kernels quantised to this many bits")
    add_training_options(
        parser, minutes=Options.minutes, learning_rate=Options.learning_rate, batch=Options.batch, seed=Options.seed
    )
    train(Options(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main(sys.argv[1:])
