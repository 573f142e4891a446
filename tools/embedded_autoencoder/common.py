"""What all trainings share: their length, learning rate, averaged weights and checkpoints."""

import argparse
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
from torch import Tensor, nn

from tools.embedded_autoencoder.muon import Muon

WARMUP_STEPS = 50
DECAY_SHARE = 0.6  # of the run, at its end, over which the learning rate falls linearly
CHECKPOINT_INTERVAL_S, REPORT_STEPS = 240, 50
GRADIENT_WEIGHT = 0.5


@dataclass(frozen=True)
class TrainingLength:
    """How long a run is; `steps` takes precedence over `minutes`."""

    minutes: float
    steps: int | None = None

    def progress(self, step: int, seconds: float) -> float:
        """Return the share of the run that is done, by steps if their number is set and by time otherwise."""
        return seconds / (60 * self.minutes) if self.steps is None else step / self.steps


class Training(ABC):
    """A model in training: its weights, their running average, optimizers, generator, steps and seconds.

    Args:
        model: on its device.
        optimizers: their learning rates are the peak of the run.
        length: of the run.
        checkpoint: the file of the state.
        seed: of the generator that draws the batches.
        decay: of the running average, once it is filled.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        length: TrainingLength,
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
        self._peak_rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]

    @abstractmethod
    def loss(self) -> Tensor:
        """Return the loss of the next batch."""

    @property
    def progress(self) -> float:
        """The share of the run that is done."""
        return self.length.progress(self.step, self.seconds)

    def advance(self) -> float:
        """Take one step and return its loss."""
        started = time.monotonic()
        rate = min(1.0, (self.step + 1) / WARMUP_STEPS) * max(0.01, min(1.0, (1 - self.progress) / DECAY_SHARE))
        for optimizer, peak in zip(self.optimizers, self._peak_rates, strict=True):
            optimizer.param_groups[0]["lr"] = peak * rate
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
        """Train to the end; return the mean loss of the last steps, None if no step was left to take.

        Raises:
            SystemExit: there is nothing to resume.
        """
        if resume:
            self.load()
        saved, losses = time.monotonic(), deque[float](maxlen=REPORT_STEPS)
        while self.progress < 1:
            losses.append(self.advance())
            if self.step % REPORT_STEPS == 0:
                mean = sum(losses) / len(losses)
                print(f"step {self.step:6d}  {self.seconds:6.0f} s  {self.progress:6.1%}  loss {mean:.4f}", flush=True)
            if time.monotonic() - saved > CHECKPOINT_INTERVAL_S:
                self.save()
                saved = time.monotonic()
        self.save()
        return sum(losses) / len(losses) if losses else None

    def state(self) -> dict[str, Any]:
        """Return all that `load` needs to resume."""
        return {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def save(self) -> None:
        """Write the checkpoint, and replace the former one only when it is complete."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(self.state(), partial)
        partial.replace(self.checkpoint)

    def load(self) -> dict[str, Any]:
        """Restore the state that `save` wrote, and return it.

        Raises:
            SystemExit: there is no checkpoint.
        """
        if not self.checkpoint.is_file():
            raise SystemExit(f"nothing to resume: there is no {self.checkpoint}; start without --resume")
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]
        self.generator.set_state(state["generator"].cpu())
        for optimizer, optimizer_state in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(optimizer_state)
        return dict(state)

    def report(self, options: Any, **results: object) -> dict[str, object]:  # noqa: ANN401 - a dataclass
        """Return the report of a finished run: options, versions, steps, seconds and results."""
        versions = {"python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__}
        length = {"steps": self.step, "seconds": round(self.seconds, 1)}
        return {"options": vars(options), "versions": versions} | length | results


def write_report(path: Path, report: dict[str, object]) -> None:
    """Write a report as JSON; paths become text."""
    path.write_text(json.dumps(report, indent=2, default=str) + "\n")


def add_training_options(
    parser: argparse.ArgumentParser, *, minutes: float, learning_rate: float, batch: int, seed: int
) -> None:
    """Add the options that all trainings have, with these defaults."""
    add = parser.add_argument
    add("--minutes", type=float, default=minutes, help=f"how long to train (default: {minutes:g})")
    add("--steps", type=int, help="how many steps to take instead")
    add("--learning-rate", type=float, default=learning_rate, help=f"at its peak (default: {learning_rate:g})")
    add("--batch", type=int, default=batch, help=f"crops per step (default: {batch})")
    add("--seed", type=int, default=seed)
    add("--threads", type=int, default=1)
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--resume", action="store_true", help="resume from the checkpoint of an interrupted run")


def make_optimizers(model: nn.Module, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the kernels of a model and AdamW for the rest, at this peak learning rate."""
    kernels = [value for value in model.parameters() if value.ndim == 4]
    others = [value for value in model.parameters() if value.ndim != 4]
    return [Muon(kernels, learning_rate), torch.optim.AdamW(others, learning_rate, betas=(0.9, 0.99))]


def resolve_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is CUDA if it is available."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def absolute_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute error of two (B, 3, h, w) batches, and of their differences between neighbours."""
    sharp = sum(
        ((output.diff(dim=axis) - target.diff(dim=axis)).abs().mean() for axis in (-2, -1)), start=output.new_zeros(())
    )
    return (output - target).abs().mean() + GRADIENT_WEIGHT * sharp


def to_signed(samples: Tensor) -> Tensor:
    """Convert samples of 0 to 255 to [-1, 1]."""
    return samples.float() / 127.5 - 1


def is_bfloat16_fast(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    return device.type == "cuda" or torch.cpu._is_amx_tile_supported()
