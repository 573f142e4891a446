"""The dataset that the student is distilled from: chunks of crops with a teacher's latents and images of them."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

HELD_OUT_FILE = "held-out.pt"
_HOW_TO_MAKE_ONE = "make a dataset with tools/embedded_autoencoder/make_dataset.py"
HISTORIES = (
    ("noise:sigma=50", "denoiser:sigma=50"),
    ("noise:sigma=25", "denoiser:sigma=25"),
    ("jpeg:quality=10", "identity"),
    ("jpeg:quality=20", "nlm:sigma=5"),
    ("downscale:factor=4", "resize:factor=4"),
    ("downscale:factor=2", "resize:factor=2"),
    ("blur:sigma=2", "identity"),
)
"""Degradation and restorer of restored crops, in turn; `denoiser` is the one that train_denoiser.py trains."""


@dataclass(frozen=True)
class Chunk:
    """n crops; the first m of them also have a restored version.

    Attributes:
        crops: x, (n, 3, 128, 128), uint8.
        restored: x*, (m, 3, 128, 128), uint8; number i has history i mod 7.
        latents: of x, normalised, (n, c, 16, 16), float16.
        restored_latents: of x*, (m, c, 16, 16).
        transported_latents: of x*, transported by `strength`, (m, c, 16, 16).
        images: decoded by the teacher from `latents`, (n, 3, 128, 128), uint8.
        transported_images: decoded by the teacher from `transported_latents`, (m, 3, 128, 128), uint8.
        strength: (m,); 0 leaves the restored latents as they are, 1 is the full transport.
    """

    crops: Tensor
    restored: Tensor
    latents: Tensor
    restored_latents: Tensor
    transported_latents: Tensor
    images: Tensor
    transported_images: Tensor
    strength: Tensor

    def save(self, path: Path) -> None:
        """Write the chunk; the file appears only when it is complete."""
        partial = path.with_name(path.name + ".partial")
        torch.save(vars(self), partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Chunk":
        """Read a chunk."""
        return cls(**torch.load(path, weights_only=True))


def chunk_file(number: int) -> str:
    """Return the file name of a training chunk."""
    return f"chunk-{number:03d}.pt"


def load_training_chunks(folder: Path) -> list[Chunk]:
    """Return all chunks of a dataset but the held-out one.

    Raises:
        SystemExit: there are none.
    """
    paths = sorted(folder.glob("chunk-*.pt"))
    if not paths:
        raise SystemExit(f"no chunk-*.pt in {folder}: {_HOW_TO_MAKE_ONE}")
    return [Chunk.load(path) for path in paths]


def load_held_out(folder: Path) -> Chunk:
    """Return the held-out chunk of a dataset.

    Raises:
        SystemExit: there is none.
    """
    if not (folder / HELD_OUT_FILE).exists():
        raise SystemExit(
            f"no {HELD_OUT_FILE} in {folder}: make a dataset with tools/embedded_autoencoder/make_dataset.py"
        )
    return Chunk.load(folder / HELD_OUT_FILE)
