"""Train a decoder through the transport, against a critic: the last step of the recipe behind `deepot/embedded`.

    python tools/through_transport.py --lesson LESSON --start AUTOENCODER --minutes 60 --out WORK

LESSON is one in the latents of AUTOENCODER, whose encoder stays as it is (`tools/lesson.py --again`). The decoder
learns images of moved latents from the teacher's, by absolute error, and what makes x* with the details of
D(z') - D(z*) look like a photo, from a critic; images of unmoved latents, of photos and of restored photos, by absolute
error. The autoencoder with the averaged decoder is WORK/autoencoder; a checkpoint is written every few minutes, and
--resume goes on from it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from critic import Critic
from distil_autoencoder import fast_in_bfloat16, held_out, pixels
from lesson import load_chunks
from torch import Tensor
from torch.func import functional_call
from training import Length, Training, absolute_loss, chosen_device, distilling, load_network, write_json

from deepot.autoencoder import fake_quantize
from deepot.inference import high_pass

DRAWN = torch.tensor([3.0, 1.0, 2.0, 1.0, 3.0, 1.0, 1.0])  # how often each of lesson.WAYS is, the heavier ones more
SAMPLE = 16  # photos that the critic's maps are normalised on
UNMOVED = 1  # photos, and restored photos, beside each batch
UNMOVED_WEIGHT = 2.0  # of their loss: it keeps the round trip


@dataclass(frozen=True)
class Options:
    """What one run is asked to do; `steps` wins over `minutes` where both are given."""

    out: Path
    lesson: Path
    start: Path
    minutes: float = 60.0
    steps: int | None = None
    adversarial: float = 4.0
    truth: float = 1.0
    learning_rate: float = 1e-3
    critic_rate: float = 1e-3
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
        moved: T(z*).
        images: the teacher's of moved latents.
        unmoved: latents of other photos and of other restored photos.
        seen: what is to be decoded from these.
    """

    photos: Tensor
    restored: Tensor
    latents: Tensor
    moved: Tensor
    images: Tensor
    unmoved: Tensor
    seen: Tensor


