"""An autoencoder with fewer latent channels: the leading principal components of another's.

    python tools/fewer_channels.py --start AUTOENCODER --lesson LESSON --channels 16 --out AUTOENCODER16

The latents are rotated to their principal components, measured on the held-out crops of the lesson, and brought to mean
0 and variance 1; all but the leading ones are dropped. That is linear, so it goes into the encoder's last convolution
and the decoder's first one: what results decodes just what the larger one decodes from the projected latents, borders
apart. Start a training from it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from distil_autoencoder import by_fours, pixels, student
from lesson import Chunk
from torch import Tensor
from training import load_network


@dataclass(frozen=True)
class Projection:
    """Latents z (c,) to components (k,) and back: k = down z + shift, z = up k + mean.

    Attributes:
        down: (k, c).
        up: (c, k).
        mean: (c,), of the latents.
    """

    down: Tensor
    up: Tensor
    mean: Tensor

    @classmethod
    def of(cls, latents: Tensor, number: int) -> "Projection":
        """The leading principal components of latents (n, c, h, w), each of variance 1."""
        vectors = latents.double().movedim(1, -1).flatten(0, -2)
        values, directions = torch.linalg.eigh(vectors.T.cov())
        values, directions = values[-number:].flip(0), directions[:, -number:].flip(1)
        return cls(directions.T / values.sqrt()[:, None], directions * values.sqrt(), vectors.mean(0))


@torch.no_grad()
def fewer(large: Any, projection: Projection) -> Any:  # noqa: ANN401 - diffusers has no types
    """The autoencoder whose latents are the projected ones of the large one."""
    number, _ = projection.down.shape
    small = student(number)
    last, first = large.encoder.conv_out, large.decoder.conv_in
    kept = {"encoder.conv_out.weight", "encoder.conv_out.bias", "decoder.conv_in.weight", "decoder.conv_in.bias"}
    small.load_state_dict({name: w for name, w in large.state_dict().items() if name not in kept}, strict=False)

    down, up, mean = projection.down, projection.up, projection.mean
    weight = last.weight.double()
    weight[:, :, 1, 1] += averaging(large.encoder)
    weight = torch.einsum("kc,cwij->kwij", down, weight)
    weight[:, :, 1, 1] -= averaging(small.encoder)
    small.encoder.conv_out.weight.copy_(weight)
    small.encoder.conv_out.bias.copy_(down @ (last.bias.double() - mean))

    weight = first.weight.double()
    weight[:, :, 1, 1] += repeating(large.decoder)
    bias = first.bias.double() + weight.sum((2, 3)) @ mean
    weight = torch.einsum("wcij,ck->wkij", weight, up)
    weight[:, :, 1, 1] -= repeating(small.decoder)
    small.decoder.conv_in.weight.copy_(weight)
    small.decoder.conv_in.bias.copy_(bias)
    return small


def averaging(encoder: Any) -> Tensor:  # noqa: ANN401
    """The encoder's last shortcut as a matrix (c, width)."""
    group: int = encoder.out_shortcut_average_group_size
    return torch.eye(encoder.conv_out.out_channels, dtype=torch.float64).repeat_interleave(group, 1) / group


def repeating(decoder: Any) -> Tensor:  # noqa: ANN401
    """The decoder's first shortcut as a matrix (width, c)."""
    repeats: int = decoder.in_shortcut_repeats
    return torch.eye(decoder.conv_in.in_channels, dtype=torch.float64).repeat_interleave(repeats, 0)


def main(arguments: Sequence[str]) -> None:
    """Make the smaller autoencoder that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="the diffusers folder of the larger one")
    parser.add_argument("--lesson", type=Path, required=True, help="a lesson, for its held-out crops")
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the diffusers folder to write")
    options = parser.parse_args(arguments)
    large = load_network(options.start)
    crops = Chunk.load(options.lesson / "held-out.pt").crops
    with torch.inference_mode():
        latents = torch.cat(list(by_fours(large.encoder, pixels(crops))))
    fewer(large, Projection.of(latents, options.channels)).half().save_pretrained(options.out)


if __name__ == "__main__":
    main(sys.argv[1:])
