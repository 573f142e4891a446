"""What every training here has in common: its length, the running average of the weights, checkpoints, the network."""

import json
import platform
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderDC
from muon import Muon
from torch import Tensor, nn

WARM_UP_STEPS, FALLING = 50, 0.6  # the learning rate falls linearly over the last part of the run
CHECKPOINT_SECONDS, REPORT_STEPS = 240, 50
GRADIENT_WEIGHT = 0.5
DECODER_BITS = 6  # of a decoder's kernels as they are shipped


@dataclass(frozen=True)
class Length:
    """How long a run is; `steps` wins over `minutes` where both are given."""

    minutes: float
    steps: int | None = None

    def done(self, step: int, seconds: float) -> float:
        """The part of the run that lies behind, in steps if their number is set and in time otherwise."""
        return seconds / (60 * self.minutes) if self.steps is None else step / self.steps


class Training(ABC):
    """A model in training: its weights, their running average, optimizers, generator, steps and seconds.

    Args:
        model: on its device.
        optimizers: their learning rates are the highest of the run.
        length: when it ends.
        checkpoint: the file of the state.
        seed: of the generator that draws the batches.
        decay: of the running average, once it is filled.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        length: Length,
        checkpoint: Path,
        seed: int,
        decay: float = 0.995,
    ) -> None:
        self.model, self.optimizers, self.length = model, optimizers, length
        self.checkpoint, self.decay = checkpoint, decay
        self.device = next(model.parameters()).device
        self.generator = torch.Generator().manual_seed(seed)
        self.average = {name: value.clone() for name, value in model.state_dict().items()}
        self.step, self.seconds = 0, 0.0
        self._rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]

    @abstractmethod
    def loss(self) -> Tensor:
        """The loss of the next batch."""

    @property
    def done(self) -> float:
        """The part of the run that lies behind."""
        return self.length.done(self.step, self.seconds)

    def advance(self) -> float:
        """Take one step; returns its loss."""
        started = time.monotonic()
        rate = min(1.0, (self.step + 1) / WARM_UP_STEPS) * max(0.01, min(1.0, (1 - self.done) / FALLING))
        for optimizer, highest in zip(self.optimizers, self._rates, strict=True):
            optimizer.param_groups[0]["lr"] = highest * rate
            optimizer.zero_grad(set_to_none=True)
        loss = self.loss()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0, error_if_nonfinite=True)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        decay = min(self.decay, self.step / (self.step + 20))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        self.seconds += time.monotonic() - started
        return loss.item()

    def run(self, resume: bool) -> float | None:
        """Train to the end; returns the mean loss of the last steps, None if no step was left to take.

        Raises:
            SystemExit: there is nothing to resume.
        """
        if resume:
            self.load()
        saved, losses = time.monotonic(), deque[float](maxlen=REPORT_STEPS)
        while self.done < 1:
            losses.append(self.advance())
            if self.step % REPORT_STEPS == 0:
                mean = sum(losses) / len(losses)
                print(f"step {self.step:6d}  {self.seconds:6.0f} s  {self.done:6.1%}  loss {mean:.4f}", flush=True)
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()
        return sum(losses) / len(losses) if losses else None

    def state(self) -> dict[str, Any]:
        """All that `load` needs to go on."""
        return {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def save(self) -> None:
        """Write the checkpoint; it is replaced only once the new one is complete."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(self.state(), partial)
        partial.replace(self.checkpoint)

    def load(self) -> dict[str, Any]:
        """Take up the state that `save` wrote, and return it."""
        if not self.checkpoint.is_file():
            raise SystemExit(f"nothing to resume: there is no {self.checkpoint}")
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]
        self.generator.set_state(state["generator"].cpu())
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        return dict(state)

    def record(self, options: Any, **found: object) -> dict[str, object]:  # noqa: ANN401 - a dataclass
        """What is told of a run that has ended."""
        versions = {"python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__}
        told = {"options": vars(options), "versions": versions, "steps": self.step, "seconds": round(self.seconds, 1)}
        return told | found


def write_json(path: Path, record: dict[str, object]) -> None:
    """Write a record; paths become text."""
    path.write_text(json.dumps(record, indent=2, default=str) + "\n")


def network(channels: int, widths: Sequence[int], encoder: Sequence[int], decoder: Sequence[int]) -> Any:  # noqa: ANN401
    """An AutoencoderDC of diffusers with ResBlocks only, which is local in all its operations, and random weights.

    Args:
        channels: of the latents.
        widths: channels at factor 1, 2, 4 …
        encoder: ResBlocks at each factor; without any at factor 1 there is only the shuffling of pixels.
        decoder: the same.
    """
    none = ((),) * len(widths)
    return AutoencoderDC(
        latent_channels=channels,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=tuple(widths),
        decoder_block_out_channels=tuple(widths),
        encoder_layers_per_block=tuple(encoder),
        decoder_layers_per_block=tuple(decoder),
        encoder_qkv_multiscales=none,
        decoder_qkv_multiscales=none,
        downsample_block_type="pixel_unshuffle",
        upsample_block_type="pixel_shuffle",
        scaling_factor=1.0,
    )


def load_network(folder: Path) -> Any:  # noqa: ANN401 - diffusers has no types
    """The autoencoder of a diffusers folder in float32; nothing it is saved to will name the folder."""
    loaded = AutoencoderDC.from_pretrained(folder, torch_dtype=torch.float32, low_cpu_mem_usage=False)
    model = AutoencoderDC.from_config(AutoencoderDC.load_config(folder))
    model.load_state_dict(loaded.state_dict())
    return model


def distilling(model: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the kernels of a model and AdamW for the rest, at this highest learning rate."""
    kernels = [value for value in model.parameters() if value.ndim == 4]
    others = [value for value in model.parameters() if value.ndim != 4]
    return [Muon(kernels, rate), torch.optim.AdamW(others, rate, betas=(0.9, 0.99))]


def chosen_device(name: str) -> torch.device:
    """The device of that name; "auto" is an accelerator where there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def absolute_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of two (B, 3, h, w) batches, and of their differences between neighbours."""
    sharp = sum(
        ((output.diff(dim=axis) - target.diff(dim=axis)).abs().mean() for axis in (-2, -1)), start=output.new_zeros(())
    )
    return (output - target).abs().mean() + GRADIENT_WEIGHT * sharp