class Through(Training):
    """The training of a decoder and of its critic."""

    def __init__(self, options: Options) -> None:
        device = chosen_device(options.device)
        torch.manual_seed(options.seed)
        self.options = options
        self.chunks = load_chunks(options.lesson)
        self.autoencoder: Any = load_network(options.start).to(device)
        self.critic = Critic(self.autoencoder.encoder, pixels(self.chunks[0].crops[:SAMPLE]).to(device))
        self._critics = torch.optim.Adam(self.critic.heads.parameters(), options.critic_rate, betas=(0.5, 0.99))
        model = self.autoencoder.decoder
        length = Length(options.minutes, options.steps)
        optimizers = distilling(model, options.learning_rate)
        super().__init__(model, optimizers, length, options.out / "through.checkpoint.pt", options.seed)

    def draw(self) -> Batch:
        """A batch of one chunk."""
        chunk = self.chunks[self._random(len(self.chunks))]
        often = DRAWN.repeat(-(-len(chunk.restored) // len(DRAWN)))[: len(chunk.restored)]
        rows = torch.multinomial(often, self.options.batch, generator=self.generator)
        natural, restored = (
            torch.randint(number, (UNMOVED,), generator=self.generator)
            for number in (len(chunk.crops), len(chunk.restored))
        )
        seen = torch.lerp(chunk.images[natural].float(), chunk.crops[natural].float(), self.options.truth)
        parts = (
            pixels(chunk.crops[rows]),
            pixels(chunk.restored[rows]),
            chunk.restored_latents[rows].float(),
            chunk.moved_latents[rows].float(),
            pixels(chunk.moved_images[rows]),
            torch.cat([chunk.latents[natural], chunk.restored_latents[restored]]).float(),
            torch.cat([pixels(seen), pixels(chunk.restored[restored])]),
        )
        return Batch(*(part.to(self.device) for part in parts))

    def loss(self) -> Tensor:
        """Absolute errors; the critic's pull, as strong as `adversarial` times theirs, is in the gradient only."""
        batch = self.draw()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast_in_bfloat16(self.device)):
            with torch.no_grad():
                still = self._decoded(batch.latents)
            images = self._decoded(torch.cat([batch.moved, batch.unmoved]))
            moved, unmoved = torch.split(images, [len(batch.moved), len(batch.unmoved)])
            leaf = moved.detach().requires_grad_()
            error = absolute_loss(leaf, batch.images)
            (gradient,) = torch.autograd.grad(error, leaf)
            factor = leaf.shape[-1] // batch.moved.shape[-1]
            result = batch.restored + high_pass(leaf - still, factor)
            towards, maps = self.critic.pull(result)
            (pull,) = torch.autograd.grad(result, leaf, towards)
            self._teach(maps, batch.photos)
        gradient = gradient + self.options.adversarial * gradient.norm() / pull.norm().clamp(min=1e-12) * pull
        through = (moved * gradient).sum()
        total: Tensor = (
            error.detach() + through - through.detach() + UNMOVED_WEIGHT * absolute_loss(unmoved, batch.seen)
        )
        return total

    def _decoded(self, latents: Tensor) -> Tensor:
        """Images in [-1, 1], by the decoder as it will be shipped where that is asked for."""
        weights = self.shipped(dict(self.model.named_parameters()))
        images: Tensor = functional_call(self.model, weights, (latents,))
        return images.float()

    def shipped(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The decoder's weights as they come back from `bits`, where that is asked for."""
        bits = self.options.bits
        return {n: w if bits is None or w.ndim < 2 else fake_quantize(w, bits) for n, w in weights.items()}

    def _teach(self, maps: Sequence[Tensor], photos: Tensor) -> None:
        """A step of the critic."""
        loss = self.critic.loss(maps, photos)
        self._critics.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._critics.step()
        if self.step % 50 == 0:
            print(f"critic {loss.item():.3f}", flush=True)

    def state(self) -> dict[str, Any]:
        """The critic's state too."""
        return super().state() | {"critic": self.critic.heads.state_dict(), "critics": self._critics.state_dict()}

    def load(self) -> dict[str, Any]:
        """Take up the critic's state too."""
        state = super().load()
        self.critic.heads.load_state_dict(state["critic"])
        self._critics.load_state_dict(state["critics"])
        return state

    def _random(self, number: int) -> int:
        return int(torch.randint(number, (1,), generator=self.generator))


def train(options: Options) -> None:
    """Train to the end of the time; the record of it is `through.json`."""
    torch.set_num_threads(options.threads)
    training = Through(options)
    loss = training.run(options.resume)
    training.model.load_state_dict(training.shipped(training.average))
    found = held_out(training.autoencoder.cpu(), "decoder", options.lesson)
    training.autoencoder.half().save_pretrained(options.out / "autoencoder")
    write_json(options.out / "through.json", training.record(options, final_loss=loss, held_out=found))
    print(found)


def main(arguments: Sequence[str]) -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--lesson", type=Path, required=True, help="a lesson in the latents of --start")
    add("--start", type=Path, required=True, help="a diffusers folder")
    add("--out", type=Path, required=True, help="folder of checkpoints and records")
    add("--minutes", type=float, default=Options.minutes, help="how long to train (default: 60)")
    add("--steps", type=int, help="how many steps to take instead")
    add("--adversarial", type=float, default=Options.adversarial, help="weight of the critic's pull (default: 4)")
    add("--truth", type=float, default=Options.truth, help="share of the photo in a photo's target (default: 1)")
    add("--learning-rate", type=float, default=Options.learning_rate, help="of the decoder (default: 0.001)")
    add("--critic-rate", type=float, default=Options.critic_rate, help="of the critic (default: 0.001)")
    add("--bits", type=int, choices=range(2, 9), help="train kernels as they come back from so many bits")
    add("--batch", type=int, default=Options.batch, help="moved crops in a step (default: 4)")
    add("--seed", type=int, default=Options.seed)
    add("--threads", type=int, default=Options.threads)
    add("--device", default=Options.device, help="auto, cpu or cuda")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    train(Options(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main(sys.argv[1:])
